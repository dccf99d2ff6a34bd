"""From a grid of step sizes and localisations to one setting for a whole trajectory. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

STEPS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Step sizes of a grid, in units of that of the largest curvature; 10 is unstable."""
LOCALISATIONS = (0.1, 1.0, 10.0)
"""Localisations of a grid, in units of the given one."""
FLAT = 0.1
"""Largest bias and error together of a cell on a plateau, as a share of the coefficient."""


def grid(curvature: float, n_beta: float, localisation: float) -> list[tuple[float, float]]:
    """Step sizes and localisations to try, with step sizes around ``0.4 / (n_beta curvature + localisation)``.

    Args:
        curvature: Largest curvature, at the sharpest checkpoint.
        n_beta: Factor on the mean loss.
        localisation: Middle of the grid.
    """
    pulls = [share * localisation for share in LOCALISATIONS]
    first = 0.4 / (n_beta * curvature + localisation)
    return [(float(f"{share * first:.3g}"), pull) for pull in pulls for share in STEPS]


def plateau(rows: pd.DataFrame) -> pd.DataFrame:
    """Bias and error of each cell, and whether it lies on a plateau.

    The bias of a small step is proportional to it, so a line through the reliable cells of one localisation, weighted
    by their errors, gives the value at step 0. A cell is on the plateau if it and a neighbour are reliable, and if its
    bias by the line and its standard error together are below a tenth of that value.

    Args:
        rows: ``checkpoint, localisation, step_size, llc, error, reliable``.

    Returns:
        ``uncertainty``, bias and error together as a share of the value at step 0, nan where no line can be drawn; and
        ``flat``, whether the cell is on the plateau.
    """
    out = pd.DataFrame({"uncertainty": np.nan, "flat": False}, index=rows.index)
    for _, line in rows.sort_values("step_size").groupby(["checkpoint", "localisation"]):
        reliable = line["reliable"].to_numpy(bool)
        if reliable.sum() < 2:
            continue
        step, llc, error = (line[name].to_numpy(float) for name in ("step_size", "llc", "error"))
        gradient, start = np.polyfit(step[reliable], llc[reliable], 1, w=1 / error[reliable])
        uncertainty = np.hypot(gradient * step, error) / abs(start)
        neighbour = np.r_[False, reliable[:-1]] | np.r_[reliable[1:], False]
        out.loc[line.index, "uncertainty"] = uncertainty
        out.loc[line.index, "flat"] = reliable & neighbour & (uncertainty < FLAT)
    return out


def proposal(rows: pd.DataFrame) -> tuple[float, float] | None:
    """The weakest localisation with a step on the plateau at every checkpoint, and its step of least uncertainty.

    A weak one, because the localisation is part of what is measured: a stronger one makes the coefficient smaller. The
    uncertainty is the largest over checkpoints, so that one setting serves both ends of a trajectory.

    Args:
        rows: As for :func:`plateau`.

    Returns:
        Step size and localisation; None if no cell is on the plateau everywhere.
    """
    cells = rows.join(plateau(rows)).groupby(["localisation", "step_size"])
    good = cells["uncertainty"].max()[cells["flat"].all()]
    if good.empty:
        return None
    pull = good.index.get_level_values(0).min()
    return float(good[pull].idxmin()), float(pull)


def obstacle(rows: pd.DataFrame) -> str:
    """The most common reason why cells were unreliable."""
    warnings = [
        warning.split(":")[0].split("(")[0] for text in rows["warnings"] for warning in text.split("; ") if warning
    ]
    return most_common(warnings) if warnings else "no two neighbouring steps agree"


def most_common(words: Sequence[str]) -> str:
    """The most common of some words."""
    names, counts = np.unique(np.array(words), return_counts=True)
    return str(names[counts.argmax()]).strip()
