"""Area between the loss and the chord, the integral of ``L(t) - ((1 - t) L(0) + t L(1))`` over t. Signed.

By the trapezoid rule on the grid.
"""

from __future__ import annotations

import numpy as np

from landscape.profile.definitions import NO_T, Contrasts, above_chord
from landscape.shapes import Float

SIGNED = True
COARSE = False
NEEDS = ""


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Always: any grid will do."""
    return True


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """One contrast: the integral of the rise above the chord."""
    return np.trapezoid(above_chord(t), t, axis=0)[None, None], NO_T
