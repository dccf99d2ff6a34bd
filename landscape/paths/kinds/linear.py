"""Straight lines."""

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.anchor import Anchor
from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]) -> Float[Tensor, "t 2"]:
    """Weight of each end: ``[1 - t, t]``.

    Args:
        t: Values in [0, 1].
        anchors: The two ends; only their number is used.
        sizes: Not used.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If there are not two anchors.

    >>> coefficients(torch.tensor([0.25]), [torch.zeros(3)] * 2, [3]).tolist()
    [[0.75, 0.25]]
    """
    if len(anchors) != 2:
        raise ValueError(f"a straight line has 2 anchors, got {len(anchors)}")
    return torch.stack([1 - t, t], dim=1)


def pieces(count: int) -> int:
    """Number of smooth pieces of a path over ``count`` anchors."""
    return 1
