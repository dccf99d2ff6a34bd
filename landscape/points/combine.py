"""Points from anchors: each is a row of coefficients, or a row for each of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from landscape.anchor import PIECE, Anchor, one_thread_each, pieces, shared_out, values
from landscape.shapes import Float

Anchors = Float[Tensor, "anchors P"] | Sequence[Anchor]


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
    scratch = kind.new_empty(min(part[1] - part[0], PIECE))
    for start, stop in pieces(*part):
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
