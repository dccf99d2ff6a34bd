"""The runs of one series, what noise they have, and their mean as a run of its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from landscape.shapes import Float
from landscape.stages.series.axis import Axis
from landscape.stages.series.noise import Noise, scatter
from landscape.stages.series.smooth import LEAST, Curves

MANY = 20
"""Differences from which on the scatter between neighbours counts more than the errors that were given."""
APART = 3.0
"""Factor between the two from which on it is said."""
SHAPE = 4.0
"""Most that the error of a step may differ from that of the others, as a factor."""
SMALLEST = 1e-9
"""Least noise, as a share of the largest value: that of rounding."""
QUANTILE = 0.95
"""Of the deviations that are widened for few seeds: the end of an interval of 90 %."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        x: Places of the checkpoints on the axis of training.
        value: What was measured.
        sd: Standard deviation of each value.
        count: Differences that it was estimated from.
    """

    x: Float[np.ndarray, " steps"]
    value: Float[np.ndarray, " steps"]
    sd: Float[np.ndarray, " steps"]
    count: int


def measured(series: str, rows: pd.DataFrame, axis: Axis) -> tuple[dict[Hashable, Measured], list[str]]:
    """The runs of a series that have checkpoints enough, and what is to be said of the others and of the noise.

    Of many checkpoints the noise is their scatter about their neighbours, pooled over the runs, and the errors that
    were given say only which steps have more of it; of few it is the larger of both.

    Args:
        series: Name.
        rows: ``seed, step, value, error``.
        axis: Of training.
    """
    parts = {seed: part.dropna(subset=["value"]).sort_values("step") for seed, part in rows.groupby("seed", sort=False)}
    said = []
    if short := [len(part) for part in parts.values() if len(part) < LEAST]:
        said.append(f"{series} is known at {max(short)} steps in some seed, and a curve needs {LEAST}: no events")
    parts = {seed: part for seed, part in parts.items() if len(part) >= LEAST}
    if not parts:
        return {}, said
    x = [axis.x(part["step"].to_numpy(dtype=float)) for part in parts.values()]
    values, errors = ([part[name].to_numpy(dtype=float) for part in parts.values()] for name in ("value", "error"))
    noise = scatter(x, values)
    said += _disagreement(series, noise, np.concatenate(errors))
    return {
        seed: Measured(at, value, _deviations(value, error, noise), noise.count)
        for seed, at, value, error in zip(parts, x, values, errors, strict=True)
    }, said


def whole(runs: Mapping[Hashable, Measured], series: str, axis: Axis) -> tuple[list[Hashable], list[str]]:
    """The seeds that cover the stretch of training that half of them cover, and what is said of the others.

    One run that ended early would otherwise cut all of them short.
    """
    kept = covering({seed: run.x for seed, run in runs.items()})
    first, last = max(runs[seed].x[0] for seed in kept), min(runs[seed].x[-1] for seed in kept)
    out = [(seed, run) for seed, run in runs.items() if seed not in kept]
    if not out:
        return kept, []
    seeds = ", ".join(
        f"{seed} (from step {axis.step(run.x[0]):,.6g} to {axis.step(run.x[-1]):,.6g} only)" for seed, run in out
    )
    return kept, [
        f"{series}: seed{'s' if len(out) > 1 else ''} {seeds} take{'' if len(out) > 1 else 's'} no part in its mean "
        f"over seeds, which is that of steps {axis.step(first):,.6g} to {axis.step(last):,.6g}"
    ]


def covering(x: Mapping[Hashable, Float[np.ndarray, " _"]]) -> list[Hashable]:
    """The seeds whose checkpoints, given by their places, reach from where half have begun to where half have ended.

    One that lacks less than a gap between its own checkpoints is taken to reach as far.
    """
    first = float(np.quantile([own[0] for own in x.values()], 0.5, method="higher"))
    last = float(np.quantile([own[-1] for own in x.values()], 0.5, method="lower"))

    def reaches(own: Float[np.ndarray, " places"]) -> bool:
        begin, end = (own[1] - own[0], own[-1] - own[-2]) if len(own) > 1 else (0.0, 0.0)
        return bool(own[0] <= first + begin and own[-1] >= last - end)

    return [seed for seed, own in x.items() if reaches(own)]


def mean_run(
    runs: Mapping[Hashable, Measured], curves: Mapping[Hashable, Curves], random: np.random.Generator
) -> tuple[Measured, Curves]:
    """The mean over the seeds as a run, and its curve, whose draws resample the seeds and then a draw of each.

    It is taken at the checkpoints that all of them have; where these are too few, at those of any, between which a
    run is a straight line. The spread of the draws is that of seeds that were not run. Deviations of so few seeds are
    too small, and normal quantiles too near; both are made up for, so that an interval of 90 % over the draws is that
    of Student's t.

    Args:
        runs: Of each seed.
        curves: Of each seed, with equally many draws.
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
    """By how much deviations of a mean over resampled seeds are too small for an interval of 90 %."""
    normal = stats.norm.ppf(QUANTILE)
    return float(np.sqrt(seeds / (seeds - 1)) * stats.t.ppf(QUANTILE, seeds - 1) / normal)


