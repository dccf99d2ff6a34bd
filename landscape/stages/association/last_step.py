"""Matrices over pairs of seeds, at the last step at which connectivity and behaviour are both known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from landscape.profile.barrier import matrix
from landscape.shapes import Float
from landscape.stages.association import matrices
from landscape.stages.association.by_seed import Square
from landscape.stages.series.observed import DISTANCE, LOSS, Observed

MIN_SEEDS = 4
"""Seeds that a comparison of matrices needs."""
Scores = Float[np.ndarray, " seeds"]


class Matrices(NamedTuple):
    """Barriers and distances of the same seeds at one step.

    Attributes:
        step: Training step.
        seeds: Seeds, in the order of rows and columns.
        barriers: Barriers between seeds.
        distances: Distances of behaviour, or absolute differences of the score.
        scores: Score of each seed; None if behaviour is a distance.
        losses: Loss of each seed; None if it is not known.
    """

    step: float
    seeds: list[Hashable]
    barriers: Square
    distances: Square
    scores: Scores | None
    losses: Scores | None


def distance_names(pairs: pd.DataFrame) -> list[str]:
    """Names of the series that are distances of behaviour."""
    return [str(name) for name in pd.unique(pairs["series"]) if str(name).startswith(DISTANCE)]


def common(barriers: pd.DataFrame, behaviour: str, observed: Observed) -> Matrices | None:
    """Barriers and distances at the last step at which all seeds have both; None if there is no such step.

    Args:
        barriers: Rows of one series of connectivity in the table of pairs.
        behaviour: Name of the series of behaviour.
        observed: Measurements.
    """
    own = observed.pairs[observed.pairs["series"] == behaviour]
    scores = observed.series[observed.series["series"] == behaviour]
    losses = observed.series[observed.series["series"] == LOSS]
    for step in sorted(_steps(barriers, own, scores), reverse=True):
        at = barriers[barriers["step"] == step]
        seeds = complete(at, own[own["step"] == step] if len(own) else at)
        a = square(at, seeds)
        values = _of_seeds(scores, step, seeds)
        b = (
            square(own[own["step"] == step], seeds)
            if len(own)
            else None
            if values is None
            else matrices.differences(values)
        )
        if len(seeds) >= MIN_SEEDS and b is not None and not (np.isnan(a).any() or np.isnan(b).any()):
            return Matrices(float(step), seeds, a, b, values, _of_seeds(losses, step, seeds))
    return None


def missing(barriers: pd.DataFrame, behaviour: str, observed: Observed) -> str:
    """Why :func:`common` returns None: what is missing at the last step in common.

    Args:
        barriers: As for :func:`common`.
        behaviour: The same.
        observed: The same.
    """
    own = observed.pairs[observed.pairs["series"] == behaviour]
    scores = observed.series[observed.series["series"] == behaviour]
    steps = _steps(barriers, own, scores)
    if not steps:
        other = own if len(own) else scores
        return f"no step in common ({_listed(barriers['step'].unique())}; {_listed(other['step'].unique())})"
    step = max(steps)
    at = barriers[barriers["step"] == step]
    seeds = complete(at, own[own["step"] == step] if len(own) else at)
    if len(seeds) < MIN_SEEDS:
        gaps = _gaps(at, _seeds(at)) or (_gaps(own[own["step"] == step], _seeds(at)) if len(own) else [])
        lacking = f"; these pairs have no value: {_listed(gaps)}" if gaps else ""
        return f"seeds with all their pairs at step {step:g}: {len(seeds)}, and {MIN_SEEDS} are needed{lacking}"
    absent = [seed for seed in seeds if seed not in set(scores.loc[scores["step"] == step, "seed"])]
    return f"at step {step:g} there is no value of the seeds {_listed(absent)}"


def left_out(rows: pd.DataFrame) -> list[Hashable]:
    """Seeds that :func:`complete` leaves out at the last step."""
    at = rows[rows["step"] == rows["step"].max()]
    kept = set(complete(at))
    return [seed for seed in _seeds(at) if seed not in kept]


def complete(*tables: pd.DataFrame) -> list[Hashable]:
    """The seeds of the first table that have all pairs in all tables; seeds with most gaps are dropped first."""
    seeds = _seeds(tables[0])
    while len(seeds) > 1:
        gaps = sum(np.isnan(square(rows, seeds)).sum(axis=0) for rows in tables)
        if not gaps.any():
            break
        seeds.pop(len(seeds) - 1 - int(np.argmax(gaps[::-1])))
    return seeds


def square(rows: pd.DataFrame, seeds: Sequence[Hashable]) -> Square:
    """Symmetric matrix of the values of pairs, in their units; nan where a pair is missing."""
    index = {seed: n for n, seed in enumerate(seeds)}
    rows = rows[rows["seed_a"].isin(list(index)) & rows["seed_b"].isin(list(index))]
    a, b = (rows[name].map(index).to_numpy(dtype=int) for name in ("seed_a", "seed_b"))
    return matrix(a, b, rows["value"].to_numpy(dtype=float), len(seeds))


def _steps(barriers: pd.DataFrame, own: pd.DataFrame, scores: pd.DataFrame) -> set[float]:
    return set(barriers["step"]) & set(own["step"] if len(own) else scores["step"])


def _seeds(rows: pd.DataFrame) -> list[Hashable]:
    return sorted({*rows["seed_a"], *rows["seed_b"]}, key=str)


def _of_seeds(rows: pd.DataFrame, step: float, seeds: list[Hashable]) -> Scores | None:
    at = rows[rows["step"] == step].set_index("seed")["value"]
    return at.reindex(seeds).to_numpy(dtype=float) if set(seeds) <= set(at.index) else None


def _gaps(rows: pd.DataFrame, seeds: list[Hashable]) -> list[str]:
    lacking = np.argwhere(np.triu(np.isnan(square(rows, seeds)), 1))
    return [f"{seeds[i]} with {seeds[k]}" for i, k in lacking]


def _listed(values: Sequence[object] | np.ndarray, most: int = 4) -> str:
    """The first few values, and the number of the others."""
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
