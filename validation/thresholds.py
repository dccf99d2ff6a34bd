"""Thresholds of significant turns of one series: the tables of ``landscape/stages/events/critical.py``.

python validation/thresholds.py
"""

from __future__ import annotations

import numpy as np

from landscape.stages.events import critical, evidence
from landscape.stages.series import noise

WORLDS = 4000
MOST = 400
"""Differences of other runs beyond which the noise counts as known."""


def statistics(n: int, runs: int, pace: bool, random: np.random.Generator, worlds: int = WORLDS) -> np.ndarray:
    """The largest statistic in each world of white noise, whose deviation is estimated as from so many runs."""
    values = random.standard_normal((worlds, n))
    x = np.arange(n, dtype=float)
    estimates = []
    for order in noise.ORDERS:
        others = random.standard_normal((worlds, min((runs - 1) * (n - order), MOST)))
        estimates.append(noise.robust(np.concatenate([noise.residuals(x, values, order), others], axis=1)))
    sd = np.minimum(*estimates)
    return evidence.largest(values / sd[:, None], pace=pace)


def main() -> None:
    """Print both tables."""
    for name, pace in (("MEANS", False), ("PACES", True)):
        found = [
            [statistics(n, runs, pace, np.random.default_rng([n, pace])) for runs in critical.RUNS]
            for n in critical.SIZES
        ]
        print(f"{name} = {{")
        for level in (critical.FALSE, critical.TAILS):
            rows = [", ".join(f"{np.quantile(one, 1 - level):.2f}" for one in row) for row in found]
            print(f"    {level}: (", *(f"        ({row})," for row in rows), "    ),", sep="\n")
        print("}")


if __name__ == "__main__":
    main()
