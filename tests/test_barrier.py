import cases
import numpy as np
import oracles
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from landscape.catalogue import DEFINITIONS
from landscape.profile import barrier, largest, skewed
from landscape.profile.barrier import available, contrasts, estimate, matrix, resamples
from landscape.profile.paired import band, components, functionals, standard_error

T = np.array([0.0, 0.13, 0.4, 0.5, 0.71, 1.0])
WEIGHTS = resamples(40, 400, seed=5)


def noisy(mean: np.ndarray, spread: float, examples: int, seed: int) -> np.ndarray:
    """Examples around a mean profile: a level of their own, and noise at each t."""
    random = np.random.default_rng(seed)
    level = random.normal(size=(1, examples))
    return mean[:, None] + level + spread * random.normal(size=(len(mean), examples))


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_plugin_is_the_definition_written_naively(definition: str) -> None:
    losses = noisy(2 + np.sin(7 * T) - T, 0.3, 40, seed=3)
    found = estimate(components(T, losses), definition, weights=WEIGHTS)
    assert found.plugin == pytest.approx(oracles.barrier(definition, T, losses.mean(axis=1)), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_parabola() -> None:
    """L = 7 t (1 - t) + 2 + 3 t: every definition has a closed form."""
    t = np.linspace(0, 1, 41)
    few = WEIGHTS[:40]
    losses = np.tile((7 * t * (1 - t) + 2 + 3 * t)[:, None], 40)
    closed = {"chord": 7 / 4, "midpoint": 7 / 4, "area": 7 / 6, "convexity_gap": 7 / 4}
    top = 7 * (5 / 7) * (2 / 7) + 2 + 3 * 5 / 7
    closed |= {"mean_ends": top - 3.5, "max_ends": top - 5}
    for definition, value in closed.items():
        found = estimate(components(t, losses), definition, weights=few)
        assert found.value == pytest.approx(value, abs=5e-3), definition
        assert found.high - found.low == pytest.approx(0, abs=1e-9)
    assert estimate(components(t, losses), weights=few).t_at_max == 0.5
    assert estimate(components(t, losses), "max_ends", weights=few).t_at_max == pytest.approx(0.725)


def test_only_ends_tell_the_definitions_apart() -> None:
    """A straight profile with unequal ends has no barrier, but lies above the mean of its ends."""
    losses = np.tile((2 + 3 * T)[:, None], 40)
    values = {d: estimate(components(T, losses), d, weights=WEIGHTS).value for d in DEFINITIONS}
    assert values["mean_ends"] == pytest.approx(1.5)
    assert_allclose([v for name, v in values.items() if name != "mean_ends"], 0, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), *[st.floats(-5, 5, allow_subnormal=False)] * 2)
def test_tilting_the_landscape_changes_nothing(seed: int, level: float, tilt: float) -> None:
    losses = noisy(2 + np.sin(7 * T), 0.3, 40, seed)
    one, two = (estimate(components(T, x), weights=WEIGHTS) for x in (losses, losses + (level + tilt * T)[:, None]))
    assert_allclose([two.value, two.low, two.high], [one.value, one.low, one.high], atol=1e-10)


def test_walking_back_changes_nothing() -> None:
    losses = noisy(2 + np.sin(7 * T), 0.3, 40, seed=1)
    for definition in DEFINITIONS:
        there = estimate(components(T, losses), definition, weights=WEIGHTS)
        back = estimate(components(1 - T[::-1], losses[::-1]), definition, weights=WEIGHTS)
        assert_allclose([there.value, there.low, there.high], [back.value, back.low, back.high], atol=1e-12)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_checkpoint_against_itself_is_exactly_zero(definition: str) -> None:
    losses = np.tile(cases.examples(2, 40) + 3.3, (6, 1))
    found = estimate(components(T, losses), definition, weights=WEIGHTS)
    assert (found.value, found.plugin, found.low, found.high) == (0, 0, 0, 0)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("seed", range(2))
