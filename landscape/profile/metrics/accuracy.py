"""Share of examples that are right."""

from __future__ import annotations

import numpy as np

from landscape.profile.metrics import Numbers
from landscape.shapes import Float

READS = ("accuracy",)
OF_UNIT = ""
HIGHER_IS_BETTER = True


def linearised(numbers: Numbers) -> Float[np.ndarray, "points examples"]:
    """1 for each example that is right, and 0 for the others."""
    return np.asarray(numbers["accuracy"], dtype=float)
