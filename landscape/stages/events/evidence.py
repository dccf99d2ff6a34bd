"""Significant turns of a noisy series: that it rises and then falls, or slows down and then speeds up.

No curve is fitted. The tests compare means over stretches of neighbouring checkpoints, of all lengths at once. So they
claim nothing about the curve between checkpoints, and the speed of change may vary by decades. They follow the
multiresolution analysis of Davies and Kovac (2001) and the multiscale tests of Duembgen and Spokoiny (2001). Unlike
theirs, the noise is estimated; the thresholds include the cost of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float, Int
from landscape.stages.events.critical import FALSE, TAILS, threshold

GROWTH = 2**0.5
"""Ratio of successive lengths of stretches."""
SHAPES = ((1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1), (1, 4, 1))
"""Relative lengths of three neighbouring stretches."""
Bounds = Float[np.ndarray, "4 stretches"]
Refuted = Callable[[int, int], int]
"""From a first checkpoint and a sign to the first checkpoint by which a segment of this sign is rejected."""


@dataclass(frozen=True)
class Turn:
    """A significant change of sign: of the gradient, or of the change of the gradient.

    Attributes:
        sign: 1 for a maximum, or for a change from slowing down to speeding up in a rise; -1 for the opposite.
        first: Index of the first checkpoint at which it may lie.
        last: Index of the last one.
        low: Index of the first checkpoint at which it probably lies.
        high: Index of the last one.
    """

    sign: int
    first: int
    last: int
    low: int
    high: int


def turning_points(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], count: int) -> list[Turn]:
    """Significant maxima and minima, in alternation.

    The mean of a stretch has the simultaneous bounds ``mean -+ sd sqrt((q^2 + 2 log(n / length)) / length)``. In an
    increasing series no stretch has a lower bound above the upper bound of a later one. The series is divided into the
    smallest number of monotone segments that these bounds allow.

    Args:
        value: Values of the series.
        sd: Standard deviation of each value.
        count: Number of differences that it was estimated from.

    Returns:
        The turns in order; their indices count checkpoints.
    """

    def refuted(first: int, last: int, level: float) -> tuple[Refuted, Refuted]:
        part, sds, n = value[first : last + 1], sd[first : last + 1], last - first + 1
        q = threshold(n, count, level, pace=False)
        ahead, back = _bounds(part, sds, q), _bounds(part[::-1], sds[::-1], q)
        return (lambda start, sign: _falls(ahead, n, start, sign)), (lambda start, sign: _falls(back, n, start, -sign))

    return _alternating(len(value), refuted)


def paces(
    x: Float[np.ndarray, " steps"], value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], count: int
) -> list[Turn]:
    """Significant changes between slowing down and speeding up, in alternation.

    Where a rise slows down (or a fall speeds up), the mean of the middle one of three neighbouring stretches is above
    the line through the other two. A turn has sign 1 where the middle is above the line before it and below the line
    after it: the flattest point between two rises, or the point of fastest change of a fall.

    Args:
        x: Coordinates of the checkpoints.
        value: Values of the series.
        sd: Standard deviation of each value.
        count: Number of differences that it was estimated from.

    Returns:
        The turns in order; their indices count checkpoints.
    """

    def refuted(first: int, last: int, level: float) -> tuple[Refuted, Refuted]:
        at, part, sds = (values[first : last + 1] for values in (x, value, sd))
        n = last - first + 1
        q = threshold(n, count, level, pace=True)
        ahead, back = _triples(at, part, sds, q), _triples(-at[::-1], part[::-1], sds[::-1], q)
        return (lambda start, sign: _bends(ahead, n, start, sign)), (lambda start, sign: _bends(back, n, start, sign))

    return _alternating(len(value), refuted)


def changes(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], count: int) -> bool:
    """Whether the series is significantly not constant.

    Args:
        value: Values of the series.
        sd: Standard deviation of each value.
        count: Number of differences that it was estimated from.
    """
    _, _, low, high = _bounds(value, sd, threshold(len(value), count, FALSE, pace=False))
    return bool(low.max() > high.min())


def largest(values: Float[np.ndarray, "worlds steps"], *, pace: bool) -> Float[np.ndarray, " worlds"]:
    """The largest reduced statistic of each of several evenly spaced series with deviation 1, in standard errors."""
    n = values.shape[1]
    x, ones = np.arange(n, dtype=float), np.ones(n)
    top = np.full(len(values), -np.inf)
    if pace:
        for lengths in _shapes(n):
            score = np.abs(_bent(x, values, ones, lengths)[2]).max(axis=-1)
            top = np.maximum(top, score**2 - _reduction(n, sum(lengths)))
        return np.asarray(np.sqrt(np.maximum(top, 0)))
    for length in _lengths(n // 2):
        score = np.abs(_mean(values, ones, length)[0]).max(axis=-1) * np.sqrt(length)
        top = np.maximum(top, score**2 - _reduction(n, length))
    return np.asarray(np.sqrt(np.maximum(top, 0)))


def _alternating(n: int, refuted: Callable[[int, int, float], tuple[Refuted, Refuted]]) -> list[Turn]:
    """Turns between the smallest number of segments, each extended until it is rejected.

    Args:
        n: Number of checkpoints.
        refuted: A function of the first checkpoint and the last checkpoint of a range, and of a level. It returns two
            functions. The first maps a checkpoint of the range and a sign to the first checkpoint by which a segment
            of this sign that begins there is rejected (or to the length of the range, if it is not). The second does
            the same in reverse order, for the segment of this sign that ends there.
    """
    ahead, back = refuted(0, n - 1, FALSE)
    # Of equally short divisions, take the one whose first segment is certain: the other sign is rejected earlier.
    divisions = [list(_segments(n, ahead, sign)) for sign in (1, -1)]
    ends = min(divisions, key=lambda segments: (len(segments), -segments[0][1] if segments else 0))
    turns = []
    for sign, last in ends:
        first = n - 1 - back(n - 1 - last, -sign)
        if first < 0:  # no evidence that the segment before it has the other sign
            continue
        onwards, backwards = refuted(first, last, TAILS)
        size = last - first + 1
        high, low = min(onwards(0, sign), size - 1), size - 1 - min(backwards(0, -sign), size - 1)
        turns.append(Turn(sign, first, last, first + min(low, high), first + max(low, high)))
    return turns


def _segments(n: int, refuted: Refuted, sign: int) -> Iterator[tuple[int, int]]:
    """Sign of each segment except the last, and the checkpoint by which it is rejected."""
    last = refuted(0, sign)
    while last < n:
        yield sign, last
        sign, last = -sign, refuted(last - 1, -sign)


def _falls(bounds: Bounds, n: int, start: int, sign: int) -> int:
    """The first checkpoint by which a segment that rises (or for -1 falls) from the start is rejected."""
    inside = bounds[0] >= start
    begin, end = bounds[:2, inside].astype(int)
    low, high = bounds[2:, inside] if sign > 0 else -bounds[:1:-1, inside]
    best = np.full(n, -np.inf)
    np.maximum.at(best, end, low)
    best = np.maximum.accumulate(best)
    wrong = (begin > start) & (best[np.maximum(begin - 1, 0)] > high)
    return int(end[wrong].min()) if wrong.any() else n


def _bounds(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], q: float) -> Bounds:
    """First and last checkpoint of every stretch, and the lower and upper bound of its mean."""
    n, parts = len(value), []
    for length in _lengths(n // 2):
        mean, variance = _mean(value, sd**-2, length)
        half = np.sqrt((q**2 + _reduction(n, length)) * variance)
        first = np.arange(len(mean))
        parts.append(np.stack([first, first + length - 1, mean - half, mean + half]))
    return np.concatenate(parts, axis=1)


def _bends(triples: Float[np.ndarray, "3 triples"], n: int, start: int, sign: int) -> int:
    """The first checkpoint by which a segment that slows down (or for -1 speeds up) from the start is rejected."""
    wrong = (triples[0] >= start) & (sign * triples[2] < 0)
    return int(triples[1, wrong].min()) if wrong.any() else n


def _triples(
    x: Float[np.ndarray, " steps"], value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], q: float
) -> Float[np.ndarray, "3 triples"]:
    """First and last checkpoint of significantly bent triples, and 1 where the middle is above the line, else -1."""
    n, parts = len(value), []
    for lengths in _shapes(n):
        first, last, score = _bent(x, value, sd**-2, lengths)
        certain = score**2 > q**2 + _reduction(n, sum(lengths))
        parts.append(np.stack([first, last, np.sign(score)])[:, certain])
    return np.concatenate(parts, axis=1) if parts else np.empty((3, 0))


def _bent(
    x: Float[np.ndarray, " steps"],
    value: Float[np.ndarray, "*worlds steps"],
    weight: Float[np.ndarray, " steps"],
    lengths: tuple[int, int, int],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, "*worlds n"]]:
    """First and last checkpoint of each triple, and the height of its middle above the line, in standard errors."""
    total = sum(lengths)
    first = np.arange(len(x) - total + 1)
    at = [first, first + lengths[0], first + lengths[0] + lengths[1]]
    means = [
        tuple(part[..., where] for part in (*_mean(value, weight, length), _mean(x, weight, length)[0]))
        for where, length in zip(at, lengths, strict=True)
    ]
    (y0, v0, x0), (y1, v1, x1), (y2, v2, x2) = means
    share = (x1 - x0) / (x2 - x0)
    above = y1 - (1 - share) * y0 - share * y2
    return first, first + total - 1, above / np.sqrt(v1 + (1 - share) ** 2 * v0 + share**2 * v2)


def _mean(
    value: Float[np.ndarray, "*worlds steps"], weight: Float[np.ndarray, " steps"], length: int
) -> tuple[Float[np.ndarray, "*worlds n"], Float[np.ndarray, " n"]]:
    """Weighted mean of every stretch of the given length, and its variance."""
    total, sums = ((np.cumsum(np.concatenate([np.zeros((*part.shape[:-1], 1)), part], axis=-1), axis=-1))
                   for part in (weight, weight * value))  # fmt: skip
    size = total[length:] - total[:-length]
    return (sums[..., length:] - sums[..., :-length]) / size, 1 / size


def _lengths(longest: int) -> list[int]:
    """Lengths of stretches: 1, 2, 3, 4, 6, 8, ... up to the longest allowed."""
    out = [1]
    while (longer := max(out[-1] + 1, round(out[-1] * GROWTH))) <= longest:
        out.append(longer)
    return out


def _shapes(n: int) -> Iterator[tuple[int, int, int]]:
    """Lengths of the three stretches of all triples that fit among ``n`` checkpoints."""
    for length in _lengths(n // 3):
        for shape in SHAPES:
            if sum(shape) * length <= n:
                yield shape[0] * length, shape[1] * length, shape[2] * length


def _reduction(n: int, length: int) -> float:
    """Reduction of the square of a statistic, for the number of disjoint stretches of its length."""
    return float(2 * np.log(max(n / length, 1)))