def test_examples_that_differ_by_rounding_only_have_no_error(definition: str, seed: int) -> None:
    """As where every token is unknown to the tokenizer: a number, and no noise made of rounding."""
    rounding = 1e-17 * cases.examples(seed, 6, 40)
    losses = (2 + np.sin(7 * T))[:, None] + rounding - rounding.mean(axis=1, keepdims=True) + 3e-17
    found = estimate(components(T, losses), definition, weights=WEIGHTS)
    assert found.high - found.low == pytest.approx(0, abs=1e-12)
    assert found.value == pytest.approx(oracles.barrier(definition, T, losses.mean(axis=1)), abs=1e-12)


def test_an_error_of_a_billionth_is_an_error() -> None:
    losses = (1 + np.sin(3 * T))[:, None] + 0.3 * cases.examples(5, 6, 40)
    found, small = (estimate(components(T, size * losses), "chord", weights=WEIGHTS) for size in (1, 1e-9))
    assert found.high > found.low
    assert_allclose([small.value, small.low, small.high], 1e-9 * np.array([found.value, found.low, found.high]))


PEAK = np.array([0, 0.02, 0.05, 0.07, 0.03, 0.0])
MEANS = {"flat": 0 * PEAK, "peak": PEAK, "two peaks": np.array([0, 0.07, 0.0, 0.0, 0.07, 0]), "valley": -PEAK}


@pytest.mark.parametrize("shape", MEANS)
def test_interval_covers_and_cross_fitting_takes_the_bias_of_the_maximum_out(shape: str) -> None:
    mean, repeats, examples = MEANS[shape], 250 if shape == "two peaks" else 120, 60
    truth = oracles.barrier("chord", T, mean)
    weights = resamples(examples, 300, seed=7)
    found = [estimate(components(T, noisy(mean, 0.2, examples, seed)), weights=weights) for seed in range(repeats)]
    covered = np.mean([f.low <= truth <= f.high for f in found])
    # 4 standard errors of a rate of 0.95; the bootstrap of 60 examples is itself 1 % short.
    assert covered > 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5 - 0.01
    plugin = np.mean([f.plugin for f in found]) - truth
    value = np.mean([f.value for f in found]) - truth
    error = np.std([f.value for f in found]) / repeats**0.5
    assert error < 0.005
    assert abs(value) < plugin - 4 * error if shape in ("flat", "two peaks") else abs(value) < plugin + 4 * error


MANY = resamples(200, 4000, seed=11)
ONE, TWO = 1.95996, 2.23648
"""Quantiles of a normal variable and of the larger of two independent ones, at 97.5 %."""
OFF = 0.15
"""Four standard errors of such a quantile among 4000 resamples."""


def planted(count: int, size: float) -> np.ndarray:
    """Noise whose mean is 0, whose standard error is ``size`` and whose rows are uncorrelated, all exactly; no skew."""
    noise = np.linalg.qr(cases.examples(9, 100, count))[0].T
    return np.asarray(size * 200 * np.concatenate([noise, -noise], axis=1) / 2**0.5)


def test_the_interval_of_one_contrast_is_that_of_a_mean() -> None:
    losses = np.zeros((len(T), 200))
    losses[3] = 0.4 + planted(1, 0.03)[0]
    found = estimate(components(T, losses), "midpoint", weights=MANY)
    assert found.plugin == pytest.approx(0.4)
    assert [(found.plugin - found.low) / 0.03, (found.high - found.plugin) / 0.03] == pytest.approx([ONE] * 2, abs=OFF)


