"""How differently the checkpoints of a tile behave, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.measure.pairs import pair_columns
from landscape.measure.probes import outcomes
from landscape.probes.base.behaviour import Distance, disagreement, divergence
from landscape.probes.base.kl import Groups, groups_of, kl, read_tags
from landscape.probes.base.model import ProbeInputs
from landscape.probes.base.predictions import Targets, predict, targets_of
from landscape.probes.base.result import Z, digest
from landscape.rows import Row
from landscape.session.data import read_text
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Int
from landscape.study.kinds.asking import KL, NO_PROBES
from landscape.study.kinds.behaviour import Behaviour
from landscape.study.tasks import Task


@dataclass(frozen=True)
class Answers:
    """What one checkpoint chose, item by item; with what probability, if that is known."""

    choice: Int[np.ndarray, " n"]
    log_p: Tensor | None
    clusters: np.ndarray


def run(task: Task[Behaviour], session: Session) -> Result:
    """Rows of the table ``behaviour``: a pair and a distance, with its 95 % interval."""
    name = task.spec.name
    groups: Groups | None = None
    if name in NO_PROBES:
        answers, targets = _predictions(task, session)
        fingerprint = digest(targets)
        groups = _groups(task, session, targets) if name == KL else None
    else:
        answers, fingerprint = _outcomes(task, session)
    rows: list[Row] = []
    for i, j in task.pairs:
        a, b = (task.checkpoints[k] for k in (i, j))
        for found in _distances(answers[i], answers[j], groups):
            rows.append({
                "table": "behaviour",
                **pair_columns(a, b, task.spec.between),
                "probe": name,
                "metric": found.metric,
                "subset": found.subset,
                "value": found.value,
                "error": found.error,
                "low": max(0.0, found.value - Z * found.error),
                "high": found.value + Z * found.error,
                "items": found.items,
                "items_hash": fingerprint,
                "objective": session.study.data_sets[task.on].objective,
                "data": task.on,
                "device": str(session.device),
            })
    return Result(rows)


def _distances(one: Answers, other: Answers, groups: Groups | None) -> list[Distance]:
    """Disagreement and divergence; with groups of predictions, KL in their place."""
    if groups is not None:
        assert one.log_p is not None and other.log_p is not None
        return list(kl(one.log_p, other.log_p, one.clusters, groups))
    found = [disagreement(one.choice, other.choice, one.clusters)]
    if one.log_p is not None and other.log_p is not None:
        found.append(divergence(one.log_p, other.log_p, one.clusters))
    return found


def _groups(task: Task[Behaviour], session: Session, targets: Targets) -> Groups:
    """Groups of the predictions of words; classes have none."""
    tags, model = read_tags(task.spec.tags), session.probe_models.model(task.on)
    return Groups({}) if model.kind == "classifier" else groups_of(targets, model.tokenizer, tags)


def _predictions(task: Task[Behaviour], session: Session) -> tuple[list[Answers], Targets]:
    """Predictions of each checkpoint on the examples of the study."""
    data, buffers = session.study.data_sets[task.on], session.batches.buffers(task.on)
    models, anchors = session.probe_models, session.vectors(task)
    inputs = ProbeInputs(text=read_text(data), sequences=data.sequences, length=data.length)
    targets = targets_of(models.of(anchors[0], task.checkpoints[0], buffers, task.on), inputs)
    out = []
    for point, checkpoint in zip(anchors, task.checkpoints, strict=True):
        log_p = predict(models.of(point, checkpoint, buffers, task.on), targets)
        out.append(Answers(log_p.argmax(dim=1).numpy(), log_p, targets.example))
    return out, targets


def _outcomes(task: Task[Behaviour], session: Session) -> tuple[list[Answers], str]:
    """Outcomes that a probe has kept of each checkpoint.

    Raises:
        InputError: If they are lost, or the probe asks for no choice.
    """
    name = task.spec.name
    out = []
    for key in task.needs:
        items = outcomes(session.store, key)
        if items is None:
            raise InputError(
                f"the outcomes of {name} are gone from {session.store.folder}; delete its rows/{key}.parquet"
            )
        if "choice" not in items:
            raise InputError(f"{name} asks for no choice that could differ; take predictions, or a probe with choices")
        columns = [column for column in items if column.startswith("p_")]
        p = torch.from_numpy(items[columns].to_numpy(dtype=float, copy=True)) if columns else None
        out.append(Answers(items["choice"].to_numpy(), None if p is None else p.log(), items["cluster"].to_numpy()))
    return out, str(session.store.rows("probe", task.needs[:1])["items_hash"].iloc[0])
