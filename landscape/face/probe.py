"""Behavioural probes of checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from landscape import catalogue
from landscape.errors import InputError
from landscape.face.inputs import Inputs, Models, find, listed, split
from landscape.face.result import Result, axes, no_rows, require_rows
from landscape.face.running import SILENT, Watch, one_shot
from landscape.study.kinds.behaviour import Behaviour
from landscape.study.kinds.probes import Probes
from landscape.study.measure import Measure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

UNNAMED = ("",)
"""In place of names: those that need no more than the text."""
UNREAD = 8
"""Tokens of an example that no probe reads."""
UNREAD_ROW = '{"text": "one", "text_pair": "two", "label": 0}\n'


@dataclass(frozen=True)
class Scores(Result):
    """Scores of probes.

    Attributes:
        distances: Rows of the table ``behaviour``: how differently every two behave; empty if that is not wanted.
        along: Rows of the table ``probe_along``: scores on paths between every two, in place of those of checkpoints.
        drops: Rows of the table ``drop``: how far they fall on the way.
    """

    distances: pd.DataFrame = field(default_factory=no_rows)
    along: pd.DataFrame = field(default_factory=no_rows)
    drops: pd.DataFrame = field(default_factory=no_rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Scores and distances."""
        return {"probe": self.frame, "behaviour": self.distances, "probe_along": self.along, "drop": self.drops}

    def summary(self) -> pd.DataFrame:
        """The headline scores of each checkpoint with their standard errors over items; along paths, their drops."""
        if len(self.drops):
            drops = self.drops[self.drops["headline"].astype(bool)]
            return drops.reindex(columns=["a", "b", "align", "probe", "metric", "subset", "drop", "low", "high"])
        rows = self.frame[self.frame["headline"]] if len(self.frame) else self.frame
        return rows.reindex(columns=["checkpoint", "probe", "metric", "subset", "value", "error", "items"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The first headline score against step; along paths, against t."""
        from landscape.figures.abilities import LOSS, score_along
        from landscape.figures.probes import probe_over_training

        if len(self.along):
            own = self.along[self.along["headline"].astype(bool) & (self.along["probe"] != LOSS)]
            one = own[(own["probe"] == own["probe"].iloc[0]) & (own["metric"] == own["metric"].iloc[0])]
            return score_along(one[one["align"] == one["align"].iloc[-1]], ax=axes(ax))

        rows = require_rows(self, self.frame)
        rows = rows[rows["headline"]]
        first = rows.iloc[0]
        one = (rows["probe"] == first["probe"]) & (rows["metric"] == first["metric"])
        return probe_over_training(rows[one], ax=axes(ax))


def probe(
    checkpoints: Sequence[str | Path] | str | Path,
    names: Sequence[str] | str = (),
    *,
    distances: bool = False,
    out: str | Path | None = None,
    **options: object,
) -> Scores:
    """What checkpoints can do: scores of behavioural probes, with their errors.

    Args:
        checkpoints: One reference or several; as for :func:`landscape.barriers`.
        names: Probes; left out, those that need no more than the text.
        distances: Whether to measure too how differently every two predict.
        out: Folder for the results; None keeps nothing.
        **options: Settings of :class:`landscape.face.inputs.Inputs` and of the measure ``probes`` of a study file.

    Returns:
        Scores; each has the unit of its metric.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    inputs, spec = split(options, Probes, names=names or UNNAMED)
    return measure(listed(checkpoints), inputs, spec, distances=distances, out=Path(out) if out else None)


def measure(
    refs: Sequence[str | Path],
    inputs: Inputs,
    spec: Probes,
    *,
    distances: bool = False,
    out: Path | None = None,
    watch: Watch = SILENT,
) -> Scores:
    """The same for typed settings.

    Args:
        refs: References.
        inputs: What they are evaluated on.
        spec: Which probes; :data:`UNNAMED` stands for those that need no more than the text.
        distances: Whether to measure too how differently every two predict.
        out: Folder for the results; None keeps nothing.
        watch: What is told on the way.

    Raises:
        InputError: If distances are wanted of one checkpoint, or the models are the user's own.
    """
    if inputs.own:
        raise InputError(
            f"probes are for models of transformers, and {inputs.objective} is your own: let its loss return other "
            "numbers of each example too, as metrics"
        )
    with _models(refs, inputs, spec, distances=distances) as models:
        if spec.names == UNNAMED:
            from landscape.probes import usual_for

            names = usual_for(models.data.objective)
            if not names:
                raise InputError(
                    f"no probe is usual for {models.data.objective}: probes are for language models and classifiers of "
                    "texts; metrics such as accuracy are measured with barriers, or name the probes"
                )
            spec = spec.model_copy(update={"names": names})
        if (distances or spec.along) and len(models.checkpoints) < 2:
            what = "distances are" if distances else "paths are"
            raise InputError(f"{what} between two or more checkpoints, and there is one")
        if spec.along is not None:
            spec = spec.model_copy(update={"between": ("all",)})
        measures: list[Measure] = [spec, *([Behaviour(between=("all",))] if distances else [])]
        with one_shot("probe", models, measures, out, watch) as ran:
            rows = ran.rows("probe", "behaviour", "probe_along", "drop")
    along = rows["probe_along"], rows["drop"]
    return Scores(models.checkpoints, rows["probe"], ran.failed, rows["behaviour"], *along)


@contextmanager
def _models(refs: Sequence[str | Path], inputs: Inputs, spec: Probes, *, distances: bool) -> Generator[Models]:
    """The checkpoints; where no probe reads the examples, with whatever a model of the kind can read."""
    if inputs.text is not None or distances or spec.along is not None or any(map(_reads_text, spec.names)):
        yield find(refs, inputs)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "unread.jsonl"
        file.write_text(UNREAD_ROW * inputs.sequences)
        found = find(refs, inputs.model_copy(update={"length": UNREAD, "text": str(file)}))
        labelled = found.data.objective == "classification"
        text = found.data.text if labelled else None
        yield replace(found, data=found.data.model_copy(update={"text": text}))


def _reads_text(name: str) -> bool:
    """Whether a probe reads the examples; an unknown one is refused later."""
    known = catalogue.PROBES.members.get(name.partition(":")[0])
    return known is None or "text" in known.reads
