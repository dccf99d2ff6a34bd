"""The runs of one series, their noise, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from landscape.shapes import Float
from landscape.stages.series.axis import Axis
from landscape.stages.series.noise import Noise, scatter
from landscape.stages.series.smooth import MIN_CHECKPOINTS, Curves

ENOUGH_DIFFERENCES = 20
"""With so many differences the scatter between neighbours replaces the given errors as the size of the noise."""
DISAGREEMENT = 3.0
"""Ratio of given errors to scatter, or its inverse, above which a note is written."""
MAX_ERROR_RATIO = 4.0
"""Largest ratio of the error of a step to the median error, and of the median to it."""
ROUNDING = 1e-9
"""Smallest noise, as a share of the largest value."""
QUANTILE = 0.95
"""Upper end of a 90 % interval, which is widened for few seeds."""


@dataclass(frozen=True)
class Measured:
    """One run of a series.

    Attributes:
        x: Coordinates of the checkpoints on the axis of training.
        value: Measured values, in units of the series.
        sd: Standard deviation of each value.
        count: Number of differences that it was estimated from.
    """

    x: Float[np.ndarray, " steps"]
    value: Float[np.ndarray, " steps"]
    sd: Float[np.ndarray, " steps"]
    count: int


def measured(series: str, rows: pd.DataFrame, axis: Axis) -> tuple[dict[Hashable, Measured], list[str]]:
    """The runs of a series that have enough checkpoints, and notes on the others and on the noise.

    With many checkpoints the noise is the scatter about neighbouring checkpoints, pooled over the runs; given errors
    only say which steps have more noise than others. With few checkpoints it is the larger of scatter and given error.

    Args:
        series: Name of the series.
        rows: ``seed, step, value, error``.
        axis: Axis of training.
    """
    parts = {seed: part.dropna(subset=["value"]).sort_values("step") for seed, part in rows.groupby("seed", sort=False)}
    notes = []
    if short := [len(part) for part in parts.values() if len(part) < MIN_CHECKPOINTS]:
        notes.append(
            f"{series} is known at {max(short)} steps in some seed, and a curve needs {MIN_CHECKPOINTS}: no events"
        )
    parts = {seed: part for seed, part in parts.items() if len(part) >= MIN_CHECKPOINTS}
    if not parts:
        return {}, notes
    x = [axis.x(part["step"].to_numpy(dtype=float)) for part in parts.values()]
    values, errors = ([part[name].to_numpy(dtype=float) for part in parts.values()] for name in ("value", "error"))
    noise = scatter(x, values)
    notes += _disagreement(series, noise, np.concatenate(errors))
    return {
        seed: Measured(at, value, _deviations(value, error, noise), noise.count)
        for seed, at, value, error in zip(parts, x, values, errors, strict=True)
    }, notes


def seeds_of_mean(runs: Mapping[Hashable, Measured], series: str, axis: Axis) -> tuple[list[Hashable], list[str]]:
    """The seeds that enter the mean: those that cover the steps that half of the seeds cover. Notes on the others.

    Otherwise one run that ended early would shorten the mean over all seeds.

    Args:
        runs: Runs by seed.
        series: Name of the series.
        axis: Axis of training.
    """
    kept = covering({seed: run.x for seed, run in runs.items()})
    first, last = max(runs[seed].x[0] for seed in kept), min(runs[seed].x[-1] for seed in kept)
    left_out = [(seed, run) for seed, run in runs.items() if seed not in kept]
    if not left_out:
        return kept, []
    seeds = ", ".join(
        f"{seed} (from step {axis.step(run.x[0]):,.6g} to {axis.step(run.x[-1]):,.6g} only)" for seed, run in left_out
    )
    return kept, [
        f"{series}: its mean over seeds leaves out seed{'s' if len(left_out) > 1 else ''} {seeds}; "
        f"it covers steps {axis.step(first):,.6g} to {axis.step(last):,.6g}"
    ]


def covering(x: Mapping[Hashable, Float[np.ndarray, " _"]]) -> list[Hashable]:
    """The seeds whose checkpoints reach from where half of the seeds have begun to where half have ended.

    A seed that falls short by less than one gap between its own checkpoints is included.

    Args:
        x: Coordinates of the checkpoints of each seed.
    """
    first = float(np.quantile([own[0] for own in x.values()], 0.5, method="higher"))
    last = float(np.quantile([own[-1] for own in x.values()], 0.5, method="lower"))

    def reaches(own: Float[np.ndarray, " points"]) -> bool:
        begin, end = (own[1] - own[0], own[-1] - own[-2]) if len(own) > 1 else (0.0, 0.0)
        return bool(own[0] <= first + begin and own[-1] >= last - end)

    return [seed for seed, own in x.items() if reaches(own)]


def mean_run(
    runs: Mapping[Hashable, Measured], curves: Mapping[Hashable, Curves], random: np.random.Generator
) -> tuple[Measured, Curves]:
    """The mean over seeds as a run, and its curve. Draws resample the seeds, and then take a draw of each.

    The mean is at the checkpoints that all seeds share. If these are too few, it is at the checkpoints of any seed, and
    runs are interpolated linearly. The draws describe the mean over other seeds of the same population. They are
    widened for the small number of seeds, so that their central 90 % are the interval of Student's t.

    Args:
        runs: Runs by seed.
        curves: Curves by seed, each with the same number of draws.
        random: Source of randomness.
    """
    x = _shared([run.x for run in runs.values()])
    values = np.stack([np.interp(x, run.x, run.value) for run in runs.values()])
    variance = np.stack([np.interp(x, run.x, run.sd**2) for run in runs.values()])
    seeds = len(values)
    count = sum(run.count for run in runs.values()) // seeds
    mean = Measured(x, values.mean(axis=0), np.sqrt(variance.mean(axis=0) / seeds), count)
    draws = np.stack([bridged(curves[seed], x) for seed in runs])
    centre = np.mean([np.interp(x, curves[seed].x, curves[seed].mean) for seed in runs], axis=0)
    size = draws.shape[1]
    chosen, within = random.integers(seeds, size=(size, seeds)), random.integers(size, size=(size, seeds))
    again = np.stack([draws[which, draw].mean(axis=0) for which, draw in zip(chosen, within, strict=True)])
    return mean, Curves(x, centre, centre + widened(seeds) * (again - centre), float("nan"))


def widened(seeds: int) -> float:
    """Factor by which deviations of a mean over resampled seeds are widened for a 90 % interval; above 1."""
    normal = stats.norm.ppf(QUANTILE)
    return float(np.sqrt(seeds / (seeds - 1)) * stats.t.ppf(QUANTILE, seeds - 1) / normal)


def bridged(curves: Curves, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, "draws points"]:
    """Draws of the curve at other coordinates, interpolated linearly between checkpoints."""
    right = np.clip(np.searchsorted(curves.x, x), 1, len(curves.x) - 1)
    share = np.clip((x - curves.x[right - 1]) / (curves.x[right] - curves.x[right - 1]), 0, 1)
    return np.asarray(curves.draws[:, right - 1] * (1 - share) + curves.draws[:, right] * share)


def _shared(x: list[Float[np.ndarray, " _"]]) -> Float[np.ndarray, " points"]:
    common = x[0]
    for other in x[1:]:
        common = np.intersect1d(common, other)
    if len(common) >= MIN_CHECKPOINTS:
        return common
    first, last = max(own[0] for own in x), min(own[-1] for own in x)
    every = np.unique(np.concatenate(x))
    return np.asarray(every[(every >= first) & (every <= last)])


def _deviations(
    value: Float[np.ndarray, " steps"], error: Float[np.ndarray, " steps"], noise: Noise
) -> Float[np.ndarray, " steps"]:
    smallest = max(ROUNDING * float(np.abs(value).max()), np.finfo(float).tiny ** 0.2)
    usual = float(np.nanmedian(error)) if np.isfinite(error).any() else 0.0
    if usual <= 0:
        return np.full(len(value), max(noise.sd, smallest))
    if noise.count >= ENOUGH_DIFFERENCES:
        ratio = np.clip(np.nan_to_num(error, nan=usual) / usual, 1 / MAX_ERROR_RATIO, MAX_ERROR_RATIO)
        return np.asarray(np.maximum(noise.sd * ratio, smallest))
    return np.asarray(np.maximum(np.nan_to_num(error), max(noise.sd, smallest)))


def _disagreement(series: str, noise: Noise, errors: Float[np.ndarray, " values"]) -> list[str]:
    usual = float(np.nanmedian(errors)) if np.isfinite(errors).any() else 0.0
    if usual <= 0 or noise.sd <= 0 or max(usual / noise.sd, noise.sd / usual) <= DISAGREEMENT:
        return []
    many = noise.count >= ENOUGH_DIFFERENCES
    if usual > noise.sd:
        what = f"{usual / noise.sd:.2g} times its scatter between checkpoints ({noise.sd:.2g})"
        why = "are they those of a mean, independent from step to step?"
    else:
        what = f"{noise.sd / usual:.2g} times smaller than its scatter between checkpoints ({noise.sd:.2g})"
        why = "another source of variation changes from step to step"
    used = "the scatter is used" if many or noise.sd > usual else "the errors are used, since checkpoints are few"
    return [f"the errors given for {series} (median {usual:.2g}) are {what}: {used}; {why}"]
