"""Losses along paths: at fixed times, or at as many times and on as many examples as their error asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from landscape.profile import definitions, nodes, paired, sequential
from landscape.profile.allocation import Allocation, allocate
from landscape.profile.nodes import Interpolation
from landscape.shapes import Float, Int

RESAMPLE_SEED = 0
ORDER_SEED = 0
LOSS = "loss"
IN_PLAY, MOST_ROWS = 2.0, 64
"""Standard errors within which a contrast may be the largest, and how many of a definition are looked at."""


@dataclass(frozen=True)
class Grid:
    """Where and how well to look.

    Attributes:
        points: Size of an even t grid, or ``auto`` for nine Chebyshev points and as many more as it takes.
        tolerance: Error of the interpolant, in nats, at which ``auto`` stops; it also stops at half of the data's.
        halfwidth: Wanted half-width of the interval of the chord barrier; None makes all intervals nearly as narrow as
            all examples everywhere would.
        target: What is to be known with that halfwidth: the barrier of each pair, or their mean.
        resamples: Bootstrap resamples.
    """

    points: int | Literal["auto"] = "auto"
    tolerance: float = 0.002
    halfwidth: float | None = None
    target: Literal["pairs", "mean"] = "pairs"
    resamples: int = 1000


@dataclass(frozen=True)
class Path:
    """A path whose ends are evaluated.

    Attributes:
        ends: Losses of both ends.
        metrics: Means of everything else that is known, at both ends.
        pieces: How many polynomial pieces it has; more than one for chains.
        one_point: Whether both ends are the same weights, so that there is nothing between.
    """

    ends: Float[np.ndarray, "2 examples"]
    metrics: dict[str, Float[np.ndarray, " 2"]] = field(default_factory=dict)
    pieces: int = 1
    one_point: bool = False


@dataclass(frozen=True)
class Profile:
    """Losses along a path.

    Attributes:
        t: Dates that were evaluated.
        losses: Loss of each example at each time; nan where it was not evaluated.
        metrics: Means of everything else, at each time.
        interpolation: How the profile is read between the times.
        coarse: The same at few times, for definitions over every three points.
        shown: The same at the times of ``profile`` rows.
        t_error: Error of the interpolant; None for a fixed grid.
        evaluations: Examples evaluated at points between the ends, in all, checks of the interpolant among them.
        widening: Factor on intervals, for having looked at the data more than once.
    """

    t: Float[np.ndarray, " t"]
    losses: Float[np.ndarray, "t examples"]
    metrics: dict[str, Float[np.ndarray, " t"]]
    interpolation: Interpolation
    coarse: Interpolation
    shown: Interpolation
    t_error: float | None
    evaluations: int
    widening: float

    @property
    def examples(self) -> int:
        """Examples at the best known point between the ends."""
        return int(np.isfinite(self.losses[1:-1]).sum(axis=1).max(initial=0))


Found = tuple[Float[np.ndarray, "rows n"], dict[str, Float[np.ndarray, "rows n"]]]
Look = Callable[[list[tuple[int, float]], Int[np.ndarray, " n"]], Found]
"""Losses and metrics of these examples at these times, each a number of a path and a t."""


def profiles(paths: Sequence[Path], look: Look, grid: Grid) -> list[Profile]:
    """Profiles of paths, evaluated together."""
    if grid.points == "auto":
        return _adaptive(paths, look, grid)
    t = np.linspace(0, 1, grid.points)
    states = [_State(path, t, np.arange(len(t))) for path in paths]
    everything = np.arange(paths[0].ends.shape[1])
    wanted = [(n, k) for n, state in enumerate(states) if not state.path.one_point for k in range(1, len(t) - 1)]
    _extend(states, wanted, everything, look)
    interpolation = nodes.identity(t)
    return [
        Profile(
            t, state.profile, state.means(), interpolation, interpolation, interpolation, None, state.evaluations, 1.0
        )
        for state in states
    ]


@dataclass
class _State:
    """What is known of a path so far.

    Attributes:
        path: The path.
        t: All times at which it may be evaluated.
        used: Positions of the times through which the profile is read.
        losses: Loss of each example at the positions that were evaluated, nan where it was not; the ends among them.
        metrics: Everything else likewise, the ends left out.
        checks: Positions of the times at which the interpolant is checked.
        t_error: Error of the interpolant.
    """

    path: Path
    t: Float[np.ndarray, " t"]
    used: Int[np.ndarray, " used"]
    losses: dict[int, Float[np.ndarray, " examples"]] = field(init=False)
    metrics: dict[str, dict[int, Float[np.ndarray, " examples"]]] = field(default_factory=dict)
    checks: Int[np.ndarray, " checks"] = field(default_factory=lambda: np.zeros(0, dtype=int))
    t_error: float = 0.0

    def __post_init__(self) -> None:
        """The ends are known; and all of a path that is one point."""
        known = self.used.tolist() if self.path.one_point else (0, len(self.t) - 1)
        self.losses = {k: self.path.ends[0 if k == 0 or self.path.one_point else 1].astype(float) for k in known}

    @property
    def profile(self) -> Float[np.ndarray, "used examples"]:
        """Losses at the times in use."""
        return np.stack([self.losses[k] for k in self.used.tolist()])

    def unknown(self, places: Int[np.ndarray, " n"]) -> list[int]:
        """Those of some positions at which nothing is known."""
        return [k for k in places.tolist() if k not in self.losses]

    def count(self, place: int) -> int:
        """Examples that are known at a position."""
        return int(np.isfinite(self.losses[place]).sum())

    def put(self, place: int, examples: Int[np.ndarray, " n"], values: dict[str, Float[np.ndarray, " n"]]) -> None:
        """Take down what some examples have at a position, their losses among it."""
        for name, own in values.items():
            known = self.losses if name == LOSS else self.metrics.setdefault(name, {})
            known.setdefault(place, np.full(self.path.ends.shape[1], np.nan))[examples] = own

    def means(self) -> dict[str, Float[np.ndarray, " used"]]:
        """Metrics at the times in use."""
        out = {}
        for name, known in self.metrics.items():
            first, last = self.path.metrics[name]
            inner = np.stack([known[k] for k in self.used[1:-1].tolist()])
            out[name] = np.array([first, *paired.means_by_differences(inner), last])
        return out

    @property
    def evaluations(self) -> int:
        """Examples evaluated at times between the ends, in all."""
        inner = self.losses.keys() - {0, len(self.t) - 1}
        return 0 if self.path.one_point else sum(self.count(k) for k in inner)

    def choose_checks(self, pilot: Int[np.ndarray, " n"]) -> None:
        """Choose the times at which the interpolant is checked."""
        self.checks = nodes.checks(self.used, self._rise(self.used, pilot), self.path.pieces)

    def checked(self, pilot: Int[np.ndarray, " n"], tolerance: float) -> bool:
        """State the error of the interpolant; and whether there are more times to use, as it is above the tolerance."""
        before = len(self.used)
        seen = self.used, self._rise(self.used, pilot), self.checks, self._rise(self.checks, pilot)
        self.t_error = nodes.error(*seen, self.path.pieces)
        if self.t_error > tolerance:
            self.used = nodes.refined(*seen, tolerance, self.path.pieces)
        return len(self.used) > before

    def _rise(self, places: Int[np.ndarray, " n"], examples: Int[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Mean rise above the chord of some examples."""
        t, first, last = self.t[places], self.path.ends[0, examples].mean(), self.path.ends[1, examples].mean()
        means = np.array([self.losses[k][examples].mean() for k in places.tolist()])
        return np.asarray(means - (1 - t) * first - t * last)


