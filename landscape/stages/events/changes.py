"""Dated events of one series: extrema, plateaus, the fastest change, and the half-rise (t50).

:mod:`landscape.stages.events.evidence` decides which extrema and plateaus are significant. Their dates come from the
posterior draws of the curve: each draw gives one date. Where a draw lacks the event the date is infinite, so runs
without the event are kept and rank last. An interval is never narrower than the gap between the checkpoints around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from landscape.shapes import Bool, Float
from landscape.stages.events.evidence import Turn
from landscape.stages.series.axis import Axis
from landscape.stages.series.smooth import Curves

TAIL = 0.05
"""Probability outside of an interval at each end; intervals of events are 90 % intervals."""
CERTAIN = 0.95
"""Share of the draws in which an extremum must exceed its surroundings, and a plateau must be flatter than its."""
PERSISTENCE = 0.5
"""Smallest increase of the logarithm of the gradient on both sides of a plateau."""
FLAT = 0.05
"""Gradients below this share of the smaller gradient around a plateau count as equal."""


@dataclass(frozen=True)
class Event:
    """One event of one series.

    Attributes:
        name: ``half_rise``, ``stable``, ``fastest``, ``extremum``, ``plateau``, ``break`` or ``state``.
        way: ``rise`` or ``fall``, ``maximum`` or ``minimum``; a plateau has the direction in which the curve continues.
        at: Coordinate on the axis of training in each draw; infinity if it does not happen, minus infinity if it
            happened before the first checkpoint.
        extent: Range of coordinates in which an extremum or plateau lies; None for other events.
    """

    name: str
    way: str
    at: Float[np.ndarray, " draws"]
    extent: tuple[float, float] | None = None


class Row(TypedDict):
    """An event as a row of the table ``event``; see :func:`row`."""

    event: str
    way: str
    step: float
    low: float
    high: float
    censored: str
    happened: float


def half_rise(curves: Curves, level: float, rising: bool) -> Event:
    """The half-rise (t50): when the curve first reaches a level, interpolated between two checkpoints.

    Args:
        curves: Curve of the series.
        level: From :func:`half_level`, the same for all seeds; a seed that never reaches it is censored.
        rising: Whether the level is reached from below.
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
    return Event("half_rise", "rise" if rising else "fall", at)


def fastest(curves: Curves) -> Event:
    """Where the gradient between two checkpoints is largest, in the direction of the total change.

    The date is that of the mean curve, and the spread that of the draws. The largest noisy gradient of a draw tends to
    lie where checkpoints are sparse, and would bias the date.
    """
    sign = direction(curves)
    middles = (curves.x[1:] + curves.x[:-1]) / 2
    gaps = np.diff(curves.x)
    at = middles[(sign * np.diff(curves.draws, axis=1) / gaps).argmax(axis=1)]
    centre = middles[(sign * np.diff(curves.mean) / gaps).argmax()]
    return Event("fastest", "rise" if sign > 0 else "fall", around(centre, at, curves.x))


def direction(curves: Curves) -> int:
    """1 if the mean curve is above its start where it is farthest from it, else -1."""
    moved = curves.mean - curves.mean[0]
    return int(np.sign(moved[np.abs(moved).argmax()])) or 1


def extrema(curves: Curves, turns: Sequence[Turn], least: float = 0.0) -> list[Event]:
    """Significant maxima and minima.

    The date in a draw is the highest (or lowest) checkpoint of the interval that the evidence leaves. The extremum must
    exceed the lowest points on both sides, up to the next extrema, in 95 % of the draws, and by the least change in
    the mean.

    Args:
        curves: Curve of the series.
        turns: From :func:`landscape.stages.events.evidence.turning_points`.
        least: Smallest height of an extremum, in units of the series.
    """
    events = []
    for turn, before, after in _with_neighbours(turns, len(curves.x)):
        height, draws = turn.sign * curves.mean, turn.sign * curves.draws
        top = turn.first + int(height[turn.first : turn.last + 1].argmax())
        feet = [before + int(height[before : top + 1].argmin()), top + int(height[top : after + 1].argmin())]
        standing = np.stack([draws[:, top] - draws[:, foot] for foot in feet])
        if min(height[top] - height[foot] for foot in feet) < least or (standing > 0).mean(axis=1).min() < CERTAIN:
            continue
        best = draws[:, turn.first : turn.last + 1].argmax(axis=1)
        extent = float(curves.x[turn.low]), float(curves.x[turn.high])
        events.append(Event("extremum", "maximum" if turn.sign > 0 else "minimum", curves.x[turn.first + best], extent))
    return events