def bridged(curves: Curves, x: Float[np.ndarray, " places"]) -> Float[np.ndarray, "draws places"]:
    """Draws at other places, between checkpoints by straight lines."""
    right = np.clip(np.searchsorted(curves.x, x), 1, len(curves.x) - 1)
    share = np.clip((x - curves.x[right - 1]) / (curves.x[right] - curves.x[right - 1]), 0, 1)
    return np.asarray(curves.draws[:, right - 1] * (1 - share) + curves.draws[:, right] * share)


def _shared(x: list[Float[np.ndarray, " _"]]) -> Float[np.ndarray, " places"]:
    common = x[0]
    for other in x[1:]:
        common = np.intersect1d(common, other)
    if len(common) >= LEAST:
        return common
    first, last = max(own[0] for own in x), min(own[-1] for own in x)
    every = np.unique(np.concatenate(x))
    return np.asarray(every[(every >= first) & (every <= last)])


def _deviations(
    value: Float[np.ndarray, " steps"], error: Float[np.ndarray, " steps"], noise: Noise
) -> Float[np.ndarray, " steps"]:
    least = max(SMALLEST * float(np.abs(value).max()), np.finfo(float).tiny ** 0.2)
    usual = float(np.nanmedian(error)) if np.isfinite(error).any() else 0.0
    if usual <= 0:
        return np.full(len(value), max(noise.sd, least))
    if noise.count >= MANY:
        shape = np.clip(np.nan_to_num(error, nan=usual) / usual, 1 / SHAPE, SHAPE)
        return np.asarray(np.maximum(noise.sd * shape, least))
    return np.asarray(np.maximum(np.nan_to_num(error), max(noise.sd, least)))


def _disagreement(series: str, noise: Noise, errors: Float[np.ndarray, " values"]) -> list[str]:
    usual = float(np.nanmedian(errors)) if np.isfinite(errors).any() else 0.0
    if usual <= 0 or noise.sd <= 0 or max(usual / noise.sd, noise.sd / usual) <= APART:
        return []
    many = noise.count >= MANY
    if usual > noise.sd:
        what = f"{usual / noise.sd:.2g} times its scatter between checkpoints ({noise.sd:.2g})"
        why = "are they those of a mean, independent from step to step?"
    else:
        what = f"{noise.sd / usual:.2g} times smaller than its scatter between checkpoints ({noise.sd:.2g})"
        why = "something else varies from step to step"
    used = "the scatter is used" if many or noise.sd > usual else "they are used, since checkpoints are few"
    return [f"the errors given for {series} (median {usual:.2g}) are {what}: {used}; {why}"]
