"""Barriers: how far the loss along a path rises, by every definition in use, each with its error.

Numbers in, numbers out: no tensor library is imported here.

A definition is an array of contrasts. With ``m`` the mean loss at each ``t``, the barrier is
``max_i min_j contrasts[i, j] @ m``; each contrast sums to zero, so a checkpoint against itself has a
barrier of exactly 0. All of them are computed from one stored profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from landscape.profile.nodes import Interpolation, identity
from landscape.profile.paired import means_of, parts_of
from landscape.shapes import Bool, Float, Int

COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
MOST_FOR_TRIPLES = 41
AT_ONCE = 64
"""Contrasts that are resampled together."""
FAR = 6.0
"""Standard errors beyond which nothing is expected."""
ROUNDING = 1e-12
"""Nats below which an error is that of rounding: all examples are alike."""


class Definition(StrEnum):
    """What "barrier" means; papers differ, and the values are not comparable across definitions.

    ``L`` is the mean loss along the path; the supremum runs over the grid, its ends included.
    """

    CHORD = "chord"
    """``max_t L(t) - ((1 - t) L(0) + t L(1))`` (Entezari et al. 2022, arXiv:2110.06296)."""
    MEAN_ENDS = "mean_ends"
    """``max_t L(t) - (L(0) + L(1)) / 2`` (Ainsworth et al. 2023, arXiv:2209.04836). Positive on a
    monotone path whose ends differ."""
    MAX_ENDS = "max_ends"
    """``max_t L(t) - max(L(0), L(1))``. Can be 0 where ``chord`` is large."""
    MIDPOINT = "midpoint"
    """``L(1/2) - (L(0) + L(1)) / 2`` (Frankle et al. 2020, arXiv:1912.05671, at one point). Signed."""
    AREA = "area"
    """Trapezoid integral of ``L(t) - chord(t)`` over t. Signed."""
    CONVEXITY_GAP = "convexity_gap"
    """Largest rise above the chord of any sub-segment ``s < t < u`` (Juneja et al. 2023,
    arXiv:2205.12411)."""


SIGNED = (Definition.MIDPOINT, Definition.AREA)
"""Definitions that can be negative; the others hold a maximum in which the ends take part."""


@dataclass(frozen=True)
class Barrier:
    """One barrier with its error; nats in the unit of the losses.

    Attributes:
        definition: Which definition.
        value: Cross-fitted estimate: the maximum is located on one half of the examples and read on
            the other, both ways round, so the noise that picks the maximum does not also inflate it.
            Kept within ``[low, high]``.
        plugin: The maximum of the mean profile itself, biased upward by noise.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        t_at_max: Where the maximum of the mean profile lies; nan for definitions without one.
    """

    definition: Definition
    value: float
    plugin: float
    low: float
    high: float
    t_at_max: float


def available(t: Float[np.ndarray, " t"]) -> tuple[Definition, ...]:
    """The definitions that the grid allows.

    ``midpoint`` needs t = 1/2 on it; ``convexity_gap`` looks at every three points, so it is left out of grids of
    more than 41.

    >>> sorted(set(Definition) - set(available(np.linspace(0, 1, 50))))
    [<Definition.CONVEXITY_GAP: 'convexity_gap'>, <Definition.MIDPOINT: 'midpoint'>]
    """
    impossible = set()
    if 0.5 not in t:
        impossible.add(Definition.MIDPOINT)
    if len(t) > MOST_FOR_TRIPLES:
        impossible.add(Definition.CONVEXITY_GAP)
    return tuple(d for d in Definition if d not in impossible)


def contrasts(
    definition: Definition, t: Float[np.ndarray, " t"]
) -> tuple[Float[np.ndarray, "maxima minima t"], Float[np.ndarray, " maxima"]]:
    """The definition as contrasts over the grid, and the t that each of them is about.

    Args:
        definition: Which definition.
        t: Dates, increasing from 0 to 1.

    Returns:
        Contrasts, whose largest ``min`` over the second axis is the barrier; and their times.

    Raises:
        ValueError: If ``t`` does not rise from 0 to 1, or lacks 1/2 where the definition needs it.
    """
    if t[0] != 0 or t[-1] != 1 or (np.diff(t) <= 0).any():
        raise ValueError(f"times must rise from 0 to 1, got {t}")
    n = len(t)
    at = np.eye(n)
    above_chord = at - (np.outer(1 - t, at[0]) + np.outer(t, at[-1]))
    nowhere = np.array([np.nan])
    match definition:
        case Definition.CHORD:
            return above_chord[:, None], t
        case Definition.MEAN_ENDS:
            return (at - (at[0] + at[-1]) / 2)[:, None], t
        case Definition.MAX_ENDS:
            return np.stack([at - at[0], at - at[-1]], axis=1), t
        case Definition.MIDPOINT:
            if 0.5 not in t:
                raise ValueError(f"the midpoint barrier needs t = 1/2 on the grid, got {t}")
            return above_chord[t == 0.5][:, None], np.array([0.5])
        case Definition.AREA:
            return np.trapezoid(above_chord, t, axis=0)[None, None], nowhere
        case Definition.CONVEXITY_GAP:
            s, m, u = np.array([(0, 0, n - 1), *combinations(range(n), 3)]).T
            share = ((t[m] - t[s]) / (t[u] - t[s]))[:, None]
            return (at[m] - (1 - share) * at[s] - share * at[u])[:, None], t[m]


def of_parts(
    contrasts: Float[np.ndarray, "maxima minima read"], interpolation: Interpolation
) -> Float[np.ndarray, "maxima minima parts"]:
    """Contrasts of a profile as ones of what it is made of: rises at the evaluated times, and the ends' difference."""
    return np.concatenate([contrasts @ interpolation.matrix, (contrasts @ interpolation.t)[..., None]], axis=-1)


