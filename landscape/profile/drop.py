"""How far a score falls along a path below the chord of its ends, paired over items.

Numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape.profile.definitions import above_chord
from landscape.profile.largest import Largest, largest
from landscape.shapes import Float

LOWER = "lower"
RESAMPLE_SEED = 0


def drop(
    t: Float[np.ndarray, " t"],
    values: Float[np.ndarray, " t"],
    influences: Float[np.ndarray, "t clusters"],
    strata: Sequence[int],
    *,
    better: str = "higher",
    resamples: int = 1000,
) -> Largest:
    """The largest fall of a score below its chord, ``max_t [(1 - t) s(0) + t s(1) - s(t)]``, with its 95 % interval.

    Of a score that is better the lower it is, this is the largest rise above the chord. The maximum is located on one
    half of the clusters and read on the other, and the interval is that of barriers
    (:func:`landscape.profile.barrier.estimate`), with clusters of items in place of examples; they are resampled
    within strata.

    Args:
        t: From 0 to 1.
        values: The score at each t.
        influences: Deviation of each score that is due to each cluster, in the unit of the score; the same clusters at
            every t.
        strata: Number of clusters of each stratum.
        better: Which direction is better; nothing counts as higher.
        resamples: Bootstrap resamples.

    Returns:
        The fall in the unit of the score; its index is that of t.
    """
    count = influences.shape[1]
    sign = 1.0 if better == LOWER else -1.0
    each = values[:, None] + influences * count
    return largest(sign * above_chord(t)[:, None], each, weights=_weights(strata, resamples), signed=False)


def _weights(strata: Sequence[int], count: int) -> Float[np.ndarray, "count clusters"]:
    """How often each cluster is drawn, as a fraction of their number; of each stratum as many as it has."""
    random = np.random.default_rng(RESAMPLE_SEED)
    draws = [random.multinomial(size, np.full(size, 1 / size), size=count) for size in strata]
    return np.concatenate(draws, axis=1) / sum(strata)
