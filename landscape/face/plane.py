"""The loss on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.face.inputs import Memory, Models, find, split
from landscape.face.result import Result, axes, no_rows, require_rows
from landscape.face.running import SILENT, Ran, Watch, one_shot
from landscape.study.kinds.planes import Planes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from landscape.face.inputs import Batches, Loss, Model, Statistics
    from landscape.paths.saved import Saved

ROUNDING = 1e-5
"""Share of the norm of a point by which what is stored of it may differ."""
FINE = 101
"""Points of a drawn path."""


@dataclass(frozen=True)
class Plane(Result):
    """The loss on a plane.

    Attributes:
        places: Rows of the table ``place``: the checkpoints on the plane.
        path: Coordinates of a drawn path, ``x, y, off_plane`` in distances of parameters; None for none.
        notes: What should be known of the path.
    """

    places: pd.DataFrame = field(default_factory=no_rows)
    path: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Points of the plane, and the checkpoints on it."""
        return {"plane": self.frame, "place": self.places}

    def summary(self) -> pd.DataFrame:
        """The checkpoints: where they are, and their loss."""
        return self.places.reindex(columns=["checkpoint", "x", "y", "off_plane", "loss", "error"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The loss in true scale."""
        from landscape.figures.plane import loss_plane

        return loss_plane(require_rows(self, self.frame), self.places, self.path, ax=axes(ax))


def plane(
    checkpoints: Sequence[Model] | Model,
    *,
    loss: Loss | None = None,
    batches: Batches | None = None,
    model: nn.Module | None = None,
    statistics: Statistics | None = None,
    out: str | Path | None = None,
    **settings: object,
) -> Plane:
    """The loss on a plane: random around one checkpoint, through three, or the principal plane of more.

    Args:
        checkpoints: As for :func:`landscape.barriers`.
        loss: As for :func:`landscape.barriers`.
        batches: As for :func:`landscape.barriers`.
        model: As for :func:`landscape.barriers`.
        statistics: As for :func:`landscape.barriers`.
        out: Folder for the results; None keeps nothing.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``planes`` of a study file;
            ``plane`` may be left out.

    Returns:
        Losses in their unit, coordinates in distances of parameters.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(settings, Planes, among="all", plane="auto")
    found = find(checkpoints, inputs, Memory(loss, batches, model, statistics))
    return measure(found, spec, Path(out) if out else None)


def measure(
    models: Models, spec: Planes, out: Path | None = None, drawn: Saved | None = None, watch: Watch = SILENT
) -> Plane:
    """The same for checkpoints that are found.

    Args:
        models: The checkpoints.
        spec: Which plane.
        out: Folder for the results; None keeps nothing.
        drawn: A path to draw on the plane.
        watch: What is told on the way.

    Raises:
        InputError: If the number of checkpoints does not fit the kind.
    """
    count = len(models.checkpoints)
    spec = spec.of(count)
    wants = {"random": count == 1, "through": count == 3, "trajectory": count >= 3}
    if not wants[spec.plane]:
        raise InputError(
            f"{count} checkpoints are given for a {spec.plane} plane; give one for a random plane, three for one "
            "through them, three or more for a trajectory"
        )
    with one_shot("plane", models, [spec], out, watch) as ran:
        rows = ran.rows("plane", "place")
        path, notes = _path(drawn, spec, ran) if drawn and not ran.failed else (None, ())
    return Plane(models.checkpoints, rows["plane"], ran.failed, rows["place"], path, notes)


def _path(drawn: Saved, spec: Planes, ran: Ran) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Coordinates along a saved path, and what should be known of it.

    Raises:
        InputError: If it is of another model.
    """
    import pandas as pd
    import torch

    from landscape.measure.planes import span

    task, session = ran.prepared.tasks[0], ran.prepared.session
    checkpoints = session.vectors(task)
    if drawn.anchors.shape[1] != len(checkpoints[0]):
        raise InputError(
            f"the path has {drawn.anchors.shape[1]:,} parameters and the checkpoints have {len(checkpoints[0]):,}; "
            "give a path of the same model"
        )
    notes = []
    for end in drawn.anchors[[0, -1]]:
        if min(float((end - point.cpu()).norm()) for point in checkpoints) > ROUNDING * float(end.norm()):
            notes.append(
                "An end of the path is none of these checkpoints; between aligned checkpoints it goes from the folder "
                "end_a beside it to end_b."
            )
            break
    chosen, anchors = span(checkpoints, spec, session.objective(task))
    t = torch.linspace(0, 1, FINE, dtype=torch.float64)
    points = drawn.coefficients(t).float() @ drawn.anchors
    xy, off = chosen.project(list(points), anchors)
    if float(off.max()) > 0.01 * float((xy[-1] - xy[0]).norm()):
        notes.append(f"The path leaves the plane by up to {float(off.max()):.3g}; its projection is drawn.")
    return pd.DataFrame(xy.numpy(), columns=["x", "y"]).assign(off_plane=off.numpy()), tuple(notes)
