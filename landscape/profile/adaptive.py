"""Losses along paths: on a fixed grid of t, or at as many t and on as many examples as their errors require."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from landscape.catalogue import PRECISE
from landscape.profile import barrier, nodes, paired, pilot, sequential
from landscape.profile.definitions import MAX_COARSE
from landscape.profile.nodes import Interpolation
from landscape.profile.paired import Components
from landscape.profile.path_state import Evaluate, KnownEnds, PathState, extend
from landscape.shapes import Float, Int

RESAMPLE_SEED = 0
ORDER_SEED = 0
PILOT = 16
"""Examples on which a shape is found."""
DOUBT = 1.25
"""Factor on the half-width that the first examples predict for all: they know it to an eighth."""
IN_QUESTION = 0.5
"""Share of the t between the ends that a wanted half-width takes beyond the first look, about."""


@dataclass(frozen=True)
class Grid:
    """Where profiles are evaluated, and how precisely.

    Attributes:
        points: Size of an even t grid, or ``auto`` for nine Chebyshev points and as many more as are needed.
        tolerance: Error of the interpolant, in nats, at which ``auto`` stops; it also stops at half the error of the
            data.
        halfwidth: Wanted half-width of the interval of the chord barrier, in nats; None makes intervals nearly as
            narrow as evaluating all examples at all t would.
        target: What is to have that half-width: the barrier of each pair, or their mean.
        resamples: Number of bootstrap resamples.
        precise: The definitions of which intervals are to be so narrow.
    """

    points: int | Literal["auto"] = "auto"
    tolerance: float = 0.002
    halfwidth: float | None = None
    target: Literal["pairs", "mean"] = "pairs"
    resamples: int = 1000
    precise: tuple[str, ...] = PRECISE


@dataclass(frozen=True)
class Profile:
    """Losses along a path.

    Attributes:
        t: The evaluated t, in [0, 1].
        losses: Loss of each example at each t; nan where it was not evaluated.
        metrics: All other numbers of each example likewise, by name.
        interpolation: How the profile is read between the evaluated t.
        coarse: The same at few t, for definitions over every three of them.
        shown: The same at the t of ``profile`` rows.
        t_error: Error of the interpolant, in the unit of the losses; None for a fixed grid.
        evaluations: Number of examples evaluated between the ends, summed over t, checks of the interpolant included.
        widening: Factor on intervals, for having looked at the data more than once.
    """

    t: Float[np.ndarray, " t"]
    losses: Float[np.ndarray, "t examples"]
    metrics: dict[str, Float[np.ndarray, "t examples"]]
    interpolation: Interpolation
    coarse: Interpolation
    shown: Interpolation
    t_error: float | None
    evaluations: int
    widening: float

    @property
    def components(self) -> Components:
        """Components of the losses."""
        return paired.components(self.t, self.losses)

    @property
    def examples(self) -> int:
        """Number of examples at the t between the ends that has most."""
        return int(np.isfinite(self.losses[1:-1]).sum(axis=1).max(initial=0))


def profiles(
    paths: Sequence[KnownEnds], evaluate: Evaluate, grid: Grid, again: Callable[[float], bool] = lambda halfwidth: False
) -> list[Profile]:
    """Profiles of paths, evaluated together.

    Args:
        paths: The paths, on the same examples.
        evaluate: Evaluates examples between the ends.
        grid: Where and how precisely.
        again: Whether numerical errors so far are too large for intervals of this half-width, in the unit of the
            losses. If so, everything is evaluated again, and ``evaluate`` is exact from then on.
    """
    if grid.points == "auto":
        return _adaptive(paths, evaluate, grid, again)
    t = np.linspace(0, 1, grid.points)
    everything = np.arange(paths[0].ends.shape[1])

    def evaluated() -> list[PathState]:
        states = [PathState(path, t, np.arange(len(t))) for path in paths]
        wanted = [(n, k) for n, state in enumerate(states) if not state.path.one_point for k in range(1, len(t) - 1)]
        extend(states, wanted, everything, evaluate)
        return states

    states = _exact(evaluated, everything, grid, again)
    interpolation = nodes.identity(t)
    return [
        Profile(
            t, state.profile, state.others(), interpolation, interpolation, interpolation, None, state.evaluations, 1.0
        )
        for state in states
    ]


def _exact(
    evaluated: Callable[[], list[PathState]], known: Int[np.ndarray, " n"], grid: Grid, again: Callable[[float], bool]
) -> list[PathState]:
    """States of paths, evaluated a second time if numerical errors are too large for the narrowest interval."""
    states = evaluated()
    each = [sequential.ONE_LOOK * pilot.error(state, known) for state in states if not state.path.one_point]
    return evaluated() if each and again(max(min(each), grid.halfwidth or 0.0)) else states


def _adaptive(
    paths: Sequence[KnownEnds], evaluate: Evaluate, grid: Grid, again: Callable[[float], bool]
) -> list[Profile]:
    """First the shape, on a few examples, then the height, on as many as are needed.

    On the first examples t are added until the interpolant is precise enough. Then more examples are evaluated where
    they matter. Without a wanted half-width there are so many that intervals are hardly wider than if all examples were
    evaluated at all t. With one, they are evaluated at the t on which the maximum depends, until it is known precisely
    enough; a path that would take as many evaluations that way is treated as if none were wanted.
    """
    examples = paths[0].ends.shape[1]
    order = np.random.default_rng(ORDER_SEED).permutation(examples)
    counts, looks = sequential.looks(examples, PILOT), sequential.looks(examples)

    def shapes() -> list[PathState]:
        states = [PathState(path, nodes.grid(path.pieces), nodes.first(path.pieces)) for path in paths]
        _resolve_shape(states, order[: counts[0]], evaluate, grid)
        return states

    states = _exact(shapes, order[: counts[0]], grid, again)
    rough = [n for n, state in enumerate(states) if not state.path.one_point]
    at_once = rough if grid.halfwidth is None else _at_once(states, rough, order[: counts[0]], counts, grid)
    _resolve_all(states, at_once, order, counts, evaluate, grid)
    within = [n for n in rough if n not in at_once]
    if within:
        first = [(n, k) for n in within for k in states[n].used[1:-1].tolist()]
        extend(states, first, order[counts[0] : looks[0]], evaluate)
        _resolve_maximum(states, within, order, looks, evaluate, grid)
    return [_read(state, sequential.widening(looks) if n in within else 1.0) for n, state in enumerate(states)]


def _at_once(
    states: list[PathState], rough: list[int], known: Int[np.ndarray, " n"], counts: tuple[int, ...], grid: Grid
) -> list[int]:
    """The paths for which several looks would not give the wanted half-width, or take as many evaluations as one.

    An interval without the factor for several looks is narrower. The choice hangs on the errors of the first examples,
    not on their means. Skewed losses tie the two; simulated coverage is kept there as well.
    """
    assert grid.halfwidth is not None
    groups = [rough] if grid.target == "mean" else [[n] for n in rough]
    looks = sequential.looks(counts[-1])
    out = []
    for group in groups:
        share = pilot.halfwidth([states[n] for n in group], known) * sequential.widening(looks) / grid.halfwidth
        needed = max(counts[-1] * share**2 - looks[0], 0) * IN_QUESTION + looks[0]
        several = needed * sum(len(states[n].used) - 2 for n in group)
        each = (pilot.allocation(states[n], known, counts, grid.precise).evaluations(counts[-1]) for n in group)
        heavy = any(pilot.enough(states[n].path.ends) > looks[0] for n in group)
        if heavy or share >= 1 / DOUBT or sum(each) <= several:
            out += group
    return out


def _resolve_shape(states: list[PathState], known: Int[np.ndarray, " n"], evaluate: Evaluate, grid: Grid) -> None:
    rough = [n for n, state in enumerate(states) if not state.path.one_point]
    while rough:
        extend(states, [(n, k) for n in rough for k in states[n].unknown(states[n].used)], known, evaluate)
        for n in rough:
            states[n].choose_checks(known)
        extend(states, [(n, k) for n in rough for k in states[n].unknown(states[n].checks)], known, evaluate)
        rough = [n for n in rough if states[n].refine(known, _tolerance(states[n], known, grid))]


def _tolerance(state: PathState, known: Int[np.ndarray, " n"], grid: Grid) -> float:
    """Largest error of the interpolant: the wanted one, or a quarter of the interval that all examples would give."""
    return float(max(grid.tolerance, pilot.error(state, known), (grid.halfwidth or 0.0) / 2))


def _resolve_all(
    states: list[PathState],
    rough: list[int],
    order: Int[np.ndarray, " examples"],
    counts: tuple[int, ...],
    evaluate: Evaluate,
    grid: Grid,
) -> None:
    """Evaluate all examples at the t on which barriers depend, and as few as are enough at the others.

    As long as those that are known at all t do not say that they are enough, or are too few to say so, more are
    evaluated there.
    """
    for look, known in enumerate(counts[:-1]):
        found = {n: pilot.allocation(states[n], order[:known], counts[look:], grid.precise) for n in rough}
        rough = [n for n, one in found.items() if max(one.few, pilot.enough(states[n].path.ends)) > known]
        inner = {n: states[n].used[1:-1].tolist() for n in found}
        more = [(n, k) for n in rough for k in inner[n]]
        whole = [(n, k) for n in inner.keys() - rough for k, one in zip(inner[n], found[n].whole, strict=True) if one]
        extend(states, more, order[known : counts[look + 1]], evaluate)
        extend(states, sorted(whole), order[known:], evaluate)


def _resolve_maximum(
    states: list[PathState],
    wide: list[int],
    order: Int[np.ndarray, " examples"],
    counts: tuple[int, ...],
    evaluate: Evaluate,
    grid: Grid,
) -> None:
    assert grid.halfwidth is not None
    weights = barrier.resamples(len(order), grid.resamples, RESAMPLE_SEED)
    factor = sequential.widening(counts)
    for count in counts[1:]:
        if grid.target == "mean":
            wide = wide if factor * _mean_halfwidth([states[n] for n in wide]) > grid.halfwidth else []
        else:
            wide = [n for n in wide if not _narrow(states[n], weights, factor, grid.halfwidth)]
        starts: dict[int, list[tuple[int, int]]] = {}
        for n in wide:
            for k in _wanting(states[n], sequential.critical(counts), grid.halfwidth):
                starts.setdefault(states[n].count(k), []).append((n, k))
        for known, wanted in starts.items():
            extend(states, wanted, order[known:count], evaluate)


def _narrow(state: PathState, weights: Float[np.ndarray, "count examples"], factor: float, halfwidth: float) -> bool:
    interpolation = nodes.interpolant(state.used, state.path.pieces)
    chord = barrier.estimate(state.components, weights=weights, interpolation=interpolation, widening=factor)
    return chord.high - chord.low <= 2 * halfwidth


def _mean_halfwidth(states: list[PathState]) -> float:
    """Half-width of the 95 % interval of the mean of the largest rises; pairs share their examples."""
    if not states:
        return 0.0
    each = []
    for state in states:
        interpolation = nodes.interpolant(state.used, state.path.pieces)
        profile = state.components
        top = paired.band(profile, interpolation).rise.argmax()
        each.append(paired.influences(top, profile, interpolation))
    return float(sequential.ONE_LOOK * np.sqrt((np.mean(each, axis=0) ** 2).sum()))


def _wanting(state: PathState, critical: float, halfwidth: float) -> list[int]:
    """Indices of the t between the ends that need more examples."""
    used, interpolation = state.used, nodes.interpolant(state.used, state.path.pieces)
    band = paired.band(state.components, interpolation)
    low, high = (band.rise + sign * critical * band.rise_error for sign in (-1, 1))
    needed = sequential.wanting(low, high, band.shares, halfwidth)
    inner = [int(used[k]) for k in needed if 0 < k < len(used) - 1]
    return inner or [int(k) for k in used[1:-1]]


def _read(state: PathState, widening: float) -> Profile:
    used, pieces = state.used, state.path.pieces
    shown = np.union1d(used, np.arange(0, len(state.t), nodes.SHOWN))
    return Profile(
        t=state.t[used],
        losses=state.profile,
        metrics=state.others(),
        interpolation=nodes.interpolant(used, pieces),
        coarse=nodes.interpolant(used, pieces, np.linspace(0, 1, MAX_COARSE)),
        shown=nodes.interpolant(used, pieces, state.t[shown]),
        t_error=state.t_error,
        evaluations=state.evaluations,
        widening=widening,
    )
