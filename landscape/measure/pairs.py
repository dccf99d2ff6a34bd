"""What measures of pairs share: columns on a pair, its ends, and coefficients between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

from landscape import paths
from landscape.anchor import Anchor, distance, norm
from landscape.profile.adaptive import Grid
from landscape.profile.path_state import KnownEnds
from landscape.rows import Row
from landscape.session.session import Session
from landscape.shapes import Float
from landscape.space import storage_floor
from landscape.study.checkpoint import USUAL_LABELS, Checkpoint
from landscape.study.kinds.along import Along
from landscape.study.tasks import Task


def grid(spec: Along) -> Grid:
    """Where to evaluate, and how well the barrier is to be known."""
    return Grid(spec.points, spec.tolerance, spec.halfwidth, spec.target, spec.resamples, spec.precise)


def ends_of(pair: tuple[int, int], task: Task[Along], session: Session) -> KnownEnds:
    """A pair with the losses and metrics of its ends, from the tasks that evaluated them.

    Args:
        pair: Positions of the ends in the task's checkpoints.
        task: The task.
        session: The session.
    """
    keys = [task.needs[k] for k in pair]
    kept = [session.store.losses(key) for key in keys]
    marks = session.store.rows("loss", keys)
    names = [str(name).split() for name in marks["numbers"].fillna("")] if "numbers" in marks else [[], []]
    both = [name for name in names[0] if name in names[1]]
    known = {name: np.stack([own[1 + all_.index(name)] for own, all_ in zip(kept, names, strict=True)])
             for name in both}  # fmt: skip
    one_point = len({task.checkpoints[k].content for k in pair}) == 1 and task.spec.aligned is None
    return KnownEnds(np.stack([own[0] for own in kept]), known, one_point=one_point)


def between(
    kind: str, wanted: list[tuple[tuple[int, int], float]], anchors: Sequence[Anchor], sizes: Sequence[int]
) -> Float[Tensor, "points *tensors anchors"]:
    """Coefficients of points between two of several anchors.

    Args:
        kind: Kind of path.
        wanted: Pairs of positions in the anchors, each with a t.
        anchors: All anchors.
        sizes: Sizes of the tensors of a point.
    """
    parts = []
    for (i, j), here in groupby(wanted, key=itemgetter(0)):
        t = torch.tensor([t for _, t in here], dtype=torch.float64)
        own = paths.kind(kind).coefficients(t, [anchors[i], anchors[j]], sizes)
        part = torch.zeros(*own.shape[:-1], len(anchors), dtype=torch.float64)
        part[..., [i, j]] = own
        parts.append(part)
    return torch.cat(parts)


def distances(a: Anchor, b: Anchor, stored_a: str | None, stored_b: str | None) -> Row:
    """Columns on the distance of two checkpoints, and whether rounding on disk could be all of it.

    Args:
        a: The first.
        b: The second.
        stored_a: Dtype of the first on disk; None for one in memory.
        stored_b: The same of the second.
    """
    apart = distance(a, b)
    relative = apart / ((norm(a) + norm(b)) / 2)
    floor = max((storage_floor(stored) for stored in (stored_a, stored_b) if stored), default=0.0)
    return {
        "distance": apart,
        "relative_distance": relative,
        "stored_a": stored_a,
        "stored_b": stored_b,
        "below_floor": relative < floor,
    }


def path_columns(a: Checkpoint, b: Checkpoint, spec: Along) -> Row:
    """Columns that say which pair a row is about, along which path, and how the pair is aligned.

    Args:
        a: The first checkpoint.
        b: The second.
        spec: The settings of the task.
    """
    (method,) = spec.align
    return {
        **pair_columns(a, b, spec.between),
        "path": spec.path,
        "align": method,
        "symmetry_group": spec.alignment.symmetry_group if spec.aligned else None,
        "groups": ", ".join(spec.alignment.groups),
    }


def pair_columns(a: Checkpoint, b: Checkpoint, between: tuple[str, ...]) -> Row:
    """Columns that say which pair a row is about.

    Args:
        a: The first checkpoint.
        b: The second.
        between: The labels in which alone they differ, or how steps of a run are paired.
    """
    names = dict.fromkeys([*USUAL_LABELS, *(name for c in (a, b) for name, _ in c.labels)])
    return {
        "a": a.ref,
        "b": b.ref,
        **{f"{name}_{side}": c.label(name) for name in names if name != "branch_step"
           for side, c in (("a", a), ("b", b))},
        "defect_a": a.defect,
        "defect_b": b.defect,
        "branch_step": a.branch_step if a.branch_step == b.branch_step else None,
        "between": ",".join(between),
    }  # fmt: skip
