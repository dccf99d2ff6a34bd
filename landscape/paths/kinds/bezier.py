"""Bezier curves (Garipov et al. 2018, arXiv:1802.10026, section 3.2)."""

from math import comb

import torch
from torch import Tensor

from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: int = 3) -> Float[Tensor, "t anchors"]:
    """Bernstein weight of each anchor at times ``t``.

    ``w_k(t) = C(n, k) t^k (1 - t)^(n - k)`` with ``n = anchors - 1``; the curve meets its first and last anchor and is
    pulled towards those between.

    Args:
        t: Positions in [0, 1].
        anchors: At least 2; 3 is quadratic, 4 cubic.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If ``anchors`` is less than 2.

    >>> coefficients(torch.tensor([0.5]), 3).tolist()
    [[0.25, 0.5, 0.25]]
    """
    if anchors < 2:
        raise ValueError(f"a curve has at least 2 anchors, got {anchors}")
    n = anchors - 1
    k = torch.arange(anchors, dtype=t.dtype, device=t.device)
    choose = torch.tensor([comb(n, i) for i in range(anchors)], dtype=t.dtype, device=t.device)
    return choose * t[:, None] ** k * (1 - t[:, None]) ** (n - k)