def test_deviations_against_the_skew_are_as_long_as_in_samples() -> None:
    """Means of exponential numbers: a quantile in true errors (a Gamma's) and in those of each sample, simulated."""
    examples = 100
    drawn = np.random.default_rng(3).exponential(size=(40_000, examples))
    found = np.quantile((drawn.mean(axis=1) - 1) * examples**0.5 / drawn.std(axis=1), 0.025)
    true = np.array([(scipy.stats.gamma.ppf(0.025, examples) / examples - 1) * examples**0.5])
    skewness = np.array([2 / examples**0.5])
    # 4 standard errors of the quantile are 0.06; without the correction it is off by 0.48.
    assert skewed.lengthened(true, skewness) == pytest.approx(found, abs=0.07)
    assert skewed.lengthened(-true, -skewness) == pytest.approx(-found, abs=0.07)
    assert skewed.lengthened(-true, skewness) == -true
    assert skewed.lengthened(true, 0 * skewness) == true


def test_the_interval_is_longer_towards_the_long_tail() -> None:
    """Of one contrast of skewed losses, and of the same ones mirrored."""
    losses = np.zeros((len(T), 200))
    losses[3] = 0.4 + 0.7 * (np.random.default_rng(6).exponential(size=200) - 1)
    error, third = losses[3].std(), ((losses[3] - losses[3].mean()) ** 3).mean()
    skewness = np.array(third / error**3 / 200**0.5)
    up, down = (estimate(components(T, sign * losses), "midpoint", weights=MANY) for sign in (1, -1))
    low, high = np.quantile((MANY @ losses[3] - losses[3].mean()) / error * 200**0.5, [0.025, 0.975])
    expected = [high * error / 200**0.5, float(-skewed.lengthened(low, skewness)) * error / 200**0.5]
    assert [up.plugin - up.low, up.high - up.plugin] == pytest.approx(expected, rel=0.02)
    assert [down.high - down.plugin, down.plugin - down.low] == pytest.approx(expected, rel=0.02)


def test_the_interval_of_a_middle_known_on_few_examples_is_that_of_these() -> None:
    """The ends say nothing about the middle, so its standard error is that of a mean over a quarter of the examples."""
    losses = np.zeros((3, 200))
    losses[1] = np.nan
    losses[1, :50] = 0.4 + 0.7 * cases.examples(3, 50)
    error = losses[1, :50].std() / 50**0.5
    found = estimate(components(np.array([0, 0.5, 1]), losses), "midpoint", weights=MANY)
    assert found.high - found.low == pytest.approx(2 * ONE * error, rel=0.1)


@pytest.mark.parametrize(("behind", "quantile"), [(0.0, TWO), (4.5, TWO), (20.0, ONE)])
def test_the_lower_end_holds_all_peaks_that_may_be_the_highest(behind: float, quantile: float) -> None:
    """A rival as far behind as that, in standard errors: near ones count, and one that is certainly lower does not."""
    losses = np.zeros((len(T), 200))
    losses[[1, 4]] = planted(2, 0.01) + [[1.0], [1.0 - 0.01 * behind]]
    found = estimate(components(T, losses), weights=MANY)
    assert (1 - found.low) / 0.01 == pytest.approx(quantile, abs=OFF)
    assert (found.high - 1) / 0.01 == pytest.approx(ONE, abs=OFF)


def test_a_middle_above_two_ends_that_may_be_the_higher_one() -> None:
    """Both differences must hold at once on either side, and the smaller of them decides."""
    losses = np.zeros((3, 200))
    losses[[0, 2]] = planted(2, 0.01)
    losses[1] = 1.0
    found = estimate(components(np.array([0, 0.5, 1]), losses), "max_ends", weights=MANY)
    assert [(1 - found.low) / 0.01, (found.high - 1) / 0.01] == pytest.approx([TWO] * 2, abs=OFF)
    losses[2] -= 0.5
    apart = estimate(components(np.array([0, 0.5, 1]), losses), "max_ends", weights=MANY)
    assert [(1 - apart.low) / 0.01, (apart.high - 1) / 0.01] == pytest.approx([TWO] * 2, abs=OFF)


