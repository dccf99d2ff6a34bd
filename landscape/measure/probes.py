"""One probe, asked of one checkpoint, or of points on paths."""

from __future__ import annotations

import io
import time

import pandas as pd
import torch

from landscape.measure import probes_along
from landscape.probes import measure
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.probes import Probes
from landscape.study.store import Store
from landscape.study.tasks import Task

KEPT = "items"
"""Folder of the outcomes of the items."""


def run(task: Task[Probes], session: Session) -> Result:
    """Rows of the table ``probe``; the outcome of every item is kept in a file of the task's key.

    Along paths, those of :mod:`landscape.measure.probes_along`.
    """
    if task.spec.along is not None:
        return probes_along.run(task, session)
    (checkpoint,), (point,) = task.checkpoints, session.vectors(task)
    items, fingerprint = session.probe_models.items(task)
    model = session.probe_models.of(point, checkpoint, session.batches.buffers(task.on), task.on)
    begin = time.perf_counter()
    found = measure(task.spec.name, model, items)
    seconds = time.perf_counter() - begin
    stream = io.BytesIO()
    found.items.assign(cluster=found.items[found.clusters]).to_parquet(stream, index=False)
    session.store.keep(KEPT, f"{task.key}.parquet", stream.getvalue())
    rows: list[Row] = [
        {
            "table": "probe",
            "checkpoint": checkpoint.ref,
            **checkpoint.columns,
            "probe": task.spec.name,
            "metric": score.metric,
            "subset": score.subset,
            "value": score.value,
            "error": score.error,
            "items": score.items,
            "better": score.better,
            "chance": score.chance,
            "headline": score.headline,
            "about": found.about,
            "reliable": not found.warnings,
            "warnings": found.warnings,
            "items_hash": fingerprint,
            "outcomes": task.key,
            "objective": session.study.data_sets[task.on].objective,
            "bos": session.probe_models.begins(task.on),
            "data": task.on,
            "device": str(session.device),
            "threads": torch.get_num_threads(),
            "seconds": seconds,
        }
        for score in found.scores
    ]
    return Result(rows)


def require(task: Task[Probes], session: Session) -> None:
    """Refuse a probe that cannot be measured for such a model."""
    session.probe_models.items(task, keep=False)  # the store is not claimed yet


def outcomes(store: Store, key: str) -> pd.DataFrame | None:
    """The outcomes of the items of a task; None if they are not there."""
    content = store.kept(KEPT, f"{key}.parquet")
    return None if content is None else pd.read_parquet(io.BytesIO(content))
