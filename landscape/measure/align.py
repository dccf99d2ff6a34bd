"""Checkpoints aligned to the first of them."""

from __future__ import annotations

import logging
import time
from functools import partial

from torch import Tensor

from landscape.objectives import Objective
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.checkpoint import Checkpoint
from landscape.study.kinds.alignment import Aligned, reads_text
from landscape.study.tasks import Task
from landscape.symmetry import align
from landscape.symmetry.group import move
from landscape.symmetry.group.table import Table

TELL_EVERY = 15.0
"""Seconds between two lines on progress."""
LOG = logging.getLogger(__name__)


def run(task: Task[Aligned], session: Session) -> Result:
    """Rows of the table ``align``, one for each checkpoint but the first; the moves go to a file beside them."""
    spec, coordinates = task.spec, session.coordinates
    untied = coordinates.unties(spec, task.on)
    fitting = _fitting(task, session)
    table, objective = coordinates.table(spec, task.on), coordinates.objective(spec, task.on)
    models = [objective.model, *([fitting.model] if fitting else [])]
    session.batches.buffers(task.on).give_common(task.checkpoints, "alignment", *models)

    def load(checkpoint: Checkpoint) -> Tensor:
        # A copy, since the cache may write another point to its memory.
        return coordinates.in_space(session.anchors.one(task, checkpoint), spec, task.on).clone()

    last = time.monotonic()

    def tell(which: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            LOG.info("%s: %s is %s", task.label, task.checkpoints[which].ref, what)

    loaders = [partial(load, checkpoint) for checkpoint in task.checkpoints]
    found = align.align(table, loaders, spec.method, spec.alignment, objective, fitting, tell)
    file = coordinates.moves(task.key)
    # By reference: copies of one checkpoint have moves of their own.
    move.save(file, {c.ref: one.move for c, one in zip(reversed(task.checkpoints), reversed(found), strict=True)})
    first, moves = task.checkpoints[0], f"{file.parent.name}/{file.name}"
    return Result([
        {**_row(spec, table, objective, one), "a": first.ref, "b": checkpoint.ref, **checkpoint.columns,
         "defect": checkpoint.defect, "untied": untied, "moves": moves, "data": task.on}
        for checkpoint, one in zip(task.checkpoints[1:], found[1:], strict=True)
    ])  # fmt: skip


def require(task: Task[Aligned], session: Session) -> None:
    """Refuse what cannot be aligned: no table, no such group, a text that is too short.

    An ``InputError`` says which.
    """
    align.chosen(session.coordinates.table(task.spec, task.on), task.spec.alignment.groups)
    _fitting(task, session)


def _fitting(task: Task[Aligned], session: Session) -> Objective | None:
    """The objective on the batches that are aligned on; None if the method needs none."""
    if not reads_text(task.spec.method):
        return None
    data = task.spec.alignment.on(session.study.data_sets[task.on])
    return session.batches.of(data, untied=session.coordinates.unties(task.spec, task.on))


def _row(spec: Aligned, table: Table, objective: Objective, found: align.Aligned) -> Row:
    """What aligning one checkpoint came to."""
    return {
        "table": "align", "architecture": table.name, "align": spec.method,
        "symmetry_group": spec.alignment.symmetry_group, "groups": ", ".join(spec.alignment.groups),
        "distance_before": found.before, "distance_after": found.after, "output_difference": found.difference,
        "tolerance": found.tolerance, "loss_error": found.loss_error, "unit": objective.unit, "seconds": found.seconds,
    }  # fmt: skip
