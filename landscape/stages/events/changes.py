"""Dated changes of one series: extrema, plateaus, the fastest change, and crossings of a level.

What happens for certain is decided by :mod:`landscape.stages.events.evidence`; when it happens, by the posterior draws
of a curve, in each of which it finds itself. What a draw does not have is dated at infinity, so that runs in which
something never happens stay in, and are last. Nothing is dated more closely than by the two checkpoints around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.shapes import Bool, Float
from landscape.stages.events.evidence import Turn
from landscape.stages.series.axis import Axis
from landscape.stages.series.smooth import Curves

TAIL = 0.05
"""Outside of an interval at each end; intervals of events are those of 90 %."""
CERTAIN = 0.95
"""Share of the draws in which an extremum stands above its feet, and a plateau is flatter than what is around it."""
PERSISTENCE = 0.5
"""Least rise of the logarithm of the slope on both sides of a plateau."""
FLAT = 0.05
"""Share of the smaller slope beside a plateau below which slopes are told apart no more."""


@dataclass(frozen=True)
class Event:
    """One event of one series.

    Attributes:
        kind: Which kind.
        way: ``rise`` or ``fall``, ``maximum`` or ``minimum``; a plateau has the way in which the curve goes on.
        at: Its place on the axis of training in each draw; infinity where it does not happen, minus infinity where it
            had happened before the first checkpoint.
        extent: For a plateau, where it begins and ends.
    """

    kind: str
    way: str
    at: Float[np.ndarray, " draws"]
    extent: tuple[float, float] | None = None


def crossing(curves: Curves, level: float, rising: bool) -> Event:
    """The first time at which the curve has reached a level, between the first two checkpoints that straddle it.

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


def fastest(curves: Curves) -> Event:
    """Where the slope between two checkpoints is largest, in the direction of the whole change.

    The place is that of the mean curve and the spread that of the draws: the largest of noisy slopes is found where
    checkpoints are few, and would pull the place there.
    """
    sign = direction(curves)
    middles = (curves.x[1:] + curves.x[:-1]) / 2
    gaps = np.diff(curves.x)
    at = middles[(sign * np.diff(curves.draws, axis=1) / gaps).argmax(axis=1)]
    centre = middles[(sign * np.diff(curves.mean) / gaps).argmax()]
    return Event("fastest", "rise" if sign > 0 else "fall", around(centre, at, curves.x))


def direction(curves: Curves) -> int:
    """1 or -1 for the way from the start to where the mean is farthest from it."""
    moved = curves.mean - curves.mean[0]
    return int(np.sign(moved[np.abs(moved).argmax()])) or 1


def extrema(curves: Curves, turns: Sequence[Turn], least: float = 0.0) -> list[Event]:
    """Maxima and minima that noise does not explain.

    In a draw it is the best checkpoint of the stretch that the evidence leaves. It stands above the lowest places on
    both sides, up to the next extrema, in 95 % of the draws, and by the least change or more in the mean.

    Args:
        curves: Draws of the series.
        turns: From :func:`landscape.stages.events.evidence.turning_points`.
        least: Least change that counts, in the unit of the series.
    """
    found = []
    for turn, before, after in _beside(turns, len(curves.x)):
        height, draws = turn.sign * curves.mean, turn.sign * curves.draws
        top = turn.first + int(height[turn.first : turn.last + 1].argmax())
        feet = [before + int(height[before : top + 1].argmin()), top + int(height[top : after + 1].argmin())]
        standing = np.stack([draws[:, top] - draws[:, foot] for foot in feet])
        if min(height[top] - height[foot] for foot in feet) < least or (standing > 0).mean(axis=1).min() < CERTAIN:
            continue
        best = draws[:, turn.first : turn.last + 1].argmax(axis=1)
        extent = float(curves.x[turn.low]), float(curves.x[turn.high])
        found.append(Event("extremum", "maximum" if turn.sign > 0 else "minimum", curves.x[turn.first + best], extent))
    return found


