"""From traces to the local learning coefficient: its error, its interval, and the warnings."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from landscape.llc.coefficient import judged
from landscape.llc.curvature import Steepest
from landscape.llc.estimate import Estimate, Run, estimate, extrapolated
from landscape.measures import Llc

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
    slightly = good.mean() - (5 + 0.5 * estimate(good, 1.5, plain).error) / 40
    assert estimate(good, slightly, replace(plain, parameters=10)).alarms == (), "above by less than the margin"
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
