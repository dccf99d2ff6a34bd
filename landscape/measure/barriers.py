"""Barriers between the pairs of a tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape import barrier
from landscape.measure.session import Result, Session
from landscape.paths import KINDS
from landscape.shapes import Float
from landscape.space import distance, storage_floor
from landscape.store import Row
from landscape.task import Checkpoint, Task

RESAMPLE_SEED = 0


def run(task: Task, session: Session) -> Result:
    """Rows of the tables ``barrier`` (a pair and definition) and ``profile`` (a pair and t).

    The ends are read from the tasks that evaluated them, so a tile evaluates only what lies between. Two
    references to the same weights are one point all along their path.
    """
    settings: dict[str, Any] = dict(task.settings)
    t = np.linspace(0, 1, settings["points"])
    anchors = session.anchors(task)
    ends = np.concatenate([session.store.losses(key) for key in task.needs])
    marks = session.store.rows("loss", task.needs)
    rows = torch.cat([_between(t, pair, task, settings["path"]) for pair in task.pairs])
    end = rows.max(dim=1).values == 1
    losses = ends[rows.argmax(dim=1).numpy()]
    values = None
    if not end.all():
        values = session.evaluate(anchors, rows[~end], settings["numerics"])
        losses[(~end).numpy()] = values.losses
    metrics = {}
    for name, inside in (values.metrics if values else {}).items():
        metrics[name] = marks[name].to_numpy(dtype=float)[rows.argmax(dim=1).numpy()]
        metrics[name][(~end).numpy()] = inside
    weights = barrier.resamples(losses.shape[1], settings["resamples"], RESAMPLE_SEED)
    shared = session.settings(task, values.numerics_error if values else None)
    how = values.how if values else {}
    out: list[Row] = []
    for n, (i, j) in enumerate(task.pairs):
        own = slice(n * len(t), (n + 1) * len(t))
        pair = {**_pair(task.checkpoints[i], task.checkpoints[j], settings), **shared}
        apart = _apart(anchors[i], anchors[j], *(session.stored(task.checkpoints[k]) for k in (i, j)))
        out += ({**row, **pair, **apart, **how} for row in _barriers(t, losses[own], weights))
        out += ({**row, **pair} for row in _profile(t, losses[own], {k: v[own] for k, v in metrics.items()}))
    return Result(out, losses.astype(np.float32) if session.keep_losses else None)


def _between(t: Float[np.ndarray, " t"], pair: tuple[int, int], task: Task, path: str) -> Float[Tensor, "t anchors"]:
    """Coefficients of a path between two of the task's anchors."""
    i, j = pair
    rows = torch.zeros(len(t), len(task.checkpoints), dtype=torch.float64)
    if task.checkpoints[i].content == task.checkpoints[j].content:
        rows[:, i] = 1
    else:
        rows[:, [i, j]] = KINDS[path](torch.from_numpy(t), 2)
    return rows


def _apart(a: Float[Tensor, " P"], b: Float[Tensor, " P"], stored_a: str, stored_b: str) -> Row:
    """Columns on the distance of two checkpoints, and whether rounding on disk could be all of it."""
    apart = distance(a, b)
    relative = apart / ((distance(a, torch.zeros_like(a)) + distance(b, torch.zeros_like(b))) / 2)
    floor = max(storage_floor(stored_a), storage_floor(stored_b))
    return {
        "distance": apart,
        "relative_distance": relative,
        "stored_a": stored_a,
        "stored_b": stored_b,
        "below_floor": relative < floor,
    }


def _pair(a: Checkpoint, b: Checkpoint, settings: dict[str, Any]) -> Row:
    return {
        "a": a.ref,
        "b": b.ref,
        **{f"{label}_{side}": value for label in ("seed", "step", "child")
           for side, value in (("a", a.labels[label]), ("b", b.labels[label]))},
        "defect_a": a.defect,
        "defect_b": b.defect,
        "parted": a.parted if a.parted == b.parted else None,
        "between": settings["between"],
        "path": settings["path"],
        "symmetry": "none",
        "points": settings["points"],
    }  # fmt: skip


def _barriers(
    t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"], weights: Float[np.ndarray, "count examples"]
) -> Iterator[Row]:
    for definition in barrier.available(t):
        found = barrier.estimate(t, losses, definition, weights=weights)
        yield {
            "table": "barrier",
            "definition": definition.value,
            "barrier": found.value,
            "low": found.low,
            "high": found.high,
            "plugin": found.plugin,
            "t_at_max": found.t_at_max,
            "loss_a": float(losses[0].mean()),
            "loss_b": float(losses[-1].mean()),
        }


def _profile(
    t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"], metrics: dict[str, Float[np.ndarray, " t"]]
) -> Iterator[Row]:
    rise, rise_error = barrier.above_chord(t, losses)
    error = barrier.standard_error(losses)
    for k, here in enumerate(t):
        yield {
            "table": "profile",
            "t": float(here),
            "loss": float(losses[k].mean()),
            "error": float(error[k]),
            "rise": float(rise[k]),
            "rise_error": float(rise_error[k]),
            **{name: float(values[k]) for name, values in metrics.items()},
        }
