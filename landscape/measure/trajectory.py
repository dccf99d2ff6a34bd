"""What lies along a run: the loss on lines between its checkpoints and beyond, and of means of its last checkpoints."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

from landscape.errors import InputError
from landscape.measure import pairs
from landscape.paths.directions import shuffled
from landscape.profile import barrier
from landscape.profile.adaptive import RESAMPLE_SEED
from landscape.profile.along_run import Read, of_line, of_window
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Float
from landscape.study.kinds.trajectory import WINDOW, Trajectory
from landscape.study.tasks import Task

CHECKPOINT, NOISE = "checkpoint", "noise"
"""Where a line starts."""


def run(task: Task[Trajectory], session: Session) -> Result:
    """Rows of the table ``trajectory`` (a line or a window, and a number), and of ``line`` (a line and t)."""
    return _windows(task, session) if task.spec.between == WINDOW else _lines(task, session)


def _lines(task: Task[Trajectory], session: Session) -> Result:
    spec = task.spec
    anchors = list(session.vectors(task) if spec.has_control else session.points(task))
    owners, starts = list(task.checkpoints), [(CHECKPOINT, pair) for pair in task.pairs]
    if spec.has_control:
        space = session.objective(task).space
        anchors.append(shuffled(anchors[0], space, torch.Generator().manual_seed(spec.seed)))  # type: ignore[arg-type]
        owners.append(task.checkpoints[0])
        starts += [(NOISE, (len(anchors) - 1, j)) for _, j in task.pairs]
    evaluator = session.evaluator(task, spec.dtype, checkpoints=owners)
    known = {k: session.store.losses(task.needs[k])[0] for k in range(len(task.checkpoints))}
    if spec.has_control:
        only = torch.eye(len(anchors), dtype=torch.float64)[-1:]
        known[len(anchors) - 1] = evaluator.evaluate(anchors, only).losses[0]
    inner = [float(t) for t in spec.t if t not in (0, 1)]
    wanted = [(pair, t) for _, pair in starts for t in inner]
    rows = pairs.between("linear", wanted, anchors, session.objective(task).space.sizes)
    with _said_of(spec):
        between = evaluator.evaluate(anchors, rows).losses.reshape(len(starts), len(inner), -1)
    weights = barrier.resamples(between.shape[-1], spec.resamples, RESAMPLE_SEED)
    shared = session.columns(task, evaluator.dtype, evaluator.dtype_error)
    out: list[Row] = []
    kept = []
    for number, (start, (i, j)) in enumerate(starts):
        one, two = owners[i], owners[j]
        losses = _with_ends(spec.t, between[number], known[i], known[j])
        row: Row = {**pairs.pair_columns(one, two, (spec.between,)), "start": start, **shared}
        found = of_line(spec.t, losses, weights, spec.fall)
        more: Row = {"window": None, "points": len(spec.t), "beyond": float(spec.t[-1]), **evaluator.columns}
        out += ({**row, **more, **read} for read in _numbers(found))
        out += ({**row, **point} for point in _points(spec.t, losses))
        kept.append(losses)
    return Result(out, np.concatenate(kept).astype(np.float32) if spec.keep_losses else None)


@contextmanager
def _said_of(spec: Trajectory) -> Generator[None]:
    """Say beside an error of points far beyond the later checkpoint that these may be the reason.

    Raises:
        InputError: If there is one.
    """
    try:
        yield
    except InputError as error:
        if spec.beyond == 1:
            raise
        raise InputError(f"{error}; or lower beyond, since lines are continued to t = {spec.beyond:g}") from error


def _with_ends(
    t: Float[np.ndarray, " t"],
    between: Float[np.ndarray, "inner examples"],
    start: Float[np.ndarray, " examples"],
    end: Float[np.ndarray, " examples"],
) -> Float[np.ndarray, "t examples"]:
    """The losses along a line, those of its ends at 0 and 1 among them."""
    losses = np.empty((len(t), len(start)))
    losses[(t != 0) & (t != 1)] = between
    losses[t == 0], losses[t == 1] = start, end
    return losses


def _points(t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"]) -> Iterator[Row]:
    """Rows of ``line``."""
    above = losses - losses[:1]
    for k, at in enumerate(t):
        yield {
            "table": "line", "t": float(at), "loss": float(losses[k].mean()), "error": float(standard_error(losses[k])),
            "above": float(above[k].mean()), "above_error": float(standard_error(above[k])),
        }  # fmt: skip


def _windows(task: Task[Trajectory], session: Session) -> Result:
    spec = task.spec
    rows = torch.zeros(len(task.pairs), len(task.checkpoints), dtype=torch.float64)
    for n, (i, j) in enumerate(task.pairs):
        rows[n, i : j + 1] = 1 / (j + 1 - i)
    evaluator = session.evaluator(task, spec.dtype)
    means = evaluator.evaluate(session.points(task), rows).losses
    shared = session.columns(task, evaluator.dtype, evaluator.dtype_error)
    out: list[Row] = []
    for (i, j), mean in zip(task.pairs, means, strict=True):
        members = np.concatenate([session.store.losses(task.needs[n]) for n in range(i, j + 1)])
        row: Row = {
            **pairs.pair_columns(task.checkpoints[i], task.checkpoints[j], (spec.between,)), "start": CHECKPOINT,
            "window": spec.k, "points": None, "beyond": None, **shared, **evaluator.columns,
        }  # fmt: skip
        out += ({**row, **read} for read in _numbers(of_window(members, mean)))
    return Result(out, means.astype(np.float32) if spec.keep_losses else None)


def _numbers(found: Mapping[str, Read]) -> Iterator[Row]:
    """Rows of ``trajectory``."""
    for metric, read in found.items():
        ends = {name: None if math.isnan(x) else x for name, x in vars(read).items()}
        yield {"table": "trajectory", "metric": metric, **ends}
