"""Adaptive t and examples: compared with dense grids, closed forms and simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from simulated import Curve, bump, drawn

from landscape.catalogue import DEFINITIONS, PRECISE
from landscape.profile import paired, sequential
from landscape.profile.adaptive import Grid, Profile, profiles
from landscape.profile.path_state import Evaluated, KnownEnds
from landscape.profile.rows import tables
from landscape.shapes import Int

DENSE = np.linspace(0, 1, 4001)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two peaks", "narrow", "plateau", "cusp-like", "smooth"])
@pytest.mark.parametrize("tolerance", [0.002, 0.01])
def test_the_stated_error_covers_every_kind(kind: str, tolerance: float) -> None:
    stated_error_covers(kind, tolerance, 100)


@pytest.mark.parametrize("kind", ["two peaks", "smooth"])
def test_the_stated_error_covers(kind: str) -> None:
    stated_error_covers(kind, 0.01, 20)


def stated_error_covers(kind: str, tolerance: float, repeats: int) -> None:
    """The maximum of the profile itself, on a dense grid, lies within the error of that of the interpolant."""
    random, evaluated = np.random.default_rng(4), []
    for _ in range(repeats):
        curve = drawn(kind, random)
        noiseless = np.zeros((2, 4)) + np.array([[curve(np.array(0.0))], [curve(np.array(1.0))]])

        def evaluate(
            wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"], curve: Curve = curve
        ) -> Evaluated:
            return np.array([np.full(len(examples), curve(np.array(t))) for _, t in wanted]), {}

        (found,) = profiles([KnownEnds(noiseless)], evaluate, Grid(tolerance=tolerance))
        rise = found.interpolation.matrix @ paired.band(found.components).rise
        truth = curve(DENSE) - (1 - DENSE) * curve(DENSE)[0] - DENSE * curve(DENSE)[-1]
        assert found.t_error is not None
        assert abs(rise.max() - truth.max()) <= found.t_error + 1e-9
        assert found.t_error <= tolerance or kind in ("two peaks", "narrow", "cusp-like")
        evaluated.append(len(found.t))
    assert min(evaluated) >= 9 and (kind != "smooth" or np.mean(evaluated) < 18)


def test_corners_need_no_more_points_than_straight_pieces() -> None:
    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([np.full(len(examples), 2 - abs(3 * t - 1)) for _, t in wanted]), {}

    (chain,) = profiles([KnownEnds(np.array([[1.0] * 4, [0.0] * 4]), pieces=3)], evaluate, Grid())
    assert chain.t_error == pytest.approx(0, abs=1e-12) and len(chain.t) == 3 * 8 + 1


def test_the_barrier_is_read_where_the_interpolant_is_finest() -> None:
    """A cubic, which three levels of points read exactly: the largest of its values at 64 steps."""

    def cubic(t: np.ndarray) -> np.ndarray:
        return np.asarray(27 / 4 * t**2 * (1 - t))

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([np.full(len(examples), cubic(np.array(t))) for _, t in wanted]), {}

    (found,) = profiles([KnownEnds(np.zeros((2, 4)))], evaluate, Grid())
    rows = {row["definition"]: row for row in tables(found, Grid(resamples=10))[0]}
    assert len(found.t) == 9 and rows["chord"]["t_at_max"] == 43 / 64
    assert rows["chord"]["plugin"] == pytest.approx(cubic(np.arange(65) / 64).max(), abs=1e-12)
    assert rows["convexity_gap"]["plugin"] >= cubic(np.arange(41) / 40).max() - 1e-12


def test_the_shape_is_settled_by_the_error_of_all_examples() -> None:
    """A pilot's own error is large; that of all examples is small, and so must be that of the interpolant."""
    heights = 1 + 0.5 * np.random.default_rng(8).normal(size=4000)

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([bump(0.43, 0.14, 1.0)(np.array(t)) * heights[examples] for _, t in wanted]), {}

    ends = np.array([bump(0.43, 0.14, 1.0)(np.array(t)) * heights for t in (0.0, 1.0)])
    (found,) = profiles([KnownEnds(ends)], evaluate, Grid(tolerance=1e-4))
    assert found.t_error is not None and found.t_error < 1.3 * stats.sem(heights)
    assert 9 < len(found.t) < 20, "no better than the data will be able to tell"


