"""Perplexity, ``exp(L)`` of a loss ``L`` in nats per token; of masked language models over masked tokens."""

from __future__ import annotations

import numpy as np

from landscape.profile.metrics import Numbers
from landscape.profile.paired import means_by_differences
from landscape.shapes import Float

READS = ("loss",)
OF_UNIT = " token"
HIGHER_IS_BETTER = False
LARGEST_LOSS = 300.0
"""Mean loss above which there is no perplexity, in nats: float64 cannot hold the square of it, which errors need."""


def linearised(numbers: Numbers) -> Float[np.ndarray, "points examples"]:
    """``exp(L) (1 + l_i - L)`` of each example, for the mean ``L`` of the losses ``l_i``; infinite if too large."""
    losses = np.asarray(numbers["loss"], dtype=float)
    mean = means_by_differences(losses)[:, None]
    tangent = np.exp(np.minimum(mean, LARGEST_LOSS)) * (1 + losses - mean)
    return np.asarray(np.where(mean > LARGEST_LOSS, np.inf, tangent))
