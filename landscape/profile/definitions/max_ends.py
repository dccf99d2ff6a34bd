"""Largest loss above the higher end, ``max_t L(t) - max(L(0), L(1))``.

Can be 0 where the rise above the chord is large.
"""

from __future__ import annotations

import numpy as np

from landscape.profile.definitions import Contrasts
from landscape.shapes import Float

SIGNED = False
COARSE = False
NEEDS = ""


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Always: any grid will do."""
    return True


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """Two contrasts for each t, of which the smaller counts: its loss less that of either end."""
    at = np.eye(len(t))
    return np.stack([at - at[0], at - at[-1]], axis=1), t
