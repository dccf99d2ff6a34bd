"""What lies along a run: lines between its checkpoints, and means of its last ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, no_rows, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.profile.along_run import entered
from landscape.study.kinds.trajectory import WINDOW, Trajectory

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics


@dataclass(frozen=True)
class TrajectoryResult(Result):
    """Lines along a run, or means of its last checkpoints.

    Attributes:
        lines: Rows of the table ``line``: losses on the lines.
    """

    lines: pd.DataFrame = field(default_factory=no_rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers, and the losses on the lines."""
        return {"trajectory": self.frame, "line": self.lines}

    @property
    def entered(self) -> pd.DataFrame:
        """Of windows: the step from which on each run's mean gains over the mean of the losses; ``run, step``."""
        return entered(self.frame)

    def summary(self) -> pd.DataFrame:
        """Each line or window: its numbers with 95 % intervals; heights, ascents and gains in the unit of the loss."""
        return self.frame.reindex(columns=["a", "b", "start", "metric", "value", "low", "high"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The loss on the lines, or the gains over training."""
        from landscape.figures.trajectory import gains, lines

        rows = require_rows(self, self.frame)
        return lines(self.lines, ax=axes(ax)) if len(self.lines) else gains(rows, ax=axes(ax))


def trajectory(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    **settings: object,
) -> TrajectoryResult:
    """Loss on lines between checkpoints of a run and beyond them, or of means of its last checkpoints.

    Args:
        checkpoints: As for :func:`landscape.barriers`; in the order of training, if references have no steps.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        out: Folder for the results; None keeps nothing.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``trajectory`` of a study file:
            ``between``, ``k``, ``beyond``, ...

    Returns:
        Losses in their unit.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Trajectory)
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    return measure(found, spec, Path(out) if out else None)


def measure(models: Models, spec: Trajectory, out: Path | None = None, watch: Watch = SILENT) -> TrajectoryResult:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: Which lines or windows.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If there are too few checkpoints.
    """
    least = spec.k if spec.between == WINDOW else 2
    if len(models.checkpoints) < least:
        raise InputError(
            f"{len(models.checkpoints)} checkpoint{'s are' * (len(models.checkpoints) > 1) or ' is'} given; "
            f"between = {spec.between} needs {least} of one run or more"
        )
    with one_shot("trajectory", models, [spec], out, watch) as ran:
        rows = ran.rows("trajectory", "line")
    return TrajectoryResult(models.checkpoints, rows["trajectory"], ran.failed, rows["line"])
