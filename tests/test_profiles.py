"""Adaptive times and examples: held against dense grids, closed forms and simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.interpolate import BarycentricInterpolator
from simulated import Curve, bump, drawn

from landscape import barrier, chebyshev, paired, sequential
from landscape.measure.profile_rows import tables
from landscape.measure.profiles import Found, Grid, Path, profiles
from landscape.shapes import Int

DENSE = np.linspace(0, 1, 4001)


def test_points_are_nested_and_read_polynomials_exactly() -> None:
    for pieces in (1, 3):
        for level in range(1, len(chebyshev.LEVELS)):
            fine, coarse = chebyshev.nodes(level, pieces), chebyshev.nodes(level - 1, pieces)
            assert (fine[::2] == coarse).all() and (np.diff(fine) > 0).all() and (fine[0], fine[-1]) == (0, 1)
    t = chebyshev.nodes(1)
    cubic = np.polynomial.Polynomial([0.3, -2, 1.7, 5])
    reading = chebyshev.interpolant(1)
    assert_allclose(reading.matrix @ cubic(t), cubic(reading.times), atol=1e-12)
    corner = chebyshev.interpolant(0, pieces=2, times=np.array([0, 0.13, 0.5, 0.81, 1]))
    assert_allclose(corner.matrix @ np.abs(chebyshev.nodes(0, 2) - 0.5), np.abs(corner.times - 0.5), atol=1e-15)


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

        def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"], curve: Curve = curve) -> Found:
            return np.array([np.full(len(examples), curve(np.array(t))) for _, t in wanted]), {}

        (found,) = profiles([Path(noiseless)], look, Grid(tolerance=tolerance))
        rise = found.reading.matrix @ paired.band(found.t, found.losses).rise
        truth = curve(DENSE) - (1 - DENSE) * curve(DENSE)[0] - DENSE * curve(DENSE)[-1]
        assert found.t_error is not None
        assert abs(rise.max() - truth.max()) <= found.t_error + 1e-9
        assert found.t_error <= tolerance or len(found.t) == 33
        evaluated.append(len(found.t))
    assert min(evaluated) >= 9 and (kind != "smooth" or np.mean(evaluated) < 18)


def fitted(curve: Curve, degree: int, pieces: int, count: int) -> np.ndarray:
    """Polynomials through Chebyshev points, piece by piece, on an even grid."""
    grid, out = np.linspace(0, 1, count), np.zeros(count)
    for piece in range(pieces):
        t = (piece + (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2) / pieces
        here = np.minimum((grid * pieces).astype(int), pieces - 1) == piece
        out[here] = np.polynomial.Chebyshev.fit(t, curve(t), degree)(grid[here])
    return out


@pytest.mark.parametrize("curve", [lambda t: np.exp(3 * t), lambda t: np.abs(t - 0.47), lambda t: np.cos(40 * t)],
                         ids=["analytic", "corner", "not resolved"])  # fmt: skip
@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("level", [2, 3])
def test_the_stated_error_is_what_the_coefficients_leave_out(curve: Curve, pieces: int, level: int) -> None:
    """Coefficients by fits of polynomials, each piece by itself; their fall by its ends and by least squares."""
    n, tails, reads = (8, 16)[level - 2], [], []
    for piece in range(pieces):
        fit = np.polynomial.Chebyshev.fit(
            t := (piece + (1 - np.cos(np.pi * np.arange(n + 1) / n)) / 2) / pieces, curve(t), n
        )
        reads.append(fit((piece + np.linspace(0, 1, 8 * n + 1)[(piece > 0) :]) / pieces))
        envelope = [np.abs(fit.coef[k:]).max() for k in range(n // 2, n)]
        slope, last = np.polyfit(np.arange(n // 2, n) - (n - 1), np.log(envelope), 1)
        both = ((envelope[-1] / envelope[0]) ** (1 / (n // 2 - 1)), envelope[-1]), (np.exp(slope), np.exp(last))
        tails.append(max(c * min(rho, 0.98) / (1 - min(rho, 0.98)) for rho, c in both))
    expected, now = 3.5 * max(tails), np.concatenate(reads)
    if level == 2:
        changes = [
            np.abs(a - b).max() for a, b in pairwise([now, *(fitted(curve, m, pieces, len(now)) for m in (4, 2))])
        ]
        q = min(changes[0] / changes[1], 0.95)
        expected = max(expected, changes[0] * min(max(2 * q / (1 - q), 0.5), 3))
    expected += np.abs(np.diff(now, 2)).max() / 8
    found = chebyshev.error(curve(chebyshev.nodes(level, pieces)), level, pieces)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_profile_without_any_rise_has_no_error() -> None:
    assert chebyshev.error(np.zeros(9), 2) == 0 and chebyshev.error(np.full(17, 0.3), 3) == pytest.approx(0, abs=1e-12)


def test_corners_need_no_more_points_than_straight_pieces() -> None:
    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([np.full(len(examples), 2 - abs(3 * t - 1)) for _, t in wanted]), {}

    (chain,) = profiles([Path(np.array([[1.0] * 4, [0.0] * 4]), pieces=3)], look, Grid())
    assert chain.t_error == pytest.approx(2 * 3 / 64 / 3 / 8, rel=1e-6) and len(chain.t) == 3 * 8 + 1


def test_the_barrier_is_read_where_the_interpolant_is_finest() -> None:
    """A cubic, which three levels of points read exactly: the largest of its values at the 64 steps of reading."""

    def cubic(t: np.ndarray) -> np.ndarray:
        return np.asarray(27 / 4 * t**2 * (1 - t))

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([np.full(len(examples), cubic(np.array(t))) for _, t in wanted]), {}

    (found,) = profiles([Path(np.zeros((2, 4)))], look, Grid())
    rows = {row["definition"]: row for row in tables(found, Grid(resamples=10))[0]}
    assert len(found.t) == 9 and rows["chord"]["t_at_max"] == 43 / 64
    assert rows["chord"]["plugin"] == pytest.approx(cubic(np.arange(65) / 64).max(), abs=1e-12)
    assert rows["convexity_gap"]["plugin"] >= cubic(np.arange(41) / 40).max() - 1e-12


def test_the_shape_is_settled_by_the_error_of_all_examples() -> None:
    """A pilot's own error is large; that of all examples is small, and so must be that of the interpolant."""
    heights = 1 + 0.5 * np.random.default_rng(8).normal(size=4000)

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([bump(0.43, 0.25, 1.0)(np.array(t)) * heights[examples] for _, t in wanted]), {}

    ends = np.array([bump(0.43, 0.25, 1.0)(np.array(t)) * heights for t in (0.0, 1.0)])
    (found,) = profiles([Path(ends)], look, Grid(tolerance=1e-4))
    assert found.t_error is not None and found.t_error < 1.3 * stats.sem(heights)
    assert len(found.t) == 17, "no better than the data will be able to tell"


