"""From traces to the local learning coefficient: its error, its interval, and the warnings."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from landscape.llc.coefficient import from_traces
from landscape.llc.curvature import Sharpness
from landscape.llc.estimate import Estimate, estimate, extrapolated
from landscape.llc.run import Run
from landscape.llc.samplers.sgnht import FRICTION
from landscape.llc.sampling import Chain
from landscape.study.kinds.llc import Llc

USUAL = Run(n_beta=40.0, localisation=100.0, step_size=1e-3, burn_in=100, parameters=45)


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
    assert still.warnings == ("the loss is the same at every step: nothing moves, or nothing that moves matters",)


def test_distances_are_held_against_rounding_and_against_the_localisation() -> None:
    near = replace(USUAL, resolution=1e-3)
    (said,) = estimate(noise(3), 1.5, near, np.full(4, 9e-4)).warnings
    assert said.startswith("chains stay closer to the checkpoint than rounding can tell")
    assert estimate(noise(3), 1.5, near, np.array([1e-4, 2e-4, 3e-4, 2.1e-3])).warnings == (), "in the root mean square"
    apart = np.array([1.0, 2.0, 2.5, 4.5])
    found = estimate(noise(3), 1.5, near, apart)
    assert found.reach == pytest.approx(math.sqrt((1 + 4 + 6.25 + 20.25) / 4) / math.sqrt(45 / 100))
    lost = noise(3)
    lost[3, 200] = np.nan
    assert estimate(lost, 1.5, near, apart).reach == pytest.approx(math.sqrt((1 + 4 + 6.25) / 3 / 0.45))
    assert math.isnan(estimate(noise(3), 1.5, near).reach)
    assert 0.9 < estimate(noise(3)[:1], 1.5, near).rhat < 1.1


def gaussian(n_beta_h: np.ndarray, localisation: float, seed: int, noise: float = 0.0) -> np.ndarray:
    """Losses times ``n_beta`` of four chains in the posterior of a quadratic, each draw correlated with the last."""
    random, keep = np.random.default_rng(seed), 0.9
    at, out = random.normal(size=(4, len(n_beta_h))), []
    for _ in range(4000):
        at = keep * at + math.sqrt(1 - keep**2) * random.normal(size=at.shape)
        out.append((n_beta_h * at**2 / (n_beta_h + localisation)).sum(axis=1) / 2)
    return np.array(out).T + noise * random.normal(size=(4, 4000))


@pytest.mark.parametrize("minibatch", [0.0, 0.6])
def test_what_the_localisation_decides_is_said_with_one_that_would_do(minibatch: float) -> None:
    """Exact draws of quadratics: the share is the mean of ``s``, weighted by ``s``; idle directions do not count."""
    free = np.array([*np.full(8, 0.0), 3e3, 5e3, 1e4, 7e3, 2e3, 4e3])
    held = np.array([*np.full(8, 0.0), 4.0, 9.0, 30.0, 60.0, 20.0, 40.0])
    for h, wanted in ((free, True), (held, False)):
        s = h / (h + 100)
        run = replace(USUAL, n_beta=1.0, parameters=14, burn_in=0, sampler="rmsprop", noisy=minibatch > 0)
        found = estimate(gaussian(h, 100.0, 5, minibatch), 0.0, run)
        assert found.llc == pytest.approx(s.sum() / 2, abs=4 * found.error) and found.error < 0.1
        share = (s**2).sum() / s.sum()
        assert found.decided == pytest.approx(share, abs=0.12) and min(share, 1) - 0.05 < found.decided
        assert (found.advice == "") == wanted and found.warnings == ()
    said = found.advice
    assert said.startswith("localisation 100 holds what is measured: n_beta h is at most ")
    typical, proposed = float(said.split("at most ")[1].split()[0]), float(said.split("localisation of ")[1].split()[0])
    assert typical == pytest.approx(100 * share / (1 - share), rel=0.4) and proposed == pytest.approx(
        typical / 10, rel=0.2
    )
    known = replace(run, curvature=15.0)
    assert estimate(gaussian(held, 100.0, 5, minibatch), 0.0, known).decided == pytest.approx(15 / 115)
    assert estimate(gaussian(held, 100.0, 5, minibatch), 2.0, known).decided == pytest.approx(15 / 115), (
        "below zero too"
    )
    white = estimate(noise(3), 1.5, USUAL)  # neighbouring draws share nothing
    assert white.decided == pytest.approx(2 * white.llc / 45) and white.advice == ""
    assert estimate(noise(3), 1.5, replace(USUAL, parameters=1000)).advice != ""
    regular = replace(run, parameters=6)
    assert estimate(gaussian(np.full(6, 550.0), 100.0, 5, minibatch), 0.0, regular).advice == "", "2 llc / parameters"


def test_one_draw_below_the_checkpoint_says_that_it_is_no_minimum() -> None:
    losses = noise(6)
    losses[2, 170] = 1.5 - 0.15 / 40
    full = replace(USUAL, noisy=False)
    assert estimate(losses, 1.5, full).warnings == (), "by less than a tenth of 20"
    losses[2, 170] = 1.5 - 2.5 / 40
    (said,) = estimate(losses, 1.5, full).warnings
    assert said.startswith("draws lie up to 2.5 below the checkpoint in n_beta L: it is no minimum")
    assert estimate(losses, 1.5, USUAL).warnings == (), "which minibatches cannot say"


def test_one_step_size_and_half_of_it_take_the_bias_away() -> None:
    """Values whose bias is proportional to the step, planted; the variance of a difference of independent values."""
    one = Estimate(
        llc=5 * (1 + 0.3), error=0.4, per_chain=np.array([6.0, 7.0]), rhat=1.04, ess=80.0, diverged=2, drift=-3.4,
        reach=0.8, decided=0.7, warnings=("chains disagree", "the loss still falls"),
    )  # fmt: skip
    half = Estimate(
        llc=5 * (1 + 0.15), error=0.7, per_chain=np.array([5.5, 6.2]), rhat=1.02, ess=60.0, diverged=1, drift=2.2,
        reach=0.9, decided=0.6, advice="hold", warnings=("below zero", "chains disagree"),
    )  # fmt: skip
    both = extrapolated(one, half)
    assert both.llc == pytest.approx(5) and both.error**2 == pytest.approx(4 * 0.7**2 + 0.4**2)
    np.testing.assert_allclose(both.per_chain, [5.0, 5.4])
    assert (both.rhat, both.ess, both.diverged, both.drift, both.reach, both.decided) == (1.04, 60.0, 2, -3.4, 0.9, 0.6)
    assert both.advice == extrapolated(half, one).advice == "hold"
    assert both.warnings == ("chains disagree", "the loss still falls", "below zero")


def test_burn_in_enters_no_number() -> None:
    losses = noise(0)
    losses[:, :100] = 50
    flat = replace(USUAL, sampler="sgnht")
    found = estimate(losses, 1.5, flat)
    assert found.llc == pytest.approx(40 * (losses[:, 100:].mean() - 1.5)) and found.warnings == ()
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


def test_the_error_is_not_below_that_of_the_means_of_the_chains() -> None:
    losses = noise(9) + np.array([[0.0], [0.02], [-0.01], [0.05]])
    means = 40 * losses[:, 100:].mean(axis=1)
    assert estimate(losses, 1.5, USUAL).error == pytest.approx(means.std(ddof=1) / 2, rel=1e-9)
    three = estimate(losses[:3], 1.5, USUAL).error
    assert abs(three - means[:3].std(ddof=1) / 3**0.5) > 0.01, "of three chains nothing is known"


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
    assert "1 of 4 chains diverged and are left out" in found.warnings[0]
    losses[0, 7] = np.inf
    assert estimate(losses, 1.5, USUAL).diverged == 2, "in the burn-in too"
    losses[:, 299] = np.inf
    gone = estimate(losses, 1.5, USUAL)
    assert math.isnan(gone.llc) and gone.warnings == ("every chain diverged",) and gone.diverged == 4


def test_warnings_say_what_is_wrong_and_are_silent_otherwise() -> None:
    good, ramp = noise(1, 400), np.linspace(0, 0.2, 400)
    plain = replace(USUAL, burn_in=0, sampler="rmsprop")
    assert estimate(good, 1.5, plain).warnings == ()
    apart = estimate(good + np.array([[0], [0], [0.3], [0.3]]), 1.5, plain).warnings
    assert any(warning.startswith("chains disagree (R-hat") for warning in apart)
    up, down = (" ".join(estimate(good + sign * ramp, 1.5, plain).warnings) for sign in (1, -1))
    assert "the loss still rises (+" in up and "the loss still falls (-" in down
    llc = 40 * (good.mean() - 1.5)
    assert [estimate(good, 1.5, replace(plain, parameters=2 * round(llc) + n)).warnings for n in (0, 1, 2)][2] == ()
    (over,) = estimate(good, 1.5, replace(plain, parameters=int(2 * llc / 1.15) - 1)).warnings
    assert over.startswith(f"above half of the {int(2 * llc / 1.15) - 1} parameters that moved")
    (below,) = estimate(good, 2.5, plain).warnings
    assert below.startswith("below zero: the checkpoint is no minimum of this loss")
    assert estimate(good, good.mean() + 1e-4, plain).warnings == (), "below zero by less than the margin"
    slightly = good.mean() - (5 + 0.5 * estimate(good, 1.5, plain).error) / 40
    assert estimate(good, slightly, replace(plain, parameters=10)).warnings == (), "above by less than the margin"
    assert run_warnings(good, step_size=1.37e-3, curvature=20.0) == (), "a bias of 1.45"
    assert "1.56 times" in run_warnings(good, step_size=1.6e-3, curvature=20.0)[0]
    (large,) = run_warnings(good, step_size=3e-3, curvature=20.0)
    assert large.startswith("the step may overstate the top Hessian eigenvector 3.08 times")
    (short,) = run_warnings(good, step_size=1e-3, burn_in=49)
    assert short == "a burn-in of 49 is short of the 50 in which flat directions settle"
    assert run_warnings(good, step_size=1e-3, reach=1.2) == ()
    (far,) = run_warnings(good, step_size=1e-3, reach=1.3)
    assert far.startswith("chains are 1.3 times as far from the checkpoint")


def run_warnings(
    losses: np.ndarray, *, step_size: float, curvature: float = math.nan, burn_in: int = 50, reach: float = 1.0
) -> tuple[str, ...]:
    run = replace(USUAL, step_size=step_size, burn_in=burn_in, curvature=curvature)
    return estimate(losses, 1.5, run, np.full(4, reach * (45 / 100) ** 0.5)).warnings


def test_flat_directions_have_spread_after_the_steps_that_are_asked_for() -> None:
    """``(1 - epsilon gamma / 2)^(2 k)`` of the spread is missing after k steps of SGLD."""
    run = replace(USUAL, step_size=3e-4, localisation=70.0)
    left = [(1 - 3e-4 * 70 / 2) ** (2 * steps) for steps in (run.equilibrium, run.equilibrium - 5)]
    assert left[0] < math.exp(-5) < left[1] and left[0] == pytest.approx(math.exp(-5), rel=0.1)
    assert replace(run, sampler="mala").equilibrium == run.equilibrium
    assert replace(run, sampler="rmsprop").equilibrium == 0
    assert (
        replace(run, sampler="sgnht").equilibrium == 100
        and replace(run, sampler="sgnht", step_size=3e-6).equilibrium == 596
    )


@pytest.mark.parametrize("step_size", [3e-6, 3e-4])
def test_the_thermostat_settles_in_the_steps_that_are_asked_for(step_size: float) -> None:
    """The covariance of a free direction and its velocity, by their linear law, at the friction of the start."""
    run = replace(USUAL, step_size=step_size, localisation=70.0, sampler="sgnht")
    pull, a = step_size * 70, FRICTION
    law, noise = np.array([[1 - pull, 1 - a], [-pull, 1 - a]]), 2 * a * step_size * np.ones((2, 2))
    covariance, variances = np.zeros((2, 2)), []
    for _ in range(20 * run.equilibrium):
        covariance = law @ covariance @ law.T + noise
        variances.append(covariance[0, 0])
    left = abs(1 - variances[run.equilibrium] / variances[-1])
    assert left < 0.03 and abs(1 - variances[run.equilibrium // 3] / variances[-1]) > 0.05


def test_a_minibatch_is_drawn_without_replacement_from_a_finite_population() -> None:
    """The noise in the bias is the variance of a mean over all batches that there are."""
    grads = np.array([0.3, -1.1, 0.8, 2.4, -0.2, 0.5, 1.9])
    noise_of = {size: np.var([np.mean(batch) for batch in combinations(grads, size)]) for size in (3, 6, 7)}
    sharp = Sharpness(curvature=0.9, variance=float(grads.var(ddof=1)), parameters=40)
    chains = [Chain(0.01, sharp)] * 4
    parts = [(noise(4, 30), np.full(4, 0.5))]
    for size, batch in ((3, 3), (6, 6), (7, 7), (7, "all"), (7, 90)):
        settings = Llc(kind="llc", draws=20, burn_in=10, batch=batch, n_beta=30.0, localisation=5.0)
        found = from_traces(parts, 1.5, settings, chains, sharp, 7)
        wanted = (1 + 0.01 * 30**2 * noise_of[size] / 4) / (1 - 0.01 * (30 * 0.9 + 5) / 4)
        assert found.step_bias == pytest.approx(wanted) and found.step_size == 0.01
        margin = stats.norm.ppf(0.975) * found.estimate.error
        assert found.low == pytest.approx((found.estimate.llc - margin) / wanted)
        assert found.high == pytest.approx(found.estimate.llc + margin)