def test_an_estimate_of_a_maximum_is_kept_in_its_interval_and_no_interval_goes_below_the_ends() -> None:
    """A valley: the halves may say what they like, the ends take part in the maximum; not in a signed definition."""
    losses = noisy(-PEAK, 0.2, 40, seed=3)
    chord, area = (estimate(components(T, losses), d, weights=WEIGHTS) for d in ("chord", "area"))
    assert chord.low == 0 <= chord.value <= chord.high
    assert area.low < area.value < 0


def test_interval_width_falls_with_the_root_of_the_examples() -> None:
    widths = []
    for examples in (50, 800):
        weights = resamples(examples, 200, seed=7)
        found = [estimate(components(T, noisy(10 * PEAK, 0.2, examples, s)), weights=weights) for s in range(12)]
        widths.append(np.mean([f.high - f.low for f in found]))
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.1)
    # A clear peak needs little more than twice 1.96 standard errors of one contrast.
    assert widths[1] < 2.6 * 1.96 * 0.2 * (1.5 / 800) ** 0.5


def test_rise_and_its_error_are_paired() -> None:
    losses = noisy(2 + np.sin(7 * T), 0.3, 40, seed=1)
    found = band(components(T, losses))
    rise, error = found.rise, found.rise_error
    each = np.array([
        [losses[k, e] - (1 - T[k]) * losses[0, e] - T[k] * losses[-1, e] for e in range(40)] for k in range(6)
    ])
    assert_allclose(rise, each.mean(axis=1), atol=1e-12)
    assert_allclose(error, each.std(axis=1, ddof=1) / 40**0.5, atol=1e-12)
    assert error[2] < standard_error(losses)[2]


def test_functionals_are_means_of_weighted_sums_and_shares_are_those_of_independent_times() -> None:
    losses = noisy(2 + np.sin(7 * T), 0.3, 40, seed=2)
    rows = cases.examples(4, 2, 6)
    found = functionals(rows, components(T, losses))
    each = rows @ losses
    assert_allclose(found.value, each.mean(axis=1), atol=1e-12)
    assert_allclose(found.error, each.std(axis=1, ddof=1) / 40**0.5, atol=1e-12)
    rises = losses - np.outer(1 - T, losses[0]) - np.outer(T, losses[-1])
    assert_allclose(found.shares, rows**2 * rises.var(axis=1, ddof=1) / 40, atol=1e-15)


def test_midpoint_needs_its_point() -> None:
    even = np.linspace(0, 1, 10)
    assert "midpoint" not in available(even)
    assert set(available(T)) == set(DEFINITIONS)
    with pytest.raises(ValueError, match="needs t = 1/2 on the grid"):
        contrasts("midpoint", even)


def test_the_middle_of_an_even_grid_may_be_rounded() -> None:
    """With 99 points it is the number below 1/2."""
    assert 0.5 not in np.linspace(0, 1, 99)
    for points in range(3, 800, 2):
        t = np.linspace(0, 1, points)
        rows, at = contrasts("midpoint", t)
        expected = np.zeros(points)
        expected[[0, points // 2, -1]] = (-0.5, 1, -0.5)
        assert rows.shape == (1, 1, points) and at.tolist() == [0.5], points
        assert rows[0, 0] == pytest.approx(expected, abs=1e-15), points
    assert "midpoint" not in available(np.array([0.0, 0.5 + 1e-9, 1.0]))


@pytest.mark.parametrize("bad", [[0.1, 0.5, 1.0], [0.0, 0.5, 0.9], [0.0, 0.6, 0.5, 1.0], [0.0, 0.4, 0.4, 1.0]])
def test_times_must_rise_from_0_to_1(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="must rise from 0 to 1"):
        contrasts("chord", np.array(bad))


def test_one_example_has_no_error() -> None:
    with pytest.raises(ValueError, match="at least two examples"):
        estimate(components(T, np.ones((6, 1))), weights=resamples(1, 100, seed=0))


def test_matrix_is_symmetric_with_gaps() -> None:
    square = matrix(np.array([0, 2]), np.array([1, 1]), np.array([0.3, 0.7]), 3)
    np.testing.assert_array_equal(square, [[0, 0.3, np.nan], [0.3, 0, 0.7], [np.nan, 0.7, 0]])


def test_widening_widens_by_its_factor() -> None:
    noise = noisy(0 * PEAK, 0.2, 40, seed=2)
    losses = 40 * PEAK[:, None] + np.concatenate([noise, -noise], axis=1)
    weights = resamples(80, 500, seed=0)
    one, two = (estimate(components(T, losses), weights=weights, widening=factor) for factor in (1.0, 1.4))
    assert two.high - two.plugin == pytest.approx(1.4 * (one.high - one.plugin))
    assert two.plugin - two.low == pytest.approx(1.4 * (one.plugin - one.low))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 16))
