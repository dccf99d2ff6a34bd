"""Curves and their dated events, against planted ones."""

import numpy as np
import pytest
from scipy import stats
from simulated import OCTAVES, SIXTY, TOP, heavy, hill, normal, sigmoid, two_steps
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from landscape.stages import events
from landscape.stages.events import Event
from landscape.stages.smooth import Curves, smooth

FEW, MANY = 2, 30
"""Runs of one series, in fast and in slow tests."""


def curve(value: np.ndarray, steps: np.ndarray, seed: int = 0, error: float = np.nan) -> Curves:
    return smooth(steps, value, np.full(len(steps), error), draws=200, random=np.random.default_rng(seed))


def flat(draws: np.ndarray, x: np.ndarray) -> Curves:
    """Curves that are known: every draw as given."""
    return Curves(x, draws.mean(axis=0), draws, x, 0.0)


def rival(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> GaussianProcessRegressor:
    """The process of the largest likelihood, searched for from many starts, on standardised values."""
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(3.0, (0.7, 60), nu=2.5) + WhiteKernel(0.05, (5e-3, 4.0))
    return GaussianProcessRegressor(kernel, alpha=known + 1e-8, n_restarts_optimizer=2, random_state=0).fit(
        x[:, None], y
    )


def test_the_curve_is_that_of_the_process_with_the_best_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without doubt about the kernel: scikit-learn's mean, its covariance in the draws, and the noise beside errors."""
    monkeypatch.setattr("landscape.stages.smooth.KERNELS", 1)
    random = np.random.default_rng(3)
    x, error = np.log1p(OCTAVES), random.uniform(0.02, 0.2, len(OCTAVES))
    value = 3 * sigmoid(x, 4.1) + 0.15 * random.standard_normal(len(x)) + error * random.standard_normal(len(x))
    found = smooth(OCTAVES, value, error, draws=5000, random=random)
    y, known = (value - value.mean()) / value.std(), (error / value.std()) ** 2
    fitted = rival(x, y, known)
    noise = fitted.kernel_.k2.noise_level
    alone = GaussianProcessRegressor(fitted.kernel_.k1, alpha=known + noise, optimizer=None).fit(x[:, None], y)
    at = np.arange(0, len(found.x), 14)
    mean, cov = alone.predict(found.x[at][:, None], return_cov=True)
    np.testing.assert_allclose(found.mean[at], value.mean() + value.std() * mean, atol=2e-3)
    assert found.noise == pytest.approx(np.sqrt(noise) * value.std(), rel=0.02) and noise > 0.006
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / 5000)
    assert (np.abs(np.cov(found.draws[:, at].T) / value.var() - cov) < 4.5 * error + 1e-4).all() and error.max() < 0.01


