"""Points from anchors: each is a row of coefficients, or a row for each of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from landscape.anchor import PIECE, Anchor, one_thread_each, pieces, shared_out, values
from landscape.shapes import Float

Anchors = Float[Tensor, "anchors P"] | Sequence[Anchor]
AT_ONCE = 1 << 26
"""Coordinates of points that a GPU makes at a time: 256 mebibytes as float32."""
LARGEST = 2**31
"""From this length on, rows are too far apart for products on a GPU."""
APART = ("cpu",)
"""Devices on which points are combined one by one: a pass takes far longer there than its point."""


def combine(row: list[float], anchors: Anchors, out: Float[Tensor, " P"]) -> None:
    """Write ``sum_i row[i] * anchors[i]`` into ``out``; anchors of weight 0 are not read.

    This is done anchor by anchor and not as a matrix product: a row with a single 1 is that anchor to the bit, and a
    path between two of many anchors costs only two. Sums are made in the dtype of the anchors, float32 for those on
    disk, and are rounded once to that of ``out``. Where they are rounded or read, this is done piece by piece.

    Args:
        row: Coefficients of the point.
        anchors: The anchors.
        out: Memory of the point, of any dtype.
    """
    _stretch(row, anchors, out, 0, len(out))


def combine_rows(
    rows: Float[Tensor, "points *tensors anchors"],
    anchors: Anchors,
    out: Float[Tensor, "points P"],
    sizes: Sequence[int],
) -> None:
    """Points from a row of coefficients each, or from one for each of their tensors.

    On a GPU, consecutive points between the same anchors are one product.

    Args:
        rows: Coefficients of each point, or of each of its tensors.
        anchors: The anchors.
        out: Memory of the points.
        sizes: Number of coordinates of each tensor.
    """
    if rows.ndim == 3:
        for row, point in zip(rows, out, strict=True):
            combine_tensors(row, anchors, point, sizes)
        return
    alone = out.device.type in APART or not isinstance(anchors[0], Tensor) or out.shape[1] >= LARGEST
    begin = 0
    for used, alike in groupby(rows, key=lambda row: row.nonzero().flatten().tolist()):
        some = list(alike)
        points = out[begin : begin + len(some)]
        begin += len(some)
        if alone or len(some) <= len(used):
            for row, point in zip(some, points, strict=True):
                combine(row.tolist(), anchors, point)
        else:
            combine_together(torch.stack(some)[:, used], [anchors[i] for i in used], points)


def combine_together(
    rows: Float[Tensor, "points anchors"], anchors: Sequence[Tensor], out: Float[Tensor, "points P"]
) -> None:
    """:func:`combine` with each row as one product, which reads each anchor once for all points, to rounding.

    Args:
        rows: Coefficients of each point; none is left out where it is 0.
        anchors: Vectors in the memory of ``out``.
        out: Memory of the points.
    """
    weights = rows.to(anchors[0])
    for start, stop in pieces(0, out.shape[1], max(1, AT_ONCE // len(rows))):
        some = torch.stack([anchor[start:stop] for anchor in anchors])
        if out.dtype == some.dtype:
            torch.mm(weights, some, out=out[:, start:stop])
        else:
            out[:, start:stop] = weights @ some


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
    begin = 0
    for row, size in zip(rows.tolist(), sizes, strict=True):
        _stretch(row, anchors, out[begin : begin + size], begin, begin + size)
        begin += size


def combine_part(
    row: Float[Tensor, "*tensors anchors"],
    anchors: Anchors,
    out: Float[Tensor, " n"],
    sizes: Sequence[int],
    number: int,
) -> None:
    """One tensor of a point.

    Args:
        row: Coefficients of the point, or of each of its tensors.
        anchors: The anchors.
        out: Memory of the tensor.
        sizes: Number of coordinates of each tensor.
        number: Which tensor.
    """
    begin = sum(sizes[:number])
    own = row if row.ndim == 1 else row[number]
    _stretch(own.tolist(), anchors, out, begin, begin + sizes[number])


def _stretch(row: list[float], anchors: Anchors, out: Float[Tensor, " n"], begin: int, end: int) -> None:
    """Some coordinates of a point, with one row of coefficients."""
    used = [(weight, anchors[i]) for i, weight in enumerate(row) if weight != 0]
    first = used[0][1]
    if isinstance(first, Tensor) and first.dtype == out.dtype:
        _sum(used, begin, end, out)
        return
    if isinstance(first, Tensor):
        _rounded(used, begin, out, first.new_empty(0), (begin, end))
        return
    parts = shared_out(begin, end)
    with one_thread_each(len(parts)) as pool:
        for _ in pool.map(partial(_rounded, used, begin, out, torch.empty(0)), parts):
            pass


def _rounded(
    used: list[tuple[float, Anchor]], origin: int, out: Float[Tensor, " n"], kind: Tensor, part: tuple[int, int]
) -> None:
    """A part of a point, summed piece by piece in one dtype and rounded to that of ``out``."""
    each = PIECE if kind.device.type in APART else AT_ONCE
    scratch = kind.new_empty(min(part[1] - part[0], each))
    for start, stop in pieces(*part, each):
        own, here = out[start - origin : stop - origin], scratch[: stop - start]
        target = own if own.dtype == here.dtype and own.device == here.device else here
        _sum(used, start, stop, target)
        if target is here:
            own.copy_(here)


def _sum(used: list[tuple[float, Anchor]], begin: int, end: int, out: Float[Tensor, " n"]) -> None:
    (weight, anchor), *others = used
    if isinstance(anchor, Tensor):
        torch.mul(anchor[begin:end], weight, out=out)
    else:
        anchor.read(begin, out)
        out.mul_(weight)
    for weight, anchor in others:
        out.add_(values(anchor, begin, end), alpha=weight)
