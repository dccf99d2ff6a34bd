"""Polygonal chains (Garipov et al. 2018, arXiv:1802.10026, section 3.2)."""

import torch
from torch import Tensor

from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: int = 3) -> Float[Tensor, "t anchors"]:
    """Weight of each corner at times ``t``, equal times from corner to corner.

    ``w_k(t) = max(0, 1 - |t n - k|)`` with ``n = anchors - 1``: straight pieces through every anchor.

    Args:
        t: Positions in [0, 1].
        anchors: At least 2; 3 has one bend.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If ``anchors`` is less than 2.

    >>> coefficients(torch.tensor([0.75]), 3).tolist()
    [[0.0, 0.5, 0.5]]
    """
    if anchors < 2:
        raise ValueError(f"a chain has at least 2 anchors, got {anchors}")
    corner = torch.arange(anchors, dtype=t.dtype, device=t.device)
    return (1 - (t[:, None] * (anchors - 1) - corner).abs()).clamp(min=0)