def plateaus(curves: Curves, paces: Sequence[Turn], least: float = 0.0, turning: Sequence[Event] = ()) -> list[Event]:
    """Flat stretches between two rises, or between two falls, that noise does not explain.

    Where a rise slows down and then speeds up again for certain, the slope has a minimum. It is a plateau if the slope
    grows by ``exp(0.5)`` or more on both sides, and does so in 95 % of the draws, and if nothing turns between the
    sharpness places on both sides: a fall between two rises is bounded by its extrema.

    Args:
        curves: Draws of the series.
        paces: From :func:`landscape.stages.events.evidence.paces`.
        least: Least rise on both sides, in the unit of the series.
        turning: Its extrema.
    """
    found = []
    middles = (curves.x[1:] + curves.x[:-1]) / 2
    turned = np.array([np.median(event.at) for event in turning])
    for turn, before, after in _beside(paces, len(curves.x)):
        slope = turn.sign * np.diff(curves.mean) / np.diff(curves.x)
        low = turn.first + int(slope[turn.first : turn.last].argmin())
        left, right = before + int(slope[before : low + 1].argmax()), low + int(slope[low:after].argmax())
        steep = min(slope[left], slope[right])
        if steep <= 0 or slope[low] > np.exp(-PERSISTENCE) * steep:
            continue
        if ((middles[left] <= turned) & (turned <= middles[right])).any():
            continue
        height = np.log(np.maximum(slope, FLAT * steep))
        flat = _stretch(height <= height[low] + PERSISTENCE / 2, low)
        up, down = (_stretch(height >= height[peak] - PERSISTENCE / 2, peak) for peak in (left, right))
        secants = [_secant(turn.sign * curves.draws, curves.x, ends) for ends in (flat, up, down)]
        rises = [turn.sign * (curves.mean[b] - curves.mean[a]) for a, b in ((before, low), (low + 1, after))]
        if min((steeper > secants[0]).mean() for steeper in secants[1:]) < CERTAIN or min(rises) < least:
            continue
        place = slice(turn.low, max(turn.high, turn.low + 1))
        wide = max(1, (flat[1] - flat[0]) // 2)
        at = middles[place][_slopes(turn.sign * curves.draws, curves.x, wide)[:, place].argmin(axis=1)]
        extent = float(curves.x[turn.low]), float(curves.x[turn.high])
        found.append(Event("plateau", "rise" if turn.sign > 0 else "fall", at, extent))
    return found


def boundaries(curves: Curves, turns: Sequence[Turn], paces: Sequence[Turn], least: float = 0.0) -> list[Event]:
    """Extrema and plateaus in the order of training."""
    turning = extrema(curves, turns, least)
    return sorted([*turning, *plateaus(curves, paces, least, turning)], key=lambda event: float(np.median(event.at)))


def halfway(curves: Curves) -> tuple[float, bool]:
    """The level half-way between the first value and the one farthest from it, and whether it is above the first.

    Of the mean over the seeds. Shared by all seeds, and so no matter of which seed is which.
    """
    start = float(curves.mean[0])
    far = float(curves.mean[np.abs(curves.mean - start).argmax()])
    return (start + far) / 2, far > start


def row(event: Event, seen: Float[np.ndarray, " steps"], axis: Axis) -> dict[str, Any]:
    """What is said of an event: its step with a 90 % interval, never narrower than from checkpoint to checkpoint.

    The interval lies within training, save where more than 5 % of the draws date the event before or after it.

    Args:
        event: The event.
        seen: Places of the checkpoints.
        axis: Of training.

    Returns:
        ``event, way, step, low, high, censored, happened``; a censored event has no step, one end of its interval is
        the last (or first) checkpoint, and ``happened`` is the share of draws in which it happens within training.
    """
    middle, low, high = (quantile(event, q) for q in (0.5, TAIL, 1 - TAIL))
    censored = "right" if middle == np.inf else "left" if middle == -np.inf else "no"
    if event.extent is not None:
        low, high = min(low, event.extent[0]), max(high, event.extent[1])
    if censored == "no":
        before, after = seen[seen < middle], seen[seen > middle]
        low = min(low, float(before[-1]) if len(before) else middle)
        high = max(high, float(after[0]) if len(after) else middle)
        low = max(low, float(seen[0])) if np.isfinite(low) else low
        high = min(high, float(seen[-1])) if np.isfinite(high) else high
    low = min(low, float(seen[-1])) if low > -np.inf else 0.0
    if censored == "left":
        high = max(high, float(seen[0]))
    return {
        "event": event.kind,
        "way": event.way,
        "step": axis.step(middle) if censored == "no" else np.nan,
        "low": max(axis.step(low), 0.0),
        "high": axis.step(high),
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


def _beside(turns: Sequence[Turn], count: int) -> Iterator[tuple[Turn, int, int]]:
    """Each turn with the first checkpoint of the one before it and the last of the one after it."""
    for n, turn in enumerate(turns):
        yield turn, turns[n - 1].first if n else 0, turns[n + 1].last if n + 1 < len(turns) else count - 1


def _stretch(inside: Bool[np.ndarray, " gaps"], at: int) -> tuple[int, int]:
    """The first and the last checkpoint of the gaps that are inside, one after the other, about one of them."""
    first, last = at, at
    while first > 0 and inside[first - 1]:
        first -= 1
    while last + 1 < len(inside) and inside[last + 1]:
        last += 1
    return first, last + 1


def _secant(
    draws: Float[np.ndarray, "draws steps"], x: Float[np.ndarray, " steps"], ends: tuple[int, int]
) -> Float[np.ndarray, " draws"]:
    a, b = ends
    return np.asarray((draws[:, b] - draws[:, a]) / (x[b] - x[a]))


def _slopes(
    draws: Float[np.ndarray, "draws steps"], x: Float[np.ndarray, " steps"], wide: int
) -> Float[np.ndarray, "draws gaps"]:
    """Slope about every gap, over so many gaps, fewer at the ends."""
    gaps = np.arange(len(x) - 1)
    first, last = np.maximum(gaps - (wide - 1) // 2, 0), np.minimum(gaps + wide // 2 + 1, len(x) - 1)
    return np.asarray((draws[:, last] - draws[:, first]) / (x[last] - x[first]))
