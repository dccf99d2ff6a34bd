"""Points from anchors: each is a row of coefficients, or a row for each of its tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.shapes import Float

Anchors = Float[Tensor, "anchors P"] | list[Tensor]


def combine(row: list[float], anchors: Anchors, out: Float[Tensor, " P"]) -> None:
    """Write ``sum_i row[i] * anchors[i]`` into ``out``; anchors of weight 0 are not read.

    This is done anchor by anchor and not as a matrix product: a row with a single 1 is that anchor to the bit, and a
    path between two of many anchors costs only two.

    Args:
        row: Coefficients of the point.
        anchors: The anchors.
        out: Memory of the point.
    """
    used = [(weight, anchors[i]) for i, weight in enumerate(row) if weight != 0]
    weight, anchor = used[0]
    torch.mul(anchor, weight, out=out)
    for weight, anchor in used[1:]:
        out.add_(anchor, alpha=weight)


def combine_tensors(
    rows: Float[Tensor, "tensors anchors"], anchors: Anchors, out: Float[Tensor, " P"], sizes: Sequence[int]
) -> None:
    """:func:`combine` with a row for each tensor of a point.

    Args:
        rows: Coefficients of each tensor.
        anchors: The anchors.
        out: Memory of the point.
        sizes: Number of coordinates of each tensor.
    """
    parts = [torch.split(anchor, list(sizes)) for anchor in anchors]
    for k, (row, values) in enumerate(zip(rows.tolist(), torch.split(out, list(sizes)), strict=True)):
        combine(row, [anchor[k] for anchor in parts], values)
