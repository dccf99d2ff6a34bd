"""Which precision of the forward pass is the fastest whose error does not matter."""

from __future__ import annotations

import math
from functools import partial
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from landscape.objectives import Objective
from landscape.points.evaluate import Anchors, Dtype, losses
from landscape.points.strategy import Strategy, least_seconds
from landscape.profile.sequential import ONE_LOOK
from landscape.shapes import Float, Int

POINTS, EXAMPLES = 2, (8, 16, 32, 64)
"""Points and examples on which each is tried."""
ALLOWED, TRIED = 0.1, 0.1
"""Largest error, in the width of an interval; and largest share of the work that is spent on trying."""


def fastest(
    objective: Objective,
    anchors: Anchors,
    rows: Float[Tensor, "points *tensors anchors"],
    examples: Int[np.ndarray, " n"],
    work: int,
) -> Dtype:
    """The fastest precision whose error is small beside that of the sample of examples.

    The error of a mean loss against float32 must be below ``ALLOWED`` of the 95 % interval of the mean difference of
    two of the points, from all examples. Where trying would be too large a part of the work, it is float32.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space, on its device.
        rows: Coefficients over them; of which a few are taken.
        examples: Of which a few are taken.
        work: Examples times points of the whole work.
    """
    device = next(objective.model.parameters()).device
    every: tuple[Dtype, ...] = ("float32", "bfloat16") if device.type == "cpu" else get_args(Dtype)
    sample = rows[torch.linspace(0, len(rows) - 1, min(POINTS, len(rows))).round().long()]
    most = TRIED * work / (2 * len(every) * len(sample))
    if most < EXAMPLES[0]:
        return "float32"
    few = objective.take(torch.from_numpy(examples[: max(n for n in EXAMPLES if n <= most)]))
    found: dict[str, Float[np.ndarray, "points n"]] = {}

    def once(*, dtype: Dtype) -> None:
        found[dtype] = losses(few, anchors, sample, strategy=Strategy(), dtype=dtype).double().numpy()

    seconds: dict[str, float] = {dtype: least_seconds(partial(once, dtype=dtype)) for dtype in every}
    exact = found["float32"]
    apart = float((exact - exact[::-1]).std(axis=1, ddof=1).max())
    allowed = ALLOWED * 2 * ONE_LOOK * apart / math.sqrt(objective.examples)
    return min((n for n in every if np.abs((found[n] - exact).mean(axis=1)).max() <= allowed), key=lambda n: seconds[n])
