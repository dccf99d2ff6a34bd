"""Gradients at several points as one flat list of operations, recorded once.

This is for models so small that modules, autograd and vmap cost more than the arithmetic.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from landscape.objectives import Batch, Objective
from landscape.points import gradients
from landscape.shapes import Float, Int

ValuesAndGrads = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Mean losses at points ``[points, P]``, each on its own examples ``[points, n]``, and the gradients there."""

MAX_DIFFERENCE = 1e-4
"""Largest difference between the recording and the model, as a fraction of the largest value."""


def record(
    objective: Objective,
    points: Float[Tensor, "points P"],
    examples: Int[Tensor, "points n"],
    names: frozenset[str] | None = None,
) -> ValuesAndGrads:
    """:func:`landscape.points.gradients.values_and_grads` without the overhead of modules, autograd and vmap.

    The recording is checked at other points and on other examples: a model whose operations depend on its values cannot
    be recorded.

    Args:
        objective: Model, batches and measure; without running statistics.
        points: As many points as later calls will have.
        examples: As many examples of each point as later calls will have.
        names: Parameters whose gradient is wanted; None is all.

    Raises:
        RuntimeError: If the model cannot be recorded.
    """

    def eager(points: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return gradients.stacked(objective, points, batch, names)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = make_fx(eager)(points, _taken(objective, examples))
    graph.graph.eliminate_dead_code()
    graph.recompile()

    def recorded(points: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            losses, grads = graph(points, _taken(objective, examples))
        return losses, grads

    other = points * 1.01 + 0.01 * points.flip(0).roll(1, dims=1)
    shifted = (examples + 1) % objective.examples
    for one, two in zip(recorded(other, shifted), eager(other, _taken(objective, shifted)), strict=True):
        if not (one - two).abs().max() <= MAX_DIFFERENCE * two.abs().max():
            raise RuntimeError("the operations of the model depend on its values, so it cannot be recorded")
    return recorded


def _taken(objective: Objective, examples: Int[Tensor, "points n"]) -> Batch:
    return {name: tensor[examples.to(tensor.device)] for name, tensor in objective.batch.items()}
