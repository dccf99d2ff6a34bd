"""The local learning coefficient against what is known exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from landscape.llc import curvature, langevin
from landscape.llc.estimate import Run, estimate, extrapolated
from landscape.llc.samplers import KINDS, Dynamics

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


def how(dynamics: Dynamics, plan: langevin.Plan, parameters: int) -> Run:
    """The same for the estimate."""
    step = float(dynamics.step_size)
    return Run(dynamics.n_beta, dynamics.localisation, step, plan.burn_in, parameters, plan.sampler)


def chains(
    centre: Tensor, slope: langevin.Slope, examples: int, dynamics: Dynamics, plan: langevin.Plan, count: int, seed: int
) -> langevin.Traces:
    """So many chains from one centre."""
    return langevin.run(centre.repeat(count, 1), slope, examples, dynamics, plan, [(seed, n) for n in range(count)])


def measured(sampler: str, step_size: float, steps: int = 3000, count: int = 128, seed: int = 1) -> tuple[float, float]:
    dynamics = Dynamics(1000.0, 10.0, step_size)
    plan = langevin.Plan(sampler, steps, steps, None)
    traces = chains(CENTRE, quadratic, 5, dynamics, plan, count, seed)
    found = estimate(traces.losses, 3.0, how(dynamics, plan, 20))
    assert found.diverged == 0 and np.isfinite(traces.distances).all()
    return found.llc, found.error


@pytest.mark.parametrize("step_size", [1e-4, pytest.param(2e-4, marks=pytest.mark.slow)])
def test_sgld_on_a_quadratic_is_exact_with_its_bias(step_size: float) -> None:
    llc, error = measured("sgld", step_size)
    assert error < 0.07
    assert llc == pytest.approx(stationary(1000, 10, step_size), abs=4 * error)
    assert abs(llc - posterior(1000, 10)) > 6 * error, "the bias of the step is there, and is the predicted one"
    assert (
        stationary(1000, 10, step_size) / posterior(1000, 10) < Run(1000.0, 10.0, step_size, 0, 20, curvature=10.0).bias
    )


def test_minibatch_noise_widens_as_predicted() -> None:
    """Two examples whose slopes differ by 2 s, one a step: slope variance s^2, in the closed form of the bias."""
    h, s, n_beta, localisation, step = 0.7, 0.05, 1000.0, 50.0, 3e-4

    def noisy(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        return h * points[:, 0] ** 2 / 2, h * points + s * (2 * batches - 1)

    plan = langevin.Plan("sgld", 3000, 400, 1)
    centre = torch.zeros(1, dtype=torch.float64)
    traces = chains(centre, noisy, 2, Dynamics(n_beta, localisation, step), plan, 40, 6)
    run = Run(n_beta, localisation, step, 400, 1, "sgld", h, s**2)
    found, exact = estimate(traces.losses, 0.0, run), n_beta * h / (2 * (n_beta * h + localisation))
    assert run.bias == pytest.approx((1 + step * n_beta**2 * s**2 / 4) / (1 - step * (n_beta * h + localisation) / 4))
    assert found.error < 0.015 and found.llc == pytest.approx(exact * run.bias, abs=4 * found.error)
    assert abs(found.llc - exact * run.bias / (1 + step * n_beta**2 * s**2 / 4)) > 8 * found.error
    unstable = Run(n_beta, localisation, 4 / (n_beta * h + localisation), 0, 1, "sgld", h)
    assert unstable.bias == math.inf and replace(unstable, step_size=0.99 * unstable.step_size).bias < math.inf
    assert math.isnan(replace(run, curvature=math.nan).bias) and replace(run, sampler="mala").bias == 1
    heated = replace(run, sampler="sgnht").bias / run.bias * (1 + step * n_beta**2 * s**2 / 4)
    assert heated == pytest.approx(1 + step * n_beta**2 * s**2 / (2 * 0.05))


@pytest.mark.slow
def test_the_thermostat_is_one_for_all_directions_and_its_bias_is_bounded() -> None:
    """Noise in one steep direction heats it; the value lies above the truth, and within what the bias allows."""
    h, s = torch.tensor([5.0, 1.0, 0.5, 0.2], dtype=torch.float64), torch.tensor([0.05, 0, 0, 0], dtype=torch.float64)

    def noisy(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        return (h * points**2).sum(dim=1) / 2, h * points + s * (2 * batches - 1)

    dynamics, plan = Dynamics(1000.0, 100.0, 6e-5), langevin.Plan("sgnht", 2500, 1500, 1)
    traces = chains(torch.zeros(4, dtype=torch.float64), noisy, 2, dynamics, plan, 40, 6)
    run = Run(1000.0, 100.0, 6e-5, 1500, 4, "sgnht", 5.0, 0.05**2)
    found, exact = estimate(traces.losses, 0.0, run), float((1000 * h / (1000 * h + 100)).sum() / 2)
    low, high = found.interval(run.bias)
    assert found.llc > exact + 4 * found.error and low < exact < high and run.bias > 1.5
    assert any("overstate" in alarm for alarm in found.alarms)


def test_intervals_keep_their_ends_in_order_and_what_does_not_move_is_said() -> None:
    random = np.random.default_rng(2)
    below = estimate(2 + 0.1 * random.normal(size=(4, 300)), 3.0, Run(40.0, 100.0, 1e-3, 100, 9, "sgld", 20.0))
    low, high = below.interval(1.3)
    assert low == pytest.approx(below.llc - 1.96 * below.error, rel=1e-3) and low < high < 0
    still = estimate(np.full((4, 300), 2.0), 2.0, Run(40.0, 100.0, 1e-3, 100, 9))
    assert still.llc == 0 and math.isnan(still.error) and "the loss is the same at every step" in still.alarms[0]
    near = Run(40.0, 100.0, 1e-3, 100, 1000, resolution=1e-3)
    noise = 2 + 0.1 * random.normal(size=(4, 300))
    assert any(
        "closer to the checkpoint than rounding" in a for a in estimate(noise, 1.5, near, np.full(4, 9e-4)).alarms
    )
    assert estimate(noise, 1.5, near, np.full(4, 2.0)).alarms == ()
    assert 0.9 < estimate(noise[:1], 1.5, near).rhat < 1.1


@pytest.mark.slow
def test_two_step_sizes_take_the_bias_away() -> None:
    """The bias is linear in the step to first order; what is left is of second order, and the error is honest."""
    found = []
    for step_size, seed in ((2e-4, 1), (1e-4, 2)):
        plan, dynamics = langevin.Plan("sgld", 4000, 10_000, None), Dynamics(1000.0, 10.0, step_size)
        traces = chains(CENTRE, quadratic, 5, dynamics, plan, 128, seed)
        found.append(estimate(traces.losses, 3.0, how(dynamics, plan, 20)))
    both = extrapolated(*found)
    kappa = 1000 * CURVATURE + 10
    parts = [1000 * CURVATURE / (2 * kappa * (1 - step * kappa / 4)) for step in (2e-4, 1e-4)]
    assert both.llc == pytest.approx(float((2 * parts[1] - parts[0]).sum()), abs=4 * both.error)
    small = 2 * stationary(1000, 10, 2.5e-5) - stationary(1000, 10, 5e-5)
    assert abs(small - posterior(1000, 10)) < abs(stationary(1000, 10, 2.5e-5) - posterior(1000, 10)) / 5
    assert both.error == pytest.approx(math.hypot(2 * found[1].error, found[0].error))
    lost = replace(found[0], alarms=("chains disagree (R-hat 1.20): draw more",), diverged=2)
    joined = extrapolated(lost, found[1])
    assert joined.diverged == 2 and joined.alarms == ("chains disagree (R-hat 1.20): draw more",)


@pytest.mark.slow
def test_metropolis_has_no_bias_at_any_step() -> None:
    for step_size in (5e-5, 2e-4):
        llc, error = measured("mala", step_size)
        assert error < 0.1 and llc == pytest.approx(posterior(1000, 10), abs=4 * error)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "step_size", "bias"), [("sgnht", 2e-6, 0.02), ("rmsprop", 5e-6, 0.08)])
def test_the_others_sample_the_posterior_at_a_small_step(sampler: str, step_size: float, bias: float) -> None:
    """SGNHT up to its discretisation; RMSprop up to the derivative of its preconditioner, which all leave out."""
    llc, error = measured(sampler, step_size, steps=12_000, count=64)
    assert error < 0.2 and llc == pytest.approx(posterior(1000, 10), abs=4 * error + bias * posterior(1000, 10))


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
    plan, dynamics = langevin.Plan("sgld", 6000, 2000, None), Dynamics(n_beta, 1.0, 5e-4)
    traces = chains(torch.zeros(2, dtype=torch.float64), crossing, 2, dynamics, plan, 400, 3)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, 2))
    assert found.error < 0.02 and found.llc == pytest.approx(truth, abs=4 * found.error + 0.03 * truth)


def test_burn_in_enters_no_number() -> None:
    random = np.random.default_rng(0)
    losses = 2 + 0.1 * random.normal(size=(4, 300))
    losses[:, :100] = 50
    found = estimate(losses, 1.5, Run(40.0, 1e-3, 100.0, 100, 1000, "sgnht"))
    assert found.llc == pytest.approx(40 * (losses[:, 100:].mean() - 1.5)) and found.alarms == ()
    assert found.error == pytest.approx(40 * 0.1 / 800**0.5, rel=0.3)
    with pytest.raises(ValueError, match="300 steps with 298 of burn-in leave 2 draws"):
        estimate(losses, 1.5, Run(40.0, 1e-3, 100.0, 298, 1000, "sgnht"))


def test_a_diverged_chain_is_named_and_not_averaged() -> None:
    random = np.random.default_rng(0)
    losses = 2 + 0.1 * random.normal(size=(4, 300))
    losses[2, 180:] = np.nan
    losses[2, 100:180] = 1e9
    found = estimate(losses, 1.5, Run(40.0, 1e-3, 100.0, 100, 1000, "sgnht"))
    assert found.diverged == 1 and np.isnan(found.per_chain[2]) and found.llc == pytest.approx(20, abs=0.5)
    assert "1 of 4 chains diverged and are left out" in found.alarms[0]
    losses[:, 299] = np.inf
    gone = estimate(losses, 1.5, Run(40.0, 1e-3, 100.0, 100, 1000, "sgnht"))
    assert math.isnan(gone.llc) and gone.alarms == ("every chain diverged",)


def test_alarms_say_what_is_wrong_and_are_silent_otherwise() -> None:
    random = np.random.default_rng(1)
    good = 2 + 0.1 * random.normal(size=(4, 400))
    rising = good + np.linspace(0, 0.2, 400)
    apart = good + np.array([[0], [0], [0.3], [0.3]])
    said = {
        name: estimate(x, 1.5, Run(40.0, 1e-3, 100.0, 0, 1000, "sgnht")).alarms
        for name, x in (("good", good), ("up", rising), ("apart", apart))
    }
    assert (
        said["good"] == () and any("still rises" in a for a in said["up"]) and any("R-hat" in a for a in said["apart"])
    )
    assert any("not local" in a for a in estimate(good, 1.5, Run(40.0, 1e-3, 100.0, 0, 30, "sgnht")).alarms)
    assert run_alarms(good, step_size=1e-3, curvature=20.0) == ()
    (large,) = run_alarms(good, step_size=3e-3, curvature=20.0)
    assert "the step may overstate the steepest direction 3.08 times" in large
    (short,) = run_alarms(good, step_size=1e-3, burn_in=49)
    assert short == "a burn-in of 49 is short of the 50 in which flat directions settle"
    assert run_alarms(good, step_size=1e-3, reach=1.2) == ()
    (far,) = run_alarms(good, step_size=1e-3, reach=1.3)
    assert "chains are 1.3 times as far from the checkpoint" in far
    assert any("below zero" in a for a in estimate(good, 2.5, Run(40.0, 1e-3, 100.0, 0, 30, "sgnht")).alarms)


def run_alarms(
    losses: np.ndarray, *, step_size: float, curvature: float = math.nan, burn_in: int = 50, reach: float = 1.0
) -> tuple[str, ...]:
    run = Run(40.0, 100.0, step_size, burn_in, 1000, "sgld", curvature)
    return estimate(losses, 1.5, run, np.full(4, reach * (1000 / 100) ** 0.5)).alarms


def test_a_chain_that_diverges_leaves_the_others_alone() -> None:
    """Too large a step: nan where it is nan, and in a mixture only there."""
    plan = langevin.Plan("sgld", 60, 0, None)

    def one_steep(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = quadratic(points, batches)
        steep = torch.tensor([[1.0], [1e9], [1.0]], dtype=torch.float64)
        return losses * steep[:, 0], gradients * steep

    traces = chains(CENTRE, one_steep, 5, Dynamics(1000.0, 10.0, 1e-4), plan, 3, 1)
    assert not np.isfinite(traces.losses[1]).all() and np.isfinite(traces.losses[[0, 2]]).all()


def test_batches_are_each_chain_s_own_and_hold_no_example_twice() -> None:
    seen: list[Tensor] = []

    def watched(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(batches)
        return quadratic(points, batches)

    chains(CENTRE, watched, 11, Dynamics(1000.0, 10.0, 1e-5), langevin.Plan("sgld", 200, 0, 4), 3, 2)
    assert all(b.shape == (3, 4) and all(len(set(row)) == 4 for row in b.tolist()) for b in seen)
    assert sum(bool((b[0] != b[1]).any()) for b in seen) > 150
    counts = torch.stack(seen).flatten().bincount(minlength=11)
    assert (counts - 200 * 3 * 4 / 11).abs().max() < 4 * (200 * 12 / 11) ** 0.5
    assert set(KINDS) == {"sgld", "rmsprop", "sgnht", "mala"}


def test_the_largest_curvature_is_found_by_differences() -> None:
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    hessian = turn @ torch.diag(CURVATURE) @ turn.T
    for sign in (1, -1):
        found, way = curvature.largest(
            CENTRE, lambda w, sign=sign: sign * hessian @ (w - 0.3), seed=1, iterations=99, tolerance=0.0
        )
        assert found == pytest.approx(10.0, rel=1e-6) and abs(float(way @ turn[:, -1])) == pytest.approx(1, abs=1e-4)
    step = curvature.step_size(10.0, 1000.0, 10.0)
    assert Run(1000.0, 10.0, step, 0, 20, curvature=10.0).bias == pytest.approx(1 / 0.9)


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
    plan, dynamics = langevin.Plan("sgld", 6000, 2000, None), Dynamics(n_beta, 1.0, 2.5e-4)
    traces = chains(centre, product, 2, dynamics, plan, 400, 4)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, inputs + outputs))
    assert found.error < 0.03 and found.llc == pytest.approx(truth, abs=4 * found.error + 0.02 * truth)


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

    plan, dynamics = langevin.Plan("sgld", 3000, 1000, None), Dynamics(n_beta, localisation, step)
    traces = chains(centre, network, 2, dynamics, plan, 32, 5)
    found = estimate(traces.losses, 0.0, how(dynamics, plan, len(centre)))
    kappa = n_beta + localisation
    theory = width**2 / 2 * n_beta / (kappa * (1 - step * kappa / 4))
    assert found.error < 0.3 and found.llc == pytest.approx(theory, abs=4 * found.error + 0.01 * theory)
    assert found.llc > 45
