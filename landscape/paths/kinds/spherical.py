"""Arcs of circles in place of straight lines: of the whole point, or of each tensor by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.shapes import Float

OPPOSITE = 3.1
"""Radians beyond which two ends point opposite ways and no arc between them is the shortest."""


def geodesic(
    t: Float[Tensor, " t"], a: Float[Tensor, " P"], b: Float[Tensor, " P"], sizes: Sequence[int]
) -> Float[Tensor, "t 2"]:
    """Weight of each end on the great circle through two points: one angle for all coordinates.

    Raises:
        InputError: If the ends point opposite ways.
    """
    return slerp(t, angles(a, b, [len(a)]))[:, 0]


def spherical(
    t: Float[Tensor, " t"], a: Float[Tensor, " P"], b: Float[Tensor, " P"], sizes: Sequence[int]
) -> Float[Tensor, "t tensors 2"]:
    """Weight of each end on an arc for each tensor by itself: ``sizes`` are those of the tensors, in order.

    Raises:
        InputError: If a tensor of one end points opposite to that of the other.
    """
    return slerp(t, angles(a, b, sizes))


def slerp(t: Float[Tensor, " t"], angle: Float[Tensor, " tensors"]) -> Float[Tensor, "t tensors 2"]:
    """Weights ``[sin((1 - t) angle), sin(t angle)] / sin(angle)`` of two ends (Shoemake 1985).

    Between ends of equal length the arc keeps that length; between unequal ones it is the image of such an arc, and not
    mergekit's, which scales directions. At angle 0 it is the straight line.

    Args:
        t: Positions in [0, 1].
        angle: Between the ends, in radians, of each tensor.
    """
    small = angle < 1e-6
    safe = torch.where(small, torch.ones_like(angle), angle)
    shares = torch.stack([1 - t, t], dim=1)[:, None]
    arc = torch.sin(shares * safe[:, None]) / torch.sin(safe)[:, None]
    return torch.where(small[:, None], shares.expand_as(arc), arc)


def angles(a: Float[Tensor, " P"], b: Float[Tensor, " P"], sizes: Sequence[int]) -> Float[Tensor, " tensors"]:
    """Angle between two points, tensor by tensor; 0 where one of them is zero, and for single numbers.

    By the half-angle ``2 atan2(|u - v|, |u + v|)`` of the directions, in float64, which is exact for small angles,
    where the arc cosine is not.

    Raises:
        InputError: If a tensor of one points opposite to that of the other.
    """
    out = []
    for place, (one, two) in enumerate(zip(torch.split(a, list(sizes)), torch.split(b, list(sizes)), strict=True)):
        lengths = [torch.linalg.vector_norm(x, dtype=torch.float64) for x in (one, two)]
        if not all(lengths) or len(one) == 1:
            out.append(0.0)
            continue
        u, v = one.double() / lengths[0], two.double() / lengths[1]
        angle = 2 * float(torch.atan2(torch.linalg.vector_norm(u - v), torch.linalg.vector_norm(u + v)))
        if angle > OPPOSITE:
            raise InputError(
                f"tensor {place} of the two ends points opposite ways ({angle:.3f} radians), so that no arc is the "
                'shortest; use path = "linear"'
            )
        out.append(angle)
    return torch.tensor(out, dtype=torch.float64)