def test_draws_know_that_the_kernel_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven noisy checkpoints: the variance of a mixture over kernels, drawn from a normal around the best one.

    Its precision is that of the likelihood, by differences of its values. And draws of all kernels are mixed.
    """
    random = np.random.default_rng(4)
    steps = np.array([0, 3, 9, 30, 90, 270, 900.0])
    x = np.log1p(steps)
    value = sigmoid(x, 3.4, 0.8) + 0.12 * random.standard_normal(7)
    monkeypatch.setattr("landscape.stages.smooth.KERNELS", 400)
    found = smooth(steps, value, np.full(7, np.nan), draws=400, random=random)
    y, span = (value - value.mean()) / value.std(), x[-1] - x[0]
    fitted = rival(x, y, np.zeros(7))
    best, likelihood = fitted.kernel_.theta, fitted.log_marginal_likelihood

    def second(i: np.ndarray, k: np.ndarray) -> float:
        return -(likelihood(best + i + k) - likelihood(best + i - k) - likelihood(best - i + k)
                 + likelihood(best - i - k)) / (4 * 0.05**2)  # fmt: skip

    moves = np.eye(3) * 0.05
    size, axes = np.linalg.eigh([[second(i, k) for k in moves] for i in moves])
    deviations = np.minimum(1 / np.sqrt(np.maximum(size, 1e-9)), 1.5)
    means, within = [], []
    for z in random.standard_normal((120, 3)):
        theta = best + axes @ (deviations * z)
        low, high = np.log([[1e-2, 0.1 * span, 5e-3], [1e3, 10 * span, 4.0]])
        kernel = fitted.kernel_.clone_with_theta(np.clip(theta, low, high))
        own = GaussianProcessRegressor(kernel.k1, alpha=kernel.k2.noise_level, optimizer=None).fit(x[:, None], y)
        mean, deviation = own.predict(found.x[::20][:, None], return_std=True)
        means.append(mean)
        within.append(deviation**2)
    mixture = value.var() * (np.var(means, axis=0) + np.mean(within, axis=0))
    assert found.draws[:, ::20].var(axis=0).mean() == pytest.approx(mixture.mean(), rel=0.25)
    monkeypatch.setattr("landscape.stages.smooth.KERNELS", 2)
    two = smooth(steps, value, np.full(7, np.nan), draws=400, random=random)
    rough = np.abs(np.diff(two.draws, 2, axis=1)).sum(axis=1)
    assert stats.mannwhitneyu(rough[:200], rough[200:]).pvalue > 1e-4


def test_noise_is_told_from_the_curve_and_known_error_from_both() -> None:
    random = np.random.default_rng(5)
    x = np.log1p(SIXTY)
    noises, left = [], []
    for seed in range(2):
        y = sigmoid(x, 6.3, 0.6) + 0.1 * random.standard_normal(len(x))
        noises.append(curve(y, SIXTY, seed).noise)
        left.append(curve(y, SIXTY, seed, error=0.1).noise)
    assert np.mean(noises) == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(2 * 2 * 55))
    assert np.mean(left) < 0.05


def test_a_constant_series_has_no_event() -> None:
    one = curve(np.full(len(OCTAVES), 2.5), OCTAVES)
    assert one.draws.min() == one.draws.max() == 2.5
    assert [*events.boundaries(one), *events.fastest(one)] == [] and not events.changes([one])


def test_a_curve_needs_five_increasing_steps() -> None:
    with pytest.raises(ValueError, match="at least 5 increasing steps"):
        curve(np.arange(4.0), np.arange(4.0))
    with pytest.raises(ValueError, match="at least 5 increasing steps"):
        curve(np.arange(6.0), np.array([0, 1, 2, 2, 5, 9.0]))


def nearest(kind: str, place: float):
    def find(one: Curves) -> Event | None:
        found = [e for e in events.boundaries(one) if e.kind == kind]
        return min(found, key=lambda e: abs(np.median(e.at) - place)) if found else None

    return find


def at_half(one: Curves) -> Event:
    return events.crossing(one, 0.5, rising=True)


def steepest(one: Curves) -> Event | None:
    return next(iter(events.fastest(one)), None)


PLANTED = {
    "crossing": (lambda x: sigmoid(x, 4.37), 4.37, at_half, SIXTY, 0.03, normal, np.nan),
    "crossing, steep, few steps": (
        lambda x: sigmoid(x, 4.37, 0.1),
        4.37,
        at_half,
        OCTAVES,
        0.05,
        normal,
        np.nan,
    ),
    "crossing, slow, noisy": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, at_half, SIXTY, 0.1, normal, np.nan),
    "crossing, error understated": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, at_half, SIXTY, 0.1, normal, 0.02),
    "crossing, heavy tails": (lambda x: sigmoid(x, 4.37), 4.37, at_half, SIXTY, 0.06, heavy, np.nan),
    "fastest": (lambda x: sigmoid(x, 4.37), 4.37, steepest, SIXTY, 0.05, normal, np.nan),
    "fastest, uneven steps": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, steepest, SIXTY, 0.05, normal, np.nan),
    "maximum": (hill, TOP, nearest("extremum", TOP), OCTAVES, 0.05, normal, np.nan),
    "maximum, heavy tails": (hill, TOP, nearest("extremum", TOP), SIXTY, 0.05, heavy, np.nan),
    "plateau": (two_steps, 4.6, nearest("plateau", 4.6), SIXTY, 0.04, normal, np.nan),
}


def planted(name: str, runs: int) -> tuple[np.ndarray, int]:
    """How far from where it was planted an event is dated in each run in which it is found, and how many cover it."""
    make, true, find, steps, size, noise, said = PLANTED[name]
    random = np.random.default_rng(7)
    x = np.log1p(steps)
    off, covered = [], 0
    for run in range(runs):
        one = curve(make(x) + size * noise(random, len(x)), steps, run, said)
        if (event := find(one)) is None:
            continue
        place, low, high = (np.log1p(events.row(event, one.seen)[key]) for key in ("step", "low", "high"))
        off.append((place - true) / events.spacing(true, x))
        covered += low <= true <= high
        assert high - low >= events.spacing(place, one.seen) - 1e-6
    return np.array(off), covered


@pytest.mark.parametrize("name", PLANTED)
def test_planted_events_are_found_near_their_place(name: str) -> None:
    """In each of few runs, and in most of them within the interval."""
    off, covered = planted(name, FEW)
    assert len(off) == FEW and np.abs(off.mean()) < 2 and covered >= FEW - 1


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_planted_events_are_found_and_covered(name: str) -> None:
    """Bias below the spacing of checkpoints; 90 % intervals cover at least 85 %, up to the error of so many runs."""
    off, covered = planted(name, MANY)
    assert len(off) >= 0.95 * MANY and abs(off.mean()) < 1
    assert covered / len(off) >= 0.85 - 2 * np.sqrt(0.85 * 0.15 / len(off))


def test_a_run_without_the_change_is_censored_and_not_dropped() -> None:
    random = np.random.default_rng(2)
    x = np.log1p(OCTAVES)
    never = curve(0.02 * random.standard_normal(len(x)), OCTAVES)
    row = events.row(events.crossing(never, 0.5, rising=True), never.seen)
    assert (row["censored"], row["low"], row["high"], row["happened"]) == ("right", OCTAVES[-1], np.inf, 0)
    assert np.isnan(row["step"])
    always = curve(1 + 0.02 * random.standard_normal(len(x)), OCTAVES)
    row = events.row(events.crossing(always, 0.5, rising=True), always.seen)
    assert row["censored"] == "left" and np.isnan(row["step"]) and row["low"] == 0
    late = curve(sigmoid(x, np.log1p(OCTAVES[-1]) - 0.05, 0.2) + 0.02 * random.standard_normal(len(x)), OCTAVES)
    row = events.row(events.crossing(late, 0.5, rising=True), late.seen)
    assert 0.2 < row["happened"] <= 1 and row["high"] > OCTAVES[-2]


def test_crossing_is_where_the_line_between_two_places_is() -> None:
    x = np.array([0.0, 1.0, 2.0, 4.0])
    draws = np.array([[0, 1, 3, 9.0], [5, 6, 7, 8.0], [0, 0.5, 0.1, 0.2], [-9, 3, -9, 3]])
    at = events.crossing(flat(draws, x), 2.0, rising=True).at
    np.testing.assert_allclose(at, [1.5, -np.inf, np.inf, 11 / 12])
    down = events.crossing(flat(-draws, x), -2.0, rising=False).at
    np.testing.assert_array_equal(at, down)


def test_the_level_is_shared_and_blind_to_the_order_of_seeds() -> None:
    x = np.log1p(OCTAVES)
    runs = [curve(-3 * sigmoid(x, at) + 7, OCTAVES) for at in (3.0, 3.7, 4.4)]
    level, rising = events.halfway(runs)
    assert level == pytest.approx(5.5, abs=0.05) and not rising
    assert events.halfway(runs[::-1]) == pytest.approx((level, rising))


def test_boundaries_are_extrema_and_the_plateaus_that_hold_none() -> None:
    """A curve that rises, rests, rises to a top, and falls: a plateau and a maximum, in this order."""
    x = np.log1p(SIXTY)
    value = sigmoid(x, 2.5, 0.3) + sigmoid(x, 5.5, 0.3) - 1.3 * sigmoid(x, 8.6, 0.4)
    found = events.boundaries(curve(value + 0.02 * np.random.default_rng(0).standard_normal(len(x)), SIXTY))
    assert [(e.kind, e.way) for e in found] == [("plateau", "rise"), ("extremum", "maximum")]
    assert [np.median(e.at) for e in found] == pytest.approx([4.0, 7.0], abs=0.35)


@pytest.mark.parametrize(
    ("steps", "runs"),
    [(OCTAVES, FEW), (SIXTY, FEW), *(pytest.param(s, MANY, marks=pytest.mark.slow) for s in (OCTAVES, SIXTY))],
)
def test_one_change_makes_no_boundary(steps: np.ndarray, runs: int) -> None:
    """Boundaries that are none: at most one in twenty runs of one sigmoid with noise."""
    x = np.log1p(steps)
    random = np.random.default_rng(11)
    extra = [len(events.boundaries(curve(sigmoid(x, 4.2) + 0.05 * random.standard_normal(len(x)), steps, run)))
             for run in range(runs)]  # fmt: skip
    assert np.mean(extra) <= 0.1


@pytest.mark.parametrize(
    ("size", "runs"), [(0.02, 3), *(pytest.param(size, MANY, marks=pytest.mark.slow) for size in (0.02, 0.05))]
)
def test_few_checkpoints_with_little_noise_are_not_taken_for_noiseless(size: float, runs: int) -> None:
    """Sixteen checkpoints of one sigmoid: at most two of sixty have an extremum or a plateau."""
    steps = np.unique(np.round(np.geomspace(1, 1000, 16)))
    x = np.log1p(steps)
    random = np.random.default_rng(500)
    false = 0
    for run in range(runs):
        noise = size * random.standard_normal(len(x))
        false += bool(events.boundaries(curve(sigmoid(x, random.normal(4, 0.5), 1 / 3) + noise, steps, run)))
    assert false <= runs / 30


def test_a_hill_stands_above_both_of_its_feet_for_certain() -> None:
    """A fall of 0.3 after the top, up to twice as much or none: that is no certain hill, and a surer one is."""
    x = np.linspace(1.0, 6.0, 51)
    base = np.interp(x, [1, 3.4, 6], [0.2, 1.2, 0.9])
    doubt = np.linspace(-1, 1, 80)[:, None] * (x > 3.45)
    (hill_,) = events.extremum(flat(base + 0.05 * doubt, x))
    assert (hill_.kind, hill_.way) == ("extremum", "maximum") and np.median(hill_.at) == pytest.approx(3.4)
    assert events.extremum(flat(base + 0.2 * doubt, x)) == []
    (valley,) = events.extremum(flat(-base + 0.05 * doubt, x))
    assert valley.way == "minimum"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fastest_change_is_the_steepest_place_on_the_way_there(sign: int) -> None:
    """Also of a curve that falls, and rises in between."""
    x = np.linspace(0.5, 7.5, 141)
    value = sign * (sigmoid(x, 5.2, 0.2) - 0.3 * sigmoid(x, 2.2, 0.1))
    draws = value + np.linspace(-0.01, 0.01, 50)[:, None] * x
    (event,) = events.fastest(flat(draws, x))
    assert event.way == ("rise" if sign > 0 else "fall") and np.median(event.at) == pytest.approx(5.2, abs=1e-9)


def test_an_interval_is_never_narrower_than_the_gap_it_lies_in() -> None:
    seen = np.log1p(np.array([0, 10, 100, 1000.0]))
    row = events.row(Event("crossing", "rise", np.full(50, 4.0)), seen)
    gap = seen[2] - seen[1]
    assert np.log1p([row["low"], row["high"]]) == pytest.approx([4 - gap / 2, 4 + gap / 2])
    assert events.spacing(seen[1], seen) == pytest.approx(max(gap, seen[1]))
    spread = events.row(Event("crossing", "rise", np.linspace(3.0, 5.0, 201)), np.linspace(0, 7, 15))
    assert np.log1p([spread["low"], spread["high"]]) == pytest.approx([3.1, 4.9])  # 90 %
    wide = Event("plateau", "rise", np.linspace(3.9, 4.1, 101), (2.5, 6.0))
    assert np.log1p([(r := events.row(wide, seen))["low"], r["high"]]) == pytest.approx([2.5, 6.0])


def test_intervals_and_draws_stay_inside_training() -> None:
    """Cut off at the first and the last checkpoint, still as wide as the gap; open where the event may never happen."""
    seen = np.log1p(np.array([10, 30, 100, 1000.0]))
    late = events.row(Event("crossing", "rise", np.linspace(seen[-1] - 0.1, seen[-1] + 0.4, 101)), seen)
    early = events.row(Event("crossing", "rise", np.linspace(seen[0] - 0.3, seen[0] + 0.1, 101)), seen)
    assert np.log1p([late["low"], late["high"]]) == pytest.approx(seen[2:])
    assert np.log1p([early["low"], early["high"]]) == pytest.approx(seen[:2])
    wide = events.row(Event("crossing", "rise", np.linspace(seen[0] - 1, seen[-1] + 1, 101)), seen)
    assert (wide["low"], wide["high"]) == (10, 1000)
    open_ = events.row(Event("crossing", "rise", np.array([5.0] * 80 + [np.inf] * 20)), seen)
    assert open_["censored"] == "no" and open_["high"] == np.inf
    x = np.log1p(SIXTY)
    for steep in (curve(sigmoid(x, x[-1] - 0.2, 0.2), SIXTY), curve(1 - sigmoid(x, 0.2, 0.2), SIXTY)):
        (fastest,) = events.fastest(steep)
        assert fastest.at.min() >= x[0] and fastest.at.max() <= x[-1]
    assert events.around(1.0, np.array([0.2, 1.0, 4.0]), np.array([0.5, 2.0])).tolist() == [0.5, 1.0, 2.0]


def test_plateaus_at_one_place_are_one() -> None:
    """Overlapping ones, and ones nearer than the spacing, become as wide as both; others stay."""
    seen = np.arange(0.0, 8.0)
    make = [(2.0, (1.5, 2.5), "rise"), (3.4, (2.4, 4.0), "fall"), (4.4, (4.3, 4.5), "rise"), (6.9, (6.8, 7.0), "fall"),
            (5.8, (5.7, 5.9), "rise")]  # fmt: skip
    merged = events._merged([Event("plateau", way, np.full(9, at), extent) for at, extent, way in make], seen)
    assert [(e.extent, e.way, e.at[0]) for e in merged] == [
        ((1.5, 4.0), "fall", 3.4),
        ((4.3, 4.5), "rise", 4.4),
        ((5.7, 5.9), "rise", 5.8),
        ((6.8, 7.0), "fall", 6.9),
    ]
    near = [Event("plateau", "rise", np.full(9, at), (at - 0.1, at + 0.1)) for at in (3.1, 3.9)]
    (one,) = events._merged(near, seen)
    assert one.extent == (3.0, 4.0)
