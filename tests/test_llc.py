"""The local learning coefficient against what is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from landscape.llc import curvature, langevin
from landscape.llc.coefficient import judged
from landscape.llc.curvature import Steepest
from landscape.llc.estimate import Estimate, Run, estimate, extrapolated
from landscape.llc.samplers import KINDS, Dynamics, Noise, Slopes
from landscape.measures import Llc

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
    centre: Tensor, slope: langevin.Slope, examples: int, dynamics: Dynamics, plan: langevin.Plan, count: int, seed: int
) -> langevin.Traces:
    """So many chains from one centre."""
    return langevin.run(centre.repeat(count, 1), slope, examples, dynamics, plan, [(seed, n) for n in range(count)])


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
    slope: Callable[[np.ndarray], Any],
    e: float,
    t: float,
    pull: float,
    normals: np.ndarray,
    uniforms: np.ndarray,
) -> list[tuple[np.ndarray, float]]:
    """Point and loss of each draw of one chain, as the papers have the samplers."""
    size, rest, heat, out = np.full(len(at), 0.9**2), np.zeros(len(at)), 0.05, []
    force = lambda w: t * slope(w)[1] + pull * (w - centre)  # noqa: E731
    density = lambda w: -t * slope(w)[0] - pull / 2 * ((w - centre) ** 2).sum()  # noqa: E731
    way = lambda a, b: stats.norm.logpdf(b, a - e / 2 * force(a), e**0.5).sum()  # noqa: E731
    accepted = at
    for number, (normal, uniform) in enumerate(zip(normals, uniforms, strict=True)):
        if sampler == "mala":
            odds = density(at) - density(accepted) + way(at, accepted) - way(accepted, at)
            if number == 0 or uniform < math.exp(min(odds, 0)):
                accepted = at
            out.append((accepted, slope(accepted)[0]))
            at = accepted - e / 2 * force(accepted) + e**0.5 * normal
            continue
        out.append((at, slope(at)[0]))
        if sampler == "sgld":
            at = at - e / 2 * force(at) + e**0.5 * normal
        elif sampler == "rmsprop":
            size = 0.99 * size + 0.01 * slope(at)[1] ** 2
            scale = 1 / (size**0.5 + 0.1)
            at = at - e / 2 * scale * force(at) + (e * scale) ** 0.5 * normal
        else:
            rest = rest - heat * rest - e * force(at) + (2 * 0.05 * e) ** 0.5 * normal
            at = at + rest
            heat = heat + rest @ rest / len(at) - e
    return out


@pytest.mark.parametrize("sampler", KINDS)
def test_every_step_is_that_of_the_paper(sampler: str) -> None:
    """Two chains with a step size of their own, against each written out alone."""
    random = np.random.default_rng(3)
    h, centres = np.array([3.0, 0.7, 1.6]), np.array([[0.4, -1.2, 0.3], [2.0, 0.6, -0.5]])
    sizes = {"sgnht": 0.1, "mala": 2.0}.get(sampler, 1) * np.array([0.11, 0.19])
    t, pull, steps = 1.7, 0.6, 25
    start = centres + random.normal(size=(2, 3))
    normals, uniforms = random.normal(size=(steps, 2, 3)), random.uniform(size=(steps, 2))

    def slope(w: Any) -> Any:
        """A quartic, so that curvature changes with the place."""
        own = torch.tensor(h) if isinstance(w, Tensor) else h
        return (own * w**2 / 2 + w**4 / 9).sum(-1), own * w + 4 * w**3 / 9

    dynamics = Dynamics(n_beta=t, localisation=pull, step_size=torch.tensor(sizes)[:, None])
    kind, found = KINDS[sampler], []
    state = kind.start(torch.tensor(start))
    for normal, uniform in zip(normals, uniforms, strict=True):
        slopes = Slopes(*slope(state.points))
        after = kind.step(
            state, slopes, Noise(torch.tensor(normal), torch.tensor(uniform)), torch.tensor(centres), dynamics
        )
        point, loss = kind.draw(state, slopes, after)
        found.append((point.numpy().copy(), loss.numpy().copy()))
        state = after
    for chain in range(2):
        wanted = naive_steps(sampler, start[chain], centres[chain], slope, sizes[chain], t, pull,
                             normals[:, chain], uniforms[:, chain])  # fmt: skip
        np.testing.assert_allclose([point[chain] for point, _ in found], [point for point, _ in wanted], rtol=1e-9)
        np.testing.assert_allclose([loss[chain] for _, loss in found], [loss for _, loss in wanted], rtol=1e-9)
        moves = [bool((one[0] != two[0]).any()) for one, two in zip(wanted, wanted[1:], strict=False)]
        assert all(moves) if sampler != "mala" else 0 < sum(moves) < len(moves)


def test_minibatch_noise_widens_as_predicted() -> None:
    """Two examples whose slopes differ by 2 s, one a step: slope variance s^2, in the closed form of the bias."""
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
        slopes = 5 * points
        slopes[:, :noisy_ones] += 0.05 * (2 * torch.randint(2, (len(points), noisy_ones), generator=random) - 1)
        return 2.5 * points[:, :noisy_ones].square().mean(dim=1), slopes

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
    assert any("overstate" in alarm for alarm in found.alarms)


USUAL = Run(n_beta=40.0, localisation=100.0, step_size=1e-3, burn_in=100, parameters=1000)


def noise(seed: int, steps: int = 300) -> np.ndarray:
    """Four chains of independent draws around 2."""
    return 2 + 0.1 * np.random.default_rng(seed).normal(size=(4, steps))


def test_intervals_keep_their_ends_in_order_and_what_does_not_move_is_said() -> None:
    below = estimate(noise(2), 3.0, USUAL)
    low, high = below.interval(1.3)
    assert low == pytest.approx(below.llc - 1.96 * below.error, rel=1e-3) and low < high < 0
    above = estimate(noise(2), 1.5, USUAL)
    low, high = above.interval(1.3)
    margin = stats.norm.ppf(0.975) * above.error
    assert low == pytest.approx((above.llc - margin) / 1.3) and high == pytest.approx(above.llc + margin)
    assert above.interval() == pytest.approx((above.llc - margin, above.llc + margin))
    assert above.interval(0.9)[0] == above.interval(math.nan)[0] == pytest.approx(above.llc - margin)
    still = estimate(np.full((4, 300), 2.0), 1.9, USUAL)
    assert still.llc == pytest.approx(4) and math.isnan(still.error)
    assert still.alarms == ("the loss is the same at every step: nothing moves, or nothing that moves matters",)


def test_distances_are_held_against_rounding_and_against_the_localisation() -> None:
    near = replace(USUAL, resolution=1e-3)
    (said,) = estimate(noise(3), 1.5, near, np.full(4, 9e-4)).alarms
    assert said.startswith("chains stay closer to the checkpoint than rounding can tell")
    assert estimate(noise(3), 1.5, near, np.array([1e-4, 2e-4, 3e-4, 2.1e-3])).alarms == (), "in the root mean square"
    apart = np.array([1.0, 2.0, 2.5, 4.5])
    found = estimate(noise(3), 1.5, near, apart)
    assert found.reach == pytest.approx(math.sqrt((1 + 4 + 6.25 + 20.25) / 4) / math.sqrt(1000 / 100))
    lost = noise(3)
    lost[3, 200] = np.nan
    assert estimate(lost, 1.5, near, apart).reach == pytest.approx(math.sqrt((1 + 4 + 6.25) / 3 / 10))
    assert math.isnan(estimate(noise(3), 1.5, near).reach)
    assert 0.9 < estimate(noise(3)[:1], 1.5, near).rhat < 1.1


def test_one_step_size_and_half_of_it_take_the_bias_away() -> None:
    """Values whose bias is proportional to the step, planted; the variance of a difference of independent values."""
    one = Estimate(
        llc=5 * (1 + 0.3), error=0.4, per_chain=np.array([6.0, 7.0]), rhat=1.04, ess=80.0, diverged=2, drift=-3.4,
        reach=0.8, alarms=("chains disagree", "the loss still falls"),
    )  # fmt: skip
    half = Estimate(
        llc=5 * (1 + 0.15), error=0.7, per_chain=np.array([5.5, 6.2]), rhat=1.02, ess=60.0, diverged=1, drift=2.2,
        reach=0.9, alarms=("below zero", "chains disagree"),
    )  # fmt: skip
    both = extrapolated(one, half)
    assert both.llc == pytest.approx(5) and both.error**2 == pytest.approx(4 * 0.7**2 + 0.4**2)
    np.testing.assert_allclose(both.per_chain, [5.0, 5.4])
    assert (both.rhat, both.ess, both.diverged, both.drift, both.reach) == (1.04, 60.0, 2, -3.4, 0.9)
    assert both.alarms == ("chains disagree", "the loss still falls", "below zero")


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


def test_burn_in_enters_no_number() -> None:
    losses = noise(0)
    losses[:, :100] = 50
    flat = replace(USUAL, sampler="sgnht")
    found = estimate(losses, 1.5, flat)
    assert found.llc == pytest.approx(40 * (losses[:, 100:].mean() - 1.5)) and found.alarms == ()
    np.testing.assert_allclose(found.per_chain, 40 * (losses[:, 100:].mean(axis=1) - 1.5))
    assert estimate(losses, 1.5, replace(flat, burn_in=296)).llc > 0
    with pytest.raises(ValueError, match="300 steps with 297 of burn-in leave 3 draws"):
        estimate(losses, 1.5, replace(flat, burn_in=297))


def test_the_error_is_that_of_correlated_draws() -> None:
    """``sd sqrt((1 + rho) / (1 - rho) / n)`` of a chain of order 1, and as many effective draws as it says."""
    random, rho, steps = np.random.default_rng(7), 0.6, 4000
    losses = np.zeros((3, steps))
    for n in range(1, steps):
        losses[:, n] = rho * losses[:, n - 1] + random.normal(size=3)
    found = estimate(losses, -2.0, replace(USUAL, burn_in=100))
    sd, times = 1 / math.sqrt(1 - rho**2), (1 + rho) / (1 - rho)
    assert found.ess == pytest.approx(3 * 3900 / times, rel=0.15)
    assert found.error == pytest.approx(40 * sd * math.sqrt(times / (3 * 3900)), rel=0.1)
    assert abs(found.drift) < 3 and found.rhat == pytest.approx(1, abs=0.01)


def test_drift_is_the_rise_between_halves_in_its_errors() -> None:
    """A planted rise over independent draws, whose difference of halves has a known error."""
    for rise in (0.05, -0.05):
        losses = noise(8, 500)
        losses[:, 300:] += rise  # of 400 draws the second half
        wanted = (losses[:, 300:].mean() - losses[:, 100:300].mean()) / (0.1 * math.sqrt(2 / 800))
        assert estimate(losses, 1.5, USUAL).drift == pytest.approx(wanted, rel=0.15)


def test_a_diverged_chain_is_named_and_not_averaged() -> None:
    losses = noise(0)
    losses[2, 180:] = np.nan
    losses[2, 100:180] = 1e9
    found = estimate(losses, 1.5, USUAL)
    assert found.diverged == 1 and np.isnan(found.per_chain[2])
    assert found.llc == pytest.approx(40 * (losses[[0, 1, 3], 100:].mean() - 1.5))
    assert "1 of 4 chains diverged and are left out" in found.alarms[0]
    losses[0, 7] = np.inf
    assert estimate(losses, 1.5, USUAL).diverged == 2, "in the burn-in too"
    losses[:, 299] = np.inf
    gone = estimate(losses, 1.5, USUAL)
    assert math.isnan(gone.llc) and gone.alarms == ("every chain diverged",) and gone.diverged == 4


def test_alarms_say_what_is_wrong_and_are_silent_otherwise() -> None:
    good, slope = noise(1, 400), np.linspace(0, 0.2, 400)
    plain = replace(USUAL, burn_in=0, sampler="sgnht")
    assert estimate(good, 1.5, plain).alarms == ()
    apart = estimate(good + np.array([[0], [0], [0.3], [0.3]]), 1.5, plain).alarms
    assert any(alarm.startswith("chains disagree (R-hat") for alarm in apart)
    up, down = (" ".join(estimate(good + sign * slope, 1.5, plain).alarms) for sign in (1, -1))
    assert "the loss still rises (+" in up and "the loss still falls (-" in down
    llc = 40 * (good.mean() - 1.5)
    assert [estimate(good, 1.5, replace(plain, parameters=2 * round(llc) + n)).alarms for n in (0, 1, 2)][2] == ()
    (over,) = estimate(good, 1.5, replace(plain, parameters=int(2 * llc) - 1)).alarms
    assert over.startswith(f"above half of the {int(2 * llc) - 1} parameters that moved")
    (below,) = estimate(good, 2.5, plain).alarms
    assert below.startswith("below zero: the checkpoint is no minimum of this loss")
    assert estimate(good, good.mean() + 1e-4, plain).alarms == (), "below zero by less than the margin"
    assert run_alarms(good, step_size=1.37e-3, curvature=20.0) == (), "a bias of 1.45"
    assert "1.56 times" in run_alarms(good, step_size=1.6e-3, curvature=20.0)[0]
    (large,) = run_alarms(good, step_size=3e-3, curvature=20.0)
    assert large.startswith("the step may overstate the steepest direction 3.08 times")
    (short,) = run_alarms(good, step_size=1e-3, burn_in=49)
    assert short == "a burn-in of 49 is short of the 50 in which flat directions settle"
    assert run_alarms(good, step_size=1e-3, reach=1.2) == ()
    (far,) = run_alarms(good, step_size=1e-3, reach=1.3)
    assert far.startswith("chains are 1.3 times as far from the checkpoint")


def run_alarms(
    losses: np.ndarray, *, step_size: float, curvature: float = math.nan, burn_in: int = 50, reach: float = 1.0
) -> tuple[str, ...]:
    run = replace(USUAL, step_size=step_size, burn_in=burn_in, curvature=curvature)
    return estimate(losses, 1.5, run, np.full(4, reach * (1000 / 100) ** 0.5)).alarms


def test_flat_directions_have_spread_after_the_steps_that_are_asked_for() -> None:
    """``(1 - epsilon gamma / 2)^(2 k)`` of the spread is missing after k steps of SGLD."""
    run = replace(USUAL, step_size=3e-4, localisation=70.0)
    left = [(1 - 3e-4 * 70 / 2) ** (2 * steps) for steps in (run.settled, run.settled - 5)]
    assert left[0] < math.exp(-5) < left[1] and left[0] == pytest.approx(math.exp(-5), rel=0.1)
    assert replace(run, sampler="mala").settled == run.settled
    assert replace(run, sampler="rmsprop").settled == replace(run, sampler="sgnht").settled == 0


def test_a_minibatch_is_drawn_without_replacement_from_a_finite_population() -> None:
    """The noise in the bias is the variance of a mean over all batches that there are."""
    slopes = np.array([0.3, -1.1, 0.8, 2.4, -0.2, 0.5, 1.9])
    noise_of = {size: np.var([np.mean(batch) for batch in combinations(slopes, size)]) for size in (3, 6, 7)}
    sharp = Steepest(curvature=0.9, variance=float(slopes.var(ddof=1)), parameters=40)
    parts = [(noise(4, 30), np.full(4, 0.5))]
    for size, batch in ((3, 3), (6, 6), (7, 7), (7, "all"), (7, 90)):
        settings = Llc(kind="llc", draws=20, burn_in=10, batch=batch, n_beta=30.0, localisation=5.0)
        found = judged(parts, 1.5, settings, 0.01, sharp, 7)
        wanted = (1 + 0.01 * 30**2 * noise_of[size] / 4) / (1 - 0.01 * (30 * 0.9 + 5) / 4)
        assert found.step_bias == pytest.approx(wanted) and found.step_size == 0.01
        margin = stats.norm.ppf(0.975) * found.estimate.error
        assert found.low == pytest.approx((found.estimate.llc - margin) / wanted)
        assert found.high == pytest.approx(found.estimate.llc + margin)


def test_a_chain_that_diverges_leaves_the_others_alone() -> None:
    """Too large a step: nan where it is nan, and in a mixture only there."""
    plan = plan_of(draws=60)
    dynamics = Dynamics(n_beta=1000.0, localisation=10.0, step_size=1e-4)

    def one_steep(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = quadratic(points, batches)
        steep = torch.tensor([[1.0], [1e9], [1.0]], dtype=torch.float64)
        return losses * steep[:, 0], gradients * steep

    traces, calm = (chains(CENTRE, slope, 5, dynamics, plan, 3, 1) for slope in (one_steep, quadratic))
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
    assert len(asked) == 14
    for scale in (4.0, 2**-12):
        curvature.largest(CENTRE, lambda w, scale=scale: counted(w, scale), seed=1)
    assert asked.count(4.0) == asked.count(2**-12) < 60, "settled is a share of the curvature"
    step = curvature.step_size(10.0, 1000.0, 10.0)
    run = Run(n_beta=1000.0, localisation=10.0, step_size=step, burn_in=0, parameters=20, curvature=10.0)
    assert run.bias == pytest.approx(1 / 0.9)


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
