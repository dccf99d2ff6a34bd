"""Perplexity, ``exp(L)`` of a loss ``L`` in nats per token; of masked language models over masked tokens."""

from __future__ import annotations

import numpy as np

from landscape.profile.metrics import Numbers
from landscape.profile.paired import means_by_differences
from landscape.shapes import Float

READS = ("loss",)
OF_UNIT = " token"
HIGHER_IS_BETTER = False


def linearised(numbers: Numbers) -> Float[np.ndarray, "points examples"]:
    """``exp(L) (1 + l_i - L)`` of each example, where ``L`` is the mean of the losses ``l_i``."""
    losses = np.asarray(numbers["loss"], dtype=float)
    mean = means_by_differences(losses)[:, None]
    return np.asarray(np.exp(mean) * (1 + losses - mean))
