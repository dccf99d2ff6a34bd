"""Barriers between checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, plot_profile, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.study.kinds.barriers import Barriers

if TYPE_CHECKING:
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
    """

    profiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    aligned: pd.DataFrame = field(default_factory=pd.DataFrame)
    definition: str = CHORD

    def tables(self) -> dict[str, pd.DataFrame]:
        """Barriers, profiles and alignments."""
        return {"barrier": self.frame, "profile": self.profiles, "align": self.aligned}

    @property
    def matrix(self) -> pd.DataFrame:
        """Barriers by the references of both checkpoints, in the unit of the loss; of the first way to align."""
        refs = [checkpoint.ref for checkpoint in self.checkpoints]
        square = pd.DataFrame(np.nan, index=refs, columns=refs)
        rows = self._chosen()
        for row in rows[rows["align"] == rows["align"].iloc[0]].to_dict("records") if len(rows) else ():
            square.loc[row["a"], row["b"]] = square.loc[row["b"], row["a"]] = row["barrier"]
        for ref in refs:
            square.loc[ref, ref] = 0.0
        return square

    def summary(self) -> pd.DataFrame:
        """Each pair with its barrier and 95 % interval, in the unit of the loss."""
        return self._chosen().reindex(columns=["a", "b", "align", "barrier", "low", "high", "unit"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The matrix; or the loss along the path, of one pair."""
        rows = require_rows(self, self._chosen())
        rows = rows[rows["align"] == rows["align"].iloc[0]]
        if len(rows) == 1:
            return plot_profile(self.profiles[self.profiles["align"] == rows["align"].iloc[0]], ax)
        from landscape.figures.matrix import barrier_matrix

        return barrier_matrix(rows, ax=axes(ax))

    def _chosen(self) -> pd.DataFrame:
        if self.frame.empty:
            return self.frame
        return self.frame[self.frame["definition"] == self.definition]


def barriers(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
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
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``barriers`` of a study file, by
            the same names: ``text``, ``sequences``, ``align``, ``path``, ``halfwidth``, ...

    Returns:
        Barriers in the unit of the loss.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Barriers, between="all")
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    return measure(found, spec, Path(out) if out else None)


def measure(
    models: Models, spec: Barriers, out: Path | None = None, definition: str = CHORD, watch: Watch = SILENT
) -> BarrierMatrix:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: How barriers are measured.
        out: Folder for the results; None keeps nothing.
        definition: Which definition of a barrier is shown.
        watch: What is told on the way.

    Raises:
        InputError: If there are too few checkpoints, or the definition needs another t grid.
    """
    if len(models.checkpoints) < 2:
        raise InputError(f"{models.checkpoints[0].ref} is one checkpoint; a barrier is between two or more")
    if definition == "midpoint" and spec.points != "auto" and spec.points % 2 == 0:
        raise InputError(
            f"the midpoint barrier needs t = 1/2 on the grid, which {spec.points} points lack; give an odd number"
        )
    with one_shot("barriers", models, [spec], out, watch) as ran:
        rows = ran.rows("barrier", "profile", "align")
    return BarrierMatrix(models.checkpoints, rows["barrier"], ran.failed, rows["profile"], rows["align"], definition)
