"""The loss of one checkpoint: an end that many pairs share."""

from __future__ import annotations

import numpy as np
import torch

from landscape.profile.paired import standard_error
from landscape.session.session import Result, Session
from landscape.study.tasks import Task


def run(task: Task, session: Session) -> Result:
    """One row of the table ``loss``; the losses of the examples are always kept, for the pairs to come."""
    (checkpoint,) = task.checkpoints
    dtype = dict(task.settings)["dtype"]
    values = session.evaluate(session.anchors(task), torch.ones(1, 1), dtype, [checkpoint])
    row = {
        "table": "loss",
        "checkpoint": checkpoint.ref,
        **checkpoint.labels,
        "loss": float(values.losses.mean()),
        "error": float(standard_error(values.losses)[0]),
        "stored": session.stored(checkpoint),
        "defect": checkpoint.defect,
        **{name: float(mean.mean()) for name, mean in values.metrics.items()},
        **session.settings(task, dtype, values.dtype_error),
        **values.how,
    }
    return Result([row], values.losses.astype(np.float32))
