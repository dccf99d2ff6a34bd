"""Definitions of a loss barrier: one file each, all with the same names. ``landscape.catalogue`` lists them.

With ``m`` the mean loss at each t, a barrier is ``max_i min_j contrasts[i, j] @ m``. A definition is the array of
contrasts. Each contrast sums to zero, so a checkpoint compared with itself has a barrier of exactly 0. A new definition
is a copy of a sibling and one line in the catalogue.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from landscape.shapes import Float

MAX_COARSE = 41
"""Most t of a grid on which a definition looks at every three of them."""
NO_T = np.array([np.nan])
"""The t of a contrast that is about the whole path."""

Contrasts = tuple[Float[np.ndarray, "maxima minima t"], Float[np.ndarray, " maxima"]]
"""Contrasts over a grid, whose largest minimum over the second axis is the barrier; and the t of each."""


@runtime_checkable
class Definition(Protocol):
    """What the module of a definition holds."""

    SIGNED: bool
    """Whether the barrier can be negative. If not, the ends take part in the maximum, and it is at least 0."""
    COARSE: bool
    """Whether the definition is computed on a grid of ``MAX_COARSE`` t only."""
    NEEDS: str
    """What the grid must have, as words after *needs*; empty if any grid will do."""

    def available(self, t: Float[np.ndarray, " t"]) -> bool:
        """Whether the grid ``t`` has what the definition needs."""
        ...

    def contrasts(self, t: Float[np.ndarray, " t"]) -> Contrasts:
        """The contrasts of the definition on the grid ``t``, which rises from 0 to 1."""
        ...


def above_chord(t: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t t"]:
    """Contrasts of the rise above the chord at each t, ``L(t) - ((1 - t) L(0) + t L(1))``: weights of the losses."""
    at = np.eye(len(t))
    return np.asarray(at - (np.outer(1 - t, at[0]) + np.outer(t, at[-1])))