def _extend(states: list[_State], wanted: list[tuple[int, int]], examples: Int[np.ndarray, " n"], look: Look) -> None:
    """Evaluate examples at times of paths, ``(path, position)``, and take down what was found."""
    if not wanted or not len(examples):
        return
    losses, metrics = look([(n, float(states[n].t[k])) for n, k in wanted], examples)
    for row, (n, k) in enumerate(wanted):
        states[n].put(k, examples, {LOSS: losses[row], **{name: values[row] for name, values in metrics.items()}})


def _adaptive(paths: Sequence[Path], look: Look, grid: Grid) -> list[Profile]:
    """First the shape, on a few examples, then the height, on as many as it takes.

    Dates are added on the first examples until the interpolant is good enough. Then more examples are evaluated
    where they matter: without a wanted halfwidth so many that intervals are hardly wider than if all examples were
    evaluated at all times, else at the times on which the maximum depends, until it is known well enough.
    """
    examples = paths[0].ends.shape[1]
    order = np.random.default_rng(ORDER_SEED).permutation(examples)
    counts = sequential.looks(examples)
    states = [_State(path, nodes.grid(path.pieces), nodes.first(path.pieces)) for path in paths]
    _find_shape(states, order[: counts[0]], look, grid)
    if grid.halfwidth is None:
        _find_means(states, order, counts, look)
        return [_read(state, 1.0) for state in states]
    _find_height(states, order, counts, look, grid)
    return [_read(state, sequential.widening(counts)) for state in states]


