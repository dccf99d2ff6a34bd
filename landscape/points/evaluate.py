"""Losses at many points at once; ``gradients`` adds their gradients.

A point is a row of coefficients over a few anchors. Two strategies give the same numbers: a loop that writes one
point after the other into one buffer, and ``vmap`` over a chunk of points. Which is faster, and with how many examples
in a pass, is found by the clock (:mod:`landscape.points.strategy`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from landscape.objectives import Batch, Objective, Values
from landscape.objectives.objective import norms
from landscape.points.strategy import ON_GPU, STACKED, Strategy, Tuner
from landscape.shapes import Float

Dtype = Literal["float32", "tf32", "bfloat16"]
Anchors = Float[Tensor, "anchors P"] | list[Tensor]
SAMPLE, SAMPLE_SHARE, FEWEST = 4, 0.03, 4
"""Points at which a lower precision is held against float32, the share of all evaluations, and the fewest examples."""


class Measured(nn.Module):
    """The model and its measure as one module, so that one ``functional_call`` runs all batches."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.model = objective.model
        self.measure = objective.measure

    def forward(self, batches: list[Batch]) -> Values:
        """What the measure gives on all examples of the batches, one after the other."""
        parts = [self.measure(self.model, batch) for batch in batches]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


class _Buffer:
    """Memory for a chunk of points, written again for every chunk and made anew for a larger one."""

    def __init__(self, objective: Objective, anchor: Tensor, dtype: Dtype) -> None:
        self.space = objective.space
        self.points = torch.empty(0, self.space.size, dtype=anchor.dtype, device=anchor.device)
        self.dtype = torch.bfloat16 if dtype == "bfloat16" else anchor.dtype

    def write(self, rows: Float[Tensor, "points *tensors anchors"], anchors: Anchors) -> dict[str, Tensor]:
        """Parameters of the points of these rows, stacked."""
        if len(rows) > len(self.points):
            self.points = self.points.new_empty(len(rows), self.space.size)
            self.cast = self.points if self.dtype == self.points.dtype else self.points.to(self.dtype)
        for row, out in zip(rows, self.points, strict=False):
            if row.ndim == 1:
                combine(row.tolist(), anchors, out)
            else:
                combine_tensors(row, anchors, out, self.space.sizes)
        if self.cast is not self.points:
            self.cast.copy_(self.points)
        return {f"model.{name}": value for name, value in self.space.params(self.cast[: len(rows)]).items()}


def losses(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    strategy: Strategy | Tuner | None = None,
    dtype: Dtype = "float32",
) -> Float[Tensor, "points examples"]:
    """Loss of each example at each of the points ``coefficients @ anchors``; see :func:`evaluate`."""
    return evaluate(objective, anchors, coefficients, strategy=strategy, dtype=dtype)["loss"]


def tuner(
    objective: Objective,
    evaluations: int,
    first: Strategy | None = None,
    found: Callable[[Strategy], None] = lambda _: None,
) -> Tuner:
    """A search for the strategy that is fastest for an objective, where its model lies.

    Args:
        objective: The objective.
        evaluations: Examples times points of the whole work.
        first: Where the search begins.
        found: Called with what a search ends with.
    """
    device = next(objective.model.parameters()).device
    stacked = () if objective.statistics else STACKED if device.type == "cpu" else ON_GPU
    return Tuner(objective.examples, evaluations, first or Strategy(), stacked, found=found)


