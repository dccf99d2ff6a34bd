"""Largest rise of the loss above the chord between the two ends, ``max_t L(t) - ((1 - t) L(0) + t L(1))``.

Entezari et al. 2022, arXiv:2110.06296.
"""

from __future__ import annotations

import numpy as np

from landscape.profile.definitions import Contrasts, above_chord
from landscape.shapes import Float

SIGNED = False
COARSE = False
NEEDS = ""


def available(t: Float[np.ndarray, " t"]) -> bool:
    """Always: any grid will do."""
    return True


def contrasts(t: Float[np.ndarray, " t"]) -> Contrasts:
    """One contrast for each t: its rise above the chord."""
    return above_chord(t)[:, None], t
