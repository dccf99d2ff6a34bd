"""Losses at many points at once; ``gradients`` has their slopes.

A point is a row of coefficients over a few anchors. Two strategies give the same numbers: a loop that writes one
point after the other into one buffer, and ``vmap`` over a chunk of points. Which is faster, and with how many examples
in a pass, depends on model and device, so it is timed.
"""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from landscape.objectives import Batch, Objective, Values
from landscape.objectives.objective import norms
from landscape.shapes import Float

Numerics = Literal["float32", "bfloat16"]
Anchors = Float[Tensor, "anchors P"] | list[Tensor]
LONG = 0.3
"""Seconds of a trial pass after which no larger one is tried."""
SAMPLE = 4
"""Points at which a lower precision is held against float32."""


@dataclass(frozen=True)
class Strategy:
    """How to evaluate; it never changes the result beyond rounding.

    Attributes:
        kind: ``loop`` or ``vmap``.
        points: Points at once; 1 for the loop.
        examples: Examples in one forward pass of a point.
    """

    kind: Literal["loop", "vmap"] = "loop"
    points: int = 1
    examples: int = 32

    def smaller(self) -> Strategy | None:
        """Half as much memory; None if there is nothing left to halve."""
        if self.points > 2:
            return replace(self, points=self.points // 2)
        if self.kind == "vmap":
            return Strategy("loop", 1, self.examples)
        return replace(self, examples=self.examples // 2) if self.examples > 1 else None


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
    """Memory for a chunk of points, written again for every chunk."""

    def __init__(self, objective: Objective, points: int, anchor: Tensor, numerics: Numerics) -> None:
        self.space = objective.space
        self.points = torch.empty(points, self.space.size, dtype=anchor.dtype, device=anchor.device)
        self.cast = self.points if numerics == "float32" else self.points.to(torch.bfloat16)

    def write(self, rows: Float[Tensor, "points *tensors anchors"], anchors: Anchors) -> dict[str, Tensor]:
        """Parameters of the points of these rows, stacked."""
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
    strategy: Strategy | None = None,
    numerics: Numerics = "float32",
) -> Float[Tensor, "points examples"]:
    """Loss of each example at each of the points ``coefficients @ anchors``; see :func:`evaluate`."""
    return evaluate(objective, anchors, coefficients, strategy=strategy, numerics=numerics)["loss"]


@torch.no_grad()
def evaluate(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    strategy: Strategy | None = None,
    numerics: Numerics = "float32",
) -> dict[str, Float[Tensor, "points examples"]]:
    """All that the objective measures, at the points ``coefficients @ anchors``.

    Points are combined in the anchors' own dtype, whatever the numerics of the forward pass.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space, on its device.
        coefficients: A row for each wanted point, or for each of its tensors.
        strategy: How; None times the choices on the first batch.
        numerics: Precision of weights and activations in the forward pass; losses are float32 or better.

    Returns:
        Values of each example at each point, on the CPU, by name.

    Raises:
        torch.OutOfMemoryError: If one point and one example do not fit; before that, chunks are halved.
    """
    wanted = len(coefficients) * objective.examples
    current = strategy or choose(objective, anchors, numerics=numerics, evaluations=wanted)[0]
    buffer: _Buffer | None = None
    kept: list[Values] = []
    done = 0
    while done < len(coefficients):
        rows = coefficients[done : done + current.points]
        try:
            buffer = buffer or _Buffer(objective, current.points, anchors[0], numerics)
            kept.append(_forward(objective, buffer.write(rows, anchors), current))
            done += len(rows)
        except torch.OutOfMemoryError:
            if (less := current.smaller()) is None:
                raise
            current, buffer = less, None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return {name: torch.cat([values[name] for values in kept]) for name in kept[0]}


def choose(
    objective: Objective, anchors: Anchors, *, numerics: Numerics = "float32", evaluations: int = sys.maxsize
) -> tuple[Strategy, float]:
    """The fastest strategy on the first batch: the loop at growing batches, then vmap at growing chunks.

    A search stops when a step no longer helps, when a pass is so long that overheads cannot matter, or when it has
    taken as long as the work will by the best way that it knows.

    Args:
        objective: Model, batches and measure.
        anchors: As in :func:`evaluate`.
        numerics: Precision of the forward pass.
        evaluations: Examples times points for which the strategy is wanted.

    Returns:
        The strategy, and its seconds for one example at one point.
    """
    begin = time.perf_counter()
    largest = objective.examples
    sizes = [n for n in (8, 16, 32, 128, 512) if n < largest] + [largest]
    best, per_example = Strategy(examples=sizes[0]), math.inf

    def enough() -> bool:
        return time.perf_counter() - begin > per_example * evaluations

    for examples in sizes:
        trial = Strategy(examples=examples)
        seconds = _time(objective, anchors, trial, numerics)
        if seconds is None:
            break
        if seconds < per_example:
            best, per_example = trial, seconds
        if seconds * examples > LONG or enough():
            break
    for points in (2, 4, 8, 16, 32, 64) if not objective.statistics else ():
        if enough():
            break
        trial = Strategy("vmap", points, best.examples)
        seconds = _time(objective, anchors, trial, numerics)
        if seconds is None or seconds > 0.95 * per_example:
            break
        best, per_example = trial, seconds
    return best, per_example


def choose_threads(work: Callable[[], object]) -> None:
    """Let torch use one thread or all, whichever does some work sooner; small models are slower on many."""
    cores, seconds = len(os.sched_getaffinity(0)), dict[int, float]()
    for threads in {1, cores}:
        torch.set_num_threads(threads)
        for _ in range(3):
            begin = time.perf_counter()
            work()
            seconds[threads] = min(seconds.get(threads, float("inf")), time.perf_counter() - begin)
    torch.set_num_threads(min(seconds, key=lambda threads: seconds[threads]))


def numerics_error(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    lower: Float[Tensor, "points examples"],
    strategy: Strategy,
) -> float:
    """Largest difference of a mean loss from float32, on a sample of the points; nats.

    Args:
        objective: Model, batches and measure.
        anchors: As in :func:`evaluate`.
        coefficients: All points.
        lower: Their losses in the lower precision.
        strategy: How to run float32.
    """
    sample = torch.linspace(0, len(coefficients) - 1, min(SAMPLE, len(coefficients))).round().long()
    exact = losses(objective, anchors, coefficients[sample], strategy=strategy)
    return float((lower[sample].mean(dim=1) - exact.mean(dim=1)).abs().max())


def _time(objective: Objective, anchors: Anchors, strategy: Strategy, numerics: Numerics) -> float | None:
    """Seconds for one example at one point; None if the strategy cannot run.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    first = replace(objective, batch=objective.part(0, strategy.examples))
    best = float("inf")
    try:
        rows = torch.full((strategy.points, len(anchors)), 1 / len(anchors), dtype=torch.float64)
        params = _Buffer(objective, strategy.points, anchors[0], numerics).write(rows, anchors)
        for _ in range(3):
            begin = time.perf_counter()
            _forward(first, params, strategy)
            # The first pass pays for warming up and counts only when it alone is long.
            best = min(best, seconds := time.perf_counter() - begin)
            if seconds > LONG:
                break
    except torch.OutOfMemoryError:
        return None
    except RuntimeError:
        if strategy.kind == "loop":
            raise
        return None
    return best / (strategy.points * first.examples)


def _forward(
    objective: Objective, params: dict[str, Tensor], strategy: Strategy
) -> dict[str, Float[Tensor, "points examples"]]:
    module = Measured(objective)
    sizes = range(0, objective.examples, strategy.examples)
    batches = [objective.part(begin, begin + strategy.examples) for begin in sizes]
    one = partial(_at, module, batches)

    if strategy.kind == "vmap":
        with warnings.catch_warnings():
            # Slow operators under vmap are what the timing is for.
            warnings.filterwarnings("ignore", "There is a performance drop")
            values = vmap(one, randomness="error")(params)
    else:
        count = len(next(iter(params.values())))
        points = ({name: param[k] for name, param in params.items()} for k in range(count))
        each = [one({**point, **_statistics(objective, module, point)}) for point in points]
        values = {name: torch.stack([part[name] for part in each]) for name in each[0]}
    return {name: value.cpu() for name, value in values.items()}


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
