"""What the first examples say of all: closed forms, and the widths of intervals that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.profile import nodes, pilot
from landscape.profile.adaptive import Grid, profiles
from landscape.profile.path_state import Evaluated, KnownEnds, PathState
from landscape.profile.rows import tables
from landscape.shapes import Int

N = 600


class Tied:
    """Rises that are tied to the ends' difference, in which every thirtieth example is far out."""

    def __init__(self, seed: int, own: float, far: float) -> None:
        random = np.random.default_rng(seed)
        self.gap = random.normal(size=N) + far * (random.random(N) < 1 / 30)
        self.own = own * random.normal(size=N)

    def evaluate(self, wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        gap, own = self.gap[examples], self.own[examples]
        return np.array([2 + t * gap + 4 * t * (1 - t) * (0.9 - 0.5 * gap + own) for _, t in wanted]), {}

    @property
    def path(self) -> KnownEnds:
        return KnownEnds(np.array([np.full(N, 2.0), 2 + self.gap]))


def state(world: Tied, known: np.ndarray) -> PathState:
    """A path of which some examples are known at nine t."""
    out = PathState(world.path, nodes.grid(1), nodes.first(1))
    inner = out.used[1:-1].tolist()
    losses, _ = world.evaluate([(0, float(out.t[k])) for k in inner], known)
    for k, values in zip(inner, losses, strict=True):
        out.record(k, known, {"loss": values})
    return out


def test_the_error_of_all_examples_is_known_from_few_whether_or_not_they_are_far_out() -> None:
    """A rise of half the ends' difference ``d`` and a rest: ``sqrt((var d / 4 + var rest) / N)``."""
    ratios = []
    for seed in range(60):
        world = Tied(seed, 0.1, 12.0)
        found = pilot.error(state(world, np.arange(24)), np.arange(24))
        truth = np.std(world.own - 0.5 * world.gap, ddof=1) / N**0.5
        ratios.append(found / truth)
        assert pilot.halfwidth([state(world, np.arange(24))], np.arange(24)) == pytest.approx(1.959964 * found)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05) and min(ratios) > 0.85 and max(ratios) < 1.15


def test_intervals_are_hardly_wider_where_the_ends_say_nearly_all() -> None:
    """Few examples are enough then, and the ends are used; else these few would be the whole interval.

    Every thirtieth example is far out, so it takes about a fifth of them; else it takes a tenth.
    """
    widths, took = [], []
    for seed in range(30):
        world = Tied(seed, 0.05, 12.0)
        found, fixed = (profiles([world.path], world.evaluate, grid)[0] for grid in (Grid(), Grid(points=33)))
        narrow, whole = (tables(one, Grid(resamples=300))[0][0] for one in (found, fixed))
        widths.append((narrow["high"] - narrow["low"]) / (whole["high"] - whole["low"]))
        took.append(found.evaluations)
        assert abs(narrow["barrier"] - whole["barrier"]) < 0.5 * (whole["high"] - whole["low"])
    assert np.mean(widths) < 1.1 and max(widths) < 1.25 and np.mean(took) < 0.2 * 7 * N


def test_a_variance_is_known_to_half_of_it_on_so_many_examples() -> None:
    """Kurtosis of values of which a share ``p`` is one and the rest zero: ``1 / (p (1 - p)) - 3``."""
    ends = np.zeros((2, 4000))
    ends[1, :40] = 7.0
    kurtosis = 1 / (0.01 * 0.99) - 3
    assert pilot.enough(ends) == pilot.enough(5 - 3 * ends[::-1]) == np.ceil(4 * (kurtosis - 1))
    assert pilot.enough(np.random.default_rng(0).normal(size=(2, 100_000))) in (8, 9)
    assert pilot.enough(ends[:, :200]) == 9 and pilot.enough(ends[:, 39:300]) == 261
    assert pilot.enough(np.ones((2, 50))) == 0 and pilot.enough(1e90 * ends) == pilot.enough(ends)


@pytest.mark.parametrize("halfwidth", [None, 0.2])
def test_a_few_examples_far_out_are_not_missed(halfwidth: float | None) -> None:
    """Three of 256 are far out at both ends alike, and rise otherwise; their variance is most of that of the area."""
    ratios: dict[str, list[float]] = {"chord": [], "area": [], "mean_ends": []}
    for seed in range(6):
        random = np.random.default_rng(seed)
        odd = np.isin(np.arange(256), random.choice(256, 3, replace=False))
        level, height = random.normal(4, 0.5, 256) + 9 * odd, random.normal(0.5, 0.3, 256)

        def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
            base, rise, far = level[examples], height[examples], odd[examples]  # noqa: B023
            return np.array([base + 4 * t * (1 - t) * rise + 6 * (4 * t * (1 - t)) ** 3 * far for _, t in wanted]), {}

        path = KnownEnds(np.stack([level, level]))
        grids = Grid(halfwidth=halfwidth, resamples=300), Grid(points=33, resamples=300)
        found, whole = (tables(profiles([path], evaluate, grid)[0], grid)[0] for grid in grids)
        for own, every in zip(found, whole, strict=True):
            if own["definition"] in ratios:
                ratios[own["definition"]].append((own["high"] - own["low"]) / (every["high"] - every["low"]))
    for name, own in ratios.items():
        assert min(own) > 0.9 and max(own) < 1.1, (name, own)


@pytest.mark.parametrize("target", ["pairs", "mean"])
@pytest.mark.parametrize("halfwidth", [0.3, 0.15, 0.1, 0.08, 0.05])
def test_a_wanted_half_width_takes_no_more_than_none(halfwidth: float, target: str) -> None:
    took = {}
    for wanted in (None, halfwidth):
        took[wanted] = 0
        grid = Grid(halfwidth=wanted, target=target, resamples=300)  # type: ignore[arg-type]
        for seed in range(12):
            world = Tied(seed, 0.5, 0.0)
            (found,) = profiles([world.path], world.evaluate, grid)
            took[wanted] += found.evaluations
            row = tables(found, grid)[0][0]
            assert wanted is None or target == "mean" or row["high"] - row["low"] <= 2 * max(wanted, 0.07)
    assert took[halfwidth] < 1.05 * took[None] and (halfwidth < 0.3 or took[halfwidth] < 0.5 * took[None])


def unlike(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
    """Plateaus, whose examples have a noise of their own at each t, of plus or minus one."""
    noise = [np.random.default_rng([n, int(t * 1e6)]).choice([-1.0, 1.0], N)[examples] for n, t in wanted]
    return np.array([3 - (2 * t - 1) ** 8 + own for (_, t), own in zip(wanted, noise, strict=True)]), {}


@pytest.mark.parametrize(("halfwidth", "target", "looks"), [
    (0.3, "pairs", True), (0.085, "pairs", False), (0.05, "pairs", False), (0.06, "mean", True),
])  # fmt: skip
def test_several_looks_are_taken_where_they_can_be_enough(halfwidth: float, target: str, looks: bool) -> None:
    """All examples give a pair 1.96 / 600 ** 0.5 = 0.08, the mean of six 0.03; several looks need a quarter more."""
    grid = Grid(halfwidth=halfwidth, target=target, resamples=100)  # type: ignore[arg-type]
    found = profiles([KnownEnds(np.full((2, N), 2.0))] * 6, unlike, grid)
    assert {one.widening > 1 for one in found} == {looks}
