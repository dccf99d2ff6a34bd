"""One probe, asked of one checkpoint."""

from __future__ import annotations

import io
import time
from typing import Any

import pandas as pd
import torch

from landscape.probes import measure
from landscape.rows import Row
from landscape.session.session import Result, Session
from landscape.study.store import Store
from landscape.study.tasks import Task

KEPT = "items"
"""Folder of the outcomes of the items."""


def run(task: Task, session: Session) -> Result:
    """Rows of the table ``probe``; the outcome of every item is kept in a file of the task's key."""
    settings: dict[str, Any] = dict(task.settings)
    (checkpoint,), (point,) = task.checkpoints, session.anchors(task)
    items, fingerprint = session.asked(task)
    begin = time.perf_counter()
    found = measure(settings["probe"], session.subject(point, checkpoint), items)
    seconds = time.perf_counter() - begin
    stream = io.BytesIO()
    found.items.assign(cluster=found.items[found.clusters]).to_parquet(stream, index=False)
    session.store.keep(KEPT, f"{task.key}.parquet", stream.getvalue())
    rows: list[Row] = [
        {
            "table": "probe",
            "checkpoint": checkpoint.ref,
            **checkpoint.labels,
            "probe": settings["probe"],
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
            "objective": session.data.objective,
            "bos": session.begun,
            "device": str(session.device),
            "threads": torch.get_num_threads(),
            "seconds": seconds,
        }
        for score in found.scores
    ]
    return Result(rows)


def outcomes(store: Store, key: str) -> pd.DataFrame | None:
    """The outcomes of the items of a task; None if they are not there."""
    content = store.kept(KEPT, f"{key}.parquet")
    return None if content is None else pd.read_parquet(io.BytesIO(content))
