"""Losses at many points at once; :mod:`landscape.points.gradients` has their gradients.

A point is a row of coefficients over a few anchors. Two strategies give the same numbers: a loop that writes one
point after the other into one buffer, and ``vmap`` over a chunk of points. Which one is faster, and with how many
examples in a pass, is timed (:mod:`landscape.points.strategy`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from landscape.anchor import Anchor
from landscape.objectives import Batch, Objective, Values
from landscape.objectives.objective import norms
from landscape.points.combine import Anchors, combine_rows
from landscape.points.strategy import ON_GPU, STACKED, Strategy, Tuner
from landscape.points.streamed import Borrowed, streamed
from landscape.progress import Progress
from landscape.shapes import Float

Dtype = Literal["float32", "tf32", "bfloat16"]
SAMPLE, SAMPLE_SHARE, FEWEST = 4, 0.03, 4
"""Points at which a lower precision is compared with float32, its share of all evaluations, and the fewest examples."""


class Measured(nn.Module):
    """The model and the measure of an objective as one module, so that one ``functional_call`` runs all batches."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.model = objective.model
        self.measure = objective.measure

    def forward(self, batches: list[Batch]) -> Values:
        """Values of the measure on all examples of the batches, concatenated."""
        each = [self.measure(self.model, batch) for batch in batches]
        return {name: torch.cat([values[name] for values in each]) for name in each[0]}


class _Buffer:
    """Memory for a chunk of points: overwritten by every chunk, and reallocated for a larger one."""

    def __init__(self, objective: Objective, anchor: Anchor, dtype: Dtype) -> None:
        self.space = objective.space
        own = anchor.dtype if isinstance(anchor, Tensor) else torch.float32
        kind = torch.bfloat16 if dtype == "bfloat16" else own
        self.points = torch.empty(0, self.space.size, dtype=kind, device=objective.device)

    def write(self, rows: Float[Tensor, "points *tensors anchors"], anchors: Anchors) -> dict[str, Tensor]:
        """Parameters of the points of these rows, stacked."""
        if len(rows) > len(self.points):
            self.points = self.points.new_empty(0)  # so that the old and the new one are not there at once
            self.points = self.points.new_empty(len(rows), self.space.size)
        points = self.points[: len(rows)]
        combine_rows(rows, anchors, points, self.space.sizes)
        return {f"model.{name}": value for name, value in self.space.params(points).items()}


def losses(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    strategy: Strategy | Tuner | None = None,
    dtype: Dtype = "float32",
) -> Float[Tensor, "points examples"]:
    """Loss of each example at each of the points ``coefficients @ anchors``, in the unit of the objective.

    Args:
        objective: As in :func:`evaluate`.
        anchors: As in :func:`evaluate`.
        coefficients: As in :func:`evaluate`.
        strategy: As in :func:`evaluate`.
        dtype: As in :func:`evaluate`.
    """
    return evaluate(objective, anchors, coefficients, strategy=strategy, dtype=dtype)["loss"]


def tuner(
    objective: Objective,
    evaluations: int,
    first: Strategy | None = None,
    finished: Callable[[Strategy], None] = lambda _: None,
) -> Tuner:
    """A search for the strategy that is fastest for an objective on the device of its model.

    Args:
        objective: The objective.
        evaluations: Examples times points of the whole work.
        first: The strategy with which the search begins.
        finished: Called with the strategy that the search ends with.
    """
    device = objective.device
    stacked = () if objective.statistics else STACKED if device.type == "cpu" else ON_GPU
    return Tuner(objective.examples, evaluations, first or Strategy(), stacked, finished=finished)


@torch.no_grad()
def evaluate(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    strategy: Strategy | Tuner | None = None,
    dtype: Dtype = "float32",
) -> dict[str, Float[Tensor, "points examples"]]:
    """All metrics of an objective at the points ``coefficients @ anchors``.

    Points are combined in the dtype of the anchors, and rounded once to that of the forward pass.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space, on its device or on disk.
        coefficients: A row for each wanted point, or for each tensor of each point.
        strategy: How to evaluate, or a tuner that searches for the fastest strategy on these points. None is a new
            tuner.
        dtype: Precision of weights and activations in the forward pass; losses are float32 or better. ``tf32`` is
            float32 with products rounded to TensorFloat-32 by NVIDIA GPUs.

    Returns:
        Values of each example at each point, on the CPU, by name; losses in the unit of the objective.

    Raises:
        torch.OutOfMemoryError: If one point and one example do not fit; before that, chunks are halved.
    """
    if not isinstance(strategy, Tuner):
        wanted = 0 if strategy else len(coefficients) * objective.examples
        strategy = tuner(objective, wanted, strategy or Strategy())
    buffer: _Buffer | None = None
    kept: list[Values] = []
    done, progress = 0, Progress("evaluating", len(coefficients), "points")
    while done < len(coefficients):
        rows = coefficients[done : done + strategy.points]
        try:
            buffer = buffer or _Buffer(objective, anchors[0], dtype)
            with _products("float32"):
                params = buffer.write(rows, anchors)
            with _products(dtype):
                kept.append(_chunk(objective, params, strategy, progress))
            done += len(rows)
        except torch.OutOfMemoryError:
            buffer = None
            if strategy.trial is None or not strategy.failed(strategy.trial):
                if (less := strategy.best.smaller()) is None:
                    raise
                strategy.best, strategy.trial = less, None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return {name: torch.cat([values[name] for values in kept]) for name in kept[0]}


