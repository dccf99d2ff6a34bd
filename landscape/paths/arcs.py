"""Arcs of circles: what the spherical and the geodesic path share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from landscape.anchor import Anchor, one_thread_each, pieces, values
from landscape.errors import InputError
from landscape.shapes import Float

OPPOSITE = 3.1
"""Angle in radians above which two ends count as opposite, so that no arc between them is the shortest."""


def between(t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]) -> Float[Tensor, "t tensors 2"]:
    """Weights of two ends on an arc for each tensor.

    Args:
        t: Values in [0, 1].
        anchors: The two ends.
        sizes: Number of coordinates of each tensor, in order.

    Raises:
        ValueError: If there are not two anchors.
        InputError: If a tensor of one end points opposite to that of the other.
    """
    if len(anchors) != 2:
        raise ValueError(f"an arc has 2 anchors, got {len(anchors)}")
    return slerp(t, angles(anchors[0], anchors[1], sizes))


def slerp(t: Float[Tensor, " t"], angle: Float[Tensor, " tensors"]) -> Float[Tensor, "t tensors 2"]:
    """Weights ``[sin((1 - t) angle), sin(t angle)] / sin(angle)`` of two ends (Shoemake 1985).

    If the ends have equal length, every point of the arc has that length. If they have unequal lengths, the arc is the
    linear image of such an arc. This differs from mergekit, which rescales directions. At angle 0 it is the straight
    line.

    Args:
        t: Values in [0, 1].
        angle: Angle between the ends for each tensor, in radians.
    """
    small = angle < 1e-6
    safe = torch.where(small, torch.ones_like(angle), angle)
    shares = torch.stack([1 - t, t], dim=1)[:, None]
    arc = torch.sin(shares * safe[:, None]) / torch.sin(safe)[:, None]
    return torch.where(small[:, None], shares.expand_as(arc), arc)


def angles(a: Anchor, b: Anchor, sizes: Sequence[int]) -> Float[Tensor, " tensors"]:
    """Angle between two points for each tensor, in radians; 0 where one of them is zero, and for single numbers.

    Computed as ``2 atan2(|u - v|, |u + v|)`` of the unit vectors, in float64. This stays accurate for small angles,
    where the arc cosine does not.

    Args:
        a: One point.
        b: Another point.
        sizes: Number of coordinates of each tensor, in order.

    Raises:
        InputError: If a tensor of one points opposite to that of the other.
    """
    out, begin = [], 0
    with nullcontext() if isinstance(a, Tensor) else one_thread_each(1):
        for number, size in enumerate(sizes):
            angle = 0.0 if size == 1 else _angle(a, b, list(pieces(begin, begin + size)))
            begin += size
            if angle > OPPOSITE:
                raise InputError(
                    f"tensor {number} of the two ends points opposite ways ({angle:.3f} radians), so that no arc is "
                    'the shortest; use path = "linear"'
                )
            out.append(angle)
    return torch.tensor(out, dtype=torch.float64)


def _angle(a: Anchor, b: Anchor, parts: Sequence[tuple[int, int]]) -> float:
    """Angle between two points in one tensor, in radians; 0 where one of them is zero.

    Args:
        a: One point.
        b: Another point.
        parts: Bounds of the pieces of the tensor.
    """
    lengths = [_length(values(x, *part) for part in parts) for x in (a, b)]
    if not all(lengths):
        return 0.0
    minus, plus = (
        _length(
            values(a, *part).double() / lengths[0] + sign * values(b, *part).double() / lengths[1] for part in parts
        )
        for sign in (-1, 1)
    )
    return 2 * math.atan2(minus, plus)


def _length(parts: Iterable[Float[Tensor, " n"]]) -> float:
    """Euclidean length of a vector in parts, accumulated in float64."""
    return math.sqrt(sum(float(torch.linalg.vector_norm(part, dtype=torch.float64)) ** 2 for part in parts))
