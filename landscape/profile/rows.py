"""Rows of the tables ``barrier`` and ``profile``, of a profile."""

from __future__ import annotations

import numpy as np

from landscape.profile import barrier, paired
from landscape.profile.adaptive import RESAMPLE_SEED, Grid, Profile
from landscape.rows import Row
from landscape.shapes import Float


def tables(profile: Profile, grid: Grid) -> tuple[list[Row], list[Row]]:
    """Rows of the tables ``barrier``, one for each definition, and ``profile``, one for each t shown.

    ``evaluations`` counts examples between the ends, summed over t. ``evaluated_on`` counts the examples of one t. The
    other examples of that t are estimated by regression on t that were evaluated on more. Between the evaluated t the
    profile is a polynomial.

    A ``barrier`` row also has the largest and the mean loss along the path, and both above the better end,
    ``max_t L(t) - min(L(0), L(1))`` and the mean of ``L(t) - min(L(0), L(1))``, each with its standard error. Unlike a
    barrier, these tell a path to another good point from a path to a bad point.
    """
    t, losses = profile.t, profile.losses
    weights = barrier.resamples(losses.shape[1], grid.resamples, RESAMPLE_SEED)
    how: Row = {
        "points": len(t),
        "grid": "even" if profile.t_error is None else "adaptive",
        "t_error": profile.t_error,
        "examples": profile.examples or losses.shape[1],
        "evaluations": profile.evaluations,
    }
    extent = _extent(profile)
    barriers: list[Row] = []
    for definition in barrier.available(profile.coarse.t):
        interpolation = profile.coarse if barrier.load(definition).COARSE else profile.interpolation
        estimate = barrier.estimate(
            t, losses, definition, weights=weights, interpolation=interpolation, widening=profile.widening
        )
        barriers.append({
            "table": "barrier", "definition": definition, "barrier": estimate.value, "low": estimate.low,
            "high": estimate.high, "plugin": estimate.plugin, "t_at_max": estimate.t_at_max,
            "loss_a": float(losses[0].mean()), "loss_b": float(losses[-1].mean()), **how, **extent,
        })  # fmt: skip
    band = paired.band(t, losses, profile.shown)
    index, counts = {at: k for k, at in enumerate(t)}, np.isfinite(losses).sum(axis=1)
    shown: list[Row] = [
        {
            "table": "profile", "t": float(at), "loss": float(band.loss[k]), "error": float(band.error[k]),
            "rise": float(band.rise[k]), "rise_error": float(band.rise_error[k]), **how, "evaluated": at in index,
            "evaluated_on": int(counts[index[at]]) if at in index else 0,
            **{name: float(values[index[at]]) if at in index else None for name, values in profile.metrics.items()},
        }
        for k, at in enumerate(profile.shown.t)
    ]  # fmt: skip
    return barriers, shown


def _extent(profile: Profile) -> Row:
    """Largest and mean loss along a path, absolute and above the better end, with their errors."""
    t = profile.interpolation.t
    at, loss = np.eye(len(t)), paired.band(profile.t, profile.losses, profile.interpolation).loss
    highest, better = at[loss.argmax()], at[0 if loss[0] <= loss[-1] else -1]
    wanted = {
        "largest_loss": highest,
        "loss_increase": highest - better,
        "mean_loss": trapezoid(np.diff(t)),
        "mean_loss_increase": trapezoid(np.diff(t)) - better,
    }
    values = paired.functionals(np.stack(list(wanted.values())), profile.t, profile.losses, profile.interpolation)
    out: Row = {}
    for name, value, error in zip(wanted, values.value, values.error, strict=True):
        out |= {name: float(value), f"{name}_error": float(error)}
    return out


def trapezoid(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " t"]:
    """Weight of each t in the trapezoid rule, in the unit of the steps."""
    return np.asarray((np.append(steps, 0) + np.append(0, steps)) / 2)
