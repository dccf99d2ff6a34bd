"""Polygonal chains (Garipov et al. 2018, arXiv:1802.10026, section 3.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.anchor import Anchor
from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]) -> Float[Tensor, "t anchors"]:
    """Weight of each corner, with equal stretches of t from corner to corner.

    ``w_k(t) = max(0, 1 - |t n - k|)`` with ``n`` one less than the number of anchors: straight pieces through every
    anchor.

    Args:
        t: Values in [0, 1].
        anchors: At least 2, of which only the number is used; 3 have one bend.
        sizes: Not used.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If there are fewer than 2 anchors.

    >>> coefficients(torch.tensor([0.75]), [torch.zeros(4)] * 3, [4]).tolist()
    [[0.0, 0.5, 0.5]]
    """
    if len(anchors) < 2:
        raise ValueError(f"a chain has at least 2 anchors, got {len(anchors)}")
    corner = torch.arange(len(anchors), dtype=t.dtype, device=t.device)
    return (1 - (t[:, None] * (len(anchors) - 1) - corner).abs()).clamp(min=0)


def pieces(count: int) -> int:
    """Number of smooth pieces of a path over ``count`` anchors."""
    return count - 1
