"""Barriers between the pairs of a tile."""

from __future__ import annotations

import numpy as np

from landscape.measure import pairs
from landscape.profile.adaptive import profiles
from landscape.profile.path_state import Evaluated
from landscape.profile.rows import metric_tables, tables
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Int
from landscape.study.kinds.barriers import Barriers
from landscape.study.tasks import Task


def run(task: Task[Barriers], session: Session) -> Result:
    """Rows of the tables ``barrier`` (a pair and definition) and ``profile`` (a pair and t), and the same of metrics.

    The ends are read from the tasks that evaluated them, so a tile evaluates only what lies between. Two
    references to the same weights are one point all along their path.
    """
    spec, aligned = task.spec, task.spec.aligned
    grid = pairs.grid(spec)
    anchors = session.points(task, aligned)
    evaluator = session.evaluator(task, spec.dtype, aligned)
    objective = session.objective(task, aligned)
    sizes, unit = objective.space.sizes, objective.unit
    paths = [pairs.ends_of(pair, task, session) for pair in task.pairs]

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        rows = pairs.between(spec.path, [(task.pairs[n], t) for n, t in wanted], anchors, sizes)
        return evaluator.losses(anchors, rows, examples)

    found = profiles(paths, evaluate, grid, evaluator.again)
    shared = session.columns(task, evaluator.dtype, evaluator.dtype_error)
    out: list[Row] = []
    for (i, j), profile in zip(task.pairs, found, strict=True):
        both = {**pairs.path_columns(task.checkpoints[i], task.checkpoints[j], spec), **shared}
        stored = (session.anchors.stored(task.checkpoints[k]) for k in (i, j))
        apart = pairs.distances(anchors[i], anchors[j], *stored)
        barriers, shown = (
            [*rows, *more] for rows, more in zip(tables(profile, grid), metric_tables(profile, grid, unit), strict=True)
        )
        out += ({**both, **row, **apart, **evaluator.columns} for row in barriers)
        out += ({**both, **row} for row in shown)
    losses = np.concatenate([profile.losses for profile in found]).astype(np.float32)
    return Result(out, losses if spec.keep_losses else None)
