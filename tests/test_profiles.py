"""Adaptive times and examples: held against dense grids, closed forms and simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from landscape import barrier, chebyshev, paired, sequential
from landscape.measure.profiles import Found, Grid, Path, profiles, tables
from landscape.shapes import Int

DENSE = np.linspace(0, 1, 4001)
Curve = Callable[[np.ndarray], np.ndarray]


def bump(centre: float, width: float, height: float) -> Curve:
    return lambda t: height * np.exp(-0.5 * ((t - centre) / width) ** 2)


def drawn(kind: str, random: np.random.Generator) -> Curve:
    """A profile of a kind with a random height from 0.05 to 5."""
    height = float(np.exp(random.uniform(np.log(0.05), np.log(5))))
    match kind:
        case "two peaks":
            one = bump(random.uniform(0.1, 0.45), random.uniform(0.05, 0.12), height)
            two = bump(random.uniform(0.55, 0.9), random.uniform(0.05, 0.12), height * random.uniform(0.7, 1))
            return lambda t: one(t) + two(t)
        case "narrow":
            return bump(random.uniform(0.1, 0.9), random.uniform(0.05, 0.1), height)
        case "plateau":
            steep, corner = random.uniform(0.04, 0.1), random.uniform(0.1, 0.4)
            return lambda t: height / (1 + np.exp((corner - t) / steep)) / (1 + np.exp((t - 1 + corner) / steep))
        case "cusp-like":
            centre, width = random.uniform(0.35, 0.65), random.uniform(0.1, 0.3)
            return lambda t: height / (1 + ((t - centre) / width) ** 2)
    power = random.uniform(1, 3, size=2)
    return lambda t: height * 4 * t ** power[0] * (1 - t) ** power[1]


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
    test_the_stated_error_covers(kind, tolerance)


@pytest.mark.parametrize(("kind", "tolerance"), [("two peaks", 0.01), ("smooth", 0.01)])
def test_the_stated_error_covers(kind: str, tolerance: float) -> None:
    """The maximum of the profile itself, on a dense grid, lies within the error of that of the interpolant."""
    random, evaluated = np.random.default_rng(4), []
    for _ in range(150):
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


def test_corners_need_no_more_points_than_straight_pieces() -> None:
    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([np.full(len(examples), 2 - abs(3 * t - 1)) for _, t in wanted]), {}

    (chain,) = profiles([Path(np.array([[1.0] * 4, [0.0] * 4]), pieces=3)], look, Grid())
    assert chain.t_error == pytest.approx(2 * 3 / 64 / 3 / 8, rel=1e-6) and len(chain.t) == 3 * 8 + 1


@pytest.mark.parametrize("looks", [(64, 96, 144, 216), (64, 3000), (50, 51, 400)])
def test_the_critical_value_is_that_of_all_looks(looks: tuple[int, ...]) -> None:
    random, repeats = np.random.default_rng(1), 200_000
    total, highest, before = np.zeros(repeats), np.full(repeats, -np.inf), 0
    for count in looks:
        total += random.normal(size=repeats) * np.sqrt(count - before)
        highest, before = np.maximum(highest, total / np.sqrt(count)), count
    crossed = (highest > sequential.critical(looks)).mean()
    assert crossed == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / repeats) ** 0.5)
    assert sequential.critical((70,)) == pytest.approx(1.95996, abs=1e-4)


def test_looks_grow_to_all_examples() -> None:
    assert sequential.looks(40) == (40,) and sequential.looks(64) == (64,)
    for examples in (65, 1000, 12_345):
        looks = sequential.looks(examples)
        assert looks[-1] == examples and (np.diff(looks) > 0).all()


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
    repeats, precision, covered, naive, evaluations = 150, 0.04, 0, 0, []
    for seed in range(repeats):
        world = World(800, seed, 0.5, 0.3)
        grid = Grid(precision=precision, resamples=200)
        (found,) = profiles([world.path], world.look, grid)
        rows = tables(found, grid)[0]
        chord = next(row for row in rows if row["definition"] == "chord")
        assert chord["high"] - chord["low"] <= 2 * precision or found.examples == 800
        assert chord["low"] <= chord["barrier"] <= chord["high"]
        covered += chord["low"] <= 0.5 <= chord["high"]
        middle = 0.5 * (chord["low"] + chord["high"])
        naive += abs(middle - 0.5) < (chord["high"] - chord["low"]) / 2 / found.widening
        evaluations.append(found.evaluations)
        assert chord["t_error"] < 0.02  # of shared examples: what some times have more is no error between them
    assert covered / repeats > 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5
    assert naive < covered
    assert np.mean(evaluations) < 0.5 * 9 * 800


def test_nothing_is_evaluated_twice_and_paths_stop_by_themselves() -> None:
    easy, hard = World(900, 1, 0.5, 0.05), World(900, 2, 0.5, 0.6)

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        parts = [(easy, hard)[n].look([(n, t)], examples) for n, t in wanted]
        return np.concatenate([losses for losses, _ in parts]), {
            "accuracy": np.concatenate([metrics["accuracy"] for _, metrics in parts])
        }

    same = Path(np.stack([easy.at(0.0)] * 2), one_point=True)
    one, two, three = profiles([easy.path, hard.path, same], look, Grid(precision=0.02))
    looked = easy.looked + hard.looked
    assert len(looked) == len(set(looked)) == one.evaluations + two.evaluations
    assert one.evaluations < two.evaluations / 3 and one.examples < 200 < two.examples
    for found, world in ((one, easy), (two, hard)):
        for t, losses, metric in zip(found.t, found.losses, found.metrics["accuracy"], strict=True):
            known = np.isfinite(losses)
            assert_allclose(losses[known], world.at(t)[known], rtol=0, atol=1e-12)
            assert metric == pytest.approx(losses[known].mean() + 1)
    rows = tables(three, Grid(precision=0.02))[0]
    assert three.metrics == {} and {(row["barrier"], row["low"], row["high"]) for row in rows} == {(0, 0, 0)}


def test_without_precision_all_examples_are_taken_everywhere() -> None:
    world = World(100, 3, 0.5, 0.2)
    (found,) = profiles([world.path], world.look, Grid())
    assert np.isfinite(found.losses).all() and found.widening == 1
    barriers, shown = tables(found, Grid())
    assert len(shown) == 33 and sum(row["evaluated"] for row in shown) == len(found.t)
    for row in shown:
        here = world.at(row["t"])
        rise = here - (1 - row["t"]) * world.at(0.0) - row["t"] * world.at(1.0)
        assert row["loss"] == pytest.approx(here.mean(), abs=1e-3)
        assert row["rise_error"] == pytest.approx(stats.sem(rise), abs=2e-3)
        assert row["error"] == pytest.approx(stats.sem(here), abs=2e-3)
        assert (row["accuracy"] is None) != row["evaluated"]
    assert {row["definition"] for row in barriers} == {d.value for d in barrier.Definition}
    area = next(row for row in barriers if row["definition"] == "area")
    assert area["low"] < 0.5 * 4 / 6 < area["high"]


def test_a_rise_known_on_few_examples_borrows_from_its_neighbour() -> None:
    """Its error is that of the rest, and its mean is unbiased; known on all examples, nothing changes."""
    t, errors, means = np.array([0, 0.4, 0.5, 1]), [], []
    for seed in range(400):
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
    assert np.mean(errors) == pytest.approx(expected, rel=0.05) and np.std(means) == pytest.approx(expected, rel=0.15)
    assert np.mean(means) == pytest.approx(0.3, abs=4 * expected / 20)
    assert expected < 0.5 * 0.82 / 64**0.5


@pytest.mark.parametrize("drift", [0.8, -0.8])
def test_examples_in_order_do_not_mislead(drift: float) -> None:
    """A text whose beginning is easier than its end: the first examples are no sample of it."""
    random = np.random.default_rng(6)
    each = 1 + drift * np.linspace(-1, 1, 2000) + 0.1 * random.normal(size=2000)

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        return np.array([4 * t * (1 - t) * each[examples] for _, t in wanted]), {}

    (found,) = profiles([Path(np.zeros((2, 2000)))], look, Grid(precision=0.1))
    chord = tables(found, Grid(precision=0.1))[0][0]
    assert chord["low"] < each.mean() < chord["high"] <= chord["low"] + 0.2 and found.examples < 500


def test_rival_peaks_are_both_followed() -> None:
    """Two peaks of one height with noise of their own: both must be known for their maximum to be."""
    random = np.random.default_rng(7)
    noise = 0.4 * random.normal(size=(2, 4000))

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        bumps = np.array([[bump(c, 0.1, 1.0)(np.array(t)) for c in (0.3, 0.7)] for _, t in wanted])
        return bumps @ (1 + noise[:, examples]), {}

    (found,) = profiles([Path(np.zeros((2, 4000)))], look, Grid(precision=0.05))
    chord = tables(found, Grid(precision=0.05))[0][0]
    assert chord["high"] - chord["low"] <= 0.1 and found.examples < 4000
    counts = np.isfinite(found.losses).sum(axis=1)
    left, right = (counts[np.abs(found.t - c).argmin()] for c in (0.3, 0.7))
    assert min(left, right) > 2 * sequential.PILOT


def test_the_error_of_a_loss_known_on_few_examples_is_its_spread() -> None:
    """Ends known on 1000 examples, the middle on 64, all of them correlated: by simulation."""
    t, errors, means = np.array([0, 0.5, 1]), [], []
    for seed in range(600):
        random = np.random.default_rng(seed)
        level, own = random.normal(size=1000), random.normal(size=1000)
        losses = np.stack([level, 0.5 + 1.5 * level + 0.3 * own, 0.8 * level - 0.2 * own])
        losses[1, 64:] = np.nan
        found = paired.band(t, losses)
        errors.append(found.error[1])
        means.append(found.loss[1])
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)