@pytest.mark.parametrize("looks", [(64, 96, 144, 216), (64, 3000), (50, 51, 400)])
def test_the_critical_value_is_that_of_all_looks(looks: tuple[int, ...]) -> None:
    random, repeats = np.random.default_rng(1), 50_000
    total, highest, before = np.zeros(repeats), np.full(repeats, -np.inf), 0
    for count in looks:
        total += random.normal(size=repeats) * np.sqrt(count - before)
        highest, before = np.maximum(highest, total / np.sqrt(count)), count
    crossed = (highest > sequential.critical(looks)).mean()
    assert crossed == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / repeats) ** 0.5)
    assert sequential.critical((70,)) == pytest.approx(1.95996, abs=1e-4)
    assert sequential.widening(looks) == pytest.approx(sequential.critical(looks) / 1.95996, rel=1e-5)


def test_looks_grow_to_all_examples() -> None:
    assert sequential.looks(40) == (40,) and sequential.looks(64) == (64,)
    for examples in (65, 1000, 12_345):
        looks = sequential.looks(examples)
        assert looks[-1] == examples and (np.diff(looks) > 0).all()


def test_what_wants_more_examples_is_what_the_maximum_depends_on() -> None:
    """Places 1 and 2 may lie too far above what is certain at place 3; there, times with more than an even share."""
    low, high = np.array([0.0, 0.3, 0.2, 0.5, 0.1]), np.array([0.4, 0.9, 0.8, 0.65, 0.69])
    shares = np.array([[9.0, 0, 0, 0, 0], [0, 5, 4, 1, 0], [1, 1, 1, 6, 1], [0, 0, 1, 1, 8], [0, 0, 9, 0, 0]])
    assert sequential.wanting(low, high, shares, 0.1).tolist() == [1, 2, 3, 4]
    assert sequential.wanting(low, high, shares, 0.16).tolist() == [1, 2, 4]
    assert sequential.wanting(low, high, shares, 0.3).tolist() == [4], "what is certain is known as well as wanted"


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

    def look(self, wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        self.looked += [(n, t, int(e)) for n, t in wanted for e in examples]
        losses = np.array([self.at(t)[examples] for _, t in wanted])
        return losses, {"accuracy": losses + 1}

    @property
    def path(self) -> Path:
        ends = np.array([self.at(0.0), self.at(1.0)])
        return Path(ends, {"accuracy": ends.mean(axis=1) + 1})


@pytest.mark.slow
def test_intervals_at_the_stop_cover_and_are_as_narrow_as_wanted() -> None:
    repeats, precision, covered, evaluations = 80, 0.04, 0, []
    for seed in range(repeats):
        world = World(800, seed, 0.5, 0.3)
        grid = Grid(precision=precision, resamples=200)
        (found,) = profiles([world.path], world.look, grid)
        rows = tables(found, grid)[0]
        chord = next(row for row in rows if row["definition"] == "chord")
        assert chord["high"] - chord["low"] <= 2 * precision or found.examples == 800
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
    (found,) = profiles([world.path], world.look, Grid(precision=0.04, resamples=100))
    counts = np.isfinite(found.losses).sum(axis=1)
    assert found.t_error is not None and found.t_error < 0.02 and counts.max() > 10 * counts.min()


def test_nothing_is_evaluated_twice_and_paths_stop_by_themselves() -> None:
    easy, hard = World(900, 1, 0.5, 0.05), World(900, 2, 0.5, 0.6)

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        parts = [(easy, hard)[n].look([(n, t)], examples) for n, t in wanted]
        return np.concatenate([losses for losses, _ in parts]), {
            "accuracy": np.concatenate([metrics["accuracy"] for _, metrics in parts])
        }

    same = Path(np.stack([easy.at(0.0)] * 2), one_point=True)
    grid = Grid(precision=0.02, resamples=200)
    one, two, three = profiles([easy.path, hard.path, same], look, grid)
    looked = easy.looked + hard.looked
    assert len(looked) == len(set(looked)) == one.evaluations + two.evaluations
    assert one.evaluations < two.evaluations / 3 and one.examples < 200 < two.examples
    assert one.widening == two.widening == pytest.approx(sequential.critical(sequential.looks(900)) / 1.95996, rel=1e-5)
    for found, world in ((one, easy), (two, hard)):
        for t, losses, metric in zip(found.t, found.losses, found.metrics["accuracy"], strict=True):
            known = np.isfinite(losses)
            assert_allclose(losses[known], world.at(t)[known], rtol=0, atol=1e-12)
            assert abs(metric - 1 - world.at(t).mean()) < 4 * losses[known].std() / known.sum() ** 0.5
    rows = tables(three, Grid(resamples=10))[0]
    assert three.metrics == {} and {(row["barrier"], row["low"], row["high"]) for row in rows} == {(0, 0, 0)}


def test_without_precision_intervals_are_as_if_all_examples_were_evaluated() -> None:
    """Nearly: what is evaluated on few is known by what is evaluated on all."""
    world = World(900, 3, 0.5, 0.2)
    (found,) = profiles([world.path], world.look, Grid())
    counts = np.isfinite(found.losses).sum(axis=1)
    assert len(world.looked) == len(set(world.looked)) == found.evaluations < 0.8 * 900 * (len(found.t) - 2)
    assert found.widening == 1 and counts.max() == 900 and counts[1:-1].min() >= 64 and found.examples == 900
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
        assert row["accuracy"] is None or abs(row["accuracy"] - 1 - here.mean()) < 0.15
        assert (row["accuracy"] is None) != row["evaluated"]
    assert {row["definition"] for row in barriers} == {d.value for d in barrier.Definition}
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


def widths(losses: Callable[..., Any]) -> tuple[dict[str, float], np.ndarray]:
    """How much wider each interval is than from all examples everywhere, and the examples of each time."""

    def look(wanted: list[tuple[int, float]], some: Int[np.ndarray, " n"]) -> Found:
        return np.array([losses(t, some) for _, t in wanted]), {}

    (found,) = profiles([Path(np.array([losses(0.0), losses(1.0)]))], look, Grid())
    whole = replace(found, losses=np.array([losses(float(t)) for t in found.t]))
    ours, usual = (tables(one, Grid(resamples=400))[0] for one in (found, whole))
    ratio = {a["definition"]: (a["high"] - a["low"]) / (b["high"] - b["low"]) for a, b in zip(ours, usual, strict=True)}
    return ratio, np.isfinite(found.losses[1:-1]).sum(axis=1)


def test_every_definition_has_its_places() -> None:
    """The chord's maximum lies at 0.25, that above the ends at 0.8; what lies between depends on both."""
    ratio, counts = widths(two_places(1500, 1, tilt=2.0, heights=(0.6, 0.7)))
    assert max(ratio.values()) < 1.15 and sorted(counts)[-2:] == [1500, 1500] and np.mean(counts) < 300


def test_what_no_other_time_tells_is_evaluated_on_more_than_a_pilot() -> None:
    ratio, counts = widths(two_places(1500, 1, tilt=2.0, heights=(0.6, 0.7), rough=0.6))
    assert max(ratio.values()) < 1.15 and 64 < counts.min() < counts.max() == 1500


def test_what_is_no_maximum_needs_a_pilot_alone() -> None:
    """A bump of a tenth of the other's height: no definition depends on it."""
    ratio, counts = widths(two_places(1500, 2, tilt=0.0, heights=(1.0, 0.1)))
    assert max(ratio.values()) < 1.15 and sorted(counts)[-2:] == [64, 1500]


def test_metrics_known_on_few_examples_are_means_of_differences() -> None:
    values = np.array([[1.0, 2, 3, 4], [np.nan, 5, np.nan, 8], [2, 2, 2, 6], [1, np.nan, np.nan, np.nan]])
    assert paired.means_by_differences(values).tolist() == [2.5, 2.5 + ((5 - 2) + (8 - 4)) / 2, 3.0, 3.0 + (1 - 2)]


def test_a_rise_known_on_few_examples_borrows_from_its_neighbour() -> None:
    """Its error is that of the rest, and its mean is unbiased; known on all examples, nothing changes."""
    t, errors, means = np.array([0, 0.4, 0.5, 1]), [], []
    for seed in range(120):
        random = np.random.default_rng(seed)
        common, own = random.normal(size=1000), random.normal(size=1000)
        losses = np.stack([0 * common, 0.3 + 0.8 * common + 0.2 * own, 0.5 + common, 0 * common])
        full = paired.band(t, losses)
        losses[1, 64:] = np.nan
        found = paired.band(t, losses)
        errors.append(found.rise_error[1])
        means.append(found.rise[1])
        assert full.rise[1] == pytest.approx(0.3 + 0.8 * common.mean() + 0.2 * own.mean(), abs=1e-12)
    expected = (0.2**2 / 64 + 0.8**2 / 1000) ** 0.5
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert np.std(means) == pytest.approx(expected, rel=4 / 240**0.5)
    assert np.mean(means) == pytest.approx(0.3, abs=4 * expected / 120**0.5)


def test_it_borrows_from_the_nearest_of_those_known_best() -> None:
    """What lies farther off has nothing to do with it."""
    random = np.random.default_rng(2)
    far, near, own = random.normal(size=(3, 4000))
    t = np.array([0, 0.1, 0.5, 0.6, 1])
    losses = np.stack([0 * near, far, 0.8 * near + 0.2 * own, near, 0 * near])
    losses[2, 400:] = np.nan
    t = np.insert(t, 2, 0.2)
    losses = np.insert(losses, 2, np.nan, axis=0)
    losses[2, :400] = far[:400]
    found = paired.band(t, losses)
    assert found.rise_error[3] == pytest.approx((0.2**2 / 400 + 0.8**2 / 4000) ** 0.5, rel=0.15)
    assert found.rise_error[2] == pytest.approx(4000**-0.5, rel=0.15)


@pytest.mark.parametrize("drift", [0.8, pytest.param(-0.8, marks=pytest.mark.slow)])
def test_examples_in_order_do_not_mislead(drift: float) -> None:
    """A text whose beginning is easier than its end: the first examples are no sample of it."""
    random = np.random.default_rng(6)
    each = 1 + drift * np.linspace(-1, 1, 2000) + 0.1 * random.normal(size=2000)

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([4 * t * (1 - t) * each[examples] for _, t in wanted]), {}

    grid = Grid(precision=0.1, resamples=100)
    (found,) = profiles([Path(np.zeros((2, 2000)))], look, grid)
    chord = tables(found, grid)[0][0]
    assert chord["low"] < each.mean() < chord["high"] <= chord["low"] + 0.2 and found.examples < 500


def test_rival_peaks_are_both_followed() -> None:
    """Two peaks of one height with noise of their own: both must be known for their maximum to be."""
    random = np.random.default_rng(7)
    noise = 0.4 * random.normal(size=(2, 2000))

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        bumps = np.array([[bump(c, 0.1, 1.0)(np.array(t)) for c in (0.3, 0.7)] for _, t in wanted])
        return bumps @ (1 + noise[:, examples]), {}

    grid = Grid(precision=0.07, resamples=100)
    (found,) = profiles([Path(np.zeros((2, 2000)))], look, grid)
    chord = tables(found, grid)[0][0]
    assert chord["high"] - chord["low"] <= 0.14 and found.examples < 2000
    counts = np.isfinite(found.losses).sum(axis=1)
    left, right = (counts[np.abs(found.t - c).argmin()] for c in (0.3, 0.7))
    assert min(left, right) > 2 * sequential.PILOT


def test_the_error_of_a_loss_known_on_few_examples_is_that_of_two_means() -> None:
    """The mean of the chord over all examples and of the rise over few of them, which share these few."""
    level, own = np.random.default_rng(3).normal(size=(2, 1000))
    losses = np.stack([level, 0.5 + 1.5 * level + 0.3 * own, 0.8 * level - 0.2 * own])
    losses[1, 64:] = np.nan
    found = paired.band(np.array([0, 0.5, 1]), losses)
    chord = (losses[0] + losses[2]) / 2
    rise = (losses[1] - chord)[:64]
    together = ((rise - rise.mean()) * (chord - chord.mean())[:64]).sum() / 63
    variance = rise.var(ddof=1) / 64 + chord.var(ddof=1) / 1000 + 2 * together * 64 / (64 * 1000)
    assert found.loss[1] == pytest.approx(chord.mean() + rise.mean(), abs=1e-12)
    assert found.error[1] == pytest.approx(variance**0.5, rel=1e-9)


@pytest.mark.parametrize("level", range(len(chebyshev.LEVELS)))
def test_the_interpolant_is_that_of_scipy(level: int) -> None:
    times = np.sort(np.append(np.random.default_rng(level).uniform(0, 1, 50), chebyshev.nodes(level)))
    expected = BarycentricInterpolator(chebyshev.nodes(level), np.eye(chebyshev.LEVELS[level]), rng=0)(times)
    np.testing.assert_allclose(chebyshev.interpolant(level, 1, times).matrix, expected, rtol=0, atol=1e-12)
