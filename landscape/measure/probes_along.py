"""A probe, asked of points on the paths between the pairs of a tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape import paths
from landscape.anchor import Anchor
from landscape.catalogue import CURVES
from landscape.errors import InputError
from landscape.measure import pairs
from landscape.paths import saved
from landscape.points.combine import combine_rows
from landscape.probes import measure
from landscape.probes.base.result import Score
from landscape.profile.drop import drop
from landscape.profile.paired import standard_error
from landscape.rows import Row
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.shapes import Float
from landscape.study.checkpoint import Checkpoint
from landscape.study.kinds.probes import Probes
from landscape.study.tasks import Task

Scores = dict[tuple[str, str], Score]
"""Scores by metric and subset."""
LOSS = "loss"


@dataclass
class Asked:
    """A probe and its items, and what came of it at anchors.

    Attributes:
        task: The task.
        session: The session.
        items: The items.
        untied: Whether the head is a parameter of its own.
        known: Scores at anchors that other pairs share, by position.
    """

    task: Task[Probes]
    session: Session
    items: object
    untied: bool
    known: dict[int, Scores] = field(default_factory=dict)

    def scores(self, point: Float[Tensor, " P"], buffers: dict[str, Tensor]) -> Scores:
        """The headline scores of a point, and those of all items.

        Args:
            point: Its weights.
            buffers: Its learned buffers.
        """
        model = self.session.probe_models.at(point, buffers, self.task.on, untied=self.untied)
        found = measure(self.task.spec.name, model, self.items)
        return {(s.metric, s.subset): s for s in found.scores if s.headline or not s.subset}


def run(task: Task[Probes], session: Session) -> Result:
    """Rows of the table ``probe_along`` (a pair, a score and t), and of ``drop`` (a pair and a score)."""
    spec, aligned = task.spec, task.spec.aligned
    untied = aligned is not None and session.coordinates.unties(aligned, task.on)
    items, fingerprint = session.probe_models.items(_of_checkpoints(task))
    asked = Asked(task, session, items, untied)
    t = np.linspace(0, 1, spec.points)
    evaluator = session.evaluator(task, "float32", aligned)
    out: list[Row] = []
    for pair, anchors, owners, rows in _paths(task, session, t):
        evaluator.checkpoints = owners
        losses = evaluator.evaluate(anchors, rows).losses
        found = [asked.known.get(pair[int(at)]) if at in (0, 1) else None for at in t]
        for k, row in enumerate(rows):
            if found[k] is None:
                buffers = next(iter(session.batches.buffers(task.on).shared(owners, row[None])))[0]
                found[k] = asked.scores(_point(row, anchors, session.objective(task, aligned).space.sizes), buffers)
            if t[k] in (0, 1):
                asked.known[pair[int(t[k])]] = found[k] or {}
        about = pairs.pair_columns(task.checkpoints[pair[0]], task.checkpoints[pair[1]], spec.between)
        shared: Row = {
            **about, "path": spec.along, "align": spec.align[0],
            "symmetry_group": spec.alignment.symmetry_group if aligned else None,
            "groups": ", ".join(spec.alignment.groups), "points": spec.points, "items_hash": fingerprint,
            **session.columns(task), **evaluator.columns,
        }  # fmt: skip
        out += ({**shared, **row} for row in _rows(t, spec, [one or {} for one in found]))
        out += ({**shared, **row} for row in _losses(t, losses))
    return Result(out)


def _of_checkpoints(task: Task[Probes]) -> Task[Probes]:
    """The task as if checkpoints were asked: its items are theirs."""
    return Task(task.spec.of_checkpoints, task.checkpoints, task.pairs, task.data, task.on, task.texts, task.needs)


def _paths(
    task: Task[Probes], session: Session, t: Float[np.ndarray, " t"]
) -> Iterator[tuple[tuple[int, int], Sequence[Anchor], Sequence[Checkpoint], Tensor]]:
    """For each pair the anchors of its path, whose learned buffers they take, and the coefficients at each t."""
    spec, aligned = task.spec, task.spec.aligned
    at = torch.from_numpy(t)
    if spec.along not in CURVES:
        anchors, sizes = session.points(task, aligned), session.objective(task, aligned).space.sizes
        for pair in task.pairs:
            wanted = [(pair, float(one)) for one in t]
            yield pair, anchors, task.checkpoints, pairs.between(str(spec.along), wanted, anchors, sizes)
        return
    session.batches.buffers(task.on).give_common(task.checkpoints, "a learned curve")
    for pair in task.pairs:
        file = _file(task, session, pair)
        if file is not None:
            curve = saved.load(file)
            _require_ends(task, curve, pair, file)
            anchors = list(curve.anchors.to(session.device))
            yield pair, anchors, task.checkpoints[:1], paths.kind(str(spec.along)).coefficients(at, anchors, ())


def _file(task: Task[Probes], session: Session, pair: tuple[int, int]) -> Path | None:
    """The file of the curve of a pair; None if it is one point, between which nothing is learned."""
    if isinstance(task.spec.curve, str):
        return Path(task.spec.curve)
    rows = session.store.rows("barrier", list(task.needs[len(task.checkpoints) :]))
    if rows.empty:
        return None
    a, b = (task.checkpoints[k].ref for k in pair)
    own = rows[(rows["a"] == a) & (rows["b"] == b) & (rows["path"] == task.spec.along)]
    return None if own.empty else session.store.folder / str(own["curve"].iloc[0])


def _require_ends(task: Task[Probes], curve: saved.Saved, pair: tuple[int, int], file: Path) -> None:
    """Refuse a curve of another kind or of other checkpoints.

    Raises:
        InputError: If it is.
    """
    if curve.settings.kind != task.spec.along:
        raise InputError(f"{file} is a curve of the kind {curve.settings.kind}, and along is {task.spec.along}")
    a, b = (task.checkpoints[k] for k in pair)
    if curve.ends[:2] != (a.content, b.content):
        raise InputError(f"{file} does not join {a.ref} to {b.ref}; give the checkpoints that it was learned for")


def _point(
    row: Float[Tensor, "*tensors anchors"], anchors: Sequence[Anchor], sizes: Sequence[int]
) -> Float[Tensor, " P"]:
    """A point in memory."""
    device = next((a.device for a in anchors if isinstance(a, Tensor)), None)
    point = torch.empty(len(anchors[0]), dtype=torch.float32, device=device)
    combine_rows(row[None], anchors, point[None], sizes)
    return point


def _rows(t: Float[np.ndarray, " t"], spec: Probes, found: Sequence[Mapping[tuple[str, str], Score]]) -> Iterator[Row]:
    """Rows of the scores that there are at every t."""
    for key in found[0]:
        if not all(key in one for one in found):
            continue
        scores = [one[key] for one in found]
        first = scores[0]
        about: Row = {
            "probe": spec.name, "metric": first.metric, "subset": first.subset, "items": first.items,
            "better": first.better, "chance": first.chance, "headline": first.headline,
        }  # fmt: skip
        for at, score in zip(t, scores, strict=True):
            yield {"table": "probe_along", **about, "t": float(at), "value": score.value, "error": score.error}
        yield {"table": "drop", **about, **_drop(t, spec, scores)}


def _drop(t: Float[np.ndarray, " t"], spec: Probes, scores: Sequence[Score]) -> Row:
    """The drop of a score; without an interval where its errors are not those of means over items."""
    values, first = np.array([score.value for score in scores]), scores[0]
    ends: Row = {"value_a": float(values[0]), "value_b": float(values[-1])}
    parts = [score.influence for score in scores if score.influence is not None]
    paired = len(parts) == len(scores) and len({len(part) for part in parts}) == 1 and len(parts[0]) > 1
    if not paired:
        below = (1 - t) * values[0] + t * values[-1] - values
        below = -below if first.better == "lower" else below
        return {**ends, "drop": None, "low": None, "high": None, "plugin": float(below.max()),
                "t_at_max": float(t[below.argmax()])}  # fmt: skip
    found = drop(t, values, np.stack(parts), first.strata, better=first.better, resamples=spec.resamples)
    return {**ends, "drop": found.value, "low": found.low, "high": found.high, "plugin": found.plugin,
            "t_at_max": float(t[found.index])}  # fmt: skip


def _losses(t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"]) -> Iterator[Row]:
    """The loss at each t, as a score."""
    for at, values in zip(t, losses, strict=True):
        yield {
            "table": "probe_along", "probe": LOSS, "metric": LOSS, "subset": "", "items": len(values),
            "better": "lower", "chance": None, "headline": True, "t": float(at), "value": float(values.mean()),
            "error": float(standard_error(values)),
        }  # fmt: skip