def plateaus(curves: Curves, paces: Sequence[Turn], least: float = 0.0, turning: Sequence[Event] = ()) -> list[Event]:
    """Significant flat intervals between two rises, or between two falls.

    Where a rise significantly slows down and then speeds up again, the gradient has a minimum. It is a plateau if the
    gradient grows by a factor of ``exp(0.5)`` or more on both sides, in 95 % of the draws, and if there is no extremum
    between the points of fastest change on both sides: a fall between two rises is bounded by its extrema instead.

    Args:
        curves: Curve of the series.
        paces: From :func:`landscape.stages.events.evidence.paces`.
        least: Smallest rise on both sides, in units of the series.
        turning: Extrema of the series.
    """
    events = []
    middles = (curves.x[1:] + curves.x[:-1]) / 2
    turned = np.array([np.median(event.at) for event in turning])
    for turn, before, after in _with_neighbours(paces, len(curves.x)):
        gradient = turn.sign * np.diff(curves.mean) / np.diff(curves.x)
        low = turn.first + int(gradient[turn.first : turn.last].argmin())
        left, right = before + int(gradient[before : low + 1].argmax()), low + int(gradient[low:after].argmax())
        steep = min(gradient[left], gradient[right])
        if steep <= 0 or gradient[low] > np.exp(-PERSISTENCE) * steep:
            continue
        if ((middles[left] <= turned) & (turned <= middles[right])).any():
            continue
        height = np.log(np.maximum(gradient, FLAT * steep))
        flat = _stretch(height <= height[low] + PERSISTENCE / 2, low)
        up, down = (_stretch(height >= height[peak] - PERSISTENCE / 2, peak) for peak in (left, right))
        secants = [_secant(turn.sign * curves.draws, curves.x, ends) for ends in (flat, up, down)]
        rises = [turn.sign * (curves.mean[b] - curves.mean[a]) for a, b in ((before, low), (low + 1, after))]
        if min((steeper > secants[0]).mean() for steeper in secants[1:]) < CERTAIN or min(rises) < least:
            continue
        likely = slice(turn.low, max(turn.high, turn.low + 1))
        wide = max(1, (flat[1] - flat[0]) // 2)
        at = middles[likely][_gradients(turn.sign * curves.draws, curves.x, wide)[:, likely].argmin(axis=1)]
        extent = float(curves.x[turn.low]), float(curves.x[turn.high])
        events.append(Event("plateau", "rise" if turn.sign > 0 else "fall", at, extent))
    return events


def boundaries(curves: Curves, turns: Sequence[Turn], paces: Sequence[Turn], least: float = 0.0) -> list[Event]:
    """Extrema and plateaus, in the order of training.

    Args:
        curves: Curve of the series.
        turns: As for :func:`extrema`.
        paces: As for :func:`plateaus`.
        least: Smallest height of an extremum and smallest rise around a plateau, in units of the series.
    """
    turning = extrema(curves, turns, least)
    return sorted([*turning, *plateaus(curves, paces, least, turning)], key=lambda event: float(np.median(event.at)))


def half_level(curves: Curves) -> tuple[float, bool]:
    """The level in the middle between the first value and the one farthest from it, and whether it is above the first.

    Args:
        curves: Mean curve over seeds. All seeds share its level, so permutations of the seeds do not change it.

    Returns:
        Level in units of the series, and whether the curve rises to it.
    """
    start = float(curves.mean[0])
    far = float(curves.mean[np.abs(curves.mean - start).argmax()])
    return (start + far) / 2, far > start


def row(event: Event, seen: Float[np.ndarray, " steps"], axis: Axis) -> Row:
    """An event as a row of the table ``event``: its step with a 90 % interval.

    The interval is never narrower than the gap between the checkpoints around the event. It lies within training,
    unless more than 5 % of the draws date the event before or after training.

    Args:
        event: The event.
        seen: Coordinates of the checkpoints.
        axis: Axis of training.

    Returns:
        ``event, way, step, low, high, censored, happened``. Steps are training steps. A censored event has no step, and
        one end of its interval is the last (or first) checkpoint. ``happened`` is the share of draws in which the event
        happens within training, in [0, 1].
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
        "event": event.name,
        "way": event.way,
        "step": axis.step(middle) if censored == "no" else np.nan,
        "low": max(axis.step(low), 0.0),
        "high": axis.step(high),
        "censored": censored,
        "happened": float(np.isfinite(event.at).mean()),
    }


def quantile(event: Event, share: float) -> float:
    """Quantile of the dates, the coordinate of one of the draws since dates may be infinite; the median is the date."""
    return float(np.quantile(event.at, share, method="inverted_cdf"))


def around(
    centre: float, at: Float[np.ndarray, " draws"], x: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, " draws"]:
    """Draws shifted to have their median at the centre, and clipped to the range of x.

    Args:
        centre: Coordinate of the centre.
        at: Coordinates in each draw.
        x: Coordinates of the checkpoints.
    """
    return np.asarray(np.clip(at - np.median(at) + centre, x[0], x[-1]))


def _with_neighbours(turns: Sequence[Turn], count: int) -> Iterator[tuple[Turn, int, int]]:
    """Each turn with the first checkpoint of the turn before it and the last checkpoint of the turn after it."""
    for n, turn in enumerate(turns):
        yield turn, turns[n - 1].first if n else 0, turns[n + 1].last if n + 1 < len(turns) else count - 1


def _stretch(inside: Bool[np.ndarray, " gaps"], at: int) -> tuple[int, int]:
    """First and last checkpoint of the contiguous gaps that are inside, around one of them."""
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


def _gradients(
    draws: Float[np.ndarray, "draws steps"], x: Float[np.ndarray, " steps"], wide: int
) -> Float[np.ndarray, "draws gaps"]:
    """Gradient around every gap, over ``wide`` gaps, and over fewer at the ends."""
    gaps = np.arange(len(x) - 1)
    first, last = np.maximum(gaps - (wide - 1) // 2, 0), np.minimum(gaps + wide // 2 + 1, len(x) - 1)
    return np.asarray((draws[:, last] - draws[:, first]) / (x[last] - x[first]))
