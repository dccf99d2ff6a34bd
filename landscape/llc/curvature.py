"""The top Hessian eigenvector at a checkpoint, which sets the step size and its bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from landscape.llc.parameters import chosen, names_of
from landscape.objectives import Objective
from landscape.points import gradients
from landscape.points.evaluate import evaluate
from landscape.points.strategy import Strategy
from landscape.shapes import Float

SAFE = 0.4
"""Automatic step size times kappa, a tenth of what is stable: a bias of ``1 / (1 - 0.1)`` in the top eigenvector."""
NEAR = 1e-4
"""Step of a finite difference of gradients, as a share of the length of the point. At 1e-3 one checkpoint of a small
GPT-2 had twelve times its curvature; from 1e-4 to 3e-5 the curvature of all changed by less than a tenth."""
EXAMPLES = 64
"""Examples for the curvature; from 32 on it was at most a tenth above that of all examples."""
ITERATIONS = 30
"""Largest number of products with the Hessian."""
SETTLED = 0.05
"""Residual of the eigenvector, as a share of the eigenvalue, at which the iteration stops. The error of the eigenvalue
is of the order of its square: on a small GPT-2 the eigenvalue was 0.9 % too low on average, and 4 % at most."""
HELD = 4
"""Vectors of the basis that are in memory."""
KEPT = 2
"""Vectors of the basis that a restart keeps."""

Gradient = Callable[[Tensor], Tensor]
"""Gradient of the mean loss at a point, always on the same examples."""


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """The top Hessian eigenvector and what is known along it.

    Attributes:
        curvature: Second derivative of the mean loss along it.
        variance: Variance over examples of the derivative of the loss along it; it makes the noise of minibatches.
        parameters: Number of coordinates that may move.
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
    """Largest absolute eigenvalue of the Hessian and its eigenvector, by the thick-restart Lanczos method.

    ``H v = (g(w + r v) - g(w)) / r`` needs no second derivative, which some forms of attention lack. The eigenvalues
    are those of the Hessian projected on the span of a few products. When their basis is full, eigenvectors of the
    largest ones replace it (Wu and Simon 2000, doi:10.1137/S0895479898334605). Power iteration takes half as many
    products again, and ends lower. The first direction is half the gradient, which lies near the top eigenvectors
    (Gur-Ari et al. 2018, arXiv:1812.04754), and half random, as the gradient may be zero.

    Args:
        point: The checkpoint.
        gradient: Gradient of the mean loss.
        seed: Seed of the random half of the first direction.
        iterations: Largest number of products; each costs a gradient.
        tolerance: Norm of ``H v - h v`` as a share of the eigenvalue ``h``, at which to stop.

    Returns:
        The eigenvalue, and its eigenvector of length one; nan, and no eigenvector, if a gradient is not finite.
    """
    random = torch.Generator().manual_seed(seed)
    rest = torch.randn(len(point), generator=random, dtype=torch.float64).to(point)
    here, reach = gradient(point), near(point)
    rest = normalize(rest, dim=0) + normalize(here, dim=0)
    basis, projected = list[Tensor](), np.zeros((0, 0))
    for _ in range(iterations):
        basis.append(rest / torch.linalg.vector_norm(rest))
        rest = (gradient(point + reach * basis[-1]) - here) / reach
        projected = np.pad(projected, (0, 1))
        projected[-1] = projected[:, -1] = [float(one @ rest) for one in basis]
        if not np.isfinite(projected).all():
            return math.nan, basis[-1]
        values, vectors = np.linalg.eigh(projected)
        order = np.argsort(-np.abs(values))
        size = float(np.abs(values[order[0]]))
        for one in basis * 2:  # twice, as rounding leaves a little of each
            rest = rest - (one @ rest) * one
        residual = float(torch.linalg.vector_norm(rest)) * abs(vectors[-1, order[0]])
        if residual <= tolerance * size:
            break
        if len(basis) == HELD:
            basis, projected = _combined(basis, vectors[:, order[:KEPT]]), np.diag(values[order[:KEPT]])
            vectors, order = np.eye(KEPT), np.arange(KEPT)
    (way,) = _combined(basis, vectors[:, order[:1]])
    return size, way


def _combined(
    basis: Sequence[Float[Tensor, " P"]], weights: Float[np.ndarray, "basis combinations"]
) -> list[Float[Tensor, " P"]]:
    """Linear combinations of vectors."""
    return [sum((float(w) * one for w, one in zip(column, basis, strict=True)), 0 * basis[0]) for column in weights.T]


def near(point: Float[Tensor, " P"]) -> float:
    """Step of a finite difference, a distance."""
    return NEAR * float(torch.linalg.vector_norm(point)) or NEAR


def sharpness(
    objective: Objective,
    point: Float[Tensor, " P"],
    parameters: Sequence[str] | None,
    *,
    seed: int,
    iterations: int = ITERATIONS,
    tolerance: float = SETTLED,
    count: int = EXAMPLES,
) -> Sharpness:
    """The top Hessian eigenvector in the coordinates that move.

    Args:
        objective: The loss.
        point: The checkpoint.
        parameters: As for :func:`landscape.llc.parameters.chosen`.
        seed: Seed of the examples and the first direction.
        iterations: Largest number of products with the Hessian.
        tolerance: As for :func:`largest`.
        count: Largest number of examples.
    """
    moving = chosen(objective.model, objective.space, parameters)
    examples = torch.randperm(objective.examples, generator=torch.Generator().manual_seed(seed))[:count]
    names = names_of(objective.space, moving)
    where = slice(None) if moving is None else moving.to(point.device)

    def gradient(at: Tensor) -> Tensor:
        full = point.clone()
        full[where] = at
        return gradients.value_and_grad(objective, full, examples, names=names)[1][where]

    size, way = largest(point[where], gradient, seed=seed, iterations=iterations, tolerance=tolerance)
    reach, whole = near(point), torch.zeros_like(point)
    whole[where] = way
    rows = torch.tensor([[1.0, reach], [1.0, -reach]])
    one_by_one = Strategy("loop", 1, 32)
    up, down = evaluate(objective.take(examples), [point, whole], rows, strategy=one_by_one)["loss"].double()
    variance = float(((up - down) / (2 * reach)).var())
    return Sharpness(curvature=size, variance=variance, parameters=len(way))


def step_size(curvature: float, n_beta: float, localisation: float) -> float:
    """``0.4 / (n_beta curvature + localisation)``: a tenth of the largest stable step of SGLD.

    Args:
        curvature: Largest curvature of the mean loss.
        n_beta: Factor on the mean loss.
        localisation: Strength of the pull to the centre.
    """
    return SAFE / (n_beta * curvature + localisation)