def resamples(examples: int, count: int, seed: int) -> Float[np.ndarray, "count examples"]:
    """Bootstrap weights: how often each example is drawn, over the number of examples.

    One set serves every t, pair and definition, so that differences stay paired.
    """
    draws = np.random.default_rng(seed).multinomial(examples, np.full(examples, 1 / examples), size=count)
    return draws / examples


def estimate(
    t: Float[np.ndarray, " t"],
    losses: Float[np.ndarray, "t examples"],
    definition: Definition = Definition.CHORD,
    *,
    weights: Float[np.ndarray, "count examples"],
    interpolation: Interpolation | None = None,
    widening: float = 1.0,
) -> Barrier:
    """Barrier of one profile with its 95 % interval.

    The interval inverts a bootstrap band over the contrasts (the intersection bounds of Chernozhukov,
    Lee and Rosen 2013): ``low`` is the largest lower end of a band that holds all contrasts at once,
    ``high`` the largest upper end of a band that holds each one alone, which is enough above, since
    the true maximum is one of them. Unlike the percentile interval of the maximum, it keeps its
    coverage where the profile is flat or has several maxima. Contrasts that are certainly far below
    the maximum take no part in the first band (their inequality selection, section 4). It is the error of the sample
    of examples; not that of the grid, nor of other seeds.

    Args:
        t: Dates, increasing from 0 to 1.
        losses: Loss of each example at each time; nan where it was not evaluated. The ends know all examples.
        definition: Which definition.
        weights: Bootstrap weights over the examples, from :func:`resamples`.
        interpolation: Where the profile is read between the times, and how; None reads it at the times themselves.
        widening: Factor on the interval, for data that was looked at more than once
            (:func:`landscape.profile.sequential.widening`).

    Returns:
        The estimate; exactly 0 with a zero interval if the profile is flat for every example.

    Raises:
        ValueError: If there are fewer than two examples.
    """
    if losses.shape[1] < 2:
        raise ValueError(f"a barrier needs at least two examples for its error, got {losses.shape[1]}")
    interpolation = interpolation or identity(t)
    rows, times = contrasts(definition, interpolation.t)
    parts, mixing = parts_of(t, losses)
    known = np.isfinite(parts)
    centred = np.where(known, parts - means_of(parts)[:, None], 0) / known.mean(axis=1, keepdims=True)
    rows = of_parts(rows, interpolation) @ mixing

    drawn = weights @ centred.T
    means = rows @ means_of(parts)
    errors = np.sqrt(np.einsum("ijp,ijp->ij", rows @ np.cov(drawn.T, ddof=0), rows).clip(min=0))
    errors = np.where(errors > ROUNDING, errors, 0)
    near = _near(means, errors * widening)
    height, error = means[near], errors[near] * widening
    highest, alone = _deviations(rows[near], errors[near], drawn)
    in_play = _in_play(height, error, highest, losses.shape[1])
    if not in_play.all():
        highest, _ = _deviations(rows[near][in_play], errors[near][in_play], drawn)
    together = np.quantile(highest, 1 - TAIL)
    low = float((height - together * error).min(axis=1).max())
    if definition not in SIGNED:
        low = max(low, 0.0)
    high = float((height + np.maximum(alone[:, None], 0) * error).min(axis=1).max())
    best = means.min(axis=1)
    halves = [(rows @ means_of(parts[:, half::2])).min(axis=1) for half in (0, 1)]
    crossed = (halves[1][halves[0].argmax()] + halves[0][halves[1].argmax()]) / 2
    return Barrier(
        definition=definition,
        value=float(np.clip(crossed, low, high)),
        plugin=float(best.max()),
        low=low,
        high=high,
        t_at_max=float(times[best.argmax()]),
    )


