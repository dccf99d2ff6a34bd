"""Dated events against planted ones, and the rules of dating by hand."""

import numpy as np
import pytest
import stages as validation_stages
from simulated import OCTAVES, SIXTY, TOP, bounds_of, heavy, hill, normal, sigmoid, two_steps
from worlds import run_of

from landscape.stages.events import changes
from landscape.stages.events.changes import Event
from landscape.stages.events.evidence import Turn
from landscape.stages.series.axis import Axis
from landscape.stages.series.runs import Measured
from landscape.stages.series.smooth import Curves

FEW, MANY = 2, 30
"""Runs of one series, in fast and in slow tests."""
AXIS = Axis()


def flat(draws: np.ndarray, x: np.ndarray) -> Curves:
    """Curves that are known: every draw as given."""
    return Curves(x, draws.mean(axis=0), draws, 0.0)


def nearest(kind: str, place: float):
    def find(run: Measured, curves: Curves) -> Event | None:
        found = [e for e in bounds_of(run, curves) if e.name == kind]
        return min(found, key=lambda e: abs(np.median(e.at) - place)) if found else None

    return find


def at_half(run: Measured, curves: Curves) -> Event:
    return changes.half_rise(curves, 0.5, rising=True)


def steepest(run: Measured, curves: Curves) -> Event:
    return changes.fastest(curves)


PLANTED = {
    "half_rise": (lambda x: sigmoid(x, 4.37), 4.37, at_half, SIXTY, 0.03, normal, np.nan),
    "half-rise, steep, few steps": (lambda x: sigmoid(x, 4.37, 0.1), 4.37, at_half, OCTAVES, 0.05, normal, np.nan),
    "half-rise, slow, noisy": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, at_half, SIXTY, 0.1, normal, np.nan),
    "half-rise, error understated": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, at_half, SIXTY, 0.1, normal, 0.02),
    "half-rise, heavy tails": (lambda x: sigmoid(x, 4.37), 4.37, at_half, SIXTY, 0.06, heavy, np.nan),
    "fastest": (lambda x: sigmoid(x, 4.37), 4.37, steepest, SIXTY, 0.05, normal, np.nan),
    "fastest, uneven steps": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, steepest, SIXTY, 0.05, normal, np.nan),
    "maximum": (hill, TOP, nearest("extremum", TOP), SIXTY, 0.05, normal, np.nan),
    "maximum, heavy tails": (hill, TOP, nearest("extremum", TOP), SIXTY, 0.05, heavy, np.nan),
    "plateau": (two_steps, 4.6, nearest("plateau", 4.6), SIXTY, 0.02, normal, np.nan),
}


def planted(name: str, runs: int) -> tuple[np.ndarray, int]:
    """How far from where it was planted an event is dated in each run in which it is found, and how many cover it."""
    make, true, find, steps, size, noise, said = PLANTED[name]
    random = np.random.default_rng(7)
    x = np.log1p(steps)
    off, covered = [], 0
    for number in range(runs):
        run, curves = run_of(steps, make(x) + size * noise(random, len(x)), said, number)
        if (event := find(run, curves)) is None:
            continue
        place, low, high = (np.log1p(changes.row(event, run.x, AXIS)[key]) for key in ("step", "low", "high"))
        off.append((place - true) / np.diff(x).max())
        covered += low <= true <= high
        assert high - low >= np.diff(x)[min(int(np.searchsorted(x, place)) - 1, len(x) - 2)] - 1e-6
    return np.array(off), covered


@pytest.mark.parametrize("name", PLANTED)
def test_planted_events_are_found_near_their_date(name: str) -> None:
    """In each of few runs, and in most of them within the interval."""
    off, covered = planted(name, FEW)
    assert len(off) == FEW and np.abs(off.mean()) < 1 and covered >= FEW - 1


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_planted_events_are_found_and_covered(name: str) -> None:
    """Bias below the spacing of checkpoints; 90 % intervals cover at least 85 %, up to the error of so many runs."""
    off, covered = planted(name, MANY)
    assert len(off) >= 0.95 * MANY and abs(off.mean()) < 0.5
    assert covered / len(off) >= 0.85 - 2 * np.sqrt(0.85 * 0.15 / len(off))


