"""What a noisy series shows for certain: that it rises and then falls, that it slows down and then speeds up.

No curve is fitted. Means over stretches of neighbouring checkpoints, of all lengths at once, are compared, so nothing
is claimed of what lies between two checkpoints, the pace of change may vary by decades, and more checkpoints never show
less. After the multiresolution analysis of Davies and Kovac (2001) and the multiscale tests of Duembgen and Spokoiny
(2001); unlike theirs, the noise is estimated, and what this costs is in the thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float, Int

FALSE, TAILS = 0.01, 0.5
"""Chance of anything false in white noise, for turning points and for changes of pace alike; and the level of the
narrower stretch in which a turn is dated. Together with the spread of the draws it makes intervals that cover at least
what they say (docs/validation.md)."""
CURVED = 2.0
"""By how much the noise is better known than of white noise alone: of a series that changes, its estimate errs on the
safe side. With this factor at most two of a hundred series with one rise have anything more (docs/validation.md)."""
GROWTH = 2**0.5
"""Lengths of the stretches grow by this factor."""
SHAPES = ((1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1), (1, 4, 1))
"""Lengths of three neighbouring stretches, relative to one another."""
SIZES = (5, 7, 10, 14, 20, 30, 50, 100, 200, 500)
RUNS = (1, 3, 10)
MEANS = {
    0.01: (
        (16.39, 6.86, 4.08),
        (11.60, 5.51, 3.72),
        (9.07, 4.83, 3.62),
        (7.80, 4.29, 3.50),
        (5.92, 4.17, 3.62),
        (5.53, 3.98, 3.60),
        (4.84, 3.97, 3.66),
        (4.30, 3.75, 3.67),
        (4.12, 3.82, 3.83),
        (3.95, 3.86, 3.86),
    ),
    0.5: (
        (0.84, 1.15, 0.94),
        (1.05, 1.28, 1.13),
        (1.25, 1.38, 1.25),
        (1.37, 1.47, 1.35),
        (1.55, 1.58, 1.47),
        (1.67, 1.71, 1.62),
        (1.82, 1.84, 1.76),
        (2.01, 1.99, 1.95),
        (2.08, 2.07, 2.08),
        (2.21, 2.21, 2.21),
    ),
}
PACES = {
    0.01: (
        (10.45, 5.90, 3.79),
        (8.89, 5.23, 3.81),
        (7.64, 4.81, 3.85),
        (7.36, 4.67, 3.94),
        (6.44, 4.68, 4.05),
        (6.05, 4.60, 4.16),
        (5.44, 4.45, 4.19),
        (5.00, 4.40, 4.27),
        (4.91, 4.59, 4.57),
        (4.66, 4.52, 4.52),
    ),
    0.5: (
        (1.31, 1.42, 1.34),
        (1.51, 1.74, 1.66),
        (1.82, 1.95, 1.86),
        (2.09, 2.17, 2.07),
        (2.31, 2.37, 2.26),
        (2.46, 2.51, 2.45),
        (2.71, 2.71, 2.65),
        (2.86, 2.88, 2.84),
        (3.02, 3.03, 3.03),
        (3.19, 3.20, 3.20),
    ),
}
"""Thresholds by the chance of anything false, the number of checkpoints, and the runs that the noise is known from."""
Bounds = Float[np.ndarray, "4 stretches"]
Refuted = Callable[[int, int], int]


@dataclass(frozen=True)
class Turn:
    """A sign that changes for certain.

    Attributes:
        sign: 1 for a maximum, or of the pace a change from slowing down to speeding up; -1 for the opposite.
        first: Number of the checkpoint from which on it lies, whatever the noise.
        last: Up to which it lies.
        low: From which on it lies more likely than not.
        high: Up to which it does.
    """

    sign: int
    first: int
    last: int
    low: int
    high: int


def turning_points(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], count: int) -> list[Turn]:
    """Maxima and minima that noise does not explain, in turn.

    A stretch has a mean with bounds ``mean -+ sd sqrt((q^2 + 2 log(n / length)) / length)``, which hold for all at
    once. A series that only rises has no stretch whose lower bound is above the upper bound of a later one. The series
    is divided into as few monotone parts as these bounds allow.

    Args:
        value: The series.
        sd: Standard deviation of each value.
        count: Differences that it was estimated from.
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
    """Changes between slowing down and speeding up that noise does not explain, in turn.

    Of three neighbouring stretches the mean of the middle one is above the line through the other two where the curve
    slows its rise (or speeds up its fall) there. A sign of 1 is a place before which it was above and after which it
    is below: the flattest place between two rises, or the sharpness of a fall.

    Args:
        x: Places of the checkpoints.
        value: The series.
        sd: Standard deviation of each value.
        count: Differences that it was estimated from.
    """

    def refuted(first: int, last: int, level: float) -> tuple[Refuted, Refuted]:
        at, part, sds = (values[first : last + 1] for values in (x, value, sd))
        n = last - first + 1
        q = threshold(n, count, level, pace=True)
        ahead, back = _triples(at, part, sds, q), _triples(-at[::-1], part[::-1], sds[::-1], q)
        return (lambda start, sign: _bends(ahead, n, start, sign)), (lambda start, sign: _bends(back, n, start, sign))

    return _alternating(len(value), refuted)


