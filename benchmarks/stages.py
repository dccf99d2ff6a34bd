"""How long the analysis of stages takes: ten seeds, 154 steps, 20 series, 9,999 orders of the seeds."""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd

from landscape.stages.analysis import analyse
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Stages

PYTHIA = np.array([0, *(2**k for k in range(10)), *range(1000, 144000, 1000)], dtype=float)


def world(seeds: int, series: int, connectivity: int, random: np.random.Generator) -> Observed:
    """Sigmoids in log(step + 1) with noise, and a barrier matrix at every step."""
    x = np.log1p(PYTHIA)
    rows = []
    for n in range(series):
        name = f"barrier:{n}" if n < connectivity else f"behaviour:{n}"
        for seed in range(seeds):
            value = 1 / (1 + np.exp(-(x - random.normal(6 + n % 4, 0.5)) / 0.5))
            value += 0.03 * random.standard_normal(len(x))
            rows.append(pd.DataFrame({"series": name, "seed": seed, "step": PYTHIA, "value": value}))
    frame = pd.concat(rows).assign(error=np.nan, shared_error=np.nan, headline=True)
    pairs = pd.DataFrame(
        [(step, a, b) for step in PYTHIA for a in range(seeds) for b in range(a)], columns=["step", "seed_a", "seed_b"]
    )
    pairs = pairs.assign(series="barrier:seed", value=random.uniform(0.4, 0.6, len(pairs)), error=0.01)
    return Observed(frame, pairs)


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--connectivity", type=int, default=3, help="How many of the series are barriers.")
    given = parser.parse_args()
    observed = world(given.seeds, given.series, given.connectivity, np.random.default_rng(0))
    begin = time.perf_counter()
    found = analyse(observed, Stages.model_validate({"boundaries": "behaviour:5"}))
    took = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    design = f"{given.seeds} seeds x {len(PYTHIA)} steps x {given.series} series"
    print(f"{design}, {len(found.association)} tests of 9,999 orders: {took:.1f} s, {memory:.2f} GiB")


if __name__ == "__main__":
    main()
