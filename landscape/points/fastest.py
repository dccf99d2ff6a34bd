"""The fastest precision of the forward pass whose error is negligible."""

from __future__ import annotations

import math
from functools import partial
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from landscape.objectives import Objective
from landscape.points.combine import Anchors
from landscape.points.evaluate import Dtype, losses
from landscape.points.strategy import Strategy, least_seconds
from landscape.profile.sequential import ONE_LOOK
from landscape.shapes import Float, Int

POINTS, EXAMPLES = 2, (8, 16, 32, 64)
"""Number of points and of examples on which each precision is tried."""
MAX_ERROR, TRIAL_SHARE = 0.1, 0.1
"""Largest error as a fraction of the width of an interval, and largest share of the work that is spent on trials."""
SIDE, SLOW = 128, 4.0
"""Rows of a matrix that is multiplied by itself; how many times as long as in float32 that may take before a precision
is not even tried. A processor without instructions for bfloat16 takes 10 to 400 times as long."""
TRIALS = 5
"""How often that is timed: it takes less than a tenth of a millisecond, and other work on the processor disturbs it."""


def fastest(
    objective: Objective,
    anchors: Anchors,
    rows: Float[Tensor, "points *tensors anchors"],
    examples: Int[np.ndarray, " n"],
    work: int,
) -> Dtype:
    """The fastest precision whose error is small compared with the sampling error of the examples.

    The error of a mean loss against float32 must be below ``MAX_ERROR`` times the width of the 95 % interval of the
    mean difference between two of the points, from all examples. Where trials would take too large a share of the work,
    or the processor only emulates bfloat16, the precision is float32.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space, on its device or on disk.
        rows: Coefficients over the anchors; a few rows are tried.
        examples: Indices of examples; a few are tried.
        work: Examples times points of the whole work.
    """
    device = objective.device
    every: tuple[Dtype, ...] = ("float32", "bfloat16") if device.type == "cpu" else get_args(Dtype)
    sample = rows[torch.linspace(0, len(rows) - 1, min(POINTS, len(rows))).round().long()]
    largest = TRIAL_SHARE * work / (2 * len(every) * len(sample))
    if largest < EXAMPLES[0] or (device.type == "cpu" and is_emulated()):
        return "float32"
    few = objective.take(torch.from_numpy(examples[: max(n for n in EXAMPLES if n <= largest)]))
    tried: dict[str, Float[np.ndarray, "points n"]] = {}

    def once(*, dtype: Dtype) -> None:
        tried[dtype] = losses(few, anchors, sample, strategy=Strategy(), dtype=dtype).double().numpy()

    seconds: dict[str, float] = {dtype: least_seconds(partial(once, dtype=dtype)) for dtype in every}
    exact = tried["float32"]
    apart = float((exact - exact[::-1]).std(axis=1, ddof=1).max())
    allowed = MAX_ERROR * 2 * ONE_LOOK * apart / math.sqrt(objective.examples)
    return min((n for n in every if np.abs((tried[n] - exact).mean(axis=1)).max() <= allowed), key=lambda n: seconds[n])


def is_emulated() -> bool:
    """Whether this processor multiplies matrices of bfloat16 much more slowly than those of float32."""
    trials = [(dtype, partial(_multiply, dtype=dtype)) for dtype in ("float32", "bfloat16")]
    seconds = {dtype: min(least_seconds(trial) for _ in range(TRIALS)) for dtype, trial in trials}
    return seconds["bfloat16"] > SLOW * seconds["float32"]


def _multiply(*, dtype: str) -> None:
    matrix = torch.ones(SIDE, SIDE, dtype=getattr(torch, dtype))
    torch.mm(matrix, matrix)
