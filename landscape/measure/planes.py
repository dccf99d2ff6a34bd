"""The loss on a plane: through three checkpoints, around one, or of largest variance through many."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.paths import directions, plane
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.session import Evaluator, Result, Session
from landscape.shapes import Float
from landscape.space import output_axes
from landscape.study.tasks import Task


def run(task: Task, session: Session) -> Result:
    """Rows of ``plane`` (a place), for one part of a plane, and from its first part of ``place`` (a checkpoint).

    Every number is paired with the first checkpoint's: ``above`` is the loss less the loss there.
    """
    settings: dict[str, Any] = dict(task.settings)
    session.buffers.give_common(task.checkpoints, "a plane", session.objective.model)
    checkpoints = session.anchors(task)
    chosen, anchors = span(checkpoints, settings, session)
    places, off = chosen.project(checkpoints, anchors)
    xy = raster(places, chosen, anchors, settings)[settings["part"] :: settings["parts"]]
    everything = np.arange(session.objective.examples)
    evaluator = Evaluator(session, settings["dtype"], task.checkpoints[:1])
    first = torch.zeros(1, len(checkpoints), dtype=torch.float64)
    first[0, 0] = 1
    reference, _ = evaluator.evaluate(checkpoints, first, everything)
    losses, _ = evaluator.evaluate(anchors, chosen.coefficients(xy), everything)
    shared = {
        "plane": name(task),
        "kind": settings["plane"],
        "explained_x": chosen.explained[0] if chosen.explained else None,
        "explained_y": chosen.explained[1] if chosen.explained else None,
        **session.settings(task, evaluator.dtype, evaluator.dtype_error),
    }
    out: list[Row] = [
        {"table": "plane", **shared, "x": float(x), "y": float(y), **row, **evaluator.how}
        for (x, y), row in zip(xy.tolist(), _numbers(losses, reference), strict=True)
    ]
    if settings["part"] == 0:
        corners = torch.eye(len(checkpoints), dtype=torch.float64)
        at, _ = evaluator.evaluate(checkpoints, corners, everything)
        for checkpoint, place, apart, row in zip(task.checkpoints, places.tolist(), off.tolist(),
                                                 _numbers(at, reference), strict=True):  # fmt: skip
            out.append({"table": "place", **shared, "checkpoint": checkpoint.ref, **checkpoint.labels,
                        "x": place[0], "y": place[1], "off_plane": apart, **row})  # fmt: skip
    return Result(out)


def name(task: Task) -> str:
    """What the parts of one plane have in common, as a short key."""
    settings = {key: value for key, value in task.settings if key != "part"}
    content = [[c.content for c in task.checkpoints], settings, task.data]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=6).hexdigest()


def span(
    checkpoints: list[Tensor], settings: dict[str, Any], session: Session
) -> tuple[plane.Plane, list[Float[Tensor, " P"]]]:
    """The plane that is wanted, and its anchors."""
    match settings["plane"]:
        case "through":
            return plane.through(checkpoints), checkpoints
        case "trajectory":
            return plane.trajectory(checkpoints), checkpoints
    generator = torch.Generator().manual_seed(settings["seed"])
    axes = output_axes(session.objective.model)
    ways = directions.filtered(checkpoints[0], session.objective.space, axes, generator)
    return plane.spanned(list(ways)), [checkpoints[0], *ways]


def raster(
    places: Float[Tensor, "checkpoints 2"], chosen: plane.Plane, anchors: list[Tensor], settings: dict[str, Any]
) -> Float[Tensor, "points 2"]:
    """Places of a plane, equally far apart on both axes, around the checkpoints."""
    low, high = places.min(dim=0).values, places.max(dim=0).values
    if settings["plane"] == "random":
        reach = settings["span"] * torch.linalg.vector_norm(anchors[1], dtype=torch.float64).cpu()
        low, high = low - reach, high + reach
    else:
        edge = settings["margin"] * (high - low).max()
        low, high = low - edge, high + edge
    pixel = float((high - low).max()) / (settings["resolution"] - 1)
    counts = ((high - low) / pixel).round().long() + 1
    x, y = (low[k] + pixel * torch.arange(int(counts[k]), dtype=torch.float64) for k in (0, 1))
    return torch.cartesian_prod(x, y)


def _numbers(losses: Float[np.ndarray, "points examples"], reference: Float[np.ndarray, "1 examples"]) -> list[Row]:
    """Mean loss, and what it is above that of a reference, each with its error."""
    above = losses - reference
    columns = (losses.mean(axis=1), standard_error(losses), above.mean(axis=1), standard_error(above))
    names = ("loss", "error", "above", "above_error")
    return [dict(zip(names, map(float, values), strict=True)) for values in zip(*columns, strict=True)]
