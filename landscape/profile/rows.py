"""Rows of the tables ``barrier`` and ``profile``, of a profile."""

from __future__ import annotations

import numpy as np

from landscape.profile import definitions, paired
from landscape.profile.adaptive import RESAMPLE_SEED, Grid, Profile
from landscape.rows import Row
from landscape.shapes import Float


def tables(profile: Profile, grid: Grid) -> tuple[list[Row], list[Row]]:
    """Rows of the tables ``barrier``, one for each definition, and ``profile``, one for each time shown.

    ``evaluations`` counts examples at points between the ends, and ``evaluated_on`` the examples of one point: what is
    known of the others comes by regression on points that are evaluated on more, and by the polynomial between points.

    Beside the barrier a row has, each with its standard error, the largest and the mean loss along the path, and both
    above the better end, ``max_t L(t) - min(L(0), L(1))`` and the mean of the same, which unlike a barrier tell a path
    to another good point from one to a bad point.
    """
    t, losses = profile.t, profile.losses
    weights = definitions.resamples(losses.shape[1], grid.resamples, RESAMPLE_SEED)
    how: Row = {
        "points": len(t),
        "grid": "even" if profile.t_error is None else "adaptive",
        "t_error": profile.t_error,
        "examples": profile.examples or losses.shape[1],
        "evaluations": profile.evaluations,
    }
    extent = _extent(profile)
    barriers: list[Row] = []
    for definition in definitions.available(profile.coarse.t):
        interpolation = profile.coarse if definition is definitions.Definition.CONVEXITY_GAP else profile.interpolation
        found = definitions.estimate(
            t, losses, definition, weights=weights, interpolation=interpolation, widening=profile.widening
        )
        barriers.append({
            "table": "barrier", "definition": definition.value, "barrier": found.value, "low": found.low,
            "high": found.high, "plugin": found.plugin, "t_at_max": found.t_at_max,
            "loss_a": float(losses[0].mean()), "loss_b": float(losses[-1].mean()), **how, **extent,
        })  # fmt: skip
    band = paired.band(t, losses, profile.shown)
    place, known = {time: k for k, time in enumerate(t)}, np.isfinite(losses).sum(axis=1)
    shown: list[Row] = [
        {
            "table": "profile", "t": float(time), "loss": float(band.loss[k]), "error": float(band.error[k]),
            "rise": float(band.rise[k]), "rise_error": float(band.rise_error[k]), **how, "evaluated": time in place,
            "evaluated_on": int(known[place[time]]) if time in place else 0,
            **{name: float(values[place[time]]) if time in place else None for name, values in profile.metrics.items()},
        }
        for k, time in enumerate(profile.shown.t)
    ]  # fmt: skip
    return barriers, shown


def _extent(profile: Profile) -> Row:
    """Largest and mean loss along a path, as they are and above the better end, with their errors."""
    t = profile.interpolation.t
    at, loss = np.eye(len(t)), paired.band(profile.t, profile.losses, profile.interpolation).loss
    highest, better = at[loss.argmax()], at[0 if loss[0] <= loss[-1] else -1]
    wanted = {
        "largest_loss": highest,
        "loss_increase": highest - better,
        "mean_loss": trapezoid(np.diff(t)),
        "mean_loss_increase": trapezoid(np.diff(t)) - better,
    }
    found = paired.functionals(np.stack(list(wanted.values())), profile.t, profile.losses, profile.interpolation)
    out: Row = {}
    for name, value, error in zip(wanted, found.value, found.error, strict=True):
        out |= {name: float(value), f"{name}_error": float(error)}
    return out


def trapezoid(steps: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " places"]:
    """Weight of each place in the trapezoid rule."""
    return np.asarray((np.append(steps, 0) + np.append(0, steps)) / 2)
