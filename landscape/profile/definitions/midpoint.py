"""Loss in the middle of the path above the mean of the ends, ``L(1/2) - (L(0) + L(1)) / 2``. Signed.

Frankle et al. 2020, arXiv:1912.05671, at one point of the path.
"""

from __future__ import annotations

import numpy as np

from landscape.profile.definitions import Contrasts, above_chord
from landscape.shapes import Bool, Float

SIGNED = True
COARSE = False
NEEDS = "t = 1/2 on the grid: an odd number of points"
ROUNDING = 1e-12


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Whether t = 1/2 is on the grid."""
    return bool(_middle(t).any())


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """One contrast: the rise above the chord at t = 1/2.

    Raises:
        ValueError: If the grid lacks t = 1/2.
    """
    if not available(t):
        raise ValueError(f"the midpoint barrier needs t = 1/2 on the grid, got {t}")
    return above_chord(t)[_middle(t)][:, None], np.array([0.5])


def _middle(t: Float[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    """Which t is 1/2 but for rounding: the middle of an even grid can be the number next to it."""
    return np.abs(t - 0.5) <= ROUNDING
