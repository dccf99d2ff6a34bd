"""The largest curvature of the loss at a checkpoint: how sharp it is, and how far a step of a chain may go."""

from __future__ import annotations

from typing import Any

from landscape.llc.curvature import sharpness
from landscape.session.session import Result, Session
from landscape.study.tasks import Task


def run(task: Task, session: Session) -> Result:
    """One row of the table ``curvature``."""
    settings: dict[str, Any] = dict(task.settings)
    (checkpoint,), (point,) = task.checkpoints, session.anchors(task)
    session.buffers.give(checkpoint, session.objective.model)
    found = sharpness(session.objective, point, settings["parameters"], seed=settings["seed"])
    row = {
        "table": "curvature",
        "checkpoint": checkpoint.ref,
        **checkpoint.labels,
        "content": checkpoint.content,
        "curvature": found.curvature,
        "slope_variance": found.variance,
        "parameters": found.parameters,
        **session.settings(task),
    }
    return Result([row])