@torch.no_grad()
def evaluate(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    strategy: Strategy | Tuner | None = None,
    dtype: Dtype = "float32",
) -> dict[str, Float[Tensor, "points examples"]]:
    """All that the objective measures, at the points ``coefficients @ anchors``.

    Points are combined in the anchors' own dtype, whatever the dtype of the forward pass.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space, on its device.
        coefficients: A row for each wanted point, or for each of its tensors.
        strategy: How; or what finds the fastest way on these points and is told of them. None is a new one.
        dtype: Precision of weights and activations in the forward pass; losses are float32 or better. ``tf32`` is
            float32 whose products are rounded to TensorFloat-32, by NVIDIA GPUs.

    Returns:
        Values of each example at each point, on the CPU, by name.

    Raises:
        torch.OutOfMemoryError: If one point and one example do not fit; before that, chunks are halved.
    """
    if not isinstance(strategy, Tuner):
        wanted = 0 if strategy else len(coefficients) * objective.examples
        strategy = tuner(objective, wanted, strategy or Strategy())
    buffer: _Buffer | None = None
    kept: list[Values] = []
    done = 0
    while done < len(coefficients):
        rows = coefficients[done : done + strategy.points]
        try:
            buffer = buffer or _Buffer(objective, anchors[0], dtype)
            with _products(dtype):
                kept.append(_chunk(objective, buffer.write(rows, anchors), strategy))
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
    """Within this, GPUs round the factors of float32 products to TensorFloat-32, or do not."""
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
        lower: Their losses in the lower precision.
        strategy: How to run float32.
    """
    points, examples = len(coefficients), objective.examples
    sample = torch.linspace(0, points - 1, min(SAMPLE, points)).round().long()
    count = min(examples, max(FEWEST, round(SAMPLE_SHARE * points * examples / len(sample))))
    some = torch.linspace(0, examples - 1, count).round().long()
    exact = losses(objective.take(some), anchors, coefficients[sample], strategy=strategy)
    return float((lower[sample][:, some].mean(dim=1) - exact.mean(dim=1)).abs().max())


def _chunk(objective: Objective, params: dict[str, Tensor], tuner: Tuner) -> Values:
    """Values of all examples at a chunk of points, in the slices that the tuner asks for.

    Raises:
        RuntimeError: If the model does not run; of that kind is ``torch.OutOfMemoryError``.
    """
    count, done = len(next(iter(params.values()))), 0
    module, parts = Measured(objective), list[Values]()
    points = [{name: param[k] for name, param in params.items()} for k in range(count)]
    points = [{**point, **_statistics(objective, module, point)} for point in points]
    while done < objective.examples:
        strategy, examples = tuner.next(count, objective.examples - done)
        begin = time.perf_counter()
        sizes = range(done, done + examples, strategy.examples)
        batches = [objective.part(first, min(first + strategy.examples, done + examples)) for first in sizes]
        try:
            stacked = strategy.kind == "vmap" and not objective.statistics
            values = _forward(module, batches, params if stacked else points)
            if tuner.trial is not None:  # the clock waits for the device; else results are fetched once, at the end
                values = {name: value.cpu() for name, value in values.items()}
            parts.append(values)
        except RuntimeError:  # out of memory, or what vmap cannot do
            if not tuner.failed(strategy):
                raise
            continue
        tuner.took(strategy, examples * count, time.perf_counter() - begin)
        done += examples
    return {name: torch.cat([part[name].cpu() for part in parts], dim=1) for name in parts[0]}


def _forward(
    module: Measured, batches: list[Batch], params: list[dict[str, Tensor]] | dict[str, Tensor]
) -> dict[str, Float[Tensor, "points examples"]]:
    """Values of the batches at points that are stacked, under ``vmap``, or that are not, one after the other."""
    one = partial(_at, module, batches)
    if isinstance(params, dict):
        with warnings.catch_warnings():
            # Slow operators under vmap are what the timing is for.
            warnings.filterwarnings("ignore", "There is a performance drop")
            values = vmap(one, randomness="error")(params)
    else:
        each = [one(point) for point in params]
        values = {name: torch.stack([part[name] for part in each]) for name in each[0]}
    return values


def _at(module: Measured, batches: list[Batch], params: dict[str, Tensor]) -> Values:
    values: Values = functional_call(module, params, (batches,))
    return values


def _statistics(objective: Objective, module: nn.Module, params: dict[str, Tensor]) -> dict[str, Tensor]:
    """Running statistics of the model at a point: the mean over the batches of what each batch has there."""
    with batch_statistics(objective) as buffers:
        for batch in objective.statistics:
            functional_call(module, {**params, **buffers}, ([batch],))
    return buffers


@contextmanager
def batch_statistics(objective: Objective) -> Generator[dict[str, Tensor]]:
    """Let norms use and accumulate the statistics of batches, in fresh buffers; nothing of the model changes."""
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


def combine(row: list[float], anchors: Anchors, out: Float[Tensor, " P"]) -> None:
    """Write ``sum_i row[i] * anchors[i]`` into ``out``; anchors of weight 0 are not read.

    Anchor by anchor and not as a matrix product: a row with a single 1 is that anchor to the bit, and a
    path between two of many anchors costs two.
    """
    used = [(weight, anchors[i]) for i, weight in enumerate(row) if weight != 0]
    weight, anchor = used[0]
    torch.mul(anchor, weight, out=out)
    for weight, anchor in used[1:]:
        out.add_(anchor, alpha=weight)


def combine_tensors(
    rows: Float[Tensor, "tensors anchors"], anchors: Anchors, out: Float[Tensor, " P"], sizes: Sequence[int]
) -> None:
    """:func:`combine` with a row for each tensor of a point."""
    parts = [torch.split(anchor, list(sizes)) for anchor in anchors]
    for k, (row, part) in enumerate(zip(rows.tolist(), torch.split(out, list(sizes)), strict=True)):
        combine(row, [anchor[k] for anchor in parts], part)
