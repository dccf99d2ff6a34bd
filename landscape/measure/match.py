"""Checkpoints brought into the coordinates of the first of them."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from landscape.measure.session import Result, Session, moves_file
from landscape.symmetry import learned, matching, move
from landscape.task import Task

TELL_EVERY = 15.0
log = logging.getLogger(__name__)


def run(task: Task, session: Session) -> Result:
    """Rows of the table ``match``, one for each checkpoint but the first; the moves themselves go to a file beside them."""
    settings: dict[str, Any] = dict(task.settings)
    recipe = learned.Recipe(**{name: settings[name] for name in ("steps", "rate") if name in settings})
    how = matching.How(
        settings["symmetry"], tuple(settings["groups"]), settings["seed"], settings.get("starts"), recipe
    )
    fitting = (
        session.fitting(settings["matched_on"], untied=session.unties(settings)) if "matched_on" in settings else None
    )

    def load(which: int) -> Any:
        return session.in_space(session.anchor(task, task.checkpoints[which]), settings).clone()

    loaders = [partial(load, n) for n in range(len(task.checkpoints))]
    labels = [checkpoint.ref for checkpoint in task.checkpoints]
    table, objective = session.table(settings), session.objective_for(settings)
    last = time.monotonic()

    def tell(which: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            log.info("%s: %s is %s", task.label, labels[which], what)

    found = matching.match(table, loaders, how, objective, fitting, tell)
    file = moves_file(session.store, task.key)
    move.save(file, {c.content: one.move for c, one in zip(task.checkpoints, found, strict=True)})
    first = task.checkpoints[0]
    rows = [
        {
            "table": "match", "a": first.ref, "b": checkpoint.ref, **checkpoint.labels, "defect": checkpoint.defect,
            "architecture": table.name, "symmetry": how.method, "freedoms": settings["freedoms"],
            "groups": ", ".join(how.groups), "untied": session.unties(settings), "distance_before": one.before,
            "distance_after": one.after, "output_difference": one.difference, "tolerance": one.tolerance,
            "loss_error": one.loss_error, "unit": objective.unit, "moves": f"{file.parent.name}/{file.name}",
            "seconds": one.seconds,
        }
        for checkpoint, one in zip(task.checkpoints[1:], found[1:], strict=True)
    ]  # fmt: skip
    return Result(rows)
