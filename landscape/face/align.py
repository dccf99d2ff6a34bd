"""A checkpoint aligned to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from landscape import catalogue
from landscape.errors import InputError
from landscape.face.inputs import Models, find, split
from landscape.face.result import Result, axes, no_rows, require_rows
from landscape.face.running import SILENT, Ran, Watch, one_shot
from landscape.files import replacing_folder
from landscape.study.kinds.alignment import NONE
from landscape.study.kinds.barriers import Barriers
from landscape.study.tasks import of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

RANDOM, WEIGHTS = "random", "weights"
MARK = "align.json"
"""Beside the weights: what came of the alignment; and a sign that the folder may be written again."""
FIRST = "first"
"""Folder of the first checkpoint, where its parameters are others now."""


@dataclass(frozen=True)
class Aligned(Result):
    """A checkpoint aligned to another: barriers before and after, and with a random element as a control.

    Attributes:
        aligned: Rows of the table ``align``: what alignment did.
        folder: Where the aligned checkpoint is.
        first: Where the first is, if its parameters are others now; None if they are not.
    """

    aligned: pd.DataFrame = field(default_factory=no_rows)
    folder: Path = Path()
    first: Path | None = None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Barriers and alignments."""
        return {"barrier": self.frame, "align": self.aligned}

    @property
    def chords(self) -> pd.DataFrame:
        """The chord barrier for each way to align."""
        return self.frame[self.frame["definition"] == "chord"] if len(self.frame) else self.frame

    def summary(self) -> pd.DataFrame:
        """The barrier for each way to align, with its 95 % interval, in the unit of the loss."""
        return self.chords.reindex(columns=["align", "barrier", "low", "high", "unit"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The barriers beside one another."""
        rows = require_rows(self, self.chords)
        ax = axes(ax)
        sides = [rows["barrier"] - rows["low"], rows["high"] - rows["barrier"]]
        ax.errorbar(range(len(rows)), rows["barrier"], yerr=sides, fmt="o", capsize=4)
        ax.set_xticks(range(len(rows)), list(rows["align"]))
        ax.set_ylabel(f"chord barrier ({rows['unit'].iloc[0]})")
        return ax


def align(a: str | Path, b: str | Path, *, out: str | Path, **settings: object) -> Aligned:
    """Write checkpoint ``b`` aligned to ``a``: the same function, with parameters as near as symmetries allow.

    Args:
        a: A reference; as for :func:`landscape.barriers`.
        b: A reference.
        out: Folder of the aligned checkpoint, which ``from_pretrained`` loads.
        **settings: Those of :class:`landscape.face.inputs.Inputs` and of the measure ``barriers`` of a study file;
            ``align`` is ``weights`` if left out.

    Returns:
        Barriers before and after, in the unit of the loss.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split({"align": WEIGHTS, **settings}, Barriers, between="all")
    return measure(find([a, b], inputs), spec, Path(out))


def measure(models: Models, spec: Barriers, out: Path, watch: Watch = SILENT) -> Aligned:
    """The same for checkpoints that are found.

    Args:
        models: The two checkpoints.
        spec: How the second is aligned, by one way; and how barriers are measured.
        out: Folder of the aligned checkpoint.
        watch: What is told on the way.

    Raises:
        InputError: If there are not two checkpoints, they are the same, or the folder is not free.
    """
    from landscape.checkpoints import fetch

    if len(models.checkpoints) != 2:
        raise InputError(f"{len(models.checkpoints)} checkpoints are given; two are wanted")
    one, two = models.checkpoints
    out = out.resolve()
    _require_free(out, [Path(checkpoint.ref).resolve() for checkpoint in models.checkpoints])
    if fetch.content(one) == fetch.content(two):
        raise InputError(f"{one.ref} and {two.ref} hold the same weights; there is nothing to align")
    (method,) = spec.align
    if method == NONE:
        raise InputError(f"align = none leaves the second unchanged; give one of {', '.join(catalogue.MATCHERS)}")
    wanted = spec.model_copy(update={"align": tuple(dict.fromkeys((NONE, method, RANDOM)))})
    with one_shot("align", models, [wanted], None, watch) as ran:
        rows = ran.rows("barrier", "align")
        if ran.failed:
            return Aligned(models.checkpoints, rows["barrier"], ran.failed, rows["align"], out)
        moved = rows["align"].drop(columns="moves")
        mark = moved.to_json(orient="records", double_precision=15, indent=1)
        untied = _write(ran, method, out, mark)
    return Aligned(models.checkpoints, rows["barrier"], ran.failed, moved, out, out / FIRST if untied else None)


def _require_free(out: Path, inputs: list[Path]) -> None:
    """Refuse a folder that holds anything but what this call has left there.

    Raises:
        InputError: If it does.
    """
    if out in inputs or any(path.is_relative_to(out) for path in inputs):
        raise InputError(f"{out} holds a checkpoint that is aligned; give another folder")
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARK).is_file())):
        raise InputError(f"{out} is there and not of this command; give a new folder")


def _write(ran: Ran, method: str, out: Path, mark: str) -> bool:
    """The second checkpoint where it was moved; and the first, if its parameters are others now.

    Raises:
        StorageError: If they cannot be written.
    """
    from landscape.checkpoints import fetch, saving
    from landscape.points import statistics

    session = ran.prepared.session
    task = next(task for task in of(Barriers, ran.prepared.tasks) if task.spec.align == (method,))
    aligned = task.spec.aligned
    assert aligned is not None
    one, two = session.vectors(task, aligned)
    objective, described = session.objective(task, aligned), fetch.config_of(task.checkpoints[0])
    untied = session.coordinates.unties(aligned, task.on)
    with saving.storing(out), replacing_folder(out) as part:
        (part / MARK).write_text(f"{mark}\n")
        statistics.give(objective, two)
        saving.save(part, two.cpu(), objective.model.cpu(), described)
        if untied:
            saving.save(part / FIRST, one.cpu(), objective.model.cpu(), described)
    return untied
