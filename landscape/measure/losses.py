"""The loss of one checkpoint: an end that many pairs share."""

from __future__ import annotations

import numpy as np
import torch

from landscape.profile.metrics import LOSS, measured
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result, Values
from landscape.session.session import Session
from landscape.study.kinds.losses import Losses
from landscape.study.tasks import Task


def run(task: Task[Losses], session: Session) -> Result:
    """One row of the table ``loss``; what the examples have is always kept, for the pairs to come."""
    (checkpoint,) = task.checkpoints
    evaluator = session.evaluator(task, task.spec.dtype)
    values = evaluator.evaluate(session.points(task), torch.ones(1, 1))
    row: Row = {
        "table": "loss",
        "checkpoint": checkpoint.ref,
        **checkpoint.columns,
        "loss": float(values.losses.mean()),
        "error": float(standard_error(values.losses)[0]),
        "stored": session.anchors.stored(checkpoint),
        "defect": checkpoint.defect,
        **metric_columns(values, session.objective(task).unit),
        "numbers": " ".join(values.metrics),
        **session.columns(task, task.spec.dtype, values.dtype_error),
        **evaluator.columns,
    }
    return Result([row], np.concatenate([values.losses, *values.metrics.values()]).astype(np.float32))


def metric_columns(values: Values, unit: str) -> Row:
    """Every metric of one point, and its standard error over examples.

    Args:
        values: What was measured there.
        unit: Unit of the loss.
    """
    out: Row = {}
    for metric in measured({LOSS: values.losses, **values.metrics}, unit):
        out |= {metric.name: float(metric.means[0]), f"{metric.name}_error": float(standard_error(metric.values)[0])}
    return out
