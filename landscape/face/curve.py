"""Learned curves of low loss between two checkpoints."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, no_rows, plot_profile, require_rows
from landscape.face.running import SILENT, Ran, Watch, one_shot
from landscape.files import replacing
from landscape.profile.chosen import OF_METRICS, of_metric
from landscape.profile.metrics import LOSS
from landscape.study.kinds.curves import Curves
from landscape.study.tasks import of
from landscape.texts import TRAINING_TEXT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics
    from landscape.measure.prepare import Prepared

CURVE, CONTROL = "curve.safetensors", "control.safetensors"
"""Files of the anchors of the curve and of its control."""


@dataclass(frozen=True)
class Curve(Result):
    """A learned curve between two checkpoints, with the straight line and the control.

    Attributes:
        profiles: Rows of the table ``profile``: losses along the paths.
        aligned: Rows of the table ``align``: what alignment did.
        metric: Which metric ``chords``, ``summary`` and ``plot`` take; a change for the worse is positive.
        metric_barriers: Rows of the table ``metric_barrier``: barriers of the metrics beside the loss.
        metric_profiles: Rows of the table ``metric_profile``: these metrics along the paths.
    """

    profiles: pd.DataFrame = field(default_factory=no_rows)
    aligned: pd.DataFrame = field(default_factory=no_rows)
    metric: str = LOSS
    metric_barriers: pd.DataFrame = field(default_factory=no_rows)
    metric_profiles: pd.DataFrame = field(default_factory=no_rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Barriers, profiles and alignments, and barriers and profiles of metrics."""
        return {
            "barrier": self.frame, "profile": self.profiles, "align": self.aligned,
            "metric_barrier": self.metric_barriers, "metric_profile": self.metric_profiles,
        }  # fmt: skip

    def of(self, metric: str) -> Curve:
        """The same, with ``chords``, ``summary`` and ``plot`` of another metric.

        Raises:
            InputError: If no row has it.
        """
        of_metric(self.tables(), metric)
        return replace(self, metric=metric)

    @property
    def chords(self) -> pd.DataFrame:
        """The chord barrier of each path: the straight line, the curve, and the control."""
        rows = of_metric(self.tables(), self.metric)["barrier"]
        return rows[rows["definition"] == "chord"] if len(rows) else rows

    def summary(self) -> pd.DataFrame:
        """Each path: its barrier with a 95 % interval, and how much worse the better end is, in the metric's unit."""
        return self.chords.reindex(columns=["path", "barrier", "low", "high", "mean_loss_increase", "path_length"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The metric along the straight line and the curve."""
        return plot_profile(require_rows(self, of_metric(self.tables(), self.metric)["profile"]), ax)


def curve(
    a: Model,
    b: Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    fit_batches: Batches | None = None,
    out: str | Path | None = None,
    **settings: object,
) -> Curve:
    """Learn a curve of low loss from one checkpoint to another, and score it on held-out text.

    Args:
        a: The first checkpoint; as for :func:`landscape.barriers`.
        b: The second.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        fit_batches: For models in memory: what the curve is fitted on; other examples than those of ``batches``.
        out: Folder for the results, the file of the curve and its bends; None keeps nothing.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``curves`` of a study file;
            ``fit_text`` may be left out if ``text`` is too, and is the other packaged novel then.

    Returns:
        Barriers and losses in the unit of the loss.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(with_texts(settings), Curves, between="all")
    found = find([a, b], inputs, Memory(loss, batches, model, statistics, fit_batches))
    return measure(found, spec, Path(out) if out else None)


def with_texts(given: dict[str, object]) -> dict[str, object]:
    """Settings with the packaged novel to fit on, if none is given.

    Raises:
        InputError: If a text to score on is given, and none to fit on.
    """
    text = given.get("fit_text")
    if text is not None:
        return {**given, "fit_text": str(text)}
    if given.get("text") is not None:
        raise InputError("text is what the curve is scored on; give fit_text too, another text to fit it on")
    return {**given, "fit_text": str(TRAINING_TEXT)}


def measure(models: Models, spec: Curves, out: Path | None = None, watch: Watch = SILENT) -> Curve:
    """The same for checkpoints that are found.

    Args:
        models: The two checkpoints.
        spec: How the curve is fitted and scored.
        out: Folder for the results, the file of the curve and its bends; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If there are not two checkpoints, they hold the same weights, or the folder holds another curve.
    """
    from landscape.checkpoints import fetch

    if len(models.checkpoints) != 2:
        raise InputError(f"{len(models.checkpoints)} checkpoints are given; a curve joins two")
    if models.memory is not None and models.memory.fitted is None:
        raise InputError("a curve is scored on other examples than it is fitted on: give fit_batches too")
    one, two = models.checkpoints
    if len({checkpoint.content or fetch.content(checkpoint) for checkpoint in (one, two)}) == 1:
        raise InputError(f"{one.ref} and {two.ref} hold the same weights; a curve joins two checkpoints")
    with one_shot("curve", models, [spec], out, watch, partial(_require_new, out=out)) as ran:
        rows = ran.rows("barrier", "profile", "align", *OF_METRICS.values())
        if out is not None and not ran.failed:
            _save(ran, spec, rows["barrier"], out)
    return Curve(
        models.checkpoints, rows["barrier"], ran.failed, rows["profile"], rows["align"],
        metric_barriers=rows["metric_barrier"], metric_profiles=rows["metric_profile"],
    )  # fmt: skip


def _require_new(prepared: Prepared, out: Path | None) -> None:
    """Refuse a folder that holds another curve.

    Raises:
        InputError: If it does.
    """
    from landscape.measure.curves import identity, recipe
    from landscape.paths import saved

    (task,) = of(Curves, prepared.tasks)
    if out is None or not (out / CURVE).exists():
        return
    before = saved.load(out / CURVE)
    if (before.ends, before.settings) != (identity(task, (0, 1)), recipe(task.spec)):
        raise InputError(f"{out / CURVE} holds another curve, of other ends, text or settings; choose another --out")


def _save(ran: Ran, spec: Curves, rows: pd.DataFrame, out: Path) -> None:
    """The file of the curve and that of its control; and each bend as a folder that ``from_pretrained`` loads.

    Aligned ends, which are no folders yet, likewise.

    Raises:
        StorageError: If they cannot be written.
    """
    from landscape.checkpoints import fetch, saving
    from landscape.paths import saved
    from landscape.points import statistics

    named = rows.dropna(subset="curve").drop_duplicates("path")
    for row in named.to_dict("records"):
        file = out / (CONTROL if row["path"] == "control" else CURVE)
        with saving.storing(file), replacing(file) as part, (ran.store.folder / row["curve"]).open("rb") as content:
            shutil.copyfileobj(content, part)
    if ran.prepared.session.memory is not None:
        return
    (task,) = of(Curves, ran.prepared.tasks)
    objective = ran.prepared.session.objective(task, spec.aligned)
    described = fetch.config_of(task.checkpoints[0])
    anchors = saved.load(out / CURVE).anchors
    names = ["end_a", *(f"bend_{number}" for number in range(1, len(anchors) - 1)), "end_b"]
    for name, point in zip(names, anchors, strict=True):
        if spec.aligned or name.startswith("bend"):
            statistics.give(objective.to(objective.device), point.to(objective.device))
            saving.write(out / name, point, objective.model.cpu(), described)
