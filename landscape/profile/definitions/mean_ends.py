"""Largest loss above the mean of the ends, ``max_t L(t) - (L(0) + L(1)) / 2``.

Ainsworth et al. 2023, arXiv:2209.04836. Positive on a monotone path whose ends differ.
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
    """One contrast for each t: its loss less the mean of the ends."""
    at = np.eye(len(t))
    return (at - (at[0] + at[-1]) / 2)[:, None], t
