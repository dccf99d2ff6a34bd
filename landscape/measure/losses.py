"""The loss of one checkpoint: an end that many pairs share."""

from __future__ import annotations

import numpy as np
import torch

from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.losses import Losses
from landscape.study.tasks import Task


def run(task: Task[Losses], session: Session) -> Result:
    """One row of the table ``loss``; the losses of the examples are always kept, for the pairs to come."""
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
        **{name: float(mean.mean()) for name, mean in values.metrics.items()},
        **session.columns(task, task.spec.dtype, values.dtype_error),
        **evaluator.columns,
    }
    return Result([row], values.losses.astype(np.float32))