def _find_shape(states: list[_State], pilot: Int[np.ndarray, " n"], look: Look, grid: Grid) -> None:
    rough = [n for n, state in enumerate(states) if not state.path.one_point]
    while rough:
        _extend(states, [(n, k) for n in rough for k in states[n].unknown(states[n].used)], pilot, look)
        for n in rough:
            states[n].choose_checks(pilot)
        _extend(states, [(n, k) for n in rough for k in states[n].unknown(states[n].checks)], pilot, look)
        rough = [n for n in rough if states[n].checked(pilot, _tolerance(states[n], len(pilot), grid))]


def _tolerance(state: _State, pilot: int, grid: Grid) -> float:
    """Error of the interpolant that is good enough: the wanted one, or a quarter of the interval of all data."""
    band = paired.band(state.t[state.used], state.profile)
    data = 2 * float(band.rise_error[band.rise.argmax()]) * np.sqrt(pilot / state.path.ends.shape[1])
    return float(max(grid.tolerance, max(data, grid.halfwidth or 0.0) / 2))


def _find_means(states: list[_State], order: Int[np.ndarray, " examples"], counts: tuple[int, ...], look: Look) -> None:
    """All examples at the times on which barriers depend, and as few as suffice at the others."""
    ends: dict[int, list[tuple[int, int]]] = {}
    for n, state in enumerate(states):
        if not state.path.one_point:
            found = _allocation(state, order[: counts[0]], counts)
            for k, whole in zip(state.used[1:-1].tolist(), found.whole[:-1].tolist(), strict=True):
                ends.setdefault(counts[-1] if whole else found.few, []).append((n, k))
    for end, wanted in ends.items():
        _extend(states, wanted, order[counts[0] : end], look)


def _allocation(state: _State, pilot: Int[np.ndarray, " n"], counts: tuple[int, ...]) -> Allocation:
    """What the interval of each definition depends on: contrasts that may be its maximum, as a pilot shows them."""
    used, pieces = state.used, state.path.pieces
    parts, _ = paired.parts_of(state.t[used], state.profile[:, pilot])
    means, covariance = parts.mean(axis=1), np.cov(parts) / len(pilot)
    rows = []
    for definition in definitions.Definition:
        few = definition is definitions.Definition.CONVEXITY_GAP
        times = np.linspace(0, 1, definitions.MOST_FOR_TRIPLES) if few else None
        interpolation = nodes.interpolant(used, pieces, times)
        if definition in definitions.available(interpolation.t):
            contrasts, _ = definitions.contrasts(definition, interpolation.t)
            own = definitions.of_parts(contrasts, interpolation)
            least = (own @ means).argmin(axis=1)
            own = np.take_along_axis(own, least[:, None, None], axis=1)[:, 0]
            height = own @ means
            error = np.sqrt(np.einsum("rp,pq,rq->r", own, covariance, own).clip(min=0))
            inside = height >= (height - IN_PLAY * error).max() - IN_PLAY * error
            rows.append(own[inside][np.argsort(-height[inside])[:MOST_ROWS]])
    inner = [*range(1, len(used) - 1), len(used)]
    free = np.arange(len(inner)) == len(inner) - 1
    return allocate(parts[inner], np.concatenate(rows)[:, inner], free, counts)


