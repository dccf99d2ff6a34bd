"""The local learning coefficient of a checkpoint."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from landscape import gradients
from landscape.errors import InputError
from landscape.llc import curvature, langevin
from landscape.llc.estimate import Estimate, estimate, extrapolated, predicted_bias
from landscape.llc.samplers import Dynamics
from landscape.measure.session import Result, Session
from landscape.objectives import Objective
from landscape.shapes import Float, Int
from landscape.store import Row
from landscape.task import Task

EQUILIBRIUM = 5.0
"""Relaxation times of the localisation that a burn-in is to last."""


def run(task: Task, session: Session) -> Result:
    """One row of the table ``llc``, and the traces of the loss as its kept losses.

    The baseline is the loss over all examples that batches are drawn from.

    Raises:
        InputError: If a batch is larger than the data, or no parameter may move.
    """
    settings: dict[str, Any] = dict(task.settings)
    (checkpoint,), (point,) = task.checkpoints, session.anchors(task)
    objective = session.objective
    n, batch = objective.examples, None if settings["batch"] == "all" else int(settings["batch"])
    if batch is not None and batch > n:
        raise InputError(f"a batch of {batch} examples is wanted and there are {n}; lower batch or give more data")
    n_beta = inverse_temperature(settings["n_beta"], n, batch)
    moving = Moving(objective, point, chosen(objective, settings["parameters"]))
    steepest = None
    step = settings["step_size"]
    if step == "auto":
        steepest = curvature.largest(moving.centre, moving.gradient, seed=settings["seed"])
        step = curvature.step_size(steepest, n_beta, settings["localisation"])
    plan = langevin.Plan(settings["sampler"], settings["chains"], settings["draws"], settings["burn_in"], batch,
                         settings["seed"])  # fmt: skip
    baseline = session.store.rows("loss", task.needs).iloc[0]

    def measured(step: float, plan: langevin.Plan) -> tuple[Estimate, langevin.Traces]:
        dynamics = Dynamics(n_beta, settings["localisation"], step)
        traces = langevin.run(moving.centre, moving.slopes, n, dynamics, plan)
        return estimate(traces.losses, float(baseline["loss"]), n_beta, plan.burn_in, len(moving.centre)), traces

    found, traces = whole, _ = measured(step, plan)
    half = None
    if settings["extrapolate"]:
        twice = replace(plan, draws=2 * plan.draws, burn_in=2 * plan.burn_in, seed=plan.seed + 1)
        half, _ = measured(step / 2, twice)
        found = extrapolated(whole, half)
    alarms, relaxed = list(found.alarms), EQUILIBRIUM / (step * settings["localisation"])
    if settings["sampler"] == "sgld" and plan.burn_in < relaxed:
        alarms.append(
            f"a burn-in of {plan.burn_in} is short of the {math.ceil(relaxed)} in which flat directions settle"
        )
    row: Row = {
        "table": "llc",
        "checkpoint": checkpoint.ref,
        **checkpoint.labels,
        "llc": found.llc,
        "error": found.error,
        "per_chain": json.dumps([None if math.isnan(value) else value for value in found.per_chain.tolist()]),
        "rhat": found.rhat,
        "ess": found.ess,
        "diverged": found.diverged,
        "drift": found.drift,
        "sound": not alarms,
        "alarms": "; ".join(alarms),
        "sampler": plan.sampler,
        "chains": plan.chains,
        "draws": plan.draws,
        "burn_in": plan.burn_in,
        "batch": batch,
        "step_size": step,
        "curvature": steepest,
        "llc_step": whole.llc if half else None,
        "llc_half_step": half.llc if half else None,
        "step_bias": None
        if steepest is None or half
        else predicted_bias(step, n_beta, steepest, settings["localisation"]),
        "localisation": settings["localisation"],
        "n_beta": n_beta,
        "parameters": len(moving.centre),
        "baseline": float(baseline["loss"]),
        "baseline_error": float(baseline["error"]),
        **session.settings(task, None),
    }
    return Result([row], traces.losses.astype("float32"))


def inverse_temperature(wanted: float | str, examples: int, batch: int | None) -> float:
    """``n_beta`` by number or by name: ``log_n`` is n / ln n of all examples, ``log_batch`` of a batch."""
    if isinstance(wanted, str):
        count = examples if wanted == "log_n" or batch is None else batch
        return count / math.log(count)
    return float(wanted)


def chosen(objective: Objective, names: str | None) -> Int[Tensor, " moving"] | None:
    """Coordinates of the parameters whose name fits a pattern; None for all.

    Raises:
        InputError: If none does.
    """
    if names is None:
        return None
    space = objective.space
    fits = [fnmatch(name, names) for name in space.names]
    if not any(fits):
        raise InputError(f"no parameter fits {names!r}; names are {', '.join(space.names[:3])}, ...; * is any text")
    marks = torch.cat([torch.full((size,), fit) for size, fit in zip(space.sizes, fits, strict=True)])
    return marks.nonzero().squeeze(1)


@dataclass
class Moving:
    """The coordinates of a checkpoint that move, the others frozen.

    Attributes:
        objective: The loss.
        point: The checkpoint.
        chosen: Which coordinates; None is all.
    """

    objective: Objective
    point: Float[Tensor, " P"]
    chosen: Int[Tensor, " moving"] | None
    _kind: Any = None

    @cached_property
    def centre(self) -> Float[Tensor, " moving"]:
        """The checkpoint in these coordinates."""
        return self.point.clone() if self.chosen is None else self.point[self.chosen.to(self.point.device)]

    def slopes(
        self, points: Float[Tensor, "chains moving"], examples: Int[Tensor, "chains batch"]
    ) -> tuple[Float[Tensor, " chains"], Float[Tensor, "chains moving"]]:
        """Losses and gradients in these coordinates."""
        full = points
        if self.chosen is not None:
            full = self.point.repeat(len(points), 1)
            full[:, self.chosen] = points
        if self._kind is None:
            self._kind = gradients.choose_slopes(self.objective, full, examples) if len(points) > 1 else "loop"
        losses, found = gradients.slopes(self.objective, full, examples, kind=self._kind)
        return losses.to(points.device), found if self.chosen is None else found[:, self.chosen]

    def gradient(self, point: Float[Tensor, " moving"]) -> Float[Tensor, " moving"]:
        """Gradient over all examples in these coordinates."""
        everything = torch.arange(self.objective.examples)[None]
        full = point[None]
        if self.chosen is not None:
            full = self.point[None].clone()
            full[:, self.chosen] = point
        gradient = gradients.slopes(self.objective, full, everything)[1][0]
        return gradient if self.chosen is None else gradient[self.chosen]
