"""Learned curves between two checkpoints: fitted on some text, scored on other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from landscape import paths
from landscape.anchor import distance
from landscape.measure import pairs
from landscape.objectives import Objective
from landscape.paths import fit, saved
from landscape.profile import adaptive, paired, path_state
from landscape.profile.adaptive import Grid, Profile
from landscape.profile.rows import metric_tables, tables, trapezoid
from landscape.rows import Row
from landscape.session.evaluator import Evaluator
from landscape.session.fitting import Wanted, learn, teller
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Float, Int
from landscape.study.kinds.curves import TEXT, Curves
from landscape.study.tasks import Task

FINE = 1025
"""Points by which the length of a path is measured."""
CONTROL = "control"
"""What a path to a random point is called in the column ``path``."""
LOG = logging.getLogger(__name__)


def run(task: Task[Curves], session: Session) -> Result:
    """Rows of ``barrier`` and ``profile`` for a learned curve between each pair of a tile, and for its control."""
    spec, aligned, grid = task.spec, task.spec.aligned, pairs.grid(task.spec)
    anchors = session.vectors(task, aligned)
    fitted = _fitting(task, session)
    session.batches.buffers(task.on).give_common(task.checkpoints, "a learned curve", fitted.model)
    jobs = list(_jobs(task, session, anchors))
    if not jobs:
        return Result([])
    wanted = [want for _, want, _ in jobs]
    curves = learn(fitted, torch.stack([ends for _, _, ends in jobs]), wanted,
                   teller(task.label, len(jobs), spec.fit_steps))  # fmt: skip
    evaluator = session.evaluator(task, spec.dtype, aligned, task.checkpoints[:1])
    out: list[Row] = []
    losses = []
    for ((i, j), want, _), curve in zip(jobs, curves, strict=True):
        control = want.ends[-1] == CONTROL
        known = None if control else pairs.ends_of((i, j), task, session)
        profile, found, shown = score(evaluator, list(curve), spec.path, grid, known)
        both = pairs.path_columns(task.checkpoints[i], task.checkpoints[j], spec)
        shared = {**both, **session.columns(task, evaluator.dtype, evaluator.dtype_error)}
        name: Row = {"curve": f"curves/{want.file.name}", **({"path": CONTROL} if control else {})}
        out += ({**shared, **row, **evaluator.columns, **name} for row in found)
        out += ({**shared, **row, **name} for row in shown)
        losses.append(profile.losses)
    return Result(out, np.concatenate(losses).astype(np.float32) if spec.keep_losses else None)


def require(task: Task[Curves], session: Session) -> None:
    """Refuse a text to fit on that is too short; an ``InputError`` says so."""
    _fitting(task, session)


def _fitting(task: Task[Curves], session: Session) -> Objective:
    """The objective on the batches that curves are fitted on."""
    aligned = task.spec.aligned
    untied = aligned is not None and session.coordinates.unties(aligned, task.on)
    return session.batches.of(task.spec.fitted_on(session.study.data_sets[task.on]), untied=untied)


def recipe(spec: Curves) -> fit.FitSettings:
    """How a curve is fitted."""
    return fit.FitSettings(
        kind=spec.path, bends=spec.bends, steps=spec.fit_steps, batch=spec.fit_batch, parts=spec.fit_parts,
        rate=spec.rate, decay=spec.decay,
    )  # fmt: skip


def _jobs(
    task: Task[Curves], session: Session, anchors: list[Tensor]
) -> Iterator[tuple[tuple[int, int], Wanted, Float[Tensor, "2 P"]]]:
    """Pairs of positions with the curves that they want: each its own, and perhaps a control; none for one point."""
    spec, how = task.spec, recipe(task.spec)
    for i, j in task.pairs:
        a, b = (task.checkpoints[k] for k in (i, j))
        if a.content == b.content:
            LOG.warning("%s and %s hold the same weights: no curve is learned between them", a.ref, b.ref)
            continue
        ends = torch.stack([anchors[i], anchors[j]])
        ids, folder = identity(task, (i, j)), session.store.folder / "curves"
        for control in ((), (CONTROL,)) if spec.control else ((),):
            key = "_".join([*(part[:12] for part in ids[:4]), saved.key(how), *ids[4:], *control])
            here = fit.controls(ends.cpu(), spec.seed).to(ends.device) if control else ends
            yield (i, j), Wanted(folder / f"{key}.safetensors", (*ids, *control), how, spec.seed), here


def identity(task: Task[Curves], pair: tuple[int, int]) -> tuple[str, ...]:
    """What tells the curve of a pair from those of other ends, texts and seeds, and from those of aligned ends."""
    a, b = (task.checkpoints[k] for k in pair)
    moved = task.needs[len(task.checkpoints) :]  # the ends are others then
    return a.content, b.content, task.text(TEXT), str(task.spec.seed), *(key[:12] for key in moved)


def score(
    evaluator: Evaluator, anchors: list[Tensor], kind: str, grid: Grid, ends: path_state.KnownEnds | None = None
) -> tuple[Profile, list[Row], list[Row]]:
    """A path on held-out examples: a ``barrier`` row for each definition, a ``profile`` row for each t shown.

    Beside what all paths have, a row has the path's length, the distance of its ends, and the arc-length-weighted mean
    loss along it, ``int L ds / int ds``, with its standard error.

    Args:
        evaluator: Evaluates points on examples that the path was not fitted on.
        anchors: The path's anchors.
        kind: Kind of path.
        grid: Where and how well to evaluate.
        ends: What was measured at the ends, where it is known.
    """

    def rows(t: list[float]) -> Tensor:
        return paths.kind(kind).coefficients(torch.tensor(t, dtype=torch.float64), anchors, ())

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> path_state.Evaluated:
        return evaluator.losses(anchors, rows([t for _, t in wanted]), examples)

    if ends is None:
        known = evaluator.of_ends.evaluate(anchors, rows([0.0, 1.0]))
        ends = path_state.KnownEnds(known.losses, dict(known.metrics))
    path = replace(ends, pieces=paths.kind(kind).pieces(len(anchors)))
    (profile,) = adaptive.profiles([path], evaluate, grid, evaluator.again)
    of_metrics = metric_tables(profile, grid, evaluator.choices.objective.unit)
    found, shown = ([*rows, *more] for rows, more in zip(tables(profile, grid), of_metrics, strict=True))
    name = kind if len(anchors) > 2 else "linear"
    shared = {"path": name, "bends": len(anchors) - 2, **_shape(profile, anchors, kind)}
    return profile, [{**row, **shared} for row in found], [{**row, "path": name} for row in shown]


def _shape(profile: Profile, anchors: list[Tensor], kind: str) -> Row:
    """Length of a path, and its mean loss by arc length."""
    t = torch.linspace(0, 1, FINE, dtype=torch.float64)
    length = _steps(anchors, paths.kind(kind).coefficients(t, anchors, ())).sum()
    steps = _steps(anchors, paths.kind(kind).coefficients(torch.from_numpy(profile.interpolation.t), anchors, ()))
    weights = trapezoid(steps)[None] / steps.sum()
    found = paired.functionals(weights, profile.components, profile.interpolation)
    return {
        "path_length": float(length),
        "distance": distance(anchors[0], anchors[-1]),
        "arc_mean_loss": float(found.value[0]),
        "arc_mean_loss_error": float(found.error[0]),
    }


def _steps(anchors: list[Tensor], rows: Float[Tensor, "t anchors"]) -> Float[np.ndarray, " steps"]:
    """Distances from each point of a path to the next, by way of the anchors' inner products."""
    away = [(anchor - anchors[0]).double() for anchor in anchors]
    gram = torch.tensor([[float(a @ b) for b in away] for a in away], dtype=torch.float64)
    moves = rows[1:] - rows[:-1]
    return torch.einsum("ti,ij,tj->t", moves, gram, moves).clamp(min=0).sqrt().numpy()