def _find_height(
    states: list[_State], order: Int[np.ndarray, " examples"], counts: tuple[int, ...], look: Look, grid: Grid
) -> None:
    assert grid.halfwidth is not None
    weights = definitions.resamples(len(order), grid.resamples, RESAMPLE_SEED)
    factor = sequential.widening(counts)
    wide = [n for n, state in enumerate(states) if not state.path.one_point]
    for count in counts[1:]:
        if grid.target == "mean":
            wide = wide if factor * _mean_half_width([states[n] for n in wide]) > grid.halfwidth else []
        else:
            wide = [n for n in wide if not _narrow(states[n], weights, factor, grid.halfwidth)]
        starts: dict[int, list[tuple[int, int]]] = {}
        for n in wide:
            for k in _wanting(states[n], sequential.critical(counts), grid.halfwidth):
                starts.setdefault(states[n].count(k), []).append((n, k))
        for known, wanted in starts.items():
            _extend(states, wanted, order[known:count], look)


def _narrow(state: _State, weights: Float[np.ndarray, "count examples"], factor: float, halfwidth: float) -> bool:
    interpolation = nodes.interpolant(state.used, state.path.pieces)
    found = definitions.estimate(
        state.t[state.used], state.profile, weights=weights, interpolation=interpolation, widening=factor
    )
    return found.high - found.low <= 2 * halfwidth


def _mean_half_width(states: list[_State]) -> float:
    """Half-width of the 95 % interval of the mean of the largest rises; pairs share their examples."""
    if not states:
        return 0.0
    each = []
    for state in states:
        interpolation = nodes.interpolant(state.used, state.path.pieces)
        t, losses = state.t[state.used], state.profile
        top = paired.band(t, losses, interpolation).rise.argmax()
        each.append(paired.influences(top, t, losses, interpolation))
    return float(sequential.ONE_LOOK * np.sqrt((np.mean(each, axis=0) ** 2).sum()))


def _wanting(state: _State, critical: float, halfwidth: float) -> list[int]:
    """Positions of the times, ends left out, that need more examples."""
    used, interpolation = state.used, nodes.interpolant(state.used, state.path.pieces)
    there = paired.band(state.t[used], state.profile, interpolation)
    low, high = (there.rise + sign * critical * there.rise_error for sign in (-1, 1))
    needed = sequential.wanting(low, high, there.shares, halfwidth)
    inner = [int(used[k]) for k in needed if 0 < k < len(used) - 1]
    return inner or [int(k) for k in used[1:-1]]


def _read(state: _State, widening: float) -> Profile:
    used, pieces = state.used, state.path.pieces
    shown = np.union1d(used, np.arange(0, len(state.t), nodes.SHOWN))
    return Profile(
        t=state.t[used],
        losses=state.profile,
        metrics=state.means(),
        interpolation=nodes.interpolant(used, pieces),
        coarse=nodes.interpolant(used, pieces, np.linspace(0, 1, definitions.MOST_FOR_TRIPLES)),
        shown=nodes.interpolant(used, pieces, state.t[shown]),
        t_error=state.t_error,
        evaluations=state.evaluations,
        widening=widening,
    )
