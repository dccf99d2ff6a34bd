"""Barriers: how far the loss along a path rises, by every definition in use, each with its error.

Numbers in, numbers out: no tensor library is imported here. The definitions are in
:mod:`landscape.profile.definitions`. All of them are computed from one stored profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

import numpy as np

from landscape.catalogue import DEFINITIONS
from landscape.profile import skewed
from landscape.profile.definitions import Contrasts, Definition
from landscape.profile.nodes import Interpolation, identity
from landscape.profile.paired import Components, component_means
from landscape.shapes import Bool, Float, Int

COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
AT_ONCE = 64
"""Contrasts that are resampled together."""
FAR = 6.0
"""Distance from the maximum, in standard errors, beyond which a contrast is left out."""
ROUNDING = 1e-12
"""Standard errors below this many nats are rounding: all examples agree."""


@dataclass(frozen=True)
class Barrier:
    """One barrier with its error, in the unit of the losses.

    Attributes:
        definition: Name of the definition.
        value: Cross-fitted estimate: the maximum is located on one half of the examples and read on the other, both
            ways round, so the noise that picks the maximum does not also inflate it. Clipped to ``[low, high]``.
        plugin: The maximum of the mean profile itself, biased upward by noise.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        t_at_max: The t of the maximum of the mean profile, in [0, 1]; nan for definitions without one.
    """

    definition: str
    value: float
    plugin: float
    low: float
    high: float
    t_at_max: float


@dataclass(frozen=True)
class Largest:
    """The largest of some contrasts of means with its 95 % interval, in the unit of the values.

    Attributes:
        value: Cross-fitted estimate, as in :class:`Barrier`.
        plugin: The largest contrast of the means themselves.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        index: Which contrast of the means is the largest.
    """

    value: float
    plugin: float
    low: float
    high: float
    index: int


@cache
def load(definition: str) -> Definition:
    """The module of a definition, imported once.

    Raises:
        ValueError: If there is no such definition.
    """
    return cast(Definition, DEFINITIONS.load(definition))


def available(t: Float[np.ndarray, " t"]) -> tuple[str, ...]:
    """Names of the definitions that a grid allows.

    >>> sorted(set(DEFINITIONS) - set(available(np.linspace(0, 1, 50))))
    ['convexity_gap', 'midpoint']
    """
    return tuple(name for name in DEFINITIONS if load(name).available(t))


def contrasts(definition: str, t: Float[np.ndarray, " t"]) -> Contrasts:
    """A definition as contrasts over the grid, and the t that each of them is about.

    Args:
        definition: Name of the definition.
        t: The grid, increasing from 0 to 1.

    Returns:
        Contrasts, whose largest minimum over the second axis is the barrier; and the t of each, in [0, 1].

    Raises:
        ValueError: If ``t`` does not rise from 0 to 1, lacks what the definition needs, or there is no such definition.
    """
    if t[0] != 0 or t[-1] != 1 or (np.diff(t) <= 0).any():
        raise ValueError(f"t must rise from 0 to 1, got {t}")
    return _contrasts(definition, tuple(t.tolist()))


@lru_cache(maxsize=8)
def _contrasts(definition: str, t: tuple[float, ...]) -> Contrasts:
    """Contrasts over a grid that several pairs share; few grids are kept, since contrasts of a long chain are large."""
    return load(definition).contrasts(np.array(t))


def over_components(
    contrasts: Float[np.ndarray, "maxima minima read"], interpolation: Interpolation
) -> Float[np.ndarray, "maxima minima components"]:
    """Contrasts of an interpolated profile as weights of its components: rises at the evaluated t, and the ends' gap.

    See :func:`landscape.profile.paired.components`.
    """
    return np.concatenate([contrasts @ interpolation.matrix, (contrasts @ interpolation.t)[..., None]], axis=-1)


@lru_cache(maxsize=1)
def resamples(examples: int, count: int, seed: int) -> Float[np.ndarray, "count examples"]:
    """Bootstrap weights: how often each example is drawn, as a fraction of the number of examples.

    One set serves every t, pair and definition, so that differences stay paired; it is kept, and cannot be written to.

    Args:
        examples: Number of examples.
        count: Number of resamples.
        seed: Of the random numbers.
    """
    draws = np.random.default_rng(seed).multinomial(examples, np.full(examples, 1 / examples), size=count)
    weights = draws / examples
    weights.setflags(write=False)
    return np.asarray(weights)


def estimate(
    profile: Components,
    definition: str = "chord",
    *,
    weights: Float[np.ndarray, "count examples"],
    interpolation: Interpolation | None = None,
    widening: float = 1.0,
) -> Barrier:
    """Barrier of one profile with its 95 % interval.

    The interval inverts a bootstrap band over the contrasts (the intersection bounds of Chernozhukov, Lee and Rosen
    2013). ``low`` is the largest lower end of a band that holds all contrasts at once. ``high`` is the largest upper
    end of a band that holds each contrast alone, which is enough above, since the true maximum is one of them. Unlike
    the percentile interval of the maximum, it keeps its coverage where the profile is flat or has several maxima.
    Contrasts that are certainly far below the maximum are left out of the first band (their inequality selection,
    section 4). Bands are longer against the skew of losses (:func:`landscape.profile.skewed.lengthened`). The interval
    covers the sampling error of the examples. It covers neither the grid nor other seeds.

    Args:
        profile: The profile, from :func:`landscape.profile.paired.components`.
        definition: Name of the definition.
        weights: Bootstrap weights over the examples, from :func:`resamples`.
        interpolation: Where the profile is read between the evaluated t, and how; None reads it at these t themselves.
        widening: Factor on the interval, for data that were looked at more than once
            (:func:`landscape.profile.sequential.widening`).

    Returns:
        The estimate; exactly 0 with an interval of width 0 if the profile is flat for every example.

    Raises:
        ValueError: If there are fewer than two examples, or no such definition.
    """
    if len(profile.begin) < 2:
        raise ValueError(f"a barrier needs at least two examples for its error, got {len(profile.begin)}")
    interpolation = interpolation or identity(profile.t)
    rows, contrast_t = contrasts(definition, interpolation.t)
    rows = over_components(rows, interpolation) @ profile.mixing
    found = largest(rows, profile.values, weights=weights, signed=load(definition).SIGNED, widening=widening)
    return Barrier(definition, found.value, found.plugin, found.low, found.high, float(contrast_t[found.index]))


def largest(
    rows: Float[np.ndarray, "maxima minima components"],
    values: Float[np.ndarray, "components examples"],
    *,
    weights: Float[np.ndarray, "count examples"],
    signed: bool = True,
    widening: float = 1.0,
) -> Largest:
    """The largest minimum of contrasts of means, ``max_i min_j rows[i, j] @ mean``, with its 95 % interval.

    :func:`estimate` says how the interval is made.

    Args:
        rows: Contrasts, as weights of the components.
        values: Components of each example; nan where unknown.
        weights: Bootstrap weights over the examples, from :func:`resamples`.
        signed: Whether it can be negative.
        widening: Factor on the interval, for data that were looked at more than once.
    """
    known = np.isfinite(values)
    centred = np.where(known, values - component_means(values)[:, None], 0) / known.mean(axis=1, keepdims=True)
    drawn = weights @ centred.T
    means = rows @ component_means(values)
    errors = np.sqrt(np.einsum("ijp,ijp->ij", rows @ np.cov(drawn.T, ddof=0), rows).clip(min=0))
    errors = np.where(errors > ROUNDING, errors, 0)
    near = _near(means, errors * widening)
    own, height, error = rows[near], means[near], errors[near]
    highest, alone = _deviations(own, error, drawn)
    candidates = _candidates(height, error * widening, highest, values.shape[1])
    if not candidates.all():
        highest, _ = _deviations(own[candidates], error[candidates], drawn)
    skewness = skewed.of_means(own, centred)
    together = np.quantile(highest, 1 - TAIL)
    above = skewed.lengthened(together * widening, skewness)
    below = skewed.lengthened(-np.maximum(alone[:, None], 0) * widening, skewness)
    low = float((height - above * error).min(axis=1).max())
    if not signed:
        low = max(low, 0.0)
    high = float((height - below * error).min(axis=1).max())
    best = means.min(axis=1)
    halves = [(rows @ component_means(values[:, half::2])).min(axis=1) for half in (0, 1)]
    crossed = (halves[1][halves[0].argmax()] + halves[0][halves[1].argmax()]) / 2
    return Largest(
        value=float(np.clip(crossed, low, high)),
        plugin=float(best.max()),
        low=low,
        high=high,
        index=int(best.argmax()),
    )


def _near(
    means: Float[np.ndarray, "maxima minima"], errors: Float[np.ndarray, "maxima minima"]
) -> Bool[np.ndarray, " maxima"]:
    """Which contrasts are near enough to the maximum to affect the interval."""
    certain = (means - FAR * errors).min(axis=1).max()
    return np.asarray((means + FAR * errors).min(axis=1) >= certain)


def _deviations(
    rows: Float[np.ndarray, "maxima minima components"],
    errors: Float[np.ndarray, "maxima minima"],
    drawn: Float[np.ndarray, "count components"],
) -> tuple[Float[np.ndarray, " count"], Float[np.ndarray, " maxima"]]:
    """Deviations of resampled contrasts from their means, in standard errors; in blocks that fit the cache.

    Returns:
        The largest deviation over all contrasts in each resample; and the ``1 - TAIL`` quantile of the fall of each
        contrast, where both contrasts of a minimum must be held at once.
    """
    highest, alone = np.full(len(drawn), -np.inf), np.empty(len(rows))
    for begin in range(0, len(rows), AT_ONCE):
        block = slice(begin, begin + AT_ONCE)
        noise, error = rows[block] @ drawn.T, errors[block][..., None]
        scaled = np.divide(noise, error, out=np.zeros_like(noise), where=error > 0)
        highest = np.maximum(highest, scaled.max(axis=(0, 1)))
        alone[block] = np.quantile(-scaled.min(axis=1), 1 - TAIL, axis=1)
    return highest, alone


def _candidates(
    means: Float[np.ndarray, "maxima minima"],
    errors: Float[np.ndarray, "maxima minima"],
    highest: Float[np.ndarray, " count"],
    examples: int,
) -> Bool[np.ndarray, " maxima"]:
    """Which contrasts may be the maximum: those within two bands of it. A band fails with probability 0.1 / ln n."""
    band = np.quantile(highest, 1 - 0.1 / np.log(max(examples, 3)))
    certain = (means - band * errors).min(axis=1).max()
    return np.asarray((means + 2 * band * errors).min(axis=1) >= certain)


def matrix(
    a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"], values: Float[np.ndarray, " pairs"], size: int
) -> Float[np.ndarray, "size size"]:
    """Symmetric matrix of a value of pairs, in the unit of the values; zero on the diagonal, nan for missing pairs.

    Args:
        a: Index of the first member of each pair.
        b: Index of the second.
        values: Value of each pair.
        size: Number of members.
    """
    square = np.full((size, size), np.nan)
    np.fill_diagonal(square, 0)
    square[a, b] = square[b, a] = values
    return square
