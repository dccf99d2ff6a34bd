"""Barriers between the pairs of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.paths import kind as path_kind
from landscape.profile.adaptive import Found, Grid, Path, profiles
from landscape.profile.rows import tables
from landscape.rows import Row
from landscape.session.session import Evaluator, Result, Session
from landscape.shapes import Float, Int
from landscape.space import distance, storage_floor
from landscape.study.tasks import Checkpoint, Task


def run(task: Task, session: Session) -> Result:
    """Rows of the tables ``barrier`` (a pair and definition) and ``profile`` (a pair and t).

    The ends are read from the tasks that evaluated them, so a tile evaluates only what lies between. Two
    references to the same weights are one point all along their path.
    """
    settings: dict[str, Any] = dict(task.settings)
    how_well = grid(settings)
    anchors, matching = session.matched(task), settings.get("matching")
    evaluator = Evaluator(session, settings["dtype"], task.checkpoints, matching)
    sizes = session.objective_for(matching).space.sizes
    paths = [ends_of(pair, task, session) for pair in task.pairs]

    def look(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Found:
        places = [(task.pairs[n], t) for n, t in wanted]
        rows = between(settings["path"], places, anchors, sizes)
        return evaluator.evaluate(anchors, rows, examples)

    found = profiles(paths, look, how_well)
    shared = session.settings(task, evaluator.dtype, evaluator.dtype_error)
    out: list[Row] = []
    for (i, j), profile in zip(task.pairs, found, strict=True):
        both = {**pair(task.checkpoints[i], task.checkpoints[j], settings), **shared}
        apart = _apart(anchors[i], anchors[j], *(session.stored(task.checkpoints[k]) for k in (i, j)))
        barriers, shown = tables(profile, how_well)
        out += ({**both, **row, **apart, **evaluator.how} for row in barriers)
        out += ({**both, **row} for row in shown)
    losses = np.concatenate([profile.losses for profile in found]).astype(np.float32)
    return Result(out, losses if session.keep_losses else None)


def grid(settings: dict[str, Any]) -> Grid:
    """Where to look, by the settings of a task."""
    return Grid(**{field.name: settings[field.name] for field in fields(Grid) if field.name in settings})


def ends_of(pair: tuple[int, int], task: Task, session: Session) -> Path:
    """A pair with the losses and metrics of its ends, from the tasks that evaluated them."""
    keys = [task.needs[k] for k in pair]
    marks = session.store.rows("loss", keys)
    known = {str(name): values.to_numpy(dtype=float) for name, values in marks.select_dtypes("number").items()}
    one_point = len({task.checkpoints[k].content for k in pair}) == 1 and "matching" not in dict(task.settings)
    return Path(np.concatenate([session.store.losses(key) for key in keys]), known, one_point=one_point)


def between(
    kind: str, places: list[tuple[tuple[int, int], float]], anchors: list[Tensor], sizes: Sequence[int]
) -> Float[Tensor, "points *tensors anchors"]:
    """Coefficients of points between two of several anchors.

    Args:
        kind: Kind of path.
        places: Pairs of anchors, each with a t.
        anchors: All anchors.
        sizes: Sizes of the tensors of a point.
    """
    parts = []
    for (i, j), here in groupby(places, key=itemgetter(0)):
        t = torch.tensor([t for _, t in here], dtype=torch.float64)
        own = path_kind(kind).coefficients(t, [anchors[i], anchors[j]], sizes)
        part = torch.zeros(*own.shape[:-1], len(anchors), dtype=torch.float64)
        part[..., [i, j]] = own
        parts.append(part)
    return torch.cat(parts)


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


def pair(a: Checkpoint, b: Checkpoint, settings: dict[str, Any]) -> Row:
    """Columns that say which pair a row is about, and along which path, with which symmetries taken out."""
    matching = settings.get("matching", {"symmetry": "none", "symmetry_group": None, "groups": ["*"]})
    return {
        **both(a, b, settings["between"]),
        "path": settings["path"],
        "symmetry": matching["symmetry"],
        "symmetry_group": matching["symmetry_group"],
        "groups": ", ".join(matching["groups"]),
    }


def both(a: Checkpoint, b: Checkpoint, between: str) -> Row:
    """Columns that say which pair a row is about."""
    return {
        "a": a.ref,
        "b": b.ref,
        **{f"{label}_{side}": value for label in ("seed", "step", "branch")
           for side, value in (("a", a.labels[label]), ("b", b.labels[label]))},
        "defect_a": a.defect,
        "defect_b": b.defect,
        "branch_step": a.branch_step if a.branch_step == b.branch_step else None,
        "between": between,
    }  # fmt: skip
