"""Loss along paths on which only some components go from one checkpoint to the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from landscape.measure import pairs
from landscape.profile import barrier
from landscape.profile.adaptive import RESAMPLE_SEED
from landscape.profile.largest import largest
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Bool, Float
from landscape.study.kinds.components import Components, sets
from landscape.study.tasks import Task


def run(task: Task[Components], session: Session) -> Result:
    """Rows of the table ``component`` (a pair, and components that move), and of ``component_profile`` (and a t).

    The rise is that above the chord of the original ends, ``L(t) - ((1 - t) L(start) + t L(other end))``.
    """
    spec, aligned = task.spec, task.spec.aligned
    anchors, space = session.points(task, aligned), session.objective(task, aligned).space
    parts = spec.parts(space.names)
    moving = sets(len(parts), spec.ways)
    masks = np.stack([_mask(which, list(parts.values()), len(space.names)) for which in moving])
    evaluator = session.evaluator(task, spec.dtype, aligned)
    out: list[Row] = []
    kept = []
    for pair in task.pairs:
        ends = np.concatenate([session.store.losses(task.needs[k]) for k in pair])
        about = pairs.path_columns(task.checkpoints[pair[0]], task.checkpoints[pair[1]], spec)
        for start in spec.starts:
            begin, end = (0, 1) if start == "a" else (1, 0)
            rows = coefficients(masks, spec.t[1:], (pair[begin], pair[end]), len(anchors))
            inner = evaluator.evaluate(anchors, rows).losses.reshape(len(masks), len(spec.t) - 1, -1)
            shared = {**about, "start": start, **session.columns(task, evaluator.dtype, evaluator.dtype_error)}
            weights = barrier.resamples(inner.shape[-1], spec.resamples, RESAMPLE_SEED)
            for n, names in enumerate(moving.values()):
                losses = np.concatenate([ends[begin][None], inner[n]])
                number, curve = _rise(spec.t, losses, ends[end], weights)
                sizes: Row = {
                    "tensors": int(masks[n].sum()), "parameters": int(masks[n] @ np.array(space.sizes)),
                    "loss_a": float(ends[0].mean()), "loss_b": float(ends[1].mean()), "points": spec.points,
                    **evaluator.columns,
                }  # fmt: skip
                for way, k in names:
                    which: Row = {**shared, "way": way, "component": list(parts)[k], "position": k}
                    out.append({"table": "component", **which, **number, **sizes})
                    out += ({"table": "component_profile", **which, **point} for point in curve)
                kept.append(losses)
    return Result(out, np.concatenate(kept).astype(np.float32) if spec.keep_losses else None)


def require(task: Task[Components], session: Session) -> None:
    """Refuse patterns that do not fit the model; an ``InputError`` says which."""
    task.spec.parts(session.objective(task).space.names)


def coefficients(
    masks: Bool[np.ndarray, "sets tensors"], t: Float[np.ndarray, " t"], ends: tuple[int, int], anchors: int
) -> Float[Tensor, "points tensors anchors"]:
    """Coefficients of points between two of several anchors, a row for each tensor; sets vary slowest.

    Args:
        masks: Which tensors move.
        t: How far, in [0, 1].
        ends: Positions of the start and of the other end in the anchors.
        anchors: Number of anchors.
    """
    share = torch.from_numpy(t)[None, :, None] * torch.from_numpy(masks)[:, None]
    rows = torch.zeros(*share.shape, anchors, dtype=torch.float64)
    rows[..., ends[0]] = 1 - share
    rows[..., ends[1]] = share
    return rows.flatten(0, 1)


def _mask(which: tuple[int, ...], parts: list[tuple[int, ...]], tensors: int) -> Bool[np.ndarray, " tensors"]:
    mask = np.zeros(tensors, dtype=bool)
    mask[[position for k in which for position in parts[k]]] = True
    return mask


def _rise(
    t: Float[np.ndarray, " t"],
    losses: Float[np.ndarray, "t examples"],
    end: Float[np.ndarray, " examples"],
    weights: Float[np.ndarray, "count examples"],
) -> tuple[Row, list[Row]]:
    """The largest rise with its interval, and what there is at each t.

    Args:
        t: From 0 to 1.
        losses: At each t, that of the start first.
        end: Losses of the other end, which only a whole move reaches.
        weights: Bootstrap weights over the examples.
    """
    rises = losses - ((1 - t)[:, None] * losses[:1] + t[:, None] * end)
    found = largest(np.eye(len(t))[:, None], rises, weights=weights, signed=False)
    number: Row = {
        "rise": found.value, "low": found.low, "high": found.high, "plugin": found.plugin,
        "t_at_max": float(t[found.index]), "loss_moved": float(losses[-1].mean()),
        "loss_moved_error": float(standard_error(losses[-1])),
    }  # fmt: skip
    points: list[Row] = [
        {"t": float(at), "loss": float(losses[k].mean()), "error": float(standard_error(losses[k])),
         "rise": float(rises[k].mean()), "rise_error": float(standard_error(rises[k]))}
        for k, at in enumerate(t)
    ]  # fmt: skip
    return number, points
