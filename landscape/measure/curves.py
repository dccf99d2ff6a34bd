"""Learned curves between two checkpoints: fitted on some text, judged on other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape import barrier, evaluate
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.paths import KINDS, fit, saved
from landscape.shapes import Float
from landscape.store import Row

SAVE_EVERY = 15.0
"""Seconds after which a fit is saved."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Wanted:
    """One curve to learn.

    Attributes:
        file: Where it is kept; a fit that was stopped goes on from here.
        ends: Content ids of the ends, and what it is fitted on.
        recipe: How.
        seed: Of batches and positions.
    """

    file: Path
    ends: tuple[str, ...]
    recipe: fit.Recipe
    seed: int


def learn(
    objective: Objective, ends: Float[Tensor, "2 P"], wanted: Wanted, report: Callable[[int, float], None]
) -> Float[Tensor, "anchors P"]:
    """The anchors of a learned curve; saved now and then, and when it is stopped.

    Args:
        objective: The loss, on the training examples.
        ends: The two ends.
        wanted: Which curve.
        report: Called with each step and its loss.

    Raises:
        InputError: If the file holds another curve.
    """
    state = fit.start(ends, wanted.recipe.bends)
    if wanted.file.exists():
        before = saved.load(wanted.file)
        if (before.ends, before.recipe) != (wanted.ends, wanted.recipe):
            raise InputError(
                f"{wanted.file} holds another curve, of other ends, text or settings; choose another --out"
            )
        state = before.state
    slope = partial(evaluate.slope, objective)

    def keep(state: fit.State) -> None:
        saved.save(wanted.file, saved.Saved(wanted.ends, wanted.recipe, saved.joined(ends, state), state))

    stretch = 1
    while state.step < wanted.recipe.steps:
        begin = time.monotonic()
        try:
            state = fit.fit(ends, slope, objective.examples, wanted.recipe, state, seed=wanted.seed,
                            until=state.step + stretch, report=report)  # fmt: skip
        except BaseException:
            keep(state)
            raise
        seconds = time.monotonic() - begin
        stretch = max(1, round(stretch * min(4.0, SAVE_EVERY / max(seconds, 1e-3))))
        keep(state)
    return saved.joined(ends, state)


def judge(
    objective: Objective, anchors: Float[Tensor, "anchors P"], kind: str, points: int
) -> tuple[list[Row], list[Row]]:
    """Rows of a path on held-out examples: a ``barrier`` row for each definition, a ``profile`` row for each t.

    Beside the barrier a row has the path's length and the distance of its ends, and the largest, the mean and the
    arc-length-weighted mean loss along it, ``int L ds / int ds``; and the climb, ``max_t L(t) - min(L(0), L(1))``,
    which unlike a barrier tells a path to another good point from one to a bad point.

    Args:
        objective: The loss, on examples that the path was not fitted on.
        anchors: The path's anchors.
        kind: Kind of path.
        points: Size of the even t grid.
    """
    t = np.linspace(0, 1, points)
    rows = KINDS[kind](torch.from_numpy(t), len(anchors))
    losses = evaluate.losses(objective, anchors, rows).double().numpy()
    mean = losses.mean(axis=1)
    steps = _steps(anchors, rows)
    climb = losses[mean.argmax()] - losses[0 if mean[0] <= mean[-1] else -1]
    weights = barrier.resamples(losses.shape[1], RESAMPLES, 0)
    shared: Row = {
        "path": kind if len(anchors) > 2 else "linear",
        "bends": len(anchors) - 2,
        "points": points,
        "examples": losses.shape[1],
        "unit": objective.unit,
        "length": float(steps.sum()),
        "distance": float(torch.linalg.vector_norm(anchors[-1] - anchors[0], dtype=torch.float64)),
        "largest_loss": float(mean.max()),
        "climb": float(climb.mean()),
        "climb_error": float(barrier.standard_error(climb)),
        "mean_loss": float(np.trapezoid(mean, t)),
        "arc_mean_loss": float(((mean[1:] + mean[:-1]) / 2 * steps).sum() / steps.sum()),
        "loss_a": float(mean[0]),
        "loss_b": float(mean[-1]),
    }
    found: list[Row] = []
    for definition in barrier.available(t):
        one = barrier.estimate(t, losses, definition, weights=weights)
        found.append({
            "table": "barrier", "definition": definition.value, "barrier": one.value, "low": one.low, "high": one.high,
            "plugin": one.plugin, "t_at_max": one.t_at_max, **shared,
        })  # fmt: skip
    error = barrier.standard_error(losses)
    profile: list[Row] = [
        {"table": "profile", "path": shared["path"], "t": float(t[k]), "loss": float(mean[k]), "error": float(error[k])}
        for k in range(points)
    ]
    return found, profile


def _steps(anchors: Float[Tensor, "anchors P"], rows: Float[Tensor, "t anchors"]) -> Float[np.ndarray, " t-1"]:
    """Distances from each point of a path to the next, by way of the anchors' inner products."""
    centred = (anchors - anchors[:1]).double()
    gram = centred @ centred.T
    moves = rows[1:] - rows[:-1]
    return torch.einsum("ti,ij,tj->t", moves, gram, moves).clamp(min=0).sqrt().numpy()
