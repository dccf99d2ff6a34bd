"""Which parts of a network make the barrier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, no_rows, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.study.kinds.components import Components

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics


@dataclass(frozen=True)
class ComponentResult(Result):
    """Rises of the loss where only some components move between two checkpoints.

    Attributes:
        profiles: Rows of the table ``component_profile``: losses along the way.
        aligned: Rows of the table ``align``: what alignment did.
    """

    profiles: pd.DataFrame = field(default_factory=no_rows)
    aligned: pd.DataFrame = field(default_factory=no_rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Rises, losses along the way, and alignments."""
        return {"component": self.frame, "component_profile": self.profiles, "align": self.aligned}

    def summary(self) -> pd.DataFrame:
        """Each component alone: its rise with the 95 % interval, in the unit of the loss."""
        rows = self.frame[self.frame["way"] == "single"] if len(self.frame) else self.frame
        return rows.reindex(columns=["a", "b", "align", "start", "component", "rise", "low", "high", "unit"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """A heatmap of the rises by component and way; means over pairs and both ends, of the last way to align."""
        from landscape.figures.components import heatmap

        rows = require_rows(self, self.frame)
        return heatmap(rows[rows["align"] == rows["align"].iloc[-1]], by="way", ax=axes(ax))


def components(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    **settings: object,
) -> ComponentResult:
    """Which parts of a network make the barrier: only these tensors go from one checkpoint to the other.

    Args:
        checkpoints: As for :func:`landscape.barriers`.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        out: Folder for the results; None keeps nothing.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``components`` of a study file:
            ``move``, ``ways``, ``starts``, ``align``, ...

    Returns:
        Rises in the unit of the loss.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Components, between="all")
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    return measure(found, spec, Path(out) if out else None)


def measure(models: Models, spec: Components, out: Path | None = None, watch: Watch = SILENT) -> ComponentResult:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: Which components, and how.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If there is one checkpoint only.
    """
    if len(models.checkpoints) < 2:
        raise InputError(f"{models.checkpoints[0].ref} is one checkpoint; components move between two or more")
    with one_shot("components", models, [spec], out, watch) as ran:
        rows = ran.rows("component", "component_profile", "align")
    return ComponentResult(models.checkpoints, rows["component"], ran.failed, rows["component_profile"], rows["align"])
