"""The frames of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

WITHIN = ("branch", "neighbours", "last", "first")
"""Pairs within one run, which are not cells of a matrix of seeds."""


@dataclass(frozen=True)
class Frames:
    """The frames of a report; each may be empty.

    Attributes:
        barriers: Rows of the table ``barrier`` on straight lines without alignment, for one definition.
        profiles: Rows of the table ``profile``, likewise.
        losses: Rows of the table ``loss``.
        training: Mean barrier between seeds by step.
        branching: Mean barrier between branches by the step they were spawned at.
        curves: Mean profile by step and t.
        learned: Rows of the table ``barrier`` of learned curves, their controls, and straight lines of the same pairs.
        by_path: Means of these rows by path.
        aligned: Rows of the table ``barrier`` of pairs that were aligned: raw, and for each way to align.
        by_symmetry: Means of these rows by way to align.
        alignment: Rows of the table ``align``.
        learned_profiles: Mean profile by path and t.
        probe_along: Rows of the table ``probe_along``.
        drop: Rows of the table ``drop``.
        component: Rows of the table ``component``.
        trajectory: Rows of the table ``trajectory``.
        line: Rows of the table ``line``.
        entered: Of windows, the step from which on each run's mean gains: ``run, step``.
        plane: Rows of the table ``plane``.
        place: Rows of the table ``place``.
        mixture: Rows of the table ``mixture``.
        llc: Rows of the table ``llc``.
        probe: Rows of the table ``probe``.
        behaviour: Rows of the table ``behaviour``.
        kl: Mean KL between seeds by subset and step: ``subset, step, value, low, high, pairs``.
        phases: Phases of the mean KL over training.
        series: Series over training: ``series, seed, step, value, error``.
        curve: Smoothed means over seeds.
        event: Dated events.
        stage: Stages, and the change of every series in each.
        association: Tests of association between connectivity and behaviour.
        outlier: Outlier runs: ``series, seed, z``.
        boundaries: The series that bounds the stages.
        unreliable: Names of unreliable series.
        sentences: Findings on stages, in words.
        notes: Caveats of these findings.
        data_sets: Frames of each data set by its name, if there are several; those of the one that is shown among them.
        traces: Chains of a few coefficients: ``chain, draw, loss`` and the columns of ``llc``.
    """

    barriers: pd.DataFrame = field(default_factory=pd.DataFrame)
    profiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)
    training: pd.DataFrame = field(default_factory=pd.DataFrame)
    branching: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    learned: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_path: pd.DataFrame = field(default_factory=pd.DataFrame)
    aligned: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_symmetry: pd.DataFrame = field(default_factory=pd.DataFrame)
    alignment: pd.DataFrame = field(default_factory=pd.DataFrame)
    learned_profiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    probe_along: pd.DataFrame = field(default_factory=pd.DataFrame)
    drop: pd.DataFrame = field(default_factory=pd.DataFrame)
    component: pd.DataFrame = field(default_factory=pd.DataFrame)
    trajectory: pd.DataFrame = field(default_factory=pd.DataFrame)
    line: pd.DataFrame = field(default_factory=pd.DataFrame)
    entered: pd.DataFrame = field(default_factory=pd.DataFrame)
    plane: pd.DataFrame = field(default_factory=pd.DataFrame)
    place: pd.DataFrame = field(default_factory=pd.DataFrame)
    mixture: pd.DataFrame = field(default_factory=pd.DataFrame)
    llc: pd.DataFrame = field(default_factory=pd.DataFrame)
    probe: pd.DataFrame = field(default_factory=pd.DataFrame)
    behaviour: pd.DataFrame = field(default_factory=pd.DataFrame)
    kl: pd.DataFrame = field(default_factory=pd.DataFrame)
    phases: pd.DataFrame = field(default_factory=pd.DataFrame)
    series: pd.DataFrame = field(default_factory=pd.DataFrame)
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    event: pd.DataFrame = field(default_factory=pd.DataFrame)
    stage: pd.DataFrame = field(default_factory=pd.DataFrame)
    association: pd.DataFrame = field(default_factory=pd.DataFrame)
    outlier: pd.DataFrame = field(default_factory=pd.DataFrame)
    boundaries: str = ""
    unreliable: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    traces: pd.DataFrame = field(default_factory=pd.DataFrame)
    data_sets: Mapping[str, Frames] = field(default_factory=dict)


def between_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of pairs of different runs."""
    return rows[~rows["between"].isin(WITHIN)]