@pytest.mark.parametrize(("grid", "to"), [(Grid(points=21), 0.02), (Grid(), 0.5), (Grid(halfwidth=0.04), 0.0)])
def test_all_is_evaluated_again_where_numerical_errors_are_too_large_for_the_narrowest_interval(
    grid: Grid, to: float
) -> None:
    """The second path is a hundredth of the first, and so is its interval."""
    heights = (1 + 0.5 * np.random.default_rng(5).normal(size=(2, 256))) * np.array([[1.0], [0.01]])
    curve, errors, asked = bump(0.43, 0.14, 1.0), [0.3], list[float]()

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([curve(np.array(t)) * heights[n, examples] + errors[-1] for n, t in wanted]), {}

    def again(halfwidth: float) -> bool:
        asked.append(halfwidth)
        errors.append(0.0)
        return True

    paths = [KnownEnds(np.array([curve(np.array(t)) * own for t in (0.0, 1.0)])) for own in heights]
    found = profiles(paths, evaluate, grid, again)
    for here, exact in zip(found, profiles(paths, evaluate, grid), strict=True):
        assert_allclose(here.losses, exact.losses, rtol=0, atol=0)
        assert here.evaluations == exact.evaluations and here.t_error == exact.t_error
    rise = curve(DENSE) - (1 - DENSE) * curve(DENSE)[0] - DENSE * curve(DENSE)[-1]
    narrowest = sequential.ONE_LOOK * stats.sem(heights[1]) * rise.max()
    assert asked == [pytest.approx(max(narrowest, grid.halfwidth or 0.0), rel=to)]