def _near(
    means: Float[np.ndarray, "maxima minima"], errors: Float[np.ndarray, "maxima minima"]
) -> Bool[np.ndarray, " maxima"]:
    """Which contrasts are not so far below the maximum that nothing of an interval can depend on them."""
    certain = (means - FAR * errors).min(axis=1).max()
    return np.asarray((means + FAR * errors).min(axis=1) >= certain)


def _deviations(
    rows: Float[np.ndarray, "maxima minima parts"],
    errors: Float[np.ndarray, "maxima minima"],
    drawn: Float[np.ndarray, "count parts"],
) -> tuple[Float[np.ndarray, " count"], Float[np.ndarray, " maxima"]]:
    """How far resampled contrasts lie from their means, in standard errors; some at a time, to stay in the cache.

    Returns:
        The largest of all contrasts in each resample; and for each contrast what it falls by with a chance of ``TAIL``,
        where both contrasts of a minimum must be held at once.
    """
    highest, alone = np.full(len(drawn), -np.inf), np.empty(len(rows))
    for begin in range(0, len(rows), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        noise, error = rows[some] @ drawn.T, errors[some][..., None]
        scaled = np.divide(noise, error, out=np.zeros_like(noise), where=error > 0)
        highest = np.maximum(highest, scaled.max(axis=(0, 1)))
        alone[some] = np.quantile(-scaled.min(axis=1), 1 - TAIL, axis=1)
    return highest, alone


def _in_play(
    means: Float[np.ndarray, "maxima minima"],
    errors: Float[np.ndarray, "maxima minima"],
    highest: Float[np.ndarray, " count"],
    examples: int,
) -> Bool[np.ndarray, " maxima"]:
    """Which contrasts may be the maximum: those within two bands of it; a band errs with chance 0.1 / ln n."""
    band = np.quantile(highest, 1 - 0.1 / np.log(max(examples, 3)))
    certain = (means - band * errors).min(axis=1).max()
    return np.asarray((means + 2 * band * errors).min(axis=1) >= certain)


def matrix(
    a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"], values: Float[np.ndarray, " pairs"], size: int
) -> Float[np.ndarray, "size size"]:
    """Symmetric matrix of a value of pairs; zero on the diagonal, nan where a pair is missing."""
    square = np.full((size, size), np.nan)
    np.fill_diagonal(square, 0)
    square[a, b] = square[b, a] = values
    return square
