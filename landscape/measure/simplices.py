"""The loss of mixtures of several checkpoints: edges, centre and inside of their simplex."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from landscape.paths import simplex
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.session import Evaluator, Result, Session
from landscape.study.tasks import Task


def run(task: Task, session: Session) -> Result:
    """Rows of ``mixture``: its loss, its rise above the mixture of the losses, and what it is above the best vertex.

    ``rise = L(sum_i c_i w_i) - sum_i c_i L(w_i)``, which on an edge is the rise above the chord in its middle.
    """
    settings: dict[str, Any] = dict(task.settings)
    generator = torch.Generator().manual_seed(settings["seed"])
    kinds, rows = simplex.mixtures(len(task.checkpoints), settings["mixtures"], generator)
    corners = len(task.checkpoints)
    ends = np.concatenate([session.store.losses(key) for key in task.needs])
    evaluator = Evaluator(session, settings["dtype"], task.checkpoints)
    inside, _ = evaluator.evaluate(session.anchors(task), rows[corners:], np.arange(ends.shape[1]))
    losses = np.concatenate([ends, inside])
    rise = losses - rows.numpy() @ ends
    above = losses - ends[ends.mean(axis=1).argmin()]
    steps = {c.step for c in task.checkpoints}
    shared = {
        "step": steps.pop() if len(steps) == 1 else None,
        "branch_step": task.checkpoints[0].branch_step,
        "between": settings["between"],
        "checkpoints": json.dumps([c.ref for c in task.checkpoints]),
        **session.settings(task, evaluator.dtype, evaluator.dtype_error),
    }
    out: list[Row] = []
    for k, kind in enumerate(kinds):
        numbers = {"loss": losses[k], "rise": rise[k], "above_best": above[k]}
        row: Row = {"table": "mixture", **shared, "kind": kind, "weights": json.dumps(rows[k].tolist())}
        for name, values in numbers.items():
            row |= {
                name: float(values.mean()),
                "error" if name == "loss" else f"{name}_error": float(standard_error(values)),
            }
        out.append({**row, **evaluator.how})
    return Result(out, losses.astype(np.float32) if session.keep_losses else None)
