"""Straight lines."""

import torch
from torch import Tensor

from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: int = 2) -> Float[Tensor, "t anchors"]:
    """Weight of each end at times ``t``: ``[1 - t, t]``.

    Args:
        t: Positions in [0, 1].
        anchors: Always 2; siblings take more.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If ``anchors`` is not 2.

    >>> coefficients(torch.tensor([0.25])).tolist()
    [[0.75, 0.25]]
    """
    if anchors != 2:
        raise ValueError(f"a straight line has 2 anchors, got {anchors}")
    return torch.stack([1 - t, t], dim=1)