def test_a_run_without_the_change_is_censored_and_not_dropped() -> None:
    random = np.random.default_rng(2)
    x = np.log1p(OCTAVES)
    _, never = run_of(OCTAVES, 0.02 * random.standard_normal(len(x)))
    row = changes.row(changes.half_rise(never, 0.5, rising=True), never.x, AXIS)
    assert (row["censored"], row["low"], row["high"], row["happened"]) == ("right", OCTAVES[-1], np.inf, 0)
    assert np.isnan(row["step"])
    _, always = run_of(OCTAVES, 1 + 0.02 * random.standard_normal(len(x)))
    row = changes.row(changes.half_rise(always, 0.5, rising=True), always.x, AXIS)
    assert row["censored"] == "left" and np.isnan(row["step"]) and row["low"] == 0
    late_values = sigmoid(x, np.log1p(OCTAVES[-1]) - 0.05, 0.2) + 0.02 * random.standard_normal(len(x))
    _, late = run_of(OCTAVES, late_values)
    row = changes.row(changes.half_rise(late, 0.5, rising=True), late.x, AXIS)
    assert 0.2 < row["happened"] <= 1 and row["high"] > OCTAVES[-2]


def test_half_rise_is_interpolated_between_two_checkpoints() -> None:
    x = np.array([0.0, 1.0, 2.0, 4.0])
    draws = np.array([[0, 1, 3, 9.0], [5, 6, 7, 8.0], [0, 0.5, 0.1, 0.2], [-9, 3, -9, 3]])
    at = changes.half_rise(flat(draws, x), 2.0, rising=True).at
    np.testing.assert_allclose(at, [1.5, -np.inf, np.inf, 11 / 12])
    down = changes.half_rise(flat(-draws, x), -2.0, rising=False).at
    np.testing.assert_array_equal(at, down)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_level_is_in_the_middle_to_the_farthest_value(sign: int) -> None:
    x = np.arange(5.0)
    assert changes.half_level(flat(sign * np.array([[1.0, 0.7, 3, 4, 2]]), x)) == (sign * 2.5, sign > 0)


def test_boundaries_are_extrema_and_the_plateaus_that_hold_none() -> None:
    """A curve that rises, rests, rises to a top, and falls: a plateau and a maximum, in this order."""
    x = np.log1p(SIXTY)
    value = sigmoid(x, 2.5, 0.3) + sigmoid(x, 5.5, 0.3) - 1.3 * sigmoid(x, 8.6, 0.4)
    found = bounds_of(*run_of(SIXTY, value + 0.02 * np.random.default_rng(0).standard_normal(len(x))))
    assert [(e.name, e.way) for e in found] == [("plateau", "rise"), ("extremum", "maximum")]
    assert [np.median(e.at) for e in found] == pytest.approx([4.0, 7.0], abs=0.5)


RISES = {
    "octaves": OCTAVES, "sixty": SIXTY,
    "even": np.arange(0, 20_001, 400.0), "even without 0": np.arange(400, 20_001, 400.0),
    "round": np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000.0]),
}  # fmt: skip


def false_stages(steps: np.ndarray, size: float, runs: int, seed: int) -> int:
    """Share of runs in which one rise, at a random date and speed, has an extremum or a plateau."""
    random = np.random.default_rng(seed)
    x = np.log1p(steps / steps[steps > 0].min())
    false = 0
    for _ in range(runs):
        rise = sigmoid(x, random.uniform(x[1], x[-2]), random.uniform(0.05, 0.15) * np.ptp(x))
        false += bool(bounds_of(*run_of(steps, rise + size * random.standard_normal(len(x)))))
    return false


@pytest.mark.parametrize("steps", RISES)
@pytest.mark.parametrize("size", [0.001, 0.1])
def test_one_rise_makes_no_boundary(steps: str, size: float) -> None:
    assert false_stages(RISES[steps], size, 4, 11) == 0


