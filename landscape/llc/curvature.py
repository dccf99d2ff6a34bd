"""The top Hessian eigenvector at a checkpoint, from which a step size and its bias follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.llc.parameters import chosen, names_of
from landscape.objectives import Objective
from landscape.points import gradients
from landscape.points.evaluate import evaluate
from landscape.points.strategy import Strategy
from landscape.shapes import Float

SAFE = 0.4
"""Share of the largest stable step, times four: a bias of at most ``1 / (1 - 0.1)`` in the top Hessian eigenvector."""
NEAR = 1e-4
"""Distance of the two gradients of a difference, as a share of the length of the point. At 1e-3 one checkpoint of a
small GPT-2 had twelve times its curvature; from 1e-4 to 3e-5 all kept theirs within a tenth."""
EXAMPLES = 64
"""Examples on which the curvature is taken; from 32 on it was within a tenth of that of all, and above it."""
ITERATIONS = 30
"""Products with the Hessian at most."""
SETTLED = 0.005
"""Relative change of the eigenvalue at which it is known well enough."""

Gradient = Callable[[Tensor], Tensor]
"""Gradient of the mean loss at a point, always on the same examples."""


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """The direction of largest curvature.

    Attributes:
        curvature: Second derivative of the mean loss along it.
        variance: Of the examples' slopes along it, which is what minibatches add.
        parameters: Coordinates that may move.
    """

    curvature: float
    variance: float
    parameters: int


def largest(
    point: Float[Tensor, " P"],
    gradient: Gradient,
    *,
    seed: int,
    iterations: int = ITERATIONS,
    tolerance: float = SETTLED,
) -> tuple[float, Float[Tensor, " P"]]:
    """Size and direction of the eigenvalue of largest size of the Hessian, by power iteration.

    ``H v = (g(w + r v) - g(w - r v)) / 2r``, which needs no second derivative: attention has none in some of its forms.

    Args:
        point: The checkpoint.
        gradient: Of the mean loss.
        seed: Of the first direction.
        iterations: Products at most; each costs two gradients.
        tolerance: Relative change from one product to the next at which to stop.
    """
    random = torch.Generator().manual_seed(seed)
    way = torch.randn(len(point), generator=random, dtype=torch.float64).to(point)
    way /= torch.linalg.vector_norm(way)
    size, reach = 0.0, near(point)
    for _ in range(iterations):
        product = (gradient(point + reach * way) - gradient(point - reach * way)) / (2 * reach)
        before, size = size, float(torch.linalg.vector_norm(product))
        if size == 0:
            break
        way = product / size
        if abs(size - before) <= tolerance * size:
            break
    return size, way


def near(point: Float[Tensor, " P"]) -> float:
    """How far to go for a difference."""
    return NEAR * float(torch.linalg.vector_norm(point)) or NEAR


def sharpness(
    objective: Objective,
    point: Float[Tensor, " P"],
    parameters: Sequence[str] | None,
    *,
    seed: int,
    iterations: int = ITERATIONS,
    count: int = EXAMPLES,
) -> Sharpness:
    """The top Hessian eigenvector in the coordinates that move.

    Args:
        objective: The loss.
        point: The checkpoint.
        parameters: As for :func:`landscape.llc.parameters.chosen`.
        seed: Of the examples and the first direction.
        iterations: Products with the Hessian at most.
        count: Examples that are used at most.
    """
    moving = chosen(objective.model, objective.space, parameters)
    examples = torch.randperm(objective.examples, generator=torch.Generator().manual_seed(seed))[:count]
    names = names_of(objective.space, moving)
    place = slice(None) if moving is None else moving.to(point.device)

    def gradient(at: Tensor) -> Tensor:
        full = point.clone()
        full[place] = at
        return gradients.slope(objective, full, examples, names=names)[1][place]

    size, way = largest(point[place], gradient, seed=seed, iterations=iterations)
    reach, whole = near(point), torch.zeros_like(point)
    whole[place] = way
    rows = torch.tensor([[1.0, reach], [1.0, -reach]])
    one_by_one = Strategy("loop", 1, 32)
    up, down = evaluate(objective.take(examples), [point, whole], rows, strategy=one_by_one)["loss"].double()
    variance = float(((up - down) / (2 * reach)).var())
    return Sharpness(curvature=size, variance=variance, parameters=len(way))


def step_size(curvature: float, n_beta: float, localisation: float) -> float:
    """``0.4 / (n_beta curvature + localisation)``: a tenth of the largest stable step of SGLD."""
    return SAFE / (n_beta * curvature + localisation)
