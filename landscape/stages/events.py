"""Dated changes of one series: extrema, plateaus, the fastest change, and crossings of a level.

Each kind of event takes the posterior draws of a curve and finds itself in every one of them. What a draw does not have
is dated at infinity, so that runs in which something never happens stay in, and are last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.signal import find_peaks

from landscape.shapes import Float
from landscape.stages.smooth import Curves

TAIL = 0.05
"""Outside of an interval at each end; intervals of events are those of 90 %."""
CERTAIN, LIKELY = 4.0, 2.0
"""Standard deviations that a change has, or a hill above its feet, and the slopes around a plateau above its own."""
FLOOR = 0.05
"""Least prominence as a share of the range; share of the largest slope below which slopes are told apart no more."""
DIGITS = 6
"""Of a step, so that the last checkpoint is written as it is."""
PERSISTENCE = 0.5
"""Least rise of the logarithm of the slope on both sides of a plateau."""


@dataclass(frozen=True)
class Event:
    """One event of one series.

    Attributes:
        kind: Which kind.
        way: ``rise`` or ``fall``, ``maximum`` or ``minimum``; a plateau has the way in which the curve goes on.
        at: Its place in ``log(step + 1)`` in each draw; infinity where it does not happen, minus infinity where it had
            happened before the first checkpoint.
        extent: For a plateau, where it begins and ends.
    """

    kind: str
    way: str
    at: Float[np.ndarray, " draws"]
    extent: tuple[float, float] | None = None


def crossing(curves: Curves, level: float, rising: bool) -> Event:
    """The first time at which the curve has reached a level.

    Args:
        curves: Draws.
        level: One for all seeds, so that a seed that never gets there is censored.
        rising: From below, or else from above.
    """
    sign = 1.0 if rising else -1.0
    above = sign * (curves.draws - level)
    first = (above >= 0).argmax(axis=1)
    rows = np.arange(len(above))
    before = np.maximum(first - 1, 0)
    low, high = above[rows, before], above[rows, first]
    share = np.divide(-low, high - low, out=np.ones_like(low), where=high > low)
    at = curves.x[before] + share * (curves.x[first] - curves.x[before])
    at = np.where(first > 0, at, np.where(above[:, 0] >= 0, -np.inf, np.inf))
    return Event("crossing", "rise" if rising else "fall", at)


def fastest(curves: Curves) -> list[Event]:
    """Where the slope on ``log(step + 1)`` is largest, in the direction of the whole change; none without a change.

    The place is that of the mean curve and the spread that of the draws: the largest of noisy slopes is found where
    checkpoints are few, and would pull the place there.
    """
    sign = _direction(curves.draws)
    if sign == 0:
        return []
    slopes = sign * np.gradient(curves.draws, curves.x, axis=1)
    at = curves.x[slopes.argmax(axis=1)]
    centre = curves.x[(sign * np.gradient(curves.mean, curves.x)).argmax()]
    return [Event("fastest", "rise" if sign > 0 else "fall", around(centre, at, curves.x))]


def extremum(curves: Curves) -> list[Event]:
    """Hills and valleys that are there for certain.

    An extremum of the mean whose prominence is 5 % of the range or more, and which stands above the lowest places on
    both sides by four standard deviations of the draws or more. In a draw it is the best place between these two.
    """
    found = []
    for sign, name in ((1, "maximum"), (-1, "minimum")):
        heights = sign * curves.draws
        for top, left, right in _peaks(sign * curves.mean, FLOOR * np.ptp(curves.mean)):
            if min(_certain(heights[:, top] - heights[:, foot]) for foot in (left, right)) >= CERTAIN:
                best = heights[:, left : right + 1].argmax(axis=1)
                found.append(Event("extremum", name, curves.x[left + best]))
    return found


def plateau(curves: Curves) -> list[Event]:
    """Stretches of small slope between two of large slope.

    A plateau is a minimum of ``log |slope|`` of the mean, floored at 5 % of the largest slope, whose topological
    persistence is 0.5 or more: on both sides the slope grows by ``exp(0.5)`` before it falls lower, and for certain.
    Its place is that of the extremum if it holds one, and else its centre. Draws find the flattest place of the
    stretch between the two neighbouring peaks of the slope. Plateaus that overlap, or lie closer than checkpoints can
    tell, are one.
    """
    slope = np.gradient(curves.mean, curves.x)
    size = np.abs(slope)
    if size.max() <= 1e-12 * np.abs(curves.mean).max():
        return []
    height = np.log(np.maximum(size, FLOOR * size.max()))
    slopes = np.gradient(curves.draws, curves.x, axis=1)
    found = []
    basins = {(left, right): low for low, left, right in _peaks(-height, PERSISTENCE)}  # a floor has many lowest places
    for (left, right), low in basins.items():
        if any(_certain(np.sign(slope[p]) * slopes[:, p] - np.abs(slopes[:, low])) < LIKELY for p in (left, right)):
            continue
        flat = np.flatnonzero(height[left:right] <= height[low] + PERSISTENCE / 2) + left
        extent = float(curves.x[flat[0]]), float(curves.x[flat[-1]])
        inside = np.abs(slopes[:, left : right + 1])
        at = curves.x[left + inside.argmin(axis=1)]
        changes = [k for k in range(flat[0], flat[-1]) if slope[k] * slope[k + 1] < 0]
        centre = curves.x[changes[0]] if changes else sum(extent) / 2
        way = "rise" if slope[right] > 0 else "fall"
        found.append(Event("plateau", way, around(centre, at, curves.x), extent))
    return _merged(found, curves.seen)


def boundaries(curves: Curves) -> list[Event]:
    """Extrema and plateaus in the order of training; a plateau around an extremum is that extremum."""
    turning = extremum(curves)
    middles = [float(np.median(event.at)) for event in turning]
    flat = [event for event in plateau(curves) if not any(_holds(event, middle) for middle in middles)]
    return sorted([*turning, *flat], key=lambda event: float(np.median(event.at)))


def halfway(curves: list[Curves]) -> tuple[float, bool]:
    """The level half-way between the first value and the one farthest from it, and whether it is above the first.

    Of the mean over the seeds. Shared by all seeds, and so no matter of which seed is which.
    """
    start = float(np.mean([c.mean[0] for c in curves]))
    grid = np.linspace(max(c.x[0] for c in curves), min(c.x[-1] for c in curves), 200)
    mean = np.mean([np.interp(grid, c.x, c.mean) for c in curves], axis=0)
    far = float(mean[np.abs(mean - start).argmax()])
    return (start + far) / 2, far > start


def changes(curves: list[Curves]) -> bool:
    """Whether the mean over the seeds moves from its start for certain."""
    grid = np.linspace(max(c.x[0] for c in curves), min(c.x[-1] for c in curves), 50)
    return _direction(np.mean([[np.interp(grid, c.x, draw) for draw in c.draws] for c in curves], axis=0)) != 0


def row(event: Event, seen: Float[np.ndarray, " steps"]) -> dict[str, Any]:
    """What is said of an event: its step with a 90 % interval, never narrower than the spacing of checkpoints there.

    The interval lies within training, save where more than 5 % of the draws date the event before or after it.

    Args:
        event: The event.
        seen: ``log(step + 1)`` of the checkpoints.

    Returns:
        ``event, way, step, low, high, censored, happened``; a censored event has no step, one end of its interval is
        the last (or first) checkpoint, and ``happened`` is the share of draws in which it happens within training.
    """
    middle, low, high = (quantile(event, q) for q in (0.5, TAIL, 1 - TAIL))
    censored = "right" if middle == np.inf else "left" if middle == -np.inf else "no"
    if event.extent is not None:
        low, high = min(low, event.extent[0]), max(high, event.extent[1])
    if censored == "no":
        width = spacing(middle, seen)
        low, high = _within_training(min(low, middle - width / 2), max(high, middle + width / 2), width, seen)
    low = min(low, float(seen[-1])) if low > -np.inf else 0.0
    if censored == "left":
        high = max(high, float(seen[0]))
    return {
        "event": event.kind,
        "way": event.way,
        "step": step_at(middle) if censored == "no" else np.nan,
        "low": max(step_at(low), 0.0),
        "high": step_at(high),
        "censored": censored,
        "happened": float(np.isfinite(event.at).mean()),
    }


def quantile(event: Event, share: float) -> float:
    """One of the draws, so that infinite ones are no trouble; a share of one half is where an event is said to be."""
    return float(np.quantile(event.at, share, method="inverted_cdf"))


def around(
    centre: float, at: Float[np.ndarray, " draws"], x: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, " draws"]:
    """Draws moved to a place, none of them beyond the ends of the curve."""
    return np.asarray(np.clip(at - np.median(at) + centre, x[0], x[-1]))


def step_at(place: float) -> float:
    """The step at a place in ``log(step + 1)``, rounded so that a checkpoint is written as it is."""
    return round(float(np.expm1(place)), DIGITS)


def spacing(place: float, seen: Float[np.ndarray, " steps"]) -> float:
    """Distance of the checkpoints around a place, in ``log(step + 1)``; at a checkpoint, the larger gap beside it."""
    gaps = np.diff(seen)
    right = int(np.searchsorted(seen, place, side="right"))
    left = int(np.searchsorted(seen, place, side="left"))
    return float(max(gaps[min(max(k - 1, 0), len(gaps) - 1)] for k in (left, right)))


def _within_training(low: float, high: float, width: float, seen: Float[np.ndarray, " steps"]) -> tuple[float, float]:
    """The interval cut off at the first and the last checkpoint, and still so wide."""
    first, last = float(seen[0]), float(seen[-1])
    inside = max(first, min(low, last - width)), min(last, max(high, first + width))
    return (inside[0] if np.isfinite(low) else low), (inside[1] if np.isfinite(high) else high)


def _merged(plateaus: list[Event], seen: Float[np.ndarray, " steps"]) -> list[Event]:
    """Plateaus of which those at one place are one: as wide as both, and where the wider one is."""
    out: list[Event] = []
    for event in sorted(plateaus, key=lambda event: float(np.median(event.at))):
        if not out or not _same_place(out[-1], event, seen):
            out.append(event)
            continue
        a, b = (e.extent or (0.0, 0.0) for e in (out[-1], event))
        wider = out[-1] if a[1] - a[0] >= b[1] - b[0] else event
        out[-1] = replace(wider, way=event.way, extent=(min(a[0], b[0]), max(a[1], b[1])))
    return out


def _same_place(one: Event, other: Event, seen: Float[np.ndarray, " steps"]) -> bool:
    places = [float(np.median(event.at)) for event in (one, other)]
    overlap = one.extent and other.extent and one.extent[1] >= other.extent[0] and other.extent[1] >= one.extent[0]
    return bool(overlap) or abs(places[1] - places[0]) < min(spacing(place, seen) for place in places)


def _direction(draws: Float[np.ndarray, "draws grid"]) -> int:
    """1 or -1 for the way from the start to where the mean is farthest from it, 0 if that is not certain."""
    moved = draws - draws[:, :1]
    far = moved[:, np.abs(moved.mean(axis=0)).argmax()]
    return int(np.sign(far.mean())) if abs(_certain(far)) >= CERTAIN else 0


def _peaks(height: Float[np.ndarray, " grid"], prominence: float) -> Iterator[tuple[int, int, int]]:
    """Inner maxima of so much prominence (or persistence), each with the lowest places on both sides."""
    tops, beside = find_peaks(height, prominence=prominence)
    for top, left, right in zip(tops, beside["left_bases"], beside["right_bases"], strict=True):
        yield int(top), int(left), int(right)


def _certain(differences: Float[np.ndarray, " draws"]) -> float:
    """Mean over standard deviation."""
    return float(differences.mean() / max(float(differences.std()), 1e-300))


def _holds(event: Event, place: float) -> bool:
    return event.extent is not None and event.extent[0] <= place <= event.extent[1]
