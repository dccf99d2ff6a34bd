"""F1 of the second of two classes, ``2 TP / (2 TP + FP + FN)``; 0 where the class is neither predicted nor right."""

from __future__ import annotations

import numpy as np

from landscape.profile.metrics import Numbers
from landscape.profile.paired import means_by_differences
from landscape.shapes import Float

READS = ("true_positive", "false_positive", "false_negative")
OF_UNIT = ""
HIGHER_IS_BETTER = True


def linearised(numbers: Numbers) -> Float[np.ndarray, "points examples"]:
    """``F + (2 tp_i - F (2 tp_i + fp_i + fn_i)) / D`` of each example, where ``D`` is the mean of the bracket."""
    twice = 2 * np.asarray(numbers["true_positive"], dtype=float)
    whole = twice + numbers["false_positive"] + numbers["false_negative"]
    top, below = (means_by_differences(values)[:, None] for values in (twice, whole))
    below = np.where(below > 0, below, 1.0)
    return np.asarray(top / below + (twice - top / below * whole) / below)