@contextmanager
def _products(dtype: Dtype) -> Generator[None]:
    """Within this context, GPUs round the factors of float32 products to TensorFloat-32, or do not."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    rounded = dtype == "tf32"
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = rounded
        yield
    finally:
        for backend, was in zip(backends, before, strict=True):
            backend.allow_tf32 = was


def dtype_error(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    lower: Float[Tensor, "points examples"],
    strategy: Strategy,
) -> float:
    """Largest difference of a mean loss from float32, on a sample of the points and of the examples; nats.

    Args:
        objective: Model, batches and measure.
        anchors: As in :func:`evaluate`.
        coefficients: All points.
        lower: Losses of all points in the lower precision.
        strategy: How to evaluate in float32.
    """
    points, examples = len(coefficients), objective.examples
    sample = torch.linspace(0, points - 1, min(SAMPLE, points)).round().long()
    count = min(examples, max(FEWEST, round(SAMPLE_SHARE * points * examples / len(sample))))
    some = torch.linspace(0, examples - 1, count).round().long()
    few, rows = objective.take(some), coefficients[sample]
    exact = _streamed(few, anchors, rows)
    if exact is None:
        exact = losses(few, anchors, rows, strategy=strategy)
    return float((lower[sample][:, some].mean(dim=1) - exact.mean(dim=1)).abs().max())


def _streamed(
    objective: Objective, anchors: Anchors, coefficients: Float[Tensor, "points *tensors anchors"]
) -> Float[Tensor, "points examples"] | None:
    """Losses in float32 without a whole point in memory, where anchors are on disk and the model allows it."""
    if isinstance(anchors[0], Tensor) or objective.statistics:
        return None
    try:
        return streamed(objective, anchors, coefficients, doing="comparing with float32")["loss"]
    except Borrowed:
        return None


def _chunk(objective: Objective, params: dict[str, Tensor], tuner: Tuner, progress: Progress) -> Values:
    """Values of all examples at a chunk of points, in the slices that the tuner chooses.

    Raises:
        RuntimeError: If the model does not run; ``torch.OutOfMemoryError`` is a subclass.
    """
    count, done = len(next(iter(params.values()))), 0
    module, slices, points = Measured(objective), list[Values](), list[dict[str, Tensor]]()
    while done < objective.examples:
        strategy, examples = tuner.next(count, objective.examples - done)
        stacked = strategy.kind == "vmap" and not objective.statistics
        points = points or ([] if stacked else _separate(objective, module, params))
        begin = time.perf_counter()
        sizes = range(done, done + examples, strategy.examples)
        batches = [objective.part(first, min(first + strategy.examples, done + examples)) for first in sizes]
        try:
            values = _forward(module, batches, params if stacked else points)
            if (
                tuner.trial is not None
            ):  # a timing has to wait for the device; without one, results are fetched once, at the end
                values = {name: value.cpu() for name, value in values.items()}
            slices.append(values)
        except RuntimeError:  # out of memory, or an operation that vmap does not support
            if not tuner.failed(strategy):
                raise
            continue
        tuner.took(strategy, examples * count, time.perf_counter() - begin)
        done += examples
        progress.advance(count * examples / objective.examples)
    return {name: torch.cat([values[name].cpu() for values in slices], dim=1) for name in slices[0]}


def _forward(
    module: Measured, batches: list[Batch], params: list[dict[str, Tensor]] | dict[str, Tensor]
) -> dict[str, Float[Tensor, "points examples"]]:
    """Values of the batches: of stacked points under ``vmap``, of a list of points one after the other."""
    one = partial(_at, module, batches)
    if isinstance(params, dict):
        with warnings.catch_warnings():
            # The timing finds operators that are slow under vmap.
            warnings.filterwarnings("ignore", "There is a performance drop")
            values = vmap(one, randomness="error")(params)
    else:
        each = [one(point) for point in params]
        values = {name: torch.stack([at_point[name] for at_point in each]) for name in each[0]}
    return values


def _at(module: Measured, batches: list[Batch], params: dict[str, Tensor]) -> Values:
    values: Values = functional_call(module, params, (batches,))
    return values


def _separate(objective: Objective, module: nn.Module, params: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Parameters of each point of a chunk, with its running statistics if the objective sets them."""
    count = len(next(iter(params.values())))
    points = [{name: param[k] for name, param in params.items()} for k in range(count)]
    return [{**point, **_statistics(objective, module, point)} for point in points]


def _statistics(objective: Objective, module: nn.Module, params: dict[str, Tensor]) -> dict[str, Tensor]:
    """Running statistics of the model at a point: the mean over the batches of the statistics of each batch."""
    with batch_statistics(objective) as buffers:
        for batch in objective.statistics:
            functional_call(module, {**params, **buffers}, ([batch],))
    return buffers


@contextmanager
def batch_statistics(objective: Objective) -> Generator[dict[str, Tensor]]:
    """Let norms use and accumulate the statistics of batches in fresh buffers; the model itself does not change."""
    changed = norms(objective.model) if objective.statistics else {}
    momenta = {name: module.momentum for name, module in changed.items()}
    try:
        for module in changed.values():
            module.train()
            module.momentum = None  # a plain mean over batches, not a moving one
        yield {
            f"model.{name}.{kind}": torch.zeros_like(buffer)
            for name, module in changed.items()
            for kind, buffer in module.named_buffers(recurse=False)
        }
    finally:
        for name, module in changed.items():
            module.eval()
            module.momentum = momenta[name]
