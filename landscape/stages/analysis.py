"""Dated events of training, and tests of whether connectivity and behaviour change together.

Input and output are frames, without torch. :func:`analyse` takes the rows of a study or series that others measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from landscape.stages.association import hypotheses, membership
from landscape.stages.events import dating, staging
from landscape.stages.events.dating import Dated
from landscape.stages.findings import notes, outliers
from landscape.stages.series.axis import Axis
from landscape.stages.series.observed import LLC, LOSS, Observed
from landscape.stages.settings import Primary, Stages

MAX_SHOWN = 20
"""Events that a notebook shows."""


@dataclass(frozen=True)
class Findings:
    """Stages, and the associations between connectivity and behaviour.

    Attributes:
        series: Measured series: ``series, seed, step, value, error``.
        curve: Mean over seeds: ``series, step, value, low, high`` (90 % interval).
        event: ``series, seed, event, way, step, low, high, censored, happened``; seed ``all`` is the mean over seeds.
        stage: ``seed, stage, begins, start, start_low, start_high, end, series, change, low, high``.
        association: One row for each test; see :func:`landscape.stages.association.hypotheses.associations`.
        outlier: Outlier runs: ``series, seed, step, value, median, z, p``.
        cluster: Clusters of the barrier matrices: ``connectivity, step, seed, cluster, silhouette, p, agreement``.
        boundaries: Name of the series that bounds the stages; empty if there is none.
        threshold: Barrier below which two checkpoints are connected, in ``unit``.
        unit: Unit of the barriers.
        axis: Axis of training, on which leads and windows are measured.
        unreliable: Names of series of which more than a quarter of the values are unreliable.
        notes: Caveats of the findings, in words.
    """

    series: pd.DataFrame
    curve: pd.DataFrame
    event: pd.DataFrame
    stage: pd.DataFrame
    association: pd.DataFrame
    outlier: pd.DataFrame
    cluster: pd.DataFrame
    boundaries: str
    threshold: float
    unit: str
    axis: Axis
    unreliable: tuple[str, ...]
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        """What was found, in sentences, and the dated events, for notebooks."""
        from landscape.stages.findings.sentences import sentences

        said = "".join(f"<li>{escape(line)}</li>" for line in (*sentences(self), *self.notes))
        events = self.event[self.event["seed"].astype(str) == "all"].head(MAX_SHOWN) if len(self.event) else self.event
        table: str = events.to_html(index=False, float_format=lambda x: f"{x:.4g}")
        return f"<ul>{said}</ul>{table}"


TABLES = ("event", "stage", "association", "outlier", "cluster")
"""The frames of findings that are written to files."""


def analyse(
    observed: Observed, settings: Stages, preregistered: Primary | None = None, changed: Sequence[str] = ()
) -> Findings:
    """Date the events of every series, bound the stages, and test the associations of connectivity with behaviour.

    Args:
        observed: Measurements, from :func:`landscape.stages.series.observed.from_tables` or
            :func:`landscape.stages.series.files.read`.
        settings: Settings of the analysis.
        preregistered: The primary association, if it was preregistered.
        changed: Settings that differ from those that were preregistered; if there are any, the test is exploratory.
    """
    dated = dating.date(observed, settings)
    primary = None if changed else preregistered
    association = hypotheses.associations(observed, dated, settings, primary)
    outlier = outliers.outliers(observed, hypotheses.stream(settings, "outliers"))
    if len(outlier):
        others = outliers.without(observed, dated, list(outlier["seed"].unique()))
        association = hypotheses.add_without_outliers(
            association, hypotheses.associations(*others, settings, primary)
        )  # fmt: skip
    cluster = membership.over_training(observed, settings)
    boundaries = _boundaries(observed, dated, settings)
    if settings.engine != "curve" and boundaries:
        dated = dating.bounded(dated, boundaries, settings)
    caveats = notes.notes(observed, dated, association, settings, preregistered, changed)
    return Findings(
        observed.series, _curves(dated, observed.axis), dating.table(dated, observed),
        _stages(dated, boundaries, observed.axis), association, outlier, cluster, boundaries, dated.threshold,
        observed.unit, observed.axis, tuple(observed.unreliable), tuple(caveats),
    )  # fmt: skip


def _boundaries(observed: Observed, dated: Dated, settings: Stages) -> str:
    """The series that bounds the stages: the one in the settings, else the coefficient or the loss if reliable."""
    known = {series for series, _ in dated.curves} - (set(observed.unreliable) - {settings.boundaries})
    candidates = [settings.boundaries] if settings.boundaries else [LLC, LOSS]
    return next((name for name in candidates if name in known), "")


def _stages(dated: Dated, boundaries: str, axis: Axis) -> pd.DataFrame:
    """Stages of each seed, and of the mean over seeds."""
    rows: list[dict[str, object]] = []
    for series, seed in [key for key in dated.events if key[0] == boundaries]:
        own = (
            dated.means if seed == staging.EVERYONE
            else {name: curves for (name, which), curves in dated.curves.items() if which == seed}
        )  # fmt: skip
        if series not in own:
            continue
        first = {series: own[series], **own}
        bounds = dating.boundaries(dated.events[series, seed])
        rows += ({"seed": str(seed), **row} for row in staging.stages(bounds, first, axis))
    return pd.DataFrame(rows, columns=list(staging.STAGES))


def _curves(dated: Dated, axis: Axis) -> pd.DataFrame:
    parts = [staging.frame(series, curves, axis) for series, curves in dated.means.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(staging.CURVE))