class World:
    """Examples with skewed noise that differs along the path, so that mean and spread go together."""

    def __init__(self, examples: int, seed: int, height: float, spread: float) -> None:
        random = np.random.default_rng(seed)
        self.height, self.level = height, random.normal(size=examples)
        self.own = spread * (random.exponential(size=(3, examples)) - 1)
        self.looked: list[tuple[int, float, int]] = []

    def at(self, t: float) -> np.ndarray:
        shapes = np.array([4 * t * (1 - t), np.sin(2 * np.pi * t), np.sin(3 * np.pi * t)])
        return np.asarray(2 + t + self.height * shapes[0] + self.level + shapes @ self.own)

    def evaluate(self, wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        self.looked += [(n, t, int(e)) for n, t in wanted for e in examples]
        losses = np.array([self.at(t)[examples] for _, t in wanted])
        return losses, {"accuracy": losses + 1}

    @property
    def path(self) -> KnownEnds:
        ends = np.array([self.at(0.0), self.at(1.0)])
        return KnownEnds(ends, {"accuracy": ends + 1})


@pytest.mark.slow
def test_intervals_at_the_stop_cover_and_are_as_narrow_as_wanted() -> None:
    repeats, halfwidth, covered, evaluations = 80, 0.04, 0, []
    for seed in range(repeats):
        world = World(800, seed, 0.5, 0.3)
        grid = Grid(halfwidth=halfwidth, resamples=200)
        (found,) = profiles([world.path], world.evaluate, grid)
        rows = tables(found, grid)[0]
        chord = next(row for row in rows if row["definition"] == "chord")
        assert chord["high"] - chord["low"] <= 2 * halfwidth or found.examples == 800
        assert chord["low"] <= chord["barrier"] <= chord["high"]
        covered += chord["low"] <= 0.5 <= chord["high"]
        evaluations.append(found.evaluations)
        assert chord["t_error"] < 0.02  # of shared examples: what some times have more is no error between them
    assert covered / repeats > 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5
    assert np.mean(evaluations) < 0.5 * 9 * 800


@pytest.mark.parametrize("seed", [5, 7])
def test_what_some_times_have_more_is_no_error_between_them(seed: int) -> None:
    """Curves so smooth that nine points read them, and noise that makes the counts at these very different."""
    world = World(900, seed, 0.5, 0.3)
    (found,) = profiles([world.path], world.evaluate, Grid(halfwidth=0.04, resamples=100))
    counts = np.isfinite(found.losses).sum(axis=1)
    assert found.t_error is not None and found.t_error < 0.02 and counts.max() > 10 * counts.min()


def test_what_all_examples_would_not_give_is_as_narrow_as_they_make_it() -> None:
    """Wanted is a half-width that is out of reach: no wider than with none, and no dearer than all at all points."""
    worlds = [World(300, seed, 0.5, 0.3) for seed in range(30)]
    found: dict[float | None, list[Profile]] = {}
    for halfwidth in (None, 0.03):
        grid = Grid(halfwidth=halfwidth, resamples=300)
        found[halfwidth] = [profiles([world.path], world.evaluate, grid)[0] for world in worlds]
    rows = {k: [tables(one, Grid(resamples=300))[0][0] for one in every] for k, every in found.items()}
    widths = {k: np.array([row["high"] - row["low"] for row in every]) for k, every in rows.items()}
    assert {one.widening for one in found[0.03]} == {1.0} and (widths[0.03] > 0.06).all()
    assert np.mean(widths[0.03] / widths[None]) < 1.02
    cost = {k: np.mean([one.evaluations for one in every]) for k, every in found.items()}
    assert cost[0.03] < 1.2 * cost[None]
    easy = World(300, 1, 0.5, 0.05)

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        parts = [(worlds[0], easy)[n].evaluate([(n, t)], examples)[0] for n, t in wanted]
        return np.concatenate(parts), {}

    both = [KnownEnds(world.path.ends) for world in (worlds[0], easy)]
    hard, soft = profiles(both, evaluate, Grid(halfwidth=0.03, resamples=300))
    assert hard.widening == 1 < soft.widening and soft.examples < 150 < hard.examples == 300
    grid = Grid(halfwidth=0.005, target="mean", resamples=300)
    assert {one.widening for one in profiles(both, evaluate, grid)} == {1.0}


def test_nothing_is_evaluated_twice_and_paths_stop_by_themselves() -> None:
    easy, hard = World(900, 1, 0.5, 0.05), World(900, 2, 0.5, 0.11)

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        parts = [(easy, hard)[n].evaluate([(n, t)], examples) for n, t in wanted]
        return np.concatenate([losses for losses, _ in parts]), {
            "accuracy": np.concatenate([metrics["accuracy"] for _, metrics in parts])
        }

    same = KnownEnds(np.stack([easy.at(0.0)] * 2), one_point=True)
    grid = Grid(halfwidth=0.02, resamples=200)
    one, two, three = profiles([easy.path, hard.path, same], evaluate, grid)
    looked = easy.looked + hard.looked
    assert len(looked) == len(set(looked)) == one.evaluations + two.evaluations
    assert one.evaluations < two.evaluations / 3 and one.examples < 200 < two.examples
    assert one.widening == two.widening == pytest.approx(sequential.critical(sequential.looks(900)) / 1.95996, rel=1e-5)
    for found, world in ((one, easy), (two, hard)):
        for t, losses, metric in zip(found.t, found.losses, found.metrics["accuracy"], strict=True):
            known = np.isfinite(losses)
            assert_allclose(losses[known], world.at(t)[known], rtol=0, atol=1e-12)
            assert_allclose(metric, losses + 1, rtol=0, atol=1e-12)
    rows = tables(three, Grid(resamples=10))[0]
    assert three.evaluations == 0 and {(row["barrier"], row["low"], row["high"]) for row in rows} == {(0, 0, 0)}


def test_without_precision_intervals_are_as_if_all_examples_were_evaluated() -> None:
    """Nearly: what is evaluated on few is known by what is evaluated on all."""
    world = World(900, 3, 0.5, 0.2)
    (found,) = profiles([world.path], world.evaluate, Grid(precise=tuple(DEFINITIONS)))
    counts = np.isfinite(found.losses).sum(axis=1)
    assert len(world.looked) == len(set(world.looked)) == found.evaluations < 0.8 * 900 * (len(found.t) - 2)
    assert found.widening == 1 and counts.max() == 900 and counts[1:-1].min() >= 16 and found.examples == 900
    barriers, shown = tables(found, Grid(resamples=400))
    whole = replace(found, losses=np.array([world.at(float(t)) for t in found.t]))
    usual, _ = tables(whole, Grid(resamples=400))
    for row, all_known in zip(barriers, usual, strict=True):
        half = (all_known["high"] - all_known["low"]) / 2
        assert row["high"] - row["low"] <= 1.15 * 2 * half and abs(row["barrier"] - all_known["barrier"]) < half
    assert len(shown) == 33 and sum(row["evaluated"] for row in shown) == len(found.t)
    assert [row["evaluated_on"] for row in shown if row["evaluated"]] == counts.tolist()
    assert {row["evaluated_on"] for row in shown if not row["evaluated"]} <= {0}
    for row in shown:
        here = world.at(row["t"])
        rise = here - (1 - row["t"]) * world.at(0.0) - row["t"] * world.at(1.0)
        assert abs(row["rise"] - rise.mean()) < 4 * row["rise_error"] + 1e-3
        assert row["rise_error"] <= 1.6 * stats.sem(rise) + 2e-3
    assert {row["definition"] for row in barriers} == set(DEFINITIONS)
    area = next(row for row in barriers if row["definition"] == "area")
    assert area["low"] < 0.5 * 4 / 6 < area["high"]


def two_places(
    examples: int, seed: int, *, tilt: float, heights: tuple[float, float], rough: float = 0.0
) -> Callable[..., Any]:
    """Losses with bumps at 0.25 and 0.8 whose heights vary from example to example, and noise at each time alone."""
    random = np.random.default_rng(seed)
    apart = 1 + 0.8 * random.normal(size=(2, examples))
    bumps = [bump(centre, 0.12, height) for centre, height in zip((0.25, 0.8), heights, strict=True)]

    def losses(t: float, some: Any = slice(None)) -> np.ndarray:
        shapes = [float(one(np.array(t))) * 4 * t * (1 - t) for one in bumps]
        alone = rough * t * (1 - t) * np.random.default_rng(int(1e9 * t)).normal(size=examples)[some]
        return np.asarray(2 + tilt * t + shapes[0] * apart[0, some] + shapes[1] * apart[1, some] + alone)

    return losses


EVERY = Grid(precise=tuple(DEFINITIONS))


def widths(losses: Callable[..., Any], grid: Grid = EVERY) -> tuple[dict[str, float], np.ndarray]:
    """How much wider each interval is than from all examples everywhere, and the examples of each time."""

    def evaluate(wanted: list[tuple[int, float]], some: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([losses(t, some) for _, t in wanted]), {}

    (found,) = profiles([KnownEnds(np.array([losses(0.0), losses(1.0)]))], evaluate, grid)
    whole = replace(found, losses=np.array([losses(float(t)) for t in found.t]))
    ours, usual = (tables(one, Grid(resamples=400))[0] for one in (found, whole))
    ratio = {a["definition"]: (a["high"] - a["low"]) / (b["high"] - b["low"]) for a, b in zip(ours, usual, strict=True)}
    return ratio, np.isfinite(found.losses[1:-1]).sum(axis=1)


def test_definitions_that_are_not_wanted_narrow_take_no_evaluations() -> None:
    """By default those of the whole path are known less well, and a fifth of the evaluations is saved."""
    ours, every, counts = [], [], {EVERY: 0, Grid(): 0}
    for seed in range(6):
        losses = two_places(1500, seed, tilt=0.5, heights=(0.6, 0.4), rough=0.5)
        for grid in counts:
            ratio, evaluated = widths(losses, grid)
            counts[grid] += evaluated.sum()
            (every if grid == EVERY else ours).append(ratio)
    assert max(ratio[name] for ratio in ours for name in PRECISE) < 1.15
    assert max(ratio[name] for ratio in every for name in DEFINITIONS) < 1.15 < max(ratio["area"] for ratio in ours)
    assert counts[Grid()] < 0.85 * counts[EVERY]


def test_every_definition_has_its_places() -> None:
    """The chord's maximum lies at 0.25, that above the ends at 0.8; what lies between depends on both."""
    ratio, counts = widths(two_places(1500, 1, tilt=2.0, heights=(0.6, 0.7)))
    assert max(ratio.values()) < 1.15 and sorted(counts)[-2:] == [1500, 1500] and np.mean(counts) < 300


def test_what_no_other_time_tells_is_evaluated_on_more_than_a_pilot() -> None:
    ratio, counts = widths(two_places(1500, 1, tilt=2.0, heights=(0.6, 0.7), rough=0.6))
    assert max(ratio.values()) < 1.15 and 16 < counts.min() < counts.max() == 1500


def test_what_is_no_maximum_needs_a_pilot_alone() -> None:
    """A bump of a tenth of the other's height: no definition depends on it."""
    ratio, counts = widths(two_places(1500, 2, tilt=0.0, heights=(1.0, 0.1)))
    assert max(ratio.values()) < 1.15 and sorted(counts)[-2] <= 48 < max(counts) == 1500


@pytest.mark.parametrize("examples", [2, 17, 18, 33])
@pytest.mark.parametrize("kind", ["zero", "the same", "of each t alone", "one outlier", "zero or one"])
@pytest.mark.filterwarnings("error")
def test_degenerate_losses_have_finite_intervals(kind: str, examples: int) -> None:
    def losses(t: float, some: Any = slice(None)) -> np.ndarray:
        random = np.random.default_rng(int(1e6 * t))
        outlier = np.where(np.arange(examples) == 0, 1e6, 1.0)
        return np.asarray({
            "zero": np.zeros(examples), "the same": np.full(examples, 4 * t * (1 - t)),
            "of each t alone": random.normal(size=examples), "one outlier": t * (1 - t) * outlier,
            "zero or one": (random.random(examples) < 0.3) * 1.0,
        }[kind][some])  # fmt: skip

    def evaluate(wanted: list[tuple[int, float]], some: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([losses(t, some) for _, t in wanted]), {}

    (found,) = profiles([KnownEnds(np.array([losses(0.0), losses(1.0)]))], evaluate, Grid())
    for row in tables(found, Grid(resamples=50))[0]:
        assert np.isfinite([row["low"], row["high"]]).all() and row["low"] <= row["barrier"] <= row["high"]


@pytest.mark.slow
def test_the_mean_of_pairs_is_known_as_well_as_wanted_on_fewer_examples() -> None:
    covered, fewer, repeats = 0, [], 60
    for seed in range(repeats):
        worlds = [World(1200, 10 * seed + k, 0.4 + 0.05 * k, 0.3) for k in range(6)]

        def evaluate(
            wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"], worlds: Any = worlds
        ) -> Evaluated:
            return np.concatenate([worlds[n].evaluate([(n, t)], examples)[0] for n, t in wanted]), {}

        count = {}
        for target in ("mean", "pairs"):
            grid = Grid(halfwidth=0.03, target=target, resamples=100)  # type: ignore[arg-type]
            found = profiles([KnownEnds(world.path.ends) for world in worlds], evaluate, grid)
            count[target] = sum(one.evaluations for one in found)
            if target == "mean":
                mean = np.mean([(one.interpolation.matrix @ paired.band(one.components).rise).max() for one in found])
                covered += abs(mean - 0.525) <= 0.03
        fewer.append(count["mean"] / count["pairs"])
    assert covered / repeats >= 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5 and np.mean(fewer) < 0.6


@pytest.mark.parametrize("drift", [0.8, pytest.param(-0.8, marks=pytest.mark.slow)])
def test_examples_in_order_do_not_mislead(drift: float) -> None:
    """A text whose beginning is easier than its end: the first examples are no sample of it."""
    random = np.random.default_rng(6)
    each = 1 + drift * np.linspace(-1, 1, 2000) + 0.1 * random.normal(size=2000)

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        return np.array([4 * t * (1 - t) * each[examples] for _, t in wanted]), {}

    grid = Grid(halfwidth=0.1, resamples=100)
    (found,) = profiles([KnownEnds(np.zeros((2, 2000)))], evaluate, grid)
    chord = tables(found, grid)[0][0]
    assert chord["low"] < each.mean() < chord["high"] <= chord["low"] + 0.2 and found.examples < 500


def test_rival_peaks_are_both_followed() -> None:
    """Two peaks of one height with noise of their own: both must be known for their maximum to be."""
    random = np.random.default_rng(7)
    noise = 0.4 * random.normal(size=(2, 2000))

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        bumps = np.array([[bump(c, 0.1, 1.0)(np.array(t)) for c in (0.3, 0.7)] for _, t in wanted])
        return bumps @ (1 + noise[:, examples]), {}

    grid = Grid(halfwidth=0.07, resamples=100)
    (found,) = profiles([KnownEnds(np.zeros((2, 2000)))], evaluate, grid)
    chord = tables(found, grid)[0][0]
    assert chord["high"] - chord["low"] <= 0.14 and found.examples < 2000
    counts = np.isfinite(found.losses).sum(axis=1)
    left, right = (counts[np.abs(found.t - c).argmin()] for c in (0.3, 0.7))
    assert min(left, right) > 2 * sequential.PILOT
