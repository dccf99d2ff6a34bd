"""Checkpoints brought into the coordinates of the first of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from landscape.objectives import Objective
from landscape.rows import Row
from landscape.session import data as fixed
from landscape.session.session import Result, Session, moves_file, unties
from landscape.shapes import Float
from landscape.space import untie
from landscape.study.kinds import ON_TEXT, Alignment
from landscape.study.sections import Data
from landscape.study.tasks import Checkpoint, Task
from landscape.symmetry import align
from landscape.symmetry.group import move
from landscape.symmetry.group.table import Table
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import table_of

TELL_EVERY = 15.0
log = logging.getLogger(__name__)


def run(task: Task, session: Session) -> Result:
    """Rows of the table ``match``, one for each checkpoint but the first; the moves go to a file beside them."""
    settings: dict[str, Any] = dict(task.settings)
    untied = session.unties(settings)
    fitting = session.fitting(settings["matched_on"], untied=untied) if "matched_on" in settings else None
    table, objective = session.table(settings), session.objective_for(settings)
    judged = [objective.model, *([fitting.model] if fitting else [])]
    session.buffers.give_common(task.checkpoints, "matching", *judged)

    def load(checkpoint: Checkpoint) -> Tensor:
        # Of its own, since the cache may write others there.
        return session.in_space(session.anchor(task, checkpoint), settings).clone()

    last = time.monotonic()

    def tell(which: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            log.info("%s: %s is %s", task.label, task.checkpoints[which].ref, what)

    loaders = [partial(load, checkpoint) for checkpoint in task.checkpoints]
    found = align.align(table, loaders, settings["symmetry"], how_to(settings), objective, fitting, tell)
    file = moves_file(session.store, task.key)
    # By reference: copies of one checkpoint have moves of their own.
    move.save(file, {c.ref: one.move for c, one in zip(reversed(task.checkpoints), reversed(found), strict=True)})
    first, where = task.checkpoints[0], f"{file.parent.name}/{file.name}"
    return Result([
        {**row(settings, table, objective, one), "a": first.ref, "b": checkpoint.ref, **checkpoint.labels,
         "defect": checkpoint.defect, "untied": untied, "moves": where}
        for checkpoint, one in zip(task.checkpoints[1:], found[1:], strict=True)
    ])  # fmt: skip


def require(session: Session, settings: Mapping[str, Any]) -> None:
    """Refuse, before anything is run, what cannot be matched: no table, no such group, a text that is too short.

    An ``InputError`` says which.
    """
    align.chosen(session.table(settings), settings["groups"])
    if "matched_on" in settings:
        session.fitting(settings["matched_on"], untied=session.unties(settings))


def how_to(settings: Mapping[str, Any]) -> AlignSettings:
    """How to align, by the settings of a task."""
    return AlignSettings.model_validate({n: v for n, v in settings.items() if n in AlignSettings.model_fields})


def row(settings: Mapping[str, Any], table: Table, objective: Objective, found: align.Aligned) -> Row:
    """What matching one checkpoint came to."""
    return {
        "table": "match", "architecture": table.name, "symmetry": settings["symmetry"],
        "symmetry_group": settings["symmetry_group"], "groups": ", ".join(settings["groups"]),
        "distance_before": found.before,
        "distance_after": found.after, "output_difference": found.difference, "tolerance": found.tolerance,
        "loss_error": found.loss_error, "unit": objective.unit, "seconds": found.seconds,
    }  # fmt: skip


def pair(
    checkpoint: Checkpoint, held: Data, how: Alignment, symmetry: str, judged: Objective, ends: Float[Tensor, "2 P"]
) -> tuple[Objective, Float[Tensor, "2 Q"], Row]:
    """Two points, the second in the coordinates of the first.

    Args:
        checkpoint: Whose config and tokenizer are used.
        held: The batches that they are judged on.
        how: How to match.
        symmetry: By what.
        judged: The objective on these batches.
        ends: The points.

    Returns:
        The objective and the points in the space in which they are matched, and what came of it.
    """
    settings = how.settings(symmetry)
    untied, tied = unties(judged.model, settings), judged.space
    if untied:
        judged = fixed.build(held, checkpoint, untied=True).to(ends.device)
        ends = torch.stack([untie(end, tied, judged.space) for end in ends])
    fitting = None
    if symmetry in ON_TEXT:
        fitting = fixed.build(how.aligned_on(held), checkpoint, untied=untied).to(ends.device)
    table = table_of(judged.model, how.symmetry_group)
    loaders = [partial(ends.__getitem__, n) for n in range(2)]
    found = align.align(table, loaders, symmetry, how_to(settings), judged, fitting)[1]
    there = move.moved(table, judged.space, ends[1], found.move)
    return judged, torch.stack([ends[0], there]), {**row(settings, table, judged, found), "untied": untied}
