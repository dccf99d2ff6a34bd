"""The loss of mixtures of several checkpoints: edges, centre and inside of their simplex."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from landscape.paths import simplex
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.checkpoint import Label
from landscape.study.kinds.simplices import Simplices
from landscape.study.tasks import Task


def run(task: Task[Simplices], session: Session) -> Result:
    """Rows of ``mixture``: its loss, its rise above the mixture of the losses, and what it is above the best vertex.

    ``rise = L(sum_i c_i w_i) - sum_i c_i L(w_i)``, which on an edge is the rise above the chord in its middle.
    """
    spec = task.spec
    generator = torch.Generator().manual_seed(spec.seed)
    kinds, coefficients = simplex.mixtures(len(task.checkpoints), spec.mixtures, generator)
    corners = len(task.checkpoints)
    ends = np.stack([session.store.losses(key)[0] for key in task.needs])
    evaluator = session.evaluator(task, spec.dtype)
    inside = evaluator.evaluate(session.points(task), coefficients[corners:]).losses
    losses = np.concatenate([ends, inside])
    rise = losses - coefficients.numpy() @ ends
    above = losses - ends[ends.mean(axis=1).argmin()]
    shared: Row = {
        **_in_common([checkpoint.columns for checkpoint in task.checkpoints]),
        "between": ",".join(spec.between),
        "checkpoints": json.dumps([c.ref for c in task.checkpoints]),
        **session.columns(task, evaluator.dtype, evaluator.dtype_error),
    }
    out: list[Row] = []
    for k, kind in enumerate(kinds):
        row: Row = {"table": "mixture", **shared, "kind": kind, "weights": json.dumps(coefficients[k].tolist())}
        for name, values in (("loss", losses[k]), ("rise", rise[k]), ("above_best", above[k])):
            error = "error" if name == "loss" else f"{name}_error"
            row |= {name: float(values.mean()), error: float(standard_error(values))}
        out.append({**row, **evaluator.columns})
    return Result(out, losses.astype(np.float32) if spec.keep_losses else None)


def _in_common(labels: Sequence[Mapping[str, Label | None]]) -> dict[str, Label | None]:
    """The labels that all checkpoints share; those in which they differ are missing."""
    names = dict.fromkeys(name for own in labels for name in own)
    values = {name: {own.get(name) for own in labels} for name in names}
    return {name: seen.pop() if len(seen) == 1 else None for name, seen in values.items()}
