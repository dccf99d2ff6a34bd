"""The loss of mixtures of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.study.kinds.simplices import Simplices

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics


@dataclass(frozen=True)
class Mixtures(Result):
    """Losses of mixtures of checkpoints: of each, of two, of all, and random ones."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """The mixtures."""
        return {"mixture": self.frame}

    def summary(self) -> pd.DataFrame:
        """Each mixture: its loss, and its rise above the same mixture of the losses, in the unit of the loss."""
        return self.frame.reindex(columns=["kind", "weights", "loss", "error", "rise", "rise_error", "unit"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Losses of the mixtures by kind."""
        from landscape.figures.simplex import mixtures

        return mixtures(require_rows(self, self.frame), ax=axes(ax))


def simplex(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    **settings: object,
) -> Mixtures:
    """The loss of mixtures of checkpoints: of two, of all (the soup), and of random shares.

    Args:
        checkpoints: As for :func:`landscape.barriers`.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        out: Folder for the results; None keeps nothing.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``simplices`` of a study file.

    Returns:
        Losses in their unit.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Simplices, between="all")
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    return measure(found, spec, Path(out) if out else None)


def measure(models: Models, spec: Simplices, out: Path | None = None, watch: Watch = SILENT) -> Mixtures:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: Which mixtures.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If there is one checkpoint only.
    """
    if len(models.checkpoints) < 2:
        raise InputError(f"{models.checkpoints[0].ref} is one checkpoint; a mixture is of two or more")
    with one_shot("simplex", models, [spec], out, watch) as ran:
        rows = ran.rows("mixture")
    return Mixtures(models.checkpoints, rows["mixture"], ran.failed)
