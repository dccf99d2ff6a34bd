"""From a grid of step size against localisation to one setting for a whole trajectory. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

STEPS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Steps of a grid, in the one that the largest curvature gives; ten are unstable."""
LOCALISATIONS = (0.1, 1.0, 10.0)
"""Localisations of a grid, in the given one."""
FLAT = 0.1
"""Bias and error of a cell on a plateau, together, as a share of the coefficient."""


def grid(curvature: float, n_beta: float, localisation: float) -> list[tuple[float, float]]:
    """Step sizes and localisations to try: the steps around ``0.4 / (n_beta curvature + localisation)``.

    Args:
        curvature: The largest, at the sharpest checkpoint.
        n_beta: Factor on the mean loss.
        localisation: Middle of the grid.
    """
    pulls = [share * localisation for share in LOCALISATIONS]
    first = 0.4 / (n_beta * curvature + localisation)
    return [(float(f"{share * first:.3g}"), pull) for pull in pulls for share in STEPS]


def plateau(rows: pd.DataFrame) -> pd.DataFrame:
    """What the step and the noise make of each cell, and whether it lies on a plateau.

    The bias of a small step is proportional to it, so a line through the reliable cells of one localisation, weighted
    by their errors, gives the value at step 0. A cell is on the plateau if it is reliable, as one beside it is, and the
    bias that the line gives it, with its standard error, is below a tenth of that value.

    Args:
        rows: ``checkpoint, localisation, step_size, llc, error, reliable``.

    Returns:
        ``doubt``, bias and error together as a share of the value at step 0, nan where no line can be drawn; ``flat``.
    """
    out = pd.DataFrame({"doubt": np.nan, "flat": False}, index=rows.index)
    for _, line in rows.sort_values("step_size").groupby(["checkpoint", "localisation"]):
        reliable = line["reliable"].to_numpy(bool)
        if reliable.sum() < 2:
            continue
        step, llc, error = (line[name].to_numpy(float) for name in ("step_size", "llc", "error"))
        slope, start = np.polyfit(step[reliable], llc[reliable], 1, w=1 / error[reliable])
        doubt = np.hypot(slope * step, error) / abs(start)
        beside = np.r_[False, reliable[:-1]] | np.r_[reliable[1:], False]
        out.loc[line.index, "doubt"] = doubt
        out.loc[line.index, "flat"] = reliable & beside & (doubt < FLAT)
    return out


def proposal(rows: pd.DataFrame) -> tuple[float, float] | None:
    """The weakest localisation with a step on the plateau at every checkpoint, and of these steps the least unreliable.

    Weak, because the localisation is part of what is measured: the stronger, the smaller the coefficient. Doubt is that
    of the checkpoint where it is largest, so that one setting serves both ends of a trajectory.

    Args:
        rows: As for :func:`plateau`.

    Returns:
        Step size and localisation; None if no cell is on the plateau everywhere.
    """
    cells = rows.join(plateau(rows)).groupby(["localisation", "step_size"])
    good = cells["doubt"].max()[cells["flat"].all()]
    if good.empty:
        return None
    pull = good.index.get_level_values(0).min()
    return float(good[pull].idxmin()), float(pull)


def obstacle(rows: pd.DataFrame) -> str:
    """The commonest reason why cells were no use."""
    warnings = [
        warning.split(":")[0].split("(")[0] for text in rows["warnings"] for warning in text.split("; ") if warning
    ]
    return most(warnings) if warnings else "no two neighbouring steps agree"


def most(words: Sequence[str]) -> str:
    """The commonest of some words."""
    names, counts = np.unique(np.array(words), return_counts=True)
    return str(names[counts.argmax()]).strip()
