"""Rows of the tables ``barrier`` and ``profile``, of a profile, and the same of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from landscape.profile import barrier, paired
from landscape.profile.adaptive import RESAMPLE_SEED, Grid, Profile
from landscape.profile.metrics import LOSS, measured
from landscape.profile.nodes import Interpolation, identity
from landscape.profile.paired import Components
from landscape.rows import Cell, Row
from landscape.shapes import Float


def tables(profile: Profile, grid: Grid) -> tuple[list[Row], list[Row]]:
    """Rows of the tables ``barrier``, one for each definition, and ``profile``, one for each t shown.

    ``evaluations`` counts examples between the ends, summed over t. ``evaluated_on`` counts the examples of one t. The
    other examples of that t are estimated by regression on t that were evaluated on more, and on the ends. Between the
    evaluated t the profile is a polynomial.

    A ``barrier`` row also has the largest and the mean loss along the path, and both above the better end,
    ``max_t L(t) - min(L(0), L(1))`` and the mean of ``L(t) - min(L(0), L(1))``, each with its standard error. Unlike a
    barrier, these tell a path to another good point from a path to a bad point.
    """
    t, losses = profile.t, profile.losses
    weights = barrier.resamples(losses.shape[1], grid.resamples, RESAMPLE_SEED)
    how: Row = {
        "points": len(t),
        "grid": "adaptive" if grid.points == "auto" else "even",
        "t_error": profile.t_error,
        "examples": profile.examples or losses.shape[1],
        "evaluations": profile.evaluations,
    }
    found = profile.components
    extent = _extent(found, profile.interpolation)
    barriers: list[Row] = []
    for definition in barrier.available(profile.coarse.t):
        interpolation = profile.coarse if barrier.load(definition).COARSE else profile.interpolation
        estimate = barrier.estimate(
            found, definition, weights=weights, interpolation=interpolation, widening=profile.widening
        )
        barriers.append({
            "table": "barrier", "definition": definition, "barrier": estimate.value, "low": estimate.low,
            "high": estimate.high, "plugin": estimate.plugin, "t_at_max": estimate.t_at_max,
            "loss_a": float(losses[0].mean()), "loss_b": float(losses[-1].mean()), **how, **extent,
        })  # fmt: skip
    band = paired.band(found, profile.shown)
    index, counts = {at: k for k, at in enumerate(t)}, np.isfinite(losses).sum(axis=1)
    shown: list[Row] = [
        {
            "table": "profile", "t": float(at), "loss": float(band.loss[k]), "error": float(band.error[k]),
            "rise": float(band.rise[k]), "rise_error": float(band.rise_error[k]), **how, "evaluated": at in index,
            "evaluated_on": int(counts[index[at]]) if at in index else 0,
        }
        for k, at in enumerate(profile.shown.t)
    ]  # fmt: skip
    return barriers, shown


OF_EXTENT = {
    "largest_loss": "worst",
    "loss_increase": "fall",
    "mean_loss": "mean_value",
    "mean_loss_increase": "mean_fall",
}
"""What the columns of the losses along a path are called for a metric."""


def metric_tables(profile: Profile, grid: Grid, unit: str) -> tuple[list[Row], list[Row]]:
    """Rows of the tables ``metric_barrier`` and ``metric_profile``: those of :func:`tables` for every metric.

    A change for the worse is positive, whether higher or lower is better. The smoothness of a metric is not known, so
    it is read at the evaluated t only.

    Args:
        profile: Losses, and other numbers of each example, along a path.
        grid: How they were evaluated.
        unit: Unit of the loss.
    """
    barriers: list[Row] = []
    shown: list[Row] = []
    at = identity(profile.t)
    for metric in measured({LOSS: profile.losses, **profile.metrics}, unit):
        own = replace(profile, losses=metric.worse, metrics={}, interpolation=at, coarse=at, shown=at, t_error=None)
        sign = -1.0 if metric.higher else 1.0
        known: Row = {"metric": metric.name, "unit": metric.name, "better": "higher" if metric.higher else "lower"}
        found, along = tables(own, grid)
        barriers += ({"table": "metric_barrier", **known, **dict(_renamed(row, sign))} for row in found)
        shown += ({"table": "metric_profile", **known, **dict(_renamed(row, sign))} for row in along)
    return barriers, shown


def _renamed(row: Row, sign: float) -> Iterator[tuple[str, Cell]]:
    """The columns of a metric, of a row about what is worse."""
    values = {"loss_a": "value_a", "loss_b": "value_b", "loss": "value"}
    values |= {name: of for name, of in OF_EXTENT.items() if name in ("largest_loss", "mean_loss")}
    names = {**OF_EXTENT, **{f"{a}_error": f"{b}_error" for a, b in OF_EXTENT.items()}, **values}
    names |= {"rise": "drop", "rise_error": "drop_error", "error": "value_error"}
    for name, cell in row.items():
        if name in values:
            assert isinstance(cell, float)
            cell = sign * cell
        if name not in ("table", "evaluated"):
            yield names.get(name, name), cell


def _extent(profile: Components, interpolation: Interpolation) -> Row:
    """Largest and mean loss along a path, absolute and above the better end, with their errors."""
    t = interpolation.t
    at, loss = np.eye(len(t)), paired.band(profile, interpolation).loss
    highest, better = at[loss.argmax()], at[0 if loss[0] <= loss[-1] else -1]
    wanted = {
        "largest_loss": highest,
        "loss_increase": highest - better,
        "mean_loss": trapezoid(np.diff(t)),
        "mean_loss_increase": trapezoid(np.diff(t)) - better,
    }
    values = paired.functionals(np.stack(list(wanted.values())), profile, interpolation)
    out: Row = {}
    for name, value, error in zip(wanted, values.value, values.error, strict=True):
        out |= {name: float(value), f"{name}_error": float(error)}
    return out


def trapezoid(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " t"]:
    """Weight of each t in the trapezoid rule, in the unit of the steps."""
    return np.asarray((np.append(steps, 0) + np.append(0, steps)) / 2)