def test_definitions_keep_their_order_and_their_identities(seed: int, points: int) -> None:
    """On any curve: mean of the ends is the higher end and half their difference; convexity gap, chord, higher end."""
    t = np.linspace(0, 1, points)
    curve = np.random.default_rng(seed).standard_normal(points).cumsum()
    losses = np.stack([curve - 0.5, curve + 0.5], axis=1)
    found = {d: estimate(components(t, losses), d, weights=resamples(2, 20, 0)).plugin for d in available(t)}
    apart = abs(curve[0] - curve[-1]) / 2
    unclipped = curve.max() - max(curve[0], curve[-1])
    assert found["mean_ends"] == pytest.approx(unclipped + apart, abs=1e-12)
    assert found["max_ends"] == pytest.approx(max(unclipped, 0), abs=1e-12)
    assert found["convexity_gap"] >= found["chord"] - 1e-12 >= found["max_ends"] - 2e-12


def test_contrasts_that_are_certainly_below_the_maximum_do_not_widen_its_interval() -> None:
    """Nine places 10.5 standard errors below the highest: its lower end is that of a single mean."""
    n = 4000
    noise = np.random.default_rng(0).normal(size=(11, n))
    noise[[0, -1]] = 0
    t, error = np.linspace(0, 1, 11), n**-0.5
    losses = noise + np.where(np.arange(11) % 10 == 0, 0, 1.0)[:, None]
    losses[5] += 10.5 * error - losses[5].mean() + losses[[1, 2, 3, 4, 6, 7, 8, 9]].mean(axis=1).max()
    weights = barrier.resamples(n, 1000, seed=0)
    found = barrier.estimate(components(t, losses), weights=weights)
    assert found.plugin - found.low == pytest.approx(1.96 * error, rel=0.12)


def test_resampling_some_contrasts_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    t, losses = np.linspace(0, 1, 9), random.normal(size=(9, 50)) + np.sin(3 * np.linspace(0, 1, 9))[:, None]
    weights = barrier.resamples(50, 200, seed=0)
    whole = [barrier.estimate(components(t, losses), one, weights=weights) for one in barrier.available(t)]
    monkeypatch.setattr(largest, "AT_ONCE", 5)
    for one, two in zip(
        whole, (barrier.estimate(components(t, losses), d, weights=weights) for d in barrier.available(t)), strict=True
    ):
        assert_allclose(list(vars(two).values())[1:], list(vars(one).values())[1:], rtol=1e-12)


def test_the_upper_end_is_the_highest_of_those_of_each_contrast_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(8)
    values = random.exponential(size=(3, 60)) - 1
    rows = random.normal(size=(500, 1, 3)) / 4
    weights = resamples(60, 300, seed=1)
    alone = [largest.largest(row[None], values, weights=weights).high for row in rows]
    monkeypatch.setattr(largest, "AT_ONCE", 1)
    whole = largest.largest(rows, values, weights=weights)
    assert int(np.argmax(alone)) != whole.index and whole.high == pytest.approx(max(alone), rel=1e-12)
