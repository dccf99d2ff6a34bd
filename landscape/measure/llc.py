"""The local learning coefficient of a checkpoint, from its chains."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd

from landscape.llc.coefficient import Coefficient, from_traces
from landscape.llc.curvature import Sharpness
from landscape.llc.sampling import Chain
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.llc import Llc
from landscape.study.tasks import Task


def run(task: Task[Llc], session: Session) -> Result:
    """One row of the table ``llc``, and the traces of the loss as its kept losses.

    The baseline is the loss over all examples that batches are drawn from.
    """
    settings = task.spec
    (checkpoint,) = task.checkpoints
    rows = _chains(task, session)
    sharp = session.store.rows("curvature", task.needs)
    sharp = sharp[sharp["content"] == checkpoint.content].iloc[0]
    end, first = session.store.rows("loss", task.needs).iloc[0], rows.iloc[0]
    baseline = float(end["loss"] if settings.mode == "evaluation" else rows["baseline"].mean())
    parts = [
        (np.stack(list(part["trace"])).astype(float), part["distance"].to_numpy(float))
        for _, part in rows.groupby("halved", sort=True)
    ]
    sharpness = Sharpness(
        curvature=float(sharp["curvature"]),
        variance=float(sharp["gradient_variance"]),
        parameters=int(sharp["parameters"]),
    )
    examples, looks = session.objective(task).examples, _looks(rows, sharpness.parameters)
    found = from_traces(parts, baseline, settings, looks, sharpness, examples, float(first["length"]))
    row: Row = {
        "table": "llc",
        "checkpoint": checkpoint.ref,
        **checkpoint.columns,
        **_estimated(found),
        "sampler": settings.sampler,
        "chains": settings.chains,
        "draws": settings.draws,
        "burn_in": settings.burn_in,
        "batch": None if settings.batch == "all" else settings.batch,
        "step_size": found.step_size,
        "step_bias": None if math.isnan(found.step_bias) else found.step_bias,
        "extrapolated": len(parts) == 2,
        "curvature": sharpness.curvature,
        "gradient_variance": sharpness.variance,
        "localisation": settings.localisation,
        "n_beta": float(first["n_beta"]),
        "mode": settings.mode,
        "moved": ", ".join(settings.parameters or ["all"]),
        "parameters": sharpness.parameters,
        "baseline": baseline,
        "baseline_error": float(end["error"]),
        "traces": task.key,
        **session.columns(task),
        "device": first["device"],
        "strategy": first["strategy"],
        "threads": int(first["threads"]),
        "seconds": float(rows.groupby("task")["seconds"].first().sum()),
    }
    return Result([row], parts[0][0].astype("float32"))


def _estimated(found: Coefficient) -> Row:
    """Columns on the coefficient itself: its value, its error, and whether it is reliable."""
    value = found.estimate
    return {
        "llc": value.llc,
        "error": value.error,
        "low": found.low,
        "high": found.high,
        "per_chain": json.dumps([None if math.isnan(one) else one for one in value.per_chain.tolist()]),
        "rhat": value.rhat,
        "ess": value.ess,
        "diverged": value.diverged,
        "drift": value.drift,
        "reach": value.reach,
        "decided": None if math.isnan(value.decided) else value.decided,
        "reliable": not value.warnings,
        "warnings": "; ".join(value.warnings),
        "advice": value.advice,
    }


def _looks(rows: pd.DataFrame, parameters: int) -> list[Chain]:
    """Step and curvature of each chain; those of an older version know no curvature of their own."""
    columns = rows.reindex(columns=["step_size", "curvature", "gradient_variance"]).to_numpy(float)
    return [
        Chain(step, Sharpness(curvature=curvature, variance=variance, parameters=parameters))
        for step, curvature, variance in columns.tolist()
    ]


def _chains(task: Task[Llc], session: Session) -> pd.DataFrame:
    """Rows of the chains of the task's checkpoint with their traces, by number; ``task`` is that which ran them."""
    (checkpoint,) = task.checkpoints
    parts = []
    for key in task.needs:
        rows = session.store.rows("chain", [key])
        if not rows.empty:
            rows = rows.assign(task=key, trace=list(session.store.losses(key)))
            parts.append(rows[rows["content"] == checkpoint.content])
    return pd.concat(parts).sort_values("chain", ignore_index=True)