def changes(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], count: int) -> bool:
    """Whether the series is not constant for certain."""
    _, _, low, high = _bounds(value, sd, threshold(len(value), count, FALSE, pace=False))
    return bool(low.max() > high.min())


def threshold(n: int, count: int, level: float, *, pace: bool) -> float:
    """The quantile of the largest statistic in white noise whose deviation was estimated from so many differences.

    The square of each statistic has first been lowered by ``2 log(n / length)``, so that stretches of every length
    have the same share in what is false: short ones, which are many, do not hide what long ones show. Simulated by
    ``validation/thresholds.py``.

    Args:
        n: Checkpoints.
        count: Differences, of one run or of several.
        level: ``FALSE`` or ``TAILS``.
        pace: Whether of triples of stretches or of single ones.
    """
    table = np.array((PACES if pace else MEANS)[level])
    runs = max(CURVED * count / max(n - 2, 1), 1.0)
    column = [np.interp(np.log(n), np.log(SIZES), table[:, k]) for k in range(len(RUNS))]
    return float(np.interp(np.log(runs), np.log(RUNS), column))


def largest(values: Float[np.ndarray, "worlds steps"], *, pace: bool) -> Float[np.ndarray, " worlds"]:
    """The largest lowered statistic of each of some even series of deviation 1."""
    n = values.shape[1]
    x, ones = np.arange(n, dtype=float), np.ones(n)
    most = np.full(len(values), -np.inf)
    if pace:
        for lengths in _shapes(n):
            score = np.abs(_bent(x, values, ones, lengths)[2]).max(axis=-1)
            most = np.maximum(most, score**2 - _chances(n, sum(lengths)))
        return np.asarray(np.sqrt(np.maximum(most, 0)))
    for length in _lengths(n // 2):
        score = np.abs(_mean(values, ones, length)[0]).max(axis=-1) * np.sqrt(length)
        most = np.maximum(most, score**2 - _chances(n, length))
    return np.asarray(np.sqrt(np.maximum(most, 0)))


def _alternating(n: int, refuted: Callable[[int, int, float], tuple[Refuted, Refuted]]) -> list[Turn]:
    """Turns between the fewest parts, each as long as it is not refuted.

    Args:
        n: Checkpoints.
        refuted: From the first and the last checkpoint of a stretch, and a level, to two functions: from a checkpoint
            of it, and a sign, to the first one by which the part of this sign that begins there is refuted (their
            number, if it is not); and the same of the stretch backwards, for the part of this sign that ends there.
    """
    ahead, back = refuted(0, n - 1, FALSE)
    # Of equally few, the division whose first part is there for certain: the other sign is refuted earlier.
    divisions = [list(_parts(n, ahead, sign)) for sign in (1, -1)]
    ends = min(divisions, key=lambda parts: (len(parts), -parts[0][1] if parts else 0))
    out = []
    for sign, last in ends:
        first = n - 1 - back(n - 1 - last, -sign)
        if first < 0:  # nothing shows that the part before it is of the other sign
            continue
        onwards, backwards = refuted(first, last, TAILS)
        size = last - first + 1
        high, low = min(onwards(0, sign), size - 1), size - 1 - min(backwards(0, -sign), size - 1)
        out.append(Turn(sign, first, last, first + min(low, high), first + max(low, high)))
    return out


def _parts(n: int, refuted: Refuted, sign: int) -> Iterator[tuple[int, int]]:
    """Sign of each part but the last, and the checkpoint by which it is refuted."""
    last = refuted(0, sign)
    while last < n:
        yield sign, last
        sign, last = -sign, refuted(last - 1, -sign)


def _falls(bounds: Bounds, n: int, start: int, sign: int) -> int:
    """The first checkpoint by which a part that rises (or for -1 falls) from the start on is refuted."""
    inside = bounds[0] >= start
    begin, end = bounds[:2, inside].astype(int)
    low, high = bounds[2:, inside] if sign > 0 else -bounds[:1:-1, inside]
    best = np.full(n, -np.inf)
    np.maximum.at(best, end, low)
    best = np.maximum.accumulate(best)
    wrong = (begin > start) & (best[np.maximum(begin - 1, 0)] > high)
    return int(end[wrong].min()) if wrong.any() else n


def _bounds(value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], q: float) -> Bounds:
    """First and last checkpoint of every stretch, and the bounds of its mean."""
    n, parts = len(value), []
    for length in _lengths(n // 2):
        mean, variance = _mean(value, sd**-2, length)
        half = np.sqrt((q**2 + _chances(n, length)) * variance)
        first = np.arange(len(mean))
        parts.append(np.stack([first, first + length - 1, mean - half, mean + half]))
    return np.concatenate(parts, axis=1)


def _bends(triples: Float[np.ndarray, "3 triples"], n: int, start: int, sign: int) -> int:
    """The first checkpoint by which a part that slows down (or for -1 speeds up) from the start on is refuted."""
    wrong = (triples[0] >= start) & (sign * triples[2] < 0)
    return int(triples[1, wrong].min()) if wrong.any() else n


def _triples(
    x: Float[np.ndarray, " steps"], value: Float[np.ndarray, " steps"], sd: Float[np.ndarray, " steps"], q: float
) -> Float[np.ndarray, "3 triples"]:
    """First and last checkpoint of the triples that are bent for certain, and 1 where the middle is above the line."""
    n, parts = len(value), []
    for lengths in _shapes(n):
        first, last, score = _bent(x, value, sd**-2, lengths)
        certain = score**2 > q**2 + _chances(n, sum(lengths))
        parts.append(np.stack([first, last, np.sign(score)])[:, certain])
    return np.concatenate(parts, axis=1) if parts else np.empty((3, 0))


def _bent(
    x: Float[np.ndarray, " steps"],
    value: Float[np.ndarray, "*worlds steps"],
    weight: Float[np.ndarray, " steps"],
    lengths: tuple[int, int, int],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, "*worlds n"]]:
    """First and last checkpoint of each triple, and how far its middle is above the line, in standard errors."""
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
    """Weighted mean of every stretch of a length, and its variance."""
    total, sums = ((np.cumsum(np.concatenate([np.zeros((*part.shape[:-1], 1)), part], axis=-1), axis=-1))
                   for part in (weight, weight * value))  # fmt: skip
    size = total[length:] - total[:-length]
    return (sums[..., length:] - sums[..., :-length]) / size, 1 / size


def _lengths(most: int) -> list[int]:
    """Lengths of stretches: 1, 2, 3, 4, 6, 8, ... up to the longest."""
    out = [1]
    while (longer := max(out[-1] + 1, round(out[-1] * GROWTH))) <= most:
        out.append(longer)
    return out


def _shapes(n: int) -> Iterator[tuple[int, int, int]]:
    """Lengths of the three stretches of every kind of triple among so many checkpoints."""
    for length in _lengths(n // 3):
        for shape in SHAPES:
            if sum(shape) * length <= n:
                yield shape[0] * length, shape[1] * length, shape[2] * length


def _chances(n: int, length: int) -> float:
    """What the square of a statistic is lowered by, for the number of stretches of a length that lie side by side."""
    return float(2 * np.log(max(n / length, 1)))
