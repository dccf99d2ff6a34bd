"""The largest curvature of the loss at a checkpoint: how sharp it is, and how far a step of a chain may go."""

from __future__ import annotations

from landscape.llc.curvature import sharpness
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.llc import Curvature
from landscape.study.tasks import Task


def run(task: Task[Curvature], session: Session) -> Result:
    """One row of the table ``curvature``."""
    (checkpoint,), (point,) = task.checkpoints, session.vectors(task)
    objective = session.objective(task)
    session.batches.buffers(task.on).give(checkpoint, objective.model)
    found = sharpness(objective, point, task.spec.parameters, seed=task.spec.seed)
    row: Row = {
        "table": "curvature",
        "checkpoint": checkpoint.ref,
        **checkpoint.columns,
        "content": checkpoint.content,
        "curvature": found.curvature,
        "gradient_variance": found.variance,
        "parameters": found.parameters,
        **session.columns(task),
    }
    return Result([row])


def require(task: Task[Curvature], session: Session) -> None:
    """Refuse names of parameters that chains cannot move."""
    from landscape.llc.parameters import chosen

    objective = session.objective(task)
    chosen(objective.model, objective.space, task.spec.parameters)
