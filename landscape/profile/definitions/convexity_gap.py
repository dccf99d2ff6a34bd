"""Largest rise above the chord of any sub-segment ``s < t < u`` of the path.

Juneja et al. 2023, arXiv:2205.12411.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from landscape.profile.definitions import MAX_COARSE, Contrasts
from landscape.shapes import Float

SIGNED = False
COARSE = True
NEEDS = f"at most {MAX_COARSE} points"


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Whether the grid is small enough: the number of contrasts grows with the cube of its size."""
    return len(t) <= MAX_COARSE


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """A contrast for every three t, their middle less the chord of the outer two; and one of zeros."""
    at, n = np.eye(len(t)), len(t)
    s, m, u = np.array([(0, 0, n - 1), *combinations(range(n), 3)]).T
    share = ((t[m] - t[s]) / (t[u] - t[s]))[:, None]
    return (at[m] - (1 - share) * at[s] - share * at[u])[:, None], t[m]
