"""The largest curvature at a checkpoint, from which a step size follows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from landscape.shapes import Float

SAFE = 0.4
"""Share of the largest stable step, times four: a bias of at most ``1 / (1 - 0.1)`` in the steepest direction."""
NEAR = 1e-3
"""Distance of the two gradients of a difference, as a share of the length of the point."""

Gradient = Callable[[Tensor], Tensor]
"""Gradient of the mean loss at a point, always on the same examples."""


def largest(point: Float[Tensor, " P"], gradient: Gradient, *, seed: int, iterations: int = 20) -> float:
    """Size of the eigenvalue of largest size of the Hessian, by power iteration on differences of gradients.

    ``H v = (g(w + r v) - g(w - r v)) / 2r``, which needs no second derivative: attention has none in some of its forms.

    Args:
        point: The checkpoint.
        gradient: Of the mean loss.
        seed: Of the first direction.
        iterations: Products; each costs two gradients.
    """
    random = torch.Generator().manual_seed(seed)
    way = torch.randn(len(point), generator=random, dtype=torch.float64).to(point)
    reach = NEAR * float(torch.linalg.vector_norm(point)) or NEAR
    size = 0.0
    for _ in range(iterations):
        way = way / torch.linalg.vector_norm(way)
        way = (gradient(point + reach * way) - gradient(point - reach * way)) / (2 * reach)
        size = float(torch.linalg.vector_norm(way))
        if size == 0:
            break
    return size


def step_size(curvature: float, n_beta: float, localisation: float) -> float:
    """``0.4 / (n_beta curvature + localisation)``: a tenth of the largest stable step of SGLD."""
    return SAFE / (n_beta * curvature + localisation)
