"""Phases of the KL divergence between seeds over training (Fehlauer et al. 2025, arXiv:2509.26643).

At first all models predict nearly uniformly and their KL stays (uniform). Then all learn how often tokens occur, and it
falls (sharp convergence). Then each learns its own contexts, and it rises (sharp divergence). Then it slowly falls
(slow reconvergence). The boundaries are the ends of the largest rise of the mean KL, and the step at which a tenth of
the fall before it is done.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

UNIFORM, CONVERGENCE, DIVERGENCE, RECONVERGENCE = (
    "uniform", "sharp convergence", "sharp divergence", "slow reconvergence"
)  # fmt: skip
PHASES = (UNIFORM, CONVERGENCE, DIVERGENCE, RECONVERGENCE)
BEGUN = 0.1
"""Share of the fall at which convergence has begun."""
Z = 1.96
COLUMNS = ("phase", "begin", "end", "kl_begin", "kl_end", "clear")


def phases(means: pd.DataFrame) -> pd.DataFrame:
    """The phases of a mean KL over training; those that the series does not have are left out.

    Args:
        means: ``step, value, error``: the mean over pairs at each step and its standard error, in nats.

    Returns:
        ``phase, begin, end, kl_begin, kl_end, clear``: the steps between which it is, the mean at both, in nats, and
        whether its change is beyond 1.96 standard errors; of the uniform phase, whether its change is within them.
        Empty for fewer than three steps, or without a rise.
    """
    rows = means.dropna(subset=["step", "value"]).sort_values("step")
    step, value, error = (rows[name].to_numpy(dtype=float) for name in ("step", "value", "error"))
    if len(step) < 3:
        return pd.DataFrame(columns=list(COLUMNS))
    rises = np.triu(value[None] - value[:, None])
    low, high = (int(k) for k in np.unravel_index(rises.argmax(), rises.shape))
    if rises[low, high] <= 0:
        return pd.DataFrame(columns=list(COLUMNS))
    begun = 0
    if low > 0 and value[: low + 1].max() > value[low]:
        top = int(value[: low + 1].argmax())
        there = value[: low + 1] >= value[top] - BEGUN * (value[top] - value[low])
        begun = int(np.flatnonzero(there).max())
    out = []
    bounds = (0, begun, low, high, len(step) - 1)
    for phase, first, last in zip(PHASES, bounds[:-1], bounds[1:], strict=True):
        if last > first:
            moved = abs(value[last] - value[first]) > Z * np.hypot(error[first], error[last])
            clear = bool(moved) != (phase == UNIFORM)
            out.append((phase, step[first], step[last], value[first], value[last], clear))
    return pd.DataFrame(out, columns=list(COLUMNS))
