"""Mixtures of several checkpoints: the vertices, edges, centre and inside of their simplex."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from landscape.shapes import Float

MIXTURES = ("vertex", "edge", "centre", "random")
"""Kinds of mixture, in the order of their rows."""


def mixtures(
    anchors: int, random: int, generator: torch.Generator
) -> tuple[list[str], Float[Tensor, "mixtures anchors"]]:
    """The kind of each mixture and its coefficients, which are nonnegative and sum to 1.

    Mixtures are the vertices, the midpoints of all edges, the centre (the uniform soup of Wortsman et al. 2022), and
    points drawn uniformly from the simplex.

    Args:
        anchors: Number of checkpoints.
        random: Number of random mixtures.
        generator: Source of randomness, on the CPU.
    """
    corner = torch.eye(anchors, dtype=torch.float64)
    edges = [(corner[i] + corner[j]) / 2 for i, j in combinations(range(anchors), 2)]
    centre = torch.full((1, anchors), 1 / anchors, dtype=torch.float64)
    gaps = -torch.rand(random, anchors, generator=generator, dtype=torch.float64).clamp(min=1e-300).log()
    inside = gaps / gaps.sum(dim=1, keepdim=True)
    rows = (
        torch.cat([corner, torch.stack(edges), centre, inside]) if anchors > 2 else torch.cat([corner, centre, inside])
    )
    counts = (anchors, len(edges) if anchors > 2 else 0, 1, random)
    return [kind for kind, count in zip(MIXTURES, counts, strict=True) for _ in range(count)], rows
