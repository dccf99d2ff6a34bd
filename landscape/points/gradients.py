"""Gradients of the mean loss at points, with respect to all their coordinates: for fits and for chains."""

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


def slope(
    objective: Objective,
    point: Float[Tensor, " P"],
    examples: Int[Tensor, " n"],
    *,
    at_once: int = 32,
    names: frozenset[str] | None = None,
) -> tuple[float, Float[Tensor, " P"]]:
    """Mean loss of some examples at a point, and its gradient there.

    Args:
        objective: Model, batches and measure.
        point: A point of its space, on its device.
        examples: Which of its examples.
        at_once: Examples in one pass; trades memory for speed and changes nothing else. Running statistics are those of
            the examples, in one pass.
        names: Parameters whose gradient is wanted; it is zero in all others, and not computed. None is all.
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


def slopes(
    objective: Objective,
    points: Float[Tensor, "points P"],
    examples: Int[Tensor, "*points n"],
    *,
    kind: Literal["loop", "vmap"] = "loop",
    at_once: int = 32,
    names: frozenset[str] | None = None,
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points P"]]:
    """:func:`slope` at several points, on the same examples or each on its own.

    Args:
        objective: Model, batches and measure.
        points: Points of its space, on its device.
        examples: Which of its examples; for all points, or a row for each.
        kind: One point after the other, or all at once with one backward pass of the summed loss.
        at_once: Examples in one pass.
        names: Parameters whose gradient is wanted, as for :func:`slope`.
    """
    if kind == "loop" or objective.statistics:
        own = examples.expand(len(points), -1)
        each = [
            slope(objective, point, some, at_once=at_once, names=names) for point, some in zip(points, own, strict=True)
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
    """Mean losses at several points and their gradients, by one backward pass of the summed loss.

    Args:
        objective: Model and measure.
        points: Points of its space, on its device.
        batch: Examples of each point, ``[points, n, ...]``; with ``shared``, ``[n, ...]`` for all.
        names: As for :func:`slope`.
        shared: Whether all points see the same examples.
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


def choose_slopes(
    objective: Objective, points: Float[Tensor, "points P"], examples: Int[Tensor, "*points n"], repeats: int
) -> Literal["loop", "vmap"]:
    """Whether gradients at several points are faster one after the other or at once, by the clock.

    Args:
        objective: Model, batches and measure.
        points: Points of its space.
        examples: Which of its examples.
        repeats: How often the gradients are wanted; where trying would be a large part of that, they are looped.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    kinds: tuple[Literal["loop", "vmap"], ...] = ("loop", "vmap")
    if not affordable(2 * len(kinds), repeats):
        return "loop"
    seconds: dict[Literal["loop", "vmap"], float] = {}
    for kind in kinds:
        try:
            seconds[kind] = least_seconds(partial(slopes, objective, points, examples, kind=kind))
        except RuntimeError:  # out of memory among them
            if kind == "loop":
                raise
    return min(seconds, key=lambda kind: seconds[kind])


def _named(objective: Objective, at: Float[Tensor, "*points P"], names: frozenset[str] | None) -> dict[str, Tensor]:
    """The parameters of the measured module, those without a gradient cut off."""
    return {
        f"model.{name}": value if names is None or name in names else value.detach()
        for name, value in objective.space.params(at).items()
    }
