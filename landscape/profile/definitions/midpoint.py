"""Loss in the middle of the path above the mean of the ends, ``L(1/2) - (L(0) + L(1)) / 2``. Signed.

Frankle et al. 2020, arXiv:1912.05671, at one point of the path.
"""

from __future__ import annotations

import numpy as np

from landscape.profile.definitions import Contrasts, above_chord
from landscape.shapes import Float

SIGNED = True
COARSE = False


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Whether t = 1/2 is on the grid."""
    return 0.5 in t


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """One contrast: the rise above the chord at t = 1/2.

    Raises:
        ValueError: If the grid lacks t = 1/2.
    """
    if not available(t):
        raise ValueError(f"the midpoint barrier needs t = 1/2 on the grid, got {t}")
    return above_chord(t)[t == 0.5][:, None], np.array([0.5])