@pytest.mark.slow
@pytest.mark.parametrize("steps", RISES)
def test_one_rise_hardly_ever_makes_a_boundary(steps: str) -> None:
    """At most two runs of a hundred, up to the error of so many."""
    runs = 100
    for size in (0.001, 0.01, 0.1):
        assert false_stages(RISES[steps], size, runs, 12) <= 0.02 * runs + 4 * np.sqrt(0.02 * 0.98 * runs)


def test_a_gap_that_no_checkpoint_fills_has_no_event() -> None:
    """Step 0 far from the first save: nothing is dated between them, with step 0 or without it."""
    steps = np.r_[0, np.arange(4000, 20_001, 200.0)]
    value = 1 / (1 + np.exp(-(steps - 11_000) / 800))
    value = value + 0.01 * np.random.default_rng(1).standard_normal(len(steps))
    for first in (0, 1):
        run, curves = run_of(steps[first:], value[first:])
        assert bounds_of(run, curves) == []
        row = changes.row(changes.half_rise(curves, 0.5, rising=True), run.x, AXIS)
        assert 10_600 < row["low"] < 11_000 < row["high"] < 11_400


def test_an_extremum_significantly_exceeds_both_sides_by_the_least_change() -> None:
    """A fall of 0.3 after the top, up to a third more or less, or up to four times as much or none."""
    x = np.linspace(1.0, 6.0, 51)
    base = np.interp(x, [1, 3.4, 6], [0.2, 1.2, 0.9])
    doubt = np.linspace(-1, 1, 80)[:, None] * (x > 3.45)
    turns = [Turn(1, 15, 40, 20, 30)]
    (top,) = changes.extrema(flat(base + 0.05 * doubt, x), turns)
    assert (top.name, top.way) == ("extremum", "maximum") and np.median(top.at) == pytest.approx(3.4)
    assert top.extent == (x[20], x[30])
    assert changes.extrema(flat(base + 0.4 * doubt, x), turns) == []
    (valley,) = changes.extrema(flat(-base + 0.05 * doubt, x), [Turn(-1, 15, 40, 20, 30)])
    assert valley.way == "minimum"
    assert changes.extrema(flat(base + 0.05 * doubt, x), turns, least=0.29) != []
    assert changes.extrema(flat(base + 0.05 * doubt, x), turns, least=0.31) == []


def test_a_plateau_is_significantly_flatter_than_both_sides() -> None:
    """Gradients of 1, 0.5 and 2 on the three thirds; a middle one up to 0.9 steeper or flatter is not significant."""
    x = np.linspace(0, 6, 61)
    base = np.interp(x, [0, 2, 4, 6], [0, 2, 3, 7.0])
    paces = [Turn(1, 12, 48, 22, 38)]
    tilt = np.linspace(-1, 1, 80)[:, None] * np.interp(x, [0, 2, 4, 6], [0, 0, 1, 1])
    (rest,) = changes.plateaus(flat(base + 0.2 * tilt, x), paces)
    assert (rest.name, rest.way, rest.extent) == ("plateau", "rise", (x[22], x[38]))
    assert rest.at.min() >= 2 and rest.at.max() <= 4
    assert changes.plateaus(flat(base + 1.8 * tilt, x), paces) == []
    (falling,) = changes.plateaus(flat(-base + 0.2 * tilt, x), [Turn(-1, 12, 48, 22, 38)])
    assert falling.way == "fall"
    assert changes.plateaus(flat(-base + 0.2 * tilt, x), paces) == [], "the steepest point of a fall"
    steeper = np.interp(x, [0, 2, 4, 6], [0, 2, 2 + 1.3, 7.3])
    assert changes.plateaus(flat(steeper + 0.1 * tilt, x), paces) == [], "a slope of 0.65 is above exp(-0.5)"
    turning = [Event("extremum", way, np.full(80, at)) for way, at in (("maximum", 2.5), ("minimum", 3.5))]
    assert changes.plateaus(flat(base + 0.2 * tilt, x), paces, turning=turning) == [], "a fall between two rises"
    assert changes.plateaus(flat(base + 0.2 * tilt, x), paces, least=1.9) != []
    assert changes.plateaus(flat(base + 0.2 * tilt, x), paces, least=3.2) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fastest_change_is_the_steepest_gap_on_the_way_there(sign: int) -> None:
    """Also of a curve that falls, and rises in between."""
    x = np.linspace(0.5, 7.5, 141)
    value = sign * (sigmoid(x, 5.225, 0.2) - 0.3 * sigmoid(x, 2.2, 0.1))
    draws = value + np.linspace(-0.01, 0.01, 50)[:, None] * x
    event = changes.fastest(flat(draws, x))
    assert event.way == ("rise" if sign > 0 else "fall") and np.median(event.at) == pytest.approx(5.225, abs=1e-9)
    later = sign * (sigmoid(x, 5.525, 0.2) - 0.3 * sigmoid(x, 2.2, 0.1))
    event = changes.fastest(flat(np.stack([value, value, later]), x))
    np.testing.assert_allclose(event.at - event.at[0], [0, 0, 0.3], atol=1e-9, err_msg="apart as the draws are")


