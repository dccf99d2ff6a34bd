"""Local learning coefficients of checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, Z, axes, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.study.kinds.llc import Llc

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics


@dataclass(frozen=True)
class Coefficients(Result):
    """Local learning coefficients, or those of a grid of settings.

    Attributes:
        chains: The loss at each draw of each chain: ``chain, draw, loss`` and the columns of ``frame``.
    """

    chains: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The coefficients."""
        return {"llc": self.frame}

    def summary(self) -> pd.DataFrame:
        """Each checkpoint: its coefficient with a 95 % interval, and whether it is reliable."""
        return self.frame.reindex(columns=["checkpoint", "llc", "low", "high", "rhat", "ess", "reliable", "warnings"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Coefficients against step; by checkpoint, if they have none."""
        from landscape.figures.llc import llc_over_training

        rows = require_rows(self, self.frame)
        if rows["step"].notna().all():
            return llc_over_training(rows, ax=axes(ax))
        ax = axes(ax)
        ax.errorbar(range(len(rows)), rows["llc"], yerr=Z * rows["error"], fmt="o", capsize=4)
        ax.set_xticks(range(len(rows)), [Path(ref).name for ref in rows["checkpoint"]])
        ax.set_ylabel("local learning coefficient")
        return ax


def llc(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    calibrate: bool = False,
    **settings: object,
) -> Coefficients:
    """Local learning coefficient of each checkpoint, with its error and what makes it unreliable.

    Args:
        checkpoints: One or several; as for :func:`landscape.barriers`.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        out: Folder for the results; None keeps nothing.
        calibrate: Whether to try a grid of step sizes and localisations at the first and the last checkpoint instead.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``llc`` of a study file.

    Returns:
        Coefficients, which have no unit.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Llc)
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    run = calibration if calibrate else measure
    return run(found, spec, Path(out) if out else None)


def measure(models: Models, spec: Llc, out: Path | None = None, watch: Watch = SILENT) -> Coefficients:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: How chains are run.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If draws are to be kept, and there is no folder.
    """
    if spec.keep_draws and out is None:
        raise InputError("keep_draws keeps points in the folder of the results: give out")
    cores = len(os.sched_getaffinity(0))
    parts = max(1, min(spec.chains, cores // len(models.checkpoints)))
    return _measured(models, [spec.model_copy(update={"parts": parts})], out, watch)


def calibration(models: Models, spec: Llc, out: Path | None = None, watch: Watch = SILENT) -> Coefficients:
    """Coefficients of a grid of settings at the first and the last checkpoint, around the step of their curvature.

    Args:
        models: The checkpoints.
        spec: How chains are run.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If the bias of the step is to be removed too.
    """
    import pandas as pd

    from landscape.llc.calibration import grid
    from landscape.llc.sampling import inverse_temperature

    if spec.extrapolate:
        raise InputError("calibrate looks for a step without bias, and extrapolate removes it: leave one out")
    ends = models.among(list(dict.fromkeys([models.checkpoints[0], models.checkpoints[-1]])))
    auto = spec.model_copy(update={"step_size": "auto"})
    with one_shot("llc", ends, [auto], out, replace(watch, only="curvature")) as ran:
        if ran.failed:
            return Coefficients(ends.checkpoints, pd.DataFrame(), ran.failed, pd.DataFrame())
        curvature = ran.rows("curvature")["curvature"]["curvature"].max()
        examples = ran.prepared.session.objective(ran.prepared.tasks[0]).examples
    cells = grid(float(curvature), inverse_temperature(spec, examples), spec.localisation)
    specs = [spec.model_copy(update={"step_size": step, "localisation": pull}) for step, pull in cells]
    return _measured(ends, specs, out, watch)


def _measured(models: Models, specs: Sequence[Llc], out: Path | None, watch: Watch) -> Coefficients:
    from landscape.face.chains import chains_of

    with one_shot("llc", models, specs, out, watch) as ran:
        rows = ran.rows("llc")["llc"]
        return Coefficients(models.checkpoints, rows, ran.failed, chains_of(ran.store, rows))
