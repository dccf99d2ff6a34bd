"""Gradients of the mean loss at points, with respect to all their coordinates: for fits and for chains."""

from __future__ import annotations

import time
import warnings
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from landscape.evaluate import Measured, batch_statistics
from landscape.objectives import Batch, Objective
from landscape.shapes import Float, Int


def slope(
    objective: Objective, point: Float[Tensor, " P"], examples: Int[Tensor, " n"], *, at_once: int = 32
) -> tuple[float, Float[Tensor, " P"]]:
    """Mean loss of some examples at a point, and its gradient there.

    Args:
        objective: Model, batches and measure.
        point: A point of its space, on its device.
        examples: Which of its examples.
        at_once: Examples in one pass; trades memory for speed and changes nothing else. Running statistics are those of
            the examples, in one pass.
    """
    at = point.detach().requires_grad_()
    params = {f"model.{name}": value for name, value in objective.space.params(at).items()}
    module, total = Measured(objective), 0.0
    gradient = torch.zeros_like(point)
    if objective.statistics:
        at_once = len(examples)
    for chosen in torch.split(examples, at_once):
        batch = {name: tensor[chosen.to(tensor.device)] for name, tensor in objective.batch.items()}
        with batch_statistics(objective) as buffers:
            loss = functional_call(module, {**params, **buffers}, ([batch],))["loss"].sum() / len(examples)
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
) -> tuple[Float[Tensor, " points"], Float[Tensor, "points P"]]:
    """:func:`slope` at several points, on the same examples or each on its own.

    Args:
        objective: Model, batches and measure.
        points: Points of its space, on its device.
        examples: Which of its examples; for all points, or a row for each.
        kind: One point after the other, or all at once with one backward pass of the summed loss.
        at_once: Examples in one pass.
    """
    if kind == "loop" or objective.statistics:
        own = examples.expand(len(points), -1)
        each = [slope(objective, point, some, at_once=at_once) for point, some in zip(points, own, strict=True)]
        return torch.tensor([loss for loss, _ in each], dtype=points.dtype), torch.stack([g for _, g in each])
    at = points.detach().requires_grad_()
    module = Measured(objective)
    gradient, total = torch.zeros_like(points), torch.zeros(len(points), dtype=points.dtype, device=points.device)
    for chosen in torch.split(examples, at_once, dim=-1):
        batch = {name: tensor[chosen.to(tensor.device)] for name, tensor in objective.batch.items()}
        params = {f"model.{name}": value for name, value in objective.space.params(at).items()}

        def losses_at(params: dict[str, Tensor], batch: Batch) -> Tensor:
            losses: Tensor = functional_call(module, params, ([batch],))["loss"]
            return losses.sum() / examples.shape[-1]

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")
            each_its_own = 0 if examples.ndim == 2 else None
            here = vmap(losses_at, in_dims=(0, each_its_own), randomness="error")(params, batch)
            gradient += torch.autograd.grad(here.sum(), at)[0]
        total += here.detach()
    return total.cpu(), gradient


def choose_slopes(
    objective: Objective, points: Float[Tensor, "points P"], examples: Int[Tensor, "*points n"]
) -> Literal["loop", "vmap"]:
    """Whether gradients at several points are faster one after the other or at once, by the clock.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    kinds: tuple[Literal["loop", "vmap"], ...] = ("loop", "vmap")
    seconds: dict[Literal["loop", "vmap"], float] = {}
    for kind in kinds:
        try:
            for _ in range(2):  # the first warms up
                begin = time.perf_counter()
                slopes(objective, points, examples, kind=kind)
                seconds[kind] = time.perf_counter() - begin
        except RuntimeError:  # out of memory among them
            if kind == "loop":
                raise
    return min(seconds, key=lambda kind: seconds[kind])
