"""Matrices of pairs of seeds laid beside one another, at the last step that has all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from landscape.profile.barrier import matrix
from landscape.shapes import Float
from landscape.stages.association import matrices
from landscape.stages.association.by_seed import Square
from landscape.stages.series.observed import DISTANCE, LOSS, Observed

LEAST = 4
"""Seeds that matrices are compared for."""
Scores = Float[np.ndarray, " seeds"]
Aligned = tuple[float, list[Hashable], Square, Square, Scores | None, Scores | None]


def distance_names(pairs: pd.DataFrame) -> list[str]:
    """Names of the distances of behaviour."""
    return [str(name) for name in pd.unique(pairs["series"]) if str(name).startswith(DISTANCE)]


def aligned(barriers: pd.DataFrame, behaviour: str, observed: Observed) -> Aligned | None:
    """Step, seeds, barriers, distances, scores and losses at the last step at which all seeds have them."""
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
        if len(seeds) >= LEAST and b is not None and not (np.isnan(a).any() or np.isnan(b).any()):
            return float(step), seeds, a, b, values, _of_seeds(losses, step, seeds)
    return None


def missing(barriers: pd.DataFrame, behaviour: str, observed: Observed) -> str:
    """Why :func:`aligned` finds nothing: what is not there at the last step in common."""
    own = observed.pairs[observed.pairs["series"] == behaviour]
    scores = observed.series[observed.series["series"] == behaviour]
    steps = _steps(barriers, own, scores)
    if not steps:
        theirs = own if len(own) else scores
        return f"no step in common ({_listed(barriers['step'].unique())}; {_listed(theirs['step'].unique())})"
    step = max(steps)
    at = barriers[barriers["step"] == step]
    seeds = complete(at, own[own["step"] == step] if len(own) else at)
    if len(seeds) < LEAST:
        gaps = _gaps(at, _seeds(at)) or (_gaps(own[own["step"] == step], _seeds(at)) if len(own) else [])
        lacking = f"; these pairs have no value: {_listed(gaps)}" if gaps else ""
        return f"seeds with all their pairs at step {step:g}: {len(seeds)}, and {LEAST} are the least{lacking}"
    absent = [seed for seed in seeds if seed not in set(scores.loc[scores["step"] == step, "seed"])]
    return f"at step {step:g} no value of the seeds {_listed(absent)}"


def left_out(rows: pd.DataFrame) -> list[Hashable]:
    """Seeds that :func:`complete` leaves out at the last step."""
    at = rows[rows["step"] == rows["step"].max()]
    kept = set(complete(at))
    return [seed for seed in _seeds(at) if seed not in kept]


def complete(*tables: pd.DataFrame) -> list[Hashable]:
    """The seeds of the first table without those that lack pairs in any, the one that lacks most first."""
    seeds = _seeds(tables[0])
    while len(seeds) > 1:
        gaps = sum(np.isnan(square(rows, seeds)).sum(axis=0) for rows in tables)
        if not gaps.any():
            break
        seeds.pop(len(seeds) - 1 - int(np.argmax(gaps[::-1])))
    return seeds


def square(rows: pd.DataFrame, seeds: Sequence[Hashable]) -> Square:
    """Symmetric matrix of the values of pairs; nan where one is missing."""
    place = {seed: n for n, seed in enumerate(seeds)}
    rows = rows[rows["seed_a"].isin(list(place)) & rows["seed_b"].isin(list(place))]
    a, b = (rows[name].map(place).to_numpy(dtype=int) for name in ("seed_a", "seed_b"))
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
    """The first few, and how many more."""
    said = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(said[:most]) + (f" and {len(said) - most} more" if len(said) > most else "")
