"""Bezier curves (Garipov et al. 2018, arXiv:1802.10026, section 3.2)."""

from collections.abc import Sequence
from math import comb

import torch
from torch import Tensor

from landscape.anchor import Anchor
from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]) -> Float[Tensor, "t anchors"]:
    """Bernstein weight of each anchor.

    ``w_k(t) = C(n, k) t^k (1 - t)^(n - k)`` with ``n`` one less than the number of anchors. The curve starts at the
    first anchor, ends at the last, and is pulled towards those between.

    Args:
        t: Values in [0, 1].
        anchors: At least 2, of which only the number is used; 3 make a quadratic curve, 4 a cubic one.
        sizes: Not used.

    Returns:
        Rows that sum to 1.

    Raises:
        ValueError: If there are fewer than 2 anchors.

    >>> coefficients(torch.tensor([0.5]), [torch.zeros(4)] * 3, [4]).tolist()
    [[0.25, 0.5, 0.25]]
    """
    count = len(anchors)
    if count < 2:
        raise ValueError(f"a curve has at least 2 anchors, got {count}")
    n = count - 1
    k = torch.arange(count, dtype=t.dtype, device=t.device)
    choose = torch.tensor([comb(n, i) for i in range(count)], dtype=t.dtype, device=t.device)
    return choose * t[:, None] ** k * (1 - t[:, None]) ** (n - k)


def pieces(count: int) -> int:
    """Number of smooth pieces of a path over ``count`` anchors."""
    return 1
