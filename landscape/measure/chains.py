"""Chains around checkpoints: what a local learning coefficient is made of."""

from __future__ import annotations

import json
import logging
import time

import numpy as np
import torch
from safetensors.torch import save

from landscape.llc import curvature, sampling
from landscape.llc.arithmetic import too_few
from landscape.llc.parameters import chosen
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.llc import Chains
from landscape.study.tasks import Task

LOG = logging.getLogger("landscape")


def run(task: Task[Chains], session: Session) -> Result:
    """A row of the table ``chain`` for each chain, and the loss at each of its steps as the kept losses."""
    settings, numbers, halved = task.spec.llc, task.spec.numbers, task.spec.halved
    objective, points = session.objective(task), session.vectors(task)
    session.batches.buffers(task.on).give_common(task.checkpoints, "a batch of chains", objective.model)
    n_beta = sampling.inverse_temperature(settings, objective.examples)
    sharp: list[float | None] = [None] * len(points)
    if settings.step_size == "auto":
        sharp = session.store.rows("curvature", task.needs)["curvature"].tolist()
    moving = chosen(objective.model, objective.space, settings.parameters)
    lengths = [float(torch.linalg.vector_norm(p if moving is None else p[moving.to(p.device)])) for p in points]
    for h, checkpoint in zip(sharp, task.checkpoints, strict=True):
        if h is not None and 0 in numbers and not halved:
            said = too_few(settings, curvature.step_size(h, n_beta, settings.localisation))
            if said:
                LOG.warning("%s: %s", checkpoint.ref, said)
    begin = time.perf_counter()
    traces, seen, how = sampling.sample_checked(objective, points, settings, sharp, chains=numbers, halved=halved)
    seconds = time.perf_counter() - begin
    if settings.keep_draws:
        about = {"checkpoints": [c.ref for c in task.checkpoints], "chains": numbers, "parameters": settings.parameters}
        content = save({"points": traces.points.contiguous()}, {name: json.dumps(v) for name, v in about.items()})
        session.store.keep("draws", f"{task.key}.safetensors", content)
    own = settings.mode == "training"  # else the loss of the checkpoint, which is known
    baselines = [sampling.baseline(objective, point, settings) if own else None for point in points]
    rows: list[Row] = []
    for position, checkpoint in enumerate(task.checkpoints):
        for chain in numbers:
            distances = traces.distances[len(rows), -settings.draws * (2 if halved else 1) :]
            rows.append({
                "table": "chain",
                "checkpoint": checkpoint.ref,
                "content": checkpoint.content,
                **checkpoint.columns,
                "chain": chain,
                "halved": halved,
                "step_size": seen[len(rows)].step_size,
                "curvature": seen[len(rows)].sharp.curvature,
                "gradient_variance": seen[len(rows)].sharp.variance,
                "n_beta": n_beta,
                "parameters": objective.space.size if moving is None else len(moving),
                "baseline": baselines[position],
                "length": lengths[position],
                "distance": float(np.sqrt(np.mean(distances**2))),
                "data": task.on,
                "device": str(session.device),
                "strategy": how,
                "threads": torch.get_num_threads(),
                "seconds": seconds,
            })  # fmt: skip
    return Result(rows, traces.losses.astype(np.float32))