def test_an_interval_reaches_from_checkpoint_to_checkpoint() -> None:
    seen = np.log1p(np.array([0, 10, 100, 1000.0]))
    row = changes.row(Event("half_rise", "rise", np.full(50, 4.0)), seen, AXIS)
    assert [row["low"], row["high"]] == [10, 100]
    row = changes.row(Event("extremum", "maximum", np.full(50, seen[2])), seen, AXIS)
    assert [row["low"], row["step"], row["high"]] == [10, 100, 1000]
    spread = changes.row(Event("half_rise", "rise", np.linspace(3.0, 5.0, 201)), np.linspace(0, 7, 15), AXIS)
    assert np.log1p([spread["low"], spread["high"]]) == pytest.approx([3.1, 4.9])  # 90 %
    wide = Event("plateau", "rise", np.linspace(3.9, 4.1, 101), (1.5, 6.0))
    assert np.log1p([(r := changes.row(wide, seen, AXIS))["low"], r["high"]]) == pytest.approx([1.5, 6.0])
    tokens = changes.row(Event("half_rise", "rise", np.full(50, 1.5)), np.arange(4.0), Axis(1e9))
    assert tokens["step"] == pytest.approx(1e9 * np.expm1(1.5)) and tokens["high"] == pytest.approx(1e9 * np.expm1(2))


def test_intervals_and_draws_stay_inside_training() -> None:
    """Cut off at the first and the last checkpoint; open where the event may never happen."""
    seen = np.log1p(np.array([10, 30, 100, 1000.0]))
    late = changes.row(Event("half_rise", "rise", np.linspace(seen[-1] - 0.3, seen[-1] + 0.2, 101)), seen, AXIS)
    early = changes.row(Event("half_rise", "rise", np.linspace(seen[0] - 0.1, seen[0] + 0.3, 101)), seen, AXIS)
    assert np.log1p([late["low"], late["high"]]) == pytest.approx(seen[2:])
    assert np.log1p([early["low"], early["high"]]) == pytest.approx(seen[:2])
    wide = changes.row(Event("half_rise", "rise", np.linspace(seen[0] - 1, seen[-1] + 1, 101)), seen, AXIS)
    assert (wide["low"], wide["high"]) == (10, 1000)
    open_ = changes.row(Event("half_rise", "rise", np.array([5.0] * 80 + [np.inf] * 20)), seen, AXIS)
    assert open_["censored"] == "no" and open_["high"] == np.inf
    x = np.log1p(SIXTY)
    for steep in (sigmoid(x, x[-1] - 0.2, 0.2), 1 - sigmoid(x, 0.2, 0.2)):
        fastest = changes.fastest(run_of(SIXTY, steep)[1])
        assert fastest.at.min() >= x[0] and fastest.at.max() <= x[-1]
    assert changes.around(1.0, np.array([0.2, 1.0, 4.0]), np.array([0.5, 2.0])).tolist() == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("name", ["gpt2_small", "openwebtext_mamba_130m"])
def test_published_models_fit_ngrams_in_the_order_of_n(name: str) -> None:
    """In every seed; and the peak of unigrams comes before that of bigrams."""
    found = validation_stages.published(1, np.random.default_rng(0), name=name)
    assert len(found["half-rise in the order of n"]) in (4, 6) and all(all(hits) for hits in found.values())
