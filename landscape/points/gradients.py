"""Mean loss and its gradient at points, with respect to all coordinates: for fits and for chains."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from landscape.objectives import Batch, Objective
from landscape.points.evaluate import Measured, batch_statistics
from landscape.points.strategy import affordable, least_seconds
from landscape.shapes import Float, Int


def value_and_grad(
    objective: Objective,
    point: Float[Tensor, " P"],
    examples: Int[Tensor, " n"],
    *,
    at_once: int = 32,
    names: frozenset[str] | None = None,
) -> tuple[float, Float[Tensor, " P"]]:
    """Mean loss of some examples at a point, in the units of the objective, and its gradient.

    Args:
        objective: Model, batches and measure.
        point: A point of its space, on its device.
        examples: Indices of its examples.
        at_once: Examples per pass. This trades memory for speed and changes nothing else. A model with running
            statistics takes all examples in one pass, so that the statistics are theirs.
        names: Parameters whose gradient is computed; it is zero in all others. None is all.
    """
    at = point.detach().requires_grad_()
    params = _named(objective, at, names)
    module, total = Measured(objective), 0.0
    gradient = torch.zeros_like(point)
    if objective.statistics:
        at_once = len(examples)
    for chosen in torch.split(examples, at_once):
        batch = {name: tensor[chosen.to(tensor.device)] for name, tensor in objective.batch.items()}
        with batch_statistics(objective) as buffers:
            loss = functional_call(module, {**params, **buffers}, ([batch],))["loss"].sum() / len(examples)
        if loss.requires_grad:
            gradient += torch.autograd.grad(loss, at, retain_graph=len(examples) > at_once)[0]
        total += float(loss.detach())
    return total, gradient


def values_and_grads(
    objective: Objective,
    points: Float[Tensor, "points P"],
    examples: Int[Tensor, "*points n"],
    *,
    kind: Literal["loop", "vmap"] = "loop",
    at_once: int = 32,
    names: frozenset[str] | None = None,
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points P"]]:
    """:func:`value_and_grad` at several points, on the same examples or each on its own.

    Args:
        objective: Model, batches and measure.
        points: Points of its space, on its device.
        examples: Indices of its examples, shared by all points or one row per point.
        kind: One point after the other, or all at once with one backward pass of the summed loss.
        at_once: Examples per pass.
        names: Parameters whose gradient is computed, as for :func:`value_and_grad`.
    """
    if kind == "loop" or objective.statistics:
        own = examples.expand(len(points), -1)
        each = [
            value_and_grad(objective, point, some, at_once=at_once, names=names)
            for point, some in zip(points, own, strict=True)
        ]
        return points.new_tensor([loss for loss, _ in each]), torch.stack([g for _, g in each])
    gradient, total = torch.zeros_like(points), torch.zeros(len(points), dtype=points.dtype, device=points.device)
    for chosen in torch.split(examples, at_once, dim=-1):
        share = chosen.shape[-1] / examples.shape[-1]
        batch = {name: tensor[chosen.to(tensor.device)] for name, tensor in objective.batch.items()}
        losses, found = stacked(objective, points, batch, names, shared=examples.ndim == 1)
        gradient.add_(found, alpha=share)
        total.add_(losses, alpha=share)
    return total, gradient


def stacked(
    objective: Objective,
    points: Float[Tensor, "points P"],
    batch: Batch,
    names: frozenset[str] | None = None,
    *,
    shared: bool = False,
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points P"]]:
    """Mean losses at several points and their gradients, from one backward pass of the summed loss.

    Args:
        objective: Model and measure.
        points: Points of its space, on its device.
        batch: Examples of each point, ``[points, n, ...]``, or ``[n, ...]`` if ``shared``.
        names: As for :func:`value_and_grad`.
        shared: Whether all points use the same examples.
    """
    at, module = points.detach().requires_grad_(), Measured(objective)

    def mean_at(params: dict[str, Tensor], batch: Batch) -> Tensor:
        losses: Tensor = functional_call(module, params, ([batch],))["loss"]
        return losses.mean()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        params = _named(objective, at, names)
        losses = vmap(mean_at, in_dims=(0, None if shared else 0), randomness="error")(params, batch)
        (gradient,) = torch.autograd.grad(losses.sum(), at)
    return losses.detach(), gradient


def loop_or_vmap(
    objective: Objective, points: Float[Tensor, "points P"], examples: Int[Tensor, "*points n"], repeats: int
) -> Literal["loop", "vmap"]:
    """The faster way to compute gradients at several points, by timing both.

    Args:
        objective: Model, batches and measure.
        points: Points of its space.
        examples: Indices of its examples.
        repeats: How often the gradients will be computed. If timing would be a large part of that, the answer is
            ``loop`` without timing.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    kinds: tuple[Literal["loop", "vmap"], ...] = ("loop", "vmap")
    if not affordable(2 * len(kinds), repeats):
        return "loop"
    seconds: dict[Literal["loop", "vmap"], float] = {}
    for kind in kinds:
        try:
            seconds[kind] = least_seconds(partial(values_and_grads, objective, points, examples, kind=kind))
        except RuntimeError:  # out of memory, or an operator that vmap lacks
            if kind == "loop":
                raise
    return min(seconds, key=lambda kind: seconds[kind])


def _named(objective: Objective, at: Float[Tensor, "*points P"], names: frozenset[str] | None) -> dict[str, Tensor]:
    """The parameters of the measured module; those that need no gradient are detached."""
    return {
        f"model.{name}": value if names is None or name in names else value.detach()
        for name, value in objective.space.params(at).items()
    }
