"""Barriers between checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, no_rows, plot_profile, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.profile import barrier
from landscape.profile.chosen import OF_METRICS, of_metric
from landscape.profile.metrics import LOSS
from landscape.study.kinds.barriers import Barriers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics

CHORD = "chord"


@dataclass(frozen=True)
class BarrierMatrix(Result):
    """Barriers between every two checkpoints.

    Attributes:
        profiles: Rows of the table ``profile``: losses along the paths.
        aligned: Rows of the table ``align``: what alignment did.
        definition: Which definition of a barrier ``matrix`` and ``plot`` take.
        metric: Which metric ``matrix``, ``summary`` and ``plot`` take; a change for the worse is positive.
        metric_barriers: Rows of the table ``metric_barrier``: barriers of the metrics beside the loss.
        metric_profiles: Rows of the table ``metric_profile``: these metrics along the paths.
    """

    profiles: pd.DataFrame = field(default_factory=no_rows)
    aligned: pd.DataFrame = field(default_factory=no_rows)
    definition: str = CHORD
    metric: str = LOSS
    metric_barriers: pd.DataFrame = field(default_factory=no_rows)
    metric_profiles: pd.DataFrame = field(default_factory=no_rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Barriers, profiles and alignments, and barriers and profiles of metrics."""
        return {
            "barrier": self.frame, "profile": self.profiles, "align": self.aligned,
            "metric_barrier": self.metric_barriers, "metric_profile": self.metric_profiles,
        }  # fmt: skip

    @property
    def matrix(self) -> pd.DataFrame:
        """Barriers by the references of both checkpoints, in the unit of the metric; of the first way to align."""
        import pandas as pd

        refs = [checkpoint.ref for checkpoint in self.checkpoints]
        square = pd.DataFrame(np.nan, index=refs, columns=refs)
        rows = self._chosen()
        for row in rows[rows["align"] == rows["align"].iloc[0]].to_dict("records") if len(rows) else ():
            square.loc[row["a"], row["b"]] = square.loc[row["b"], row["a"]] = row["barrier"]
        for ref in refs:
            square.loc[ref, ref] = 0.0
        return square

    def summary(self) -> pd.DataFrame:
        """Each pair with its barrier and 95 % interval, in the unit of the metric."""
        return self._chosen().reindex(columns=["a", "b", "align", "barrier", "low", "high", "unit"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The matrix; or the metric along the path, of one pair."""
        rows = require_rows(self, self._chosen())
        rows = rows[rows["align"] == rows["align"].iloc[0]]
        if len(rows) == 1:
            profiles = of_metric(self.tables(), self.metric)["profile"]
            return plot_profile(profiles[profiles["align"] == rows["align"].iloc[0]], ax)
        from landscape.figures.matrix import barrier_matrix

        return barrier_matrix(rows, ax=axes(ax))

    def of(self, metric: str) -> BarrierMatrix:
        """The same, with ``matrix``, ``summary`` and ``plot`` of another metric.

        Raises:
            InputError: If no row has it.
        """
        of_metric(self.tables(), metric)
        return replace(self, metric=metric)

    def _chosen(self) -> pd.DataFrame:
        rows = of_metric(self.tables(), self.metric)["barrier"]
        return rows if rows.empty else rows[rows["definition"] == self.definition]


def barriers(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    metric: str = LOSS,
    **settings: object,
) -> BarrierMatrix:
    """Loss barriers between every two checkpoints, each with its 95 % interval.

    Args:
        checkpoints: References (folders, ``hf://organisation/name@revision``, ``multiberts:seed=3``), or models or
            state dicts in memory.
        loss: For models in memory: ``loss(outputs, batch)``, one number an example.
        batches: For models in memory: tensors named ``inputs``, and whatever else the loss reads; or a list of such.
        model: For state dicts: a model that takes them.
        statistics: For models with BatchNorm: batches of training data, or of references images of it, on which its
            statistics are estimated anew at every point.
        out: Folder for the results; None keeps nothing.
        metric: Which metric is shown: the loss, or another that the objective measures, such as ``accuracy``.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``barriers`` of a study file, by
            the same names: ``text``, ``sequences``, ``align``, ``path``, ``halfwidth``, ...

    Returns:
        Barriers of all metrics, each in its unit; a change for the worse is positive.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted, or nothing has this metric.
    """
    inputs, spec = split(settings, Barriers, between="all")
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    barriers = measure(found, spec, Path(out) if out else None)
    return barriers if barriers.failed else barriers.of(metric)


def measure(
    models: Models, spec: Barriers, out: Path | None = None, definition: str = CHORD, watch: Watch = SILENT
) -> BarrierMatrix:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: How barriers are measured.
        out: Folder for the results; None keeps nothing.
        definition: Which definition of a barrier is shown; its intervals are narrow too.
        watch: What is told on the way.

    Raises:
        InputError: If there are too few checkpoints, or the definition needs another t grid.
    """
    if len(models.checkpoints) < 2:
        raise InputError(f"{models.checkpoints[0].ref} is one checkpoint; a barrier is between two or more")
    if spec.points != "auto" and definition not in barrier.available(np.linspace(0, 1, spec.points)):
        needs = barrier.load(definition).NEEDS
        raise InputError(f"the {definition} barrier needs {needs}; got points = {spec.points}")
    if spec.points == "auto" and definition not in spec.precise:
        spec = spec.model_copy(update={"precise": (*spec.precise, definition)})
    with one_shot("barriers", models, [spec], out, watch) as ran:
        rows = ran.rows("barrier", "profile", "align", *OF_METRICS.values())
    return BarrierMatrix(
        models.checkpoints, rows["barrier"], ran.failed, rows["profile"], rows["align"], definition,
        metric_barriers=rows["metric_barrier"], metric_profiles=rows["metric_profile"],
    )  # fmt: skip
