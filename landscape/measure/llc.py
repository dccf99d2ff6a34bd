"""The local learning coefficient of a checkpoint, from its chains."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from landscape.llc.estimate import Estimate, Run, estimate, extrapolated
from landscape.measure.session import Result, Session
from landscape.shapes import Float
from landscape.store import Row
from landscape.task import Task


def run(task: Task, session: Session) -> Result:
    """One row of the table ``llc``, and the traces of the loss as its kept losses.

    The baseline is the loss over all examples that batches are drawn from.
    """
    settings: dict[str, Any] = dict(task.settings)
    (checkpoint,) = task.checkpoints
    rows, traces = _chains(task, session)
    end = session.store.rows("loss", task.needs).iloc[0]
    first, sharp = rows.iloc[0], session.store.rows("curvature", task.needs)
    steepest = sharp[sharp["content"] == checkpoint.content].iloc[0]
    curvature, n = float(steepest["curvature"]), session.objective.examples
    batch = n if settings["batch"] == "all" else settings["batch"]
    noise = float(steepest["slope_variance"]) / batch * (n - batch) / (n - 1)
    training = settings["mode"] == "training"
    baseline = float(rows["baseline"].mean()) if training else float(end["loss"])
    steps = {False: 1.0, True: 0.5}
    estimates: dict[bool, Estimate] = {}
    biases: dict[bool, float] = {}
    for halved, share in steps.items():
        here = (rows["halved"] == halved).to_numpy()
        if here.any():
            how = Run(
                float(first["n_beta"]), settings["localisation"], share * float(first["step_size"]),
                int(settings["burn_in"] / share), int(first["parameters"]), settings["sampler"],
                curvature, noise,
            )  # fmt: skip
            losses = np.stack([trace for trace, one in zip(traces, here, strict=True) if one])
            distances = rows["distance"].to_numpy(float)[here]
            estimates[halved] = estimate(losses, baseline, how, distances)
            biases[halved] = how.bias
    whole, half = estimates[False], estimates.get(True)
    found = extrapolated(whole, half) if half else whole
    bias = math.nan if half else biases[False]
    low, high = found.interval(bias)
    row: Row = {
        "table": "llc",
        "checkpoint": checkpoint.ref,
        **checkpoint.labels,
        "llc": found.llc,
        "error": found.error,
        "low": low,
        "high": high,
        "per_chain": json.dumps([None if math.isnan(value) else value for value in found.per_chain.tolist()]),
        "rhat": found.rhat,
        "ess": found.ess,
        "diverged": found.diverged,
        "drift": found.drift,
        "reach": found.reach,
        "sound": not found.alarms,
        "alarms": "; ".join(found.alarms),
        "sampler": settings["sampler"],
        "chains": settings["chains"],
        "draws": settings["draws"],
        "burn_in": settings["burn_in"],
        "batch": None if settings["batch"] == "all" else settings["batch"],
        "step_size": float(first["step_size"]),
        "curvature": curvature,
        "slope_variance": float(steepest["slope_variance"]),
        "llc_step": whole.llc if half else None,
        "llc_half_step": half.llc if half else None,
        "step_bias": None if math.isnan(bias) else bias,
        "localisation": settings["localisation"],
        "n_beta": float(first["n_beta"]),
        "mode": settings["mode"],
        "moved": ", ".join(settings["parameters"]) or "all",
        "parameters": int(first["parameters"]),
        "baseline": baseline,
        "baseline_error": float(end["error"]),
        "traces": task.key,
        **session.settings(task, None),
        **{name: first[name] for name in ("device", "strategy", "threads")},
        "seconds": float(rows.groupby("task")["seconds"].first().sum()),
    }
    return Result([row], np.stack(traces[: settings["chains"]]).astype("float32"))


def _chains(task: Task, session: Session) -> tuple[pd.DataFrame, list[Float[np.ndarray, " steps"]]]:
    """Rows and traces of the chains of the task's checkpoint: those of the whole step first, then by number."""
    (checkpoint,) = task.checkpoints
    parts: list[pd.DataFrame] = []
    for key in task.needs:
        rows = session.store.rows("chain", [key])
        if not rows.empty:
            rows = rows.assign(task=key, trace=list(session.store.losses(key)))
            parts.append(rows[rows["content"] == checkpoint.content])
    joined = pd.concat(parts).sort_values(["halved", "chain"], ignore_index=True)
    return joined.drop(columns="trace"), list(joined["trace"])
