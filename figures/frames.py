"""What a report is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

WITHIN = ("branches", "neighbours", "last")
"""Pairs of one run, which are no cells of a matrix of seeds."""


@dataclass(frozen=True)
class Frames:
    """What a report is made of.

    Attributes:
        barriers: Rows of the table ``barrier``, of one definition.
        profiles: Rows of the table ``profile``.
        losses: Rows of the table ``loss``.
        training: Mean barrier between seeds by step.
        branching: Mean barrier between branches by step of branching.
        curves: Mean profile by step and t.
        bent: Rows of the table ``barrier`` of learned curves, their controls, and the straight lines beside them.
        by_path: Means of those by path.
        matched: Rows of the table ``barrier`` of pairs that were matched, raw and by every way.
        by_symmetry: Means of those.
        match: Rows of the table ``match``.
        bent_profiles: Mean profile by path and t.
        plane: Rows of the table ``plane``.
        place: Rows of the table ``place``.
        mixture: Rows of the table ``mixture``.
        llc: Rows of the table ``llc``.
        probe: Rows of the table ``probe``.
        behaviour: Rows of the table ``behaviour``.
        series: Series over training, by seed: ``series, seed, step, value, error``.
        curve: Their means over the seeds, smoothed.
        event: Dated events.
        stage: Stages, and what changes in each.
        association: Tests of connectivity beside behaviour.
        boundaries: The series that bounds the stages.
        outlier: Runs that end far from the others: ``series, seed, z``.
        unreliable: Series whose values are unreliable.
        said: Findings on stages in sentences.
        notes: What should be known before they are trusted.
        traces: Chains of a few of them: ``chain, draw, loss`` and the columns of ``llc``.
    """

    barriers: pd.DataFrame = field(default_factory=pd.DataFrame)
    profiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)
    training: pd.DataFrame = field(default_factory=pd.DataFrame)
    branching: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    bent: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_path: pd.DataFrame = field(default_factory=pd.DataFrame)
    matched: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_symmetry: pd.DataFrame = field(default_factory=pd.DataFrame)
    match: pd.DataFrame = field(default_factory=pd.DataFrame)
    bent_profiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    plane: pd.DataFrame = field(default_factory=pd.DataFrame)
    place: pd.DataFrame = field(default_factory=pd.DataFrame)
    mixture: pd.DataFrame = field(default_factory=pd.DataFrame)
    llc: pd.DataFrame = field(default_factory=pd.DataFrame)
    probe: pd.DataFrame = field(default_factory=pd.DataFrame)
    behaviour: pd.DataFrame = field(default_factory=pd.DataFrame)
    series: pd.DataFrame = field(default_factory=pd.DataFrame)
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    event: pd.DataFrame = field(default_factory=pd.DataFrame)
    stage: pd.DataFrame = field(default_factory=pd.DataFrame)
    association: pd.DataFrame = field(default_factory=pd.DataFrame)
    outlier: pd.DataFrame = field(default_factory=pd.DataFrame)
    boundaries: str = ""
    unreliable: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    traces: pd.DataFrame = field(default_factory=pd.DataFrame)


def between_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of pairs that are not of one run."""
    return rows[~rows["between"].isin(WITHIN)]
