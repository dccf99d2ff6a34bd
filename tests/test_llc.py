"""Chains and the local learning coefficient against what is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from landscape.catalogue import SAMPLERS
from landscape.llc import curvature, langevin, samplers
from landscape.llc.estimate import estimate, extrapolated
from landscape.llc.run import Run
from landscape.llc.samplers import Dynamics, LossAndGradient, Noise

CURVATURE = torch.logspace(-2, 1, 20, dtype=torch.float64)


CENTRE = torch.linspace(-1, 2, 20, dtype=torch.float64)


def quadratic(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
    """``3 + sum_i h_i (w_i - c_i)^2 / 2``, whatever the examples."""
    away = points - CENTRE
    return 3 + (CURVATURE * away**2).sum(dim=1) / 2, CURVATURE * away


def posterior(n_beta: float, localisation: float) -> float:
    """``1/2 sum t h / (t h + gamma)``."""
    return float((n_beta * CURVATURE / (n_beta * CURVATURE + localisation)).sum() / 2)


def stationary(n_beta: float, localisation: float, step_size: float) -> float:
    """The same for the stationary distribution of SGLD at a finite step."""
    kappa = n_beta * CURVATURE + localisation
    return float((n_beta * CURVATURE / (kappa * (1 - step_size * kappa / 4))).sum() / 2)


def plan_of(sampler: str = "sgld", *, draws: int, burn_in: int = 0, batch: int | None = None) -> langevin.Plan:
    return langevin.Plan(sampler=sampler, draws=draws, burn_in=burn_in, batch=batch)


def how(dynamics: Dynamics, plan: langevin.Plan, parameters: int) -> Run:
    """The same for the estimate."""
    return Run(
        n_beta=dynamics.n_beta, localisation=dynamics.localisation, step_size=float(dynamics.step_size),
        burn_in=plan.burn_in, parameters=parameters, sampler=plan.sampler,
    )  # fmt: skip


def chains(
    centre: Tensor,
    value_and_grad: langevin.ValueAndGrad,
    examples: int,
    dynamics: Dynamics,
    plan: langevin.Plan,
    count: int,
    seed: int,
) -> langevin.Traces:
    """So many chains from one centre."""
    return langevin.run(
        centre.repeat(count, 1), value_and_grad, examples, dynamics, plan, [(seed, n) for n in range(count)]
    )


def measured(
    sampler: str, step_size: float, steps: int, burn_in: int, count: int, localisation: float
) -> tuple[float, float]:
    dynamics = Dynamics(n_beta=1000.0, localisation=localisation, step_size=step_size)
    plan = plan_of(sampler, draws=steps, burn_in=burn_in)
    traces = chains(CENTRE, quadratic, 5, dynamics, plan, count, 1)
    found = estimate(traces.losses, 3.0, how(dynamics, plan, 20))
    assert found.diverged == 0 and np.isfinite(traces.distances).all()
    return found.llc, found.error


@pytest.mark.parametrize(
    ("step_size", "localisation", "steps", "burn_in", "count"),
    [(1e-4, 700.0, 400, 200, 64), pytest.param(2e-4, 100.0, 1500, 1000, 96, marks=pytest.mark.slow)],
)
def test_sgld_on_a_quadratic_is_exact_with_its_bias(
    step_size: float, localisation: float, steps: int, burn_in: int, count: int
) -> None:
    llc, error = measured("sgld", step_size, steps, burn_in, count, localisation)
    assert error < 0.07
    with_bias, without = stationary(1000, localisation, step_size), posterior(1000, localisation)
    assert llc == pytest.approx(with_bias, abs=4 * error)
    assert abs(llc - without) > 6 * error, "the bias of the step is there, and is the predicted one"
    steep = Run(
        n_beta=1000.0, localisation=localisation, step_size=step_size, burn_in=0, parameters=20, curvature=10.0
    )  # fmt: skip
    assert with_bias / without < steep.bias


def naive_steps(
    sampler: str,
    at: np.ndarray,
    centre: np.ndarray,
    value_and_grad: Callable[[np.ndarray], Any],
    e: float,
    t: float,
    pull: float,
    normals: np.ndarray,
    uniforms: np.ndarray,
) -> list[tuple[np.ndarray, float]]:
    """Point and loss of each draw of one chain, as the papers have the samplers."""
    size, rest, heat, out = np.full(len(at), 0.9**2), np.zeros(len(at)), 0.05, []
    force = lambda w: t * value_and_grad(w)[1] + pull * (w - centre)  # noqa: E731
    density = lambda w: -t * value_and_grad(w)[0] - pull / 2 * ((w - centre) ** 2).sum()  # noqa: E731
    way = lambda a, b: stats.norm.logpdf(b, a - e / 2 * force(a), e**0.5).sum()  # noqa: E731
    accepted = at
    for number, (normal, uniform) in enumerate(zip(normals, uniforms, strict=True)):
        if sampler == "mala":
            odds = density(at) - density(accepted) + way(at, accepted) - way(accepted, at)
            if number == 0 or uniform < math.exp(min(odds, 0)):
                accepted = at
            out.append((accepted, value_and_grad(accepted)[0]))
            at = accepted - e / 2 * force(accepted) + e**0.5 * normal
            continue
        out.append((at, value_and_grad(at)[0]))
        if sampler == "sgld":
            at = at - e / 2 * force(at) + e**0.5 * normal
        elif sampler == "rmsprop":
            size = 0.99 * size + 0.01 * value_and_grad(at)[1] ** 2
            scale = 1 / (size**0.5 + 0.1)
            at = at - e / 2 * scale * force(at) + (e * scale) ** 0.5 * normal
        else:
            rest = rest - heat * rest - e * force(at) + (2 * 0.05 * e) ** 0.5 * normal
            at = at + rest
            heat = heat + rest @ rest / len(at) - e
    return out


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_step_is_that_of_the_paper(sampler: str) -> None:
    """Two chains with a step size of their own, against each written out alone."""
    random = np.random.default_rng(3)
    h, centres = np.array([3.0, 0.7, 1.6]), np.array([[0.4, -1.2, 0.3], [2.0, 0.6, -0.5]])
    sizes = {"sgnht": 0.1, "mala": 2.0}.get(sampler, 1) * np.array([0.11, 0.19])
    t, pull, steps = 1.7, 0.6, 25
    start = centres + random.normal(size=(2, 3))
    normals, uniforms = random.normal(size=(steps, 2, 3)), random.uniform(size=(steps, 2))

    def value_and_grad(w: Any) -> Any:
        """A quartic, so that curvature changes with the place."""
        own = torch.tensor(h) if isinstance(w, Tensor) else h
        return (own * w**2 / 2 + w**4 / 9).sum(-1), own * w + 4 * w**3 / 9

    dynamics = Dynamics(n_beta=t, localisation=pull, step_size=torch.tensor(sizes)[:, None])
    one, found = samplers.load(sampler), []
    state = one.start(torch.tensor(start))
    for normal, uniform in zip(normals, uniforms, strict=True):
        value = LossAndGradient(*value_and_grad(state.points))
        after = one.step(
            state, value, Noise(torch.tensor(normal), torch.tensor(uniform)), torch.tensor(centres), dynamics
        )
        point, loss = one.draw(state, value, after)
        found.append((point.numpy().copy(), loss.numpy().copy()))
        state = after
    for chain in range(2):
        wanted = naive_steps(sampler, start[chain], centres[chain], value_and_grad, sizes[chain], t, pull,
                             normals[:, chain], uniforms[:, chain])  # fmt: skip
        np.testing.assert_allclose([point[chain] for point, _ in found], [point for point, _ in wanted], rtol=1e-9)
        np.testing.assert_allclose([loss[chain] for _, loss in found], [loss for _, loss in wanted], rtol=1e-9)
        moves = [bool((one[0] != two[0]).any()) for one, two in zip(wanted, wanted[1:], strict=False)]
        assert all(moves) if sampler != "mala" else 0 < sum(moves) < len(moves)


def test_minibatch_noise_widens_as_predicted() -> None:
    """Two examples whose gradients differ by 2 s, one a step: variance s^2, in the closed form of the bias."""
    h, s, n_beta, localisation, step, size = 0.7, 0.05, 1000.0, 50.0, 3e-4, 400
    random = torch.Generator().manual_seed(5)

    def noisy(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        """Every coordinate with a draw of its own: 400 worlds of one."""
        sign = 2 * torch.randint(2, points.shape, generator=random) - 1
        return h * points.square().mean(dim=1) / 2, h * points + s * sign

    plan = plan_of(draws=200, burn_in=60)
    dynamics = Dynamics(n_beta=n_beta, localisation=localisation, step_size=step)
    traces = chains(torch.zeros(size, dtype=torch.float64), noisy, 2, dynamics, plan, 4, 6)
    run = replace(how(dynamics, plan, 1), curvature=h, noise=s**2)
    found, exact = estimate(traces.losses, 0.0, run), n_beta * h / (2 * (n_beta * h + localisation))
    heat = step * n_beta**2 * s**2 / 4
    assert run.bias == pytest.approx((1 + heat) / (1 - step * (n_beta * h + localisation) / 4))
    assert found.error < 0.01 and found.llc == pytest.approx(exact * run.bias, abs=4 * found.error)
    assert abs(found.llc - exact * run.bias / (1 + heat)) > 8 * found.error
    unstable = replace(run, step_size=4 / (n_beta * h + localisation), noise=0.0)
    assert unstable.bias == math.inf and replace(unstable, step_size=0.99 * unstable.step_size).bias < math.inf
    assert math.isnan(replace(run, curvature=math.nan).bias) and replace(run, sampler="mala").bias == 1


def test_noise_in_some_directions_heats_the_thermostat_of_all() -> None:
    """``xi`` settles at ``a + q k / P`` with ``q = epsilon n_beta^2 s^2 / 2`` in k of P; these have ``a + q`` of heat.

    So their variance is ``(a + q) / (a + q k / P)`` times what it should be, and one among many has the bias.
    """
    noisy_ones, size, epsilon = 6, 48, 2e-5
    random = torch.Generator().manual_seed(4)

    def noisy(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        gradients = 5 * points
        gradients[:, :noisy_ones] += 0.05 * (2 * torch.randint(2, (len(points), noisy_ones), generator=random) - 1)
        return 2.5 * points[:, :noisy_ones].square().mean(dim=1), gradients

    dynamics = Dynamics(n_beta=1000.0, localisation=100.0, step_size=epsilon)
    plan = plan_of("sgnht", draws=500, burn_in=250)
    traces = chains(torch.zeros(size, dtype=torch.float64), noisy, 2, dynamics, plan, 32, 6)
    run = replace(how(dynamics, plan, 1), curvature=5.0, noise=0.05**2)
    found, q = estimate(traces.losses, 0.0, run), epsilon * 1000**2 * 0.05**2 / 2
    alone, widened = 5000 / 5100 / 2, (0.05 + q) / (0.05 + q * noisy_ones / size)
    discrete = 1 / (1 - epsilon * 5100 / 4)
    assert found.error < 0.02 and found.llc == pytest.approx(alone * widened * discrete, abs=4 * found.error)
    assert run.bias == pytest.approx((0.05 + q) / 0.05 * discrete)
    low, high = found.interval(run.bias)
    assert found.llc > alone + 4 * found.error and low < alone < high


@pytest.mark.slow
def test_the_thermostat_is_one_for_all_directions_and_its_bias_is_bounded() -> None:
    """Noise in one steep direction heats it; the value lies above the truth, and within what the bias allows."""
    h, s = torch.tensor([5.0, 1.0, 0.5, 0.2], dtype=torch.float64), torch.tensor([0.05, 0, 0, 0], dtype=torch.float64)

    def noisy(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        return (h * points**2).sum(dim=1) / 2, h * points + s * (2 * batches - 1)

    dynamics = Dynamics(n_beta=1000.0, localisation=100.0, step_size=6e-5)
    plan = plan_of("sgnht", draws=1500, burn_in=1000, batch=1)
    traces = chains(torch.zeros(4, dtype=torch.float64), noisy, 2, dynamics, plan, 40, 6)
    run = replace(how(dynamics, plan, 4), curvature=5.0, noise=0.05**2)
    found, exact = estimate(traces.losses, 0.0, run), float((1000 * h / (1000 * h + 100)).sum() / 2)
    low, high = found.interval(run.bias)
    assert found.llc > exact + 4 * found.error and low < exact < high and run.bias > 1.5
    assert any("overstate" in warning for warning in found.warnings)


@pytest.mark.slow
def test_two_step_sizes_take_the_bias_away() -> None:
    """The bias is linear in the step to first order; what is left is of second order, and the error is honest."""
    found = []
    for step_size, seed in ((2e-4, 1), (1e-4, 2)):
        plan = plan_of(draws=1500, burn_in=1200)
        dynamics = Dynamics(n_beta=1000.0, localisation=100.0, step_size=step_size)
        traces = chains(CENTRE, quadratic, 5, dynamics, plan, 96, seed)
        found.append(estimate(traces.losses, 3.0, how(dynamics, plan, 20)))
    both = extrapolated(*found)
    wanted = 2 * stationary(1000, 100, 1e-4) - stationary(1000, 100, 2e-4)
    assert both.error < 0.2 and both.llc == pytest.approx(wanted, abs=4 * both.error)
    small = 2 * stationary(1000, 100, 2.5e-5) - stationary(1000, 100, 5e-5)
    assert abs(small - posterior(1000, 100)) < abs(stationary(1000, 100, 2.5e-5) - posterior(1000, 100)) / 5


@pytest.mark.slow
def test_metropolis_has_no_bias_at_any_step() -> None:
    for step_size in (5e-5, 2e-4):
        llc, error = measured("mala", step_size, 2000, 1000, 96, 100.0)
        assert error < 0.1 and llc == pytest.approx(posterior(1000, 100), abs=4 * error)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "step_size", "bias"), [("sgnht", 2e-6, 0.02), ("rmsprop", 5e-6, 0.08)])
def test_the_others_sample_the_posterior_at_a_small_step(sampler: str, step_size: float, bias: float) -> None:
    """SGNHT up to its discretisation; RMSprop up to the derivative of its preconditioner, which all leave out."""
    llc, error = measured(sampler, step_size, 5000, 5000, 64, 100.0)
    assert error < 0.2 and llc == pytest.approx(posterior(1000, 100), abs=4 * error + bias * posterior(1000, 100))


@pytest.mark.slow
@pytest.mark.parametrize(("one", "two"), [(0, 4), (2, 4)])
def test_normal_crossings_at_a_finite_temperature(one: int, two: int) -> None:
    """``w1^one w2^two`` with prior N(0, 1): against quadrature at t = 100, not against the limit."""
    n_beta = 100.0

    def crossing(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        x, y = points[:, 0], points[:, 1]
        gradient = torch.stack([one * x ** max(one - 1, 0) * y**two, two * x**one * y ** (two - 1)], dim=1)
        return x**one * y**two, gradient * torch.tensor([one > 0, True])

    def density(y: float, x: float) -> float:
        return math.exp(-n_beta * x**one * y**two - (x * x + y * y) / 2)

    area = {"a": 0, "b": 7, "gfun": 0, "hfun": 7}
    norm = integrate.dblquad(density, **area)[0]
    truth = n_beta * integrate.dblquad(lambda y, x: x**one * y**two * density(y, x), **area)[0] / norm
    dynamics = Dynamics(n_beta=n_beta, localisation=1.0, step_size=5e-4)
    plan = plan_of(draws=3000, burn_in=1500)
    traces = chains(torch.zeros(2, dtype=torch.float64), crossing, 2, dynamics, plan, 400, 3)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, 2))
    assert found.error < 0.03 and found.llc == pytest.approx(truth, abs=4 * found.error + 0.03 * truth)


def test_a_chain_that_diverges_leaves_the_others_alone() -> None:
    """Too large a step: nan where it is nan, and in a mixture only there."""
    plan = plan_of(draws=60)
    dynamics = Dynamics(n_beta=1000.0, localisation=10.0, step_size=1e-4)

    def one_steep(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = quadratic(points, batches)
        steep = torch.tensor([[1.0], [1e9], [1.0]], dtype=torch.float64)
        return losses * steep[:, 0], gradients * steep

    traces, calm = (
        chains(CENTRE, value_and_grad, 5, dynamics, plan, 3, 1) for value_and_grad in (one_steep, quadratic)
    )
    assert not np.isfinite(traces.losses[1]).all()
    np.testing.assert_allclose(traces.losses[[0, 2]], calm.losses[[0, 2]], rtol=1e-12)


def test_batches_are_each_chain_s_own_and_hold_no_example_twice() -> None:
    seen: list[Tensor] = []

    def watched(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(batches)
        return quadratic(points, batches)

    dynamics = Dynamics(n_beta=1000.0, localisation=10.0, step_size=1e-5)
    chains(CENTRE, watched, 11, dynamics, plan_of(draws=200, batch=4), 3, 2)
    assert all(b.shape == (3, 4) and all(len(set(row)) == 4 for row in b.tolist()) for b in seen)
    assert sum(bool((b[0] != b[1]).any()) for b in seen) > 150
    counts = torch.stack(seen).flatten().bincount(minlength=11)
    assert (counts - 200 * 3 * 4 / 11).abs().max() < 4 * (200 * 12 / 11) ** 0.5
    seen.clear()
    for batch in (None, 11, 12):
        chains(CENTRE, watched, 11, dynamics, plan_of(draws=1, batch=batch), 3, 2)
    assert all(b.tolist() == [list(range(11))] * 3 for b in seen) and len(seen) == 3


def test_the_largest_curvature_is_found_by_differences() -> None:
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    hessian = turn @ torch.diag(CURVATURE) @ turn.T
    for sign in (1, -1):
        found, way = curvature.largest(
            CENTRE, lambda w, sign=sign: sign * hessian @ (w - 0.3), seed=1, iterations=99, tolerance=0.0
        )
        assert found == pytest.approx(10.0, rel=1e-6) and abs(float(way @ turn[:, -1])) == pytest.approx(1, abs=1e-4)
    nothing, _ = curvature.largest(torch.zeros(20, dtype=torch.float64), lambda w: hessian @ w, seed=1)
    assert nothing == pytest.approx(10.0, rel=0.05), "a point of no length has a neighbourhood too"
    assert curvature.largest(CENTRE, torch.zeros_like, seed=1)[0] == 0
    asked: list[float] = []

    def counted(at: Tensor, scale: float) -> Tensor:
        asked.append(scale)
        return scale * hessian @ at

    curvature.largest(CENTRE, lambda w: counted(w, 1.0), seed=1, tolerance=0.0, iterations=7)
    assert len(asked) == 1 + 7
    for scale in (4.0, 2**-12):
        curvature.largest(CENTRE, lambda w, scale=scale: counted(w, scale), seed=1)
    assert asked.count(4.0) == asked.count(2**-12) < 60, "settled is a share of the curvature"
    lost = curvature.largest(CENTRE, lambda w: w / 0.0, seed=1)[0]
    assert math.isnan(lost), "a gradient that is not finite gives no curvature"
    step = curvature.step_size(10.0, 1000.0, 10.0)
    run = Run(n_beta=1000.0, localisation=10.0, step_size=step, burn_in=0, parameters=20, curvature=10.0)
    assert run.bias == pytest.approx(1 / 0.9)


def test_the_largest_curvature_of_long_spectra_takes_fewer_products_than_power_iteration() -> None:
    """Of both signs, with close neighbours; power iteration is given what it needs for as small an error."""
    spectrum = torch.cat([-torch.logspace(-3, 0.9, 149), torch.logspace(-3, 1, 151)]).double()
    asked, needed, values = list[Tensor](), 0, []
    for seed in range(10):
        random = torch.Generator().manual_seed(seed)
        turn = torch.linalg.qr(torch.randn(300, 300, generator=random, dtype=torch.float64)).Q
        hessian = turn @ torch.diag(spectrum) @ turn.T

        def gradient(at: Tensor, hessian: Tensor = hessian) -> Tensor:
            asked.append(at)
            return hessian @ at

        found, way = curvature.largest(torch.ones(300, dtype=torch.float64), gradient, seed=seed)
        assert float((hessian @ way - found * way).norm()) <= 0.05 * found * 1.01
        values.append(found)
        one = torch.randn(300, generator=random, dtype=torch.float64)
        while float((hessian @ one).norm() / one.norm()) < found:
            one, needed = hessian @ one / one.norm(), needed + 1
    assert np.mean(values) == pytest.approx(10.0, rel=0.05) and max(values) < 10.0001
    assert 10 * curvature.HELD < len(asked) < 0.8 * needed


def test_the_search_for_the_largest_curvature_begins_near_the_gradient() -> None:
    """Two products are enough if that is the eigenvector; one that has no share of it does not hide it."""
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    hessian, asked = turn @ torch.diag(CURVATURE) @ turn.T, list[Tensor]()

    def gradient(at: Tensor, way: Tensor) -> Tensor:
        asked.append(at)
        return hessian @ (at - CENTRE) + 1e3 * way

    for position in (-1, 0):
        found, _ = curvature.largest(CENTRE, partial(gradient, way=turn[:, position]), seed=1, tolerance=0.2)
        assert found == pytest.approx(10.0, rel=0.1)
        if position == -1:
            assert len(asked) == 1 + 2


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 2), (2, 5)])
def test_rank_one_regression_at_a_finite_temperature(inputs: int, outputs: int) -> None:
    """``|a|^2 |b|^2 / 2`` with prior N(0, 1): b is Gaussian given a, which leaves one integral over s = |a|."""
    n_beta = 100.0

    def density(s: float) -> float:
        return float(s ** (inputs - 1) * math.exp(-s * s / 2) * (1 + n_beta * s * s) ** (-outputs / 2))

    norm = integrate.quad(density, 0, 12)[0]
    truth = integrate.quad(
        lambda s: outputs / 2 * n_beta * s * s / (1 + n_beta * s * s) * density(s), 0, 12
    )[0] / norm  # fmt: skip
    if (inputs, outputs) == (2, 2):
        assert truth == pytest.approx(0.79446, abs=1e-5)

    def product(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        a, b = points[:, :inputs], points[:, inputs:]
        aa, bb = (x.square().sum(dim=1, keepdim=True) for x in (a, b))
        return (aa * bb / 2)[:, 0], torch.cat([a * bb, b * aa], dim=1)

    centre = torch.zeros(inputs + outputs, dtype=torch.float64)
    plan = plan_of(draws=5000, burn_in=2000)
    dynamics = Dynamics(n_beta=n_beta, localisation=1.0, step_size=2.5e-4)
    traces = chains(centre, product, 2, dynamics, plan, 256, 4)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, inputs + outputs))
    assert found.error < 0.03 and found.llc == pytest.approx(truth, abs=4 * found.error + 0.02 * truth)


@pytest.mark.slow
def test_a_deep_linear_network_has_its_local_coefficient() -> None:
    """``|W2 W1|^2 / 2`` at W1 = 1, W2 = 0: a submersion, so 50; not the 37.5 of the most singular point."""
    width, n_beta, localisation, step = 10, 1e6, 1e3, 1e-7
    eye = torch.eye(width, dtype=torch.float64)
    centre = torch.cat([eye.flatten(), torch.zeros(width * width, dtype=torch.float64)])

    def network(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        one, two = (x.view(-1, width, width) for x in points.split(width * width, dim=1))
        out = two @ one
        gradients = torch.cat([(two.mT @ out).flatten(1), (out @ one.mT).flatten(1)], dim=1)
        return out.square().sum(dim=(1, 2)) / 2, gradients

    dynamics = Dynamics(n_beta=n_beta, localisation=localisation, step_size=step)
    plan = plan_of(draws=2000, burn_in=800)
    traces = chains(centre, network, 2, dynamics, plan, 24, 5)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, len(centre)))
    kappa = n_beta + localisation
    theory = width**2 / 2 * n_beta / (kappa * (1 - step * kappa / 4))
    assert found.error < 0.3 and found.llc == pytest.approx(theory, abs=4 * found.error + 0.01 * theory)
    assert found.llc > 45
