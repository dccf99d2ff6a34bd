"""The loss on a plane: through three checkpoints, around one, or of largest variance through many."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from torch import Tensor

from landscape.objectives import Objective
from landscape.paths import directions, plane
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Float
from landscape.space import output_axes
from landscape.study.kinds.planes import PlanePart, Planes
from landscape.study.tasks import Task


def run(task: Task[PlanePart], session: Session) -> Result:
    """Rows of ``plane`` (a point of it), for one part of a plane, and from its first part of ``place`` (a checkpoint).

    Every number is paired with that of the first checkpoint: ``above`` is the loss less the loss there.
    """
    spec, part = task.spec.plane, task.spec.part
    objective = session.objective(task)
    session.batches.buffers(task.on).give_common(task.checkpoints, "a plane", objective.model)
    checkpoints = session.vectors(task)
    chosen, anchors = span(checkpoints, spec, objective)
    corners, off = chosen.project(checkpoints, anchors)
    xy = raster(corners, anchors, spec)[part :: spec.parts]
    evaluator = session.evaluator(task, spec.dtype, checkpoints=task.checkpoints[:1])
    at_corners = torch.eye(len(checkpoints), dtype=torch.float64)
    reference = evaluator.evaluate(checkpoints, at_corners[:1]).losses
    losses = evaluator.evaluate(anchors, chosen.coefficients(xy)).losses
    shared: Row = {
        "plane": name(task),
        "kind": spec.plane,
        "explained_x": chosen.explained[0] if chosen.explained else None,
        "explained_y": chosen.explained[1] if chosen.explained else None,
        **session.columns(task, evaluator.dtype, evaluator.dtype_error),
    }
    out: list[Row] = [
        {"table": "plane", **shared, "x": float(x), "y": float(y), **row, **evaluator.columns}
        for (x, y), row in zip(xy.tolist(), _numbers(losses, reference), strict=True)
    ]
    if part == 0:
        at = _numbers(evaluator.evaluate(checkpoints, at_corners).losses, reference)
        for checkpoint, (x, y), apart, row in zip(task.checkpoints, corners.tolist(), off.tolist(), at, strict=True):
            out.append({"table": "place", **shared, "checkpoint": checkpoint.ref, **checkpoint.columns, "x": x, "y": y,
                        "off_plane": apart, **row})  # fmt: skip
    return Result(out)


def name(task: Task[PlanePart]) -> str:
    """What the parts of one plane have in common, as a short key."""
    content = [[c.content for c in task.checkpoints], task.spec.plane.deciding(), task.data, task.on]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=6).hexdigest()


def span(
    checkpoints: list[Tensor], spec: Planes, objective: Objective
) -> tuple[plane.Plane, list[Float[Tensor, " P"]]]:
    """The plane that is wanted, and its anchors.

    Args:
        checkpoints: Points of the checkpoints.
        spec: Which plane.
        objective: Whose model they are points of.
    """
    match spec.plane:
        case "through":
            return plane.through(checkpoints), checkpoints
        case "trajectory":
            return plane.trajectory(checkpoints), checkpoints
    generator = torch.Generator().manual_seed(spec.seed)
    ways = directions.filtered(checkpoints[0], objective.space, output_axes(objective.model), generator)
    return plane.spanned(list(ways)), [checkpoints[0], *ways]


def raster(corners: Float[Tensor, "checkpoints 2"], anchors: list[Tensor], spec: Planes) -> Float[Tensor, "points 2"]:
    """Points of a plane, equally far apart on both axes, around the checkpoints.

    Args:
        corners: Coordinates of the checkpoints on the plane.
        anchors: Anchors of the plane.
        spec: How far and how fine.

    Returns:
        Coordinates, in distances of parameters.
    """
    low, high = corners.min(dim=0).values, corners.max(dim=0).values
    if spec.plane == "random":
        reach = spec.span * torch.linalg.vector_norm(anchors[1], dtype=torch.float64).cpu()
        low, high = low - reach, high + reach
    else:
        edge = spec.margin * (high - low).max()
        low, high = low - edge, high + edge
    pixel = float((high - low).max()) / (spec.resolution - 1)
    counts = ((high - low) / pixel).round().long() + 1
    x, y = (low[k] + pixel * torch.arange(int(counts[k]), dtype=torch.float64) for k in (0, 1))
    return torch.cartesian_prod(x, y)


def _numbers(losses: Float[np.ndarray, "points examples"], reference: Float[np.ndarray, "1 examples"]) -> list[Row]:
    """Mean loss, and what it is above that of a reference, each with its error."""
    above = losses - reference
    columns = (losses.mean(axis=1), standard_error(losses), above.mean(axis=1), standard_error(above))
    names = ("loss", "error", "above", "above_error")
    return [dict(zip(names, map(float, values), strict=True)) for values in zip(*columns, strict=True)]
