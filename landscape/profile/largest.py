"""The largest of several contrasts of means, with an interval that allows for its having been chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from landscape.profile import skewed
from landscape.profile.paired import component_means
from landscape.shapes import Bool, Float, Int

COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
AT_ONCE = 64
"""Contrasts that are resampled together."""
FAR = 6.0
"""Distance from the maximum, in standard errors, beyond which a contrast is left out."""
ROUNDING = 1e-12
"""Standard errors below this many nats are rounding: all examples agree."""


Exact = Callable[[Int[np.ndarray, " chosen"]], Float[np.ndarray, " chosen"]]
"""Values of some contrasts, by their indices."""


@dataclass(frozen=True)
class Largest:
    """The largest of some contrasts of means with its 95 % interval, in the unit of the values.

    Attributes:
        value: Cross-fitted estimate: the contrast that is the largest on one half of the examples is read on the other,
            both ways round. Clipped to ``[low, high]``.
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


def largest(
    rows: Float[np.ndarray, "maxima minima components"],
    values: Float[np.ndarray, "components examples"],
    *,
    weights: Float[np.ndarray, "count examples"],
    signed: bool = True,
    widening: float = 1.0,
) -> Largest:
    """The largest minimum of contrasts of means, ``max_i min_j rows[i, j] @ mean``, with its 95 % interval.

    The interval inverts a bootstrap band over the contrasts (the intersection bounds of Chernozhukov, Lee and Rosen
    2013). ``low`` is the largest lower end of a band that holds all contrasts at once. ``high`` is the largest upper
    end of a band that holds each contrast alone, which is enough above, since the true maximum is one of them. Unlike
    the percentile interval of the maximum, it keeps its coverage where contrasts are nearly equal.
    Contrasts that are certainly far below the maximum are left out of the first band (their inequality selection,
    section 4). Bands are longer against the skew of losses (:func:`landscape.profile.skewed.lengthened`).

    Args:
        rows: Contrasts, as weights of the components.
        values: Components of each example; nan where unknown.
        weights: Bootstrap weights over the examples, from :func:`landscape.profile.barrier.resamples`.
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
    highest, falls = _extremes(own, error, drawn)
    candidates = _candidates(height, error * widening, highest, values.shape[1])
    if not candidates.all():
        highest, _ = _extremes(own[candidates], error[candidates], drawn)
    skewness = skewed.of_means(own, centred)
    together = np.quantile(highest, 1 - TAIL)
    above = skewed.lengthened(together * widening, skewness)
    low = float((height - above * error).min(axis=1).max())
    if not signed:
        low = max(low, 0.0)

    def ends(chosen: Int[np.ndarray, " chosen"], falls: Float[np.ndarray, " chosen"]) -> Float[np.ndarray, " chosen"]:
        below = skewed.lengthened(-np.maximum(falls[:, None], 0) * widening, skewness[chosen])
        return np.asarray((height[chosen] - below * error[chosen]).min(axis=1))

    def exact(chosen: Int[np.ndarray, " chosen"]) -> Float[np.ndarray, " chosen"]:
        scaled = _scaled(own[chosen], error[chosen], drawn)
        return ends(chosen, np.quantile(-scaled.min(axis=1), 1 - TAIL, axis=1))

    high = _highest(exact, ends(np.arange(len(own)), falls))
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


def _scaled(
    rows: Float[np.ndarray, "maxima minima components"],
    errors: Float[np.ndarray, "maxima minima"],
    drawn: Float[np.ndarray, "count components"],
) -> Float[np.ndarray, "maxima minima count"]:
    """Deviations of resampled contrasts from their means, in standard errors."""
    errors = errors[..., None]
    divided = np.divide(rows, errors, out=np.zeros_like(rows), where=errors > 0)
    scaled = divided.reshape(-1, rows.shape[-1]) @ drawn.T  # one product of matrices is faster than many
    return np.asarray(scaled.reshape(*rows.shape[:2], len(drawn)))


def _extremes(
    rows: Float[np.ndarray, "maxima minima components"],
    errors: Float[np.ndarray, "maxima minima"],
    drawn: Float[np.ndarray, "count components"],
) -> tuple[Float[np.ndarray, " count"], Float[np.ndarray, " maxima"]]:
    """The largest deviation over all contrasts in each resample, and the longest fall of each contrast in any.

    Where both contrasts of a minimum must be held at once, a fall is the longer one. In blocks that fit the cache.
    """
    highest, falls = np.full(len(drawn), -np.inf), np.empty(len(rows))
    for begin in range(0, len(rows), AT_ONCE):
        block = slice(begin, begin + AT_ONCE)
        scaled = _scaled(rows[block], errors[block], drawn)
        highest = np.maximum(highest, scaled.max(axis=(0, 1)))
        falls[block] = -scaled.min(axis=(1, 2))
    return highest, falls


def _highest(exact: Exact, bounds: Float[np.ndarray, " maxima"]) -> float:
    """The largest of values that take long to compute, from the highest upper bound down until no other is larger."""
    highest, order = -np.inf, np.argsort(-bounds)
    for begin in range(0, len(order), AT_ONCE):
        chosen = order[begin : begin + AT_ONCE]
        if bounds[chosen[0]] <= highest:
            break
        highest = max(highest, float(exact(chosen).max()))
    return highest


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
