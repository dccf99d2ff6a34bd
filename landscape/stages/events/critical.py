"""Critical values of the statistics of :mod:`landscape.stages.events.evidence`: simulated quantiles in white noise."""

from __future__ import annotations

import numpy as np

FALSE, TAILS = 0.01, 0.5
"""Levels: ``FALSE`` is the probability of any false turning point, or any false change of pace, in white noise.
``TAILS`` gives the narrower interval in which a turn is dated. Together with the spread of the draws, its intervals
cover at least their nominal 90 % (docs/validation.md)."""
CURVED = 2.0
"""Factor on the number of differences: in a series that changes, the noise is overestimated, which is conservative.
With this factor at most two of a hundred series with one rise have a further event (docs/validation.md)."""
SIZES = (5, 7, 10, 14, 20, 30, 50, 100, 200, 500)
RUNS = (1, 3, 10)
MEANS = {
    0.01: (
        (16.39, 6.86, 4.08),
        (11.60, 5.51, 3.72),
        (9.07, 4.83, 3.62),
        (7.80, 4.29, 3.50),
        (5.92, 4.17, 3.62),
        (5.53, 3.98, 3.60),
        (4.84, 3.97, 3.66),
        (4.30, 3.75, 3.67),
        (4.12, 3.82, 3.83),
        (3.95, 3.86, 3.86),
    ),
    0.5: (
        (0.84, 1.15, 0.94),
        (1.05, 1.28, 1.13),
        (1.25, 1.38, 1.25),
        (1.37, 1.47, 1.35),
        (1.55, 1.58, 1.47),
        (1.67, 1.71, 1.62),
        (1.82, 1.84, 1.76),
        (2.01, 1.99, 1.95),
        (2.08, 2.07, 2.08),
        (2.21, 2.21, 2.21),
    ),
}
PACES = {
    0.01: (
        (10.45, 5.90, 3.79),
        (8.89, 5.23, 3.81),
        (7.64, 4.81, 3.85),
        (7.36, 4.67, 3.94),
        (6.44, 4.68, 4.05),
        (6.05, 4.60, 4.16),
        (5.44, 4.45, 4.19),
        (5.00, 4.40, 4.27),
        (4.91, 4.59, 4.57),
        (4.66, 4.52, 4.52),
    ),
    0.5: (
        (1.31, 1.42, 1.34),
        (1.51, 1.74, 1.66),
        (1.82, 1.95, 1.86),
        (2.09, 2.17, 2.07),
        (2.31, 2.37, 2.26),
        (2.46, 2.51, 2.45),
        (2.71, 2.71, 2.65),
        (2.86, 2.88, 2.84),
        (3.02, 3.03, 3.03),
        (3.19, 3.20, 3.20),
    ),
}
"""Thresholds by level, then by number of checkpoints (``SIZES``, rows) and by number of runs that the noise is
estimated from (``RUNS``, columns): of single stretches, and of triples. Printed by ``validation/thresholds.py``."""


def threshold(n: int, count: int, level: float, *, pace: bool) -> float:
    """Quantile of the largest statistic in white noise whose deviation is estimated from some differences.

    The square of each statistic has first been reduced by ``2 log(n / length)``, so that stretches of every length
    contribute equally to the false positives; otherwise the many short stretches would hide the long ones. Simulated by
    ``validation/thresholds.py``.

    Args:
        n: Number of checkpoints.
        count: Number of differences, of one run or of several.
        level: ``FALSE`` or ``TAILS``.
        pace: Whether the statistics are of triples of stretches, and not of single ones.

    Returns:
        The threshold, in standard errors.
    """
    table = np.array((PACES if pace else MEANS)[level])
    runs = max(CURVED * count / max(n - 2, 1), 1.0)
    column = [np.interp(np.log(n), np.log(SIZES), table[:, k]) for k in range(len(RUNS))]
    return float(np.interp(np.log(runs), np.log(RUNS), column))
