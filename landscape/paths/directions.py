"""Random directions with the scale of each filter (Li et al. 2018, arXiv:1712.09913, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.shapes import Float
from landscape.space import Space


def filtered(
    point: Float[Tensor, " P"], space: Space, outputs: Sequence[int], generator: torch.Generator, count: int = 2
) -> Float[Tensor, "count P"]:
    """Random directions, orthogonal within each filter and scaled to the length of the point's filter.

    A filter is the weights of one output: a row of a linear layer, a kernel of a convolution, the vector of a token.
    Other tools use the norm of the whole tensor and call that filter normalisation too. Vectors and scalars (biases,
    scales of norms) do not move, as in Li et al. If a filter has fewer than ``count`` coordinates, its whole tensor is
    taken as one filter.

    Args:
        point: The point whose filters set the scale.
        space: Its space.
        outputs: The axis of each parameter that indexes its filters (:func:`landscape.space.output_axes`).
        generator: Source of randomness, on the CPU.
        count: Number of directions.
    """
    parts = []
    for part, shape, axis in zip(torch.split(point, list(space.sizes)), space.shapes, outputs, strict=True):
        if len(shape) < 2:
            parts.append(torch.zeros(count, len(part), dtype=torch.float64))
            continue
        filters = part.view(shape).movedim(axis, 0).cpu().double()
        moved = filters.shape
        filters = filters.reshape(moved[0], -1)
        if filters.shape[1] < count:
            filters = filters.reshape(1, -1)
        noise = torch.randn(*filters.shape, count, generator=generator, dtype=torch.float64)
        frame = torch.linalg.qr(noise).Q * torch.linalg.vector_norm(filters, dim=1)[:, None, None]
        parts.append(frame.movedim(-1, 0).reshape(count, *moved).movedim(1, axis + 1).reshape(count, -1))
    return torch.cat(parts, dim=1).to(point)


def shuffled(point: Float[Tensor, " P"], space: Space, generator: torch.Generator) -> Float[Tensor, " P"]:
    """A point with the same numbers in each tensor, in random order: noise of the same scale, and another function.

    Args:
        point: The point.
        space: Its space.
        generator: Source of randomness, on the CPU.
    """
    parts = torch.split(point, list(space.sizes))
    return torch.cat([part[torch.randperm(len(part), generator=generator).to(part.device)] for part in parts])
