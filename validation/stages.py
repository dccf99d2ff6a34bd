"""Stages: recall, false positives and coverage of dated events, of one series and over seeds.

python validation/stages.py
python validation/stages.py --short
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import simulated
import table
from simulated import (
    ENDS,
    OCTAVES,
    RISES,
    SCATTER,
    SIXTEEN,
    SIXTY,
    TOP,
    Curve,
    Noise,
    bounds_of,
    dated,
    drift,
    hill,
    like,
    run_of,
    sigmoid,
    two_steps,
)
from table import COVERS_90, RARE, RECALL, Case, Hits

from landscape.stages.events import changes, dating, evidence, onsets, staging
from landscape.stages.events.changes import Event
from landscape.stages.series.axis import Axis
from landscape.stages.series.files import read
from landscape.stages.series.observed import Observed
from landscape.stages.series.runs import Measured, mean_run
from landscape.stages.series.smooth import Curves
from landscape.stages.settings import Stages

SEEDS = (5, 10, 20)
PUBLISHED = Path(__file__).resolve().parent / "published"
NEAR = 0.5
"""Largest distance in ``log(step + 1)`` at which a boundary counts as a planted one of the same name."""
ANYWHERE = "an extremum or a plateau"
HALF_RISE, MEDIAN_STABLE = "half-rise of the mean run", "median time to stable connectivity"


def changed(run: Measured) -> bool:
    """Whether it changes significantly."""
    return evidence.changes(run.value, run.sd, run.count)


def means(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Whether 90 % intervals of the mean run and of the median over seeds cover the values of the population of seeds.

    The curves of the seeds are known up to a shift, and nothing is smoothed, so the intervals are those over seeds.
    """
    half, median, x = [], [], np.linspace(0, 12, 100)
    for at in dated(random, 6 + 0.6 * random.standard_normal((worlds, seeds)), 0.05, 400):
        curves = {
            seed: Curves(x, draws.mean(axis=0), draws, 0.0) for seed, draws in enumerate(sigmoid(x, at[..., None]))
        }
        runs = {seed: Measured(x, one.mean, np.full(100, 0.01), 98) for seed, one in curves.items()}
        _, mean = mean_run(runs, curves, random)
        half.append(holds(changes.half_rise(mean, 0.5, rising=True), 6.0, x))
        median.append(holds(onsets.median_of_seeds([Event("stable", "fall", draws) for draws in at], random), 6.0, x))
    return {HALF_RISE: half, MEDIAN_STABLE: median}


def branches(worlds: int, random: np.random.Generator) -> Hits:
    """Whether the interval of the time to stable connectivity covers that of the true mean barrier of the branches."""
    steps = np.array([0, 2, 4, 8, 16, 32, 64, 128, 256.0])
    true = float(np.log1p(25))
    pair = np.array([(a, b) for a in range(4) for b in range(a)])
    hits = []
    for _ in range(worlds):
        own = np.exp(0.2 * random.standard_normal((len(steps), 4)) - 0.02)
        values = 0.05 * np.exp(true - np.log1p(steps))[:, None] * own[:, pair].mean(axis=2)
        values = values + 0.002 * random.standard_normal((len(steps), 1))
        draws = onsets.resampled([(one, np.full(6, 0.002), pair) for one in values], 200, random)
        hits.append(holds(onsets.stable(np.log1p(steps), draws, 0.05), true, np.log1p(steps)))
    return {"stable": hits}


def holds(event: Event, true: float, seen: np.ndarray) -> bool:
    """Whether the 90 % interval of an event covers a coordinate in ``log(step + 1)``."""
    row = changes.row(event, seen, Axis())
    return bool(np.log1p(row["low"]) - 1e-9 <= true <= np.log1p(row["high"]) + 1e-9)


Finder = Callable[[Measured, Curves], Event | None]


def half_rise(run: Measured, curves: Curves) -> Event:
    """When the curve reaches one half."""
    return changes.half_rise(curves, 0.5, rising=True)


def steepest(run: Measured, curves: Curves) -> Event:
    """The fastest change."""
    return changes.fastest(curves)


def nearest(name: str, at: float) -> Finder:
    """The boundary of this name that is nearest to a coordinate."""

    def find(run: Measured, curves: Curves) -> Event | None:
        events = [event for event in bounds_of(run, curves) if event.name == name]
        return min(events, key=lambda event: abs(np.median(event.at) - at)) if events else None

    return find


def planted(
    worlds: int, random: np.random.Generator, *, make: Curve, true: float, find: Finder, steps: np.ndarray,
    size: float, noise: Noise, error: float = np.nan,
) -> Hits:  # fmt: skip
    """Whether a planted event is found, and whether its interval then covers it."""
    x = np.log1p(steps)
    found, covered = [], []
    for _ in range(worlds):
        run, curves = run_of(steps, make(x) + size * noise(random, len(x)), random, error)
        event = find(run, curves)
        found.append(event is not None)
        if event is not None:
            covered.append(holds(event, true, run.x))
    return {"found": found, "90 % interval": covered}


def likeness(
    worlds: int, random: np.random.Generator, *, steps: np.ndarray, shape: Curve, size: float = SCATTER,
) -> Hits:  # fmt: skip
    """How many of the boundaries of a published series are found, and covered, in worlds with its changes."""
    value, x = like(steps, shape), np.log1p(steps)
    names = ("plateau", "extremum", "extremum", "plateau")
    found, covered, more = [], [], []
    for _ in range(worlds):
        run, curves = run_of(steps, value + size * random.standard_normal(len(x)), random)
        bounds = bounds_of(run, curves)
        used = []
        for name, end in zip(names, ENDS[:-1], strict=True):
            true = np.log1p(end)
            near = [one for one in bounds if one.name == name and abs(np.median(one.at) - true) < NEAR]
            found.append(bool(near))
            if near:
                used.append(min(near, key=lambda one, true=true: abs(np.median(one.at) - true)))
                covered.append(holds(used[-1], true, run.x))
        more.append(len(bounds) > len({id(one) for one in used}))
    return {"boundaries found": found, "90 % interval": covered, "one too many": more}


def published(worlds: int, random: np.random.Generator, *, name: str) -> Hits:
    """Whether each seed of a published model fits n-grams in the order of n, and leaves unigrams before bigrams."""
    names = [f"r:{n}gram" for n in range(1, 6)]
    observed = read(PUBLISHED / f"{name}.csv")
    events_ = dating.table(dating.date(observed, Stages(behaviour=tuple(names), boundaries=names[0])), observed)
    order, peaks = [], []
    for _, own in events_[events_["seed"] != staging.EVERYONE].groupby("seed"):
        half = own[own["event"] == "half_rise"].set_index("series")["step"].reindex(names).to_numpy()
        order.append(bool((np.diff(half) > 0).all()))
        tops = own[own["way"] == "maximum"].groupby("series")["step"].first().reindex(names[:2]).to_numpy()
        peaks.append(bool(tops[0] < tops[1]))
    return {"half-rise in the order of n": order, "unigrams peak before bigrams": peaks}


def false_stages(worlds: int, random: np.random.Generator, *, steps: np.ndarray, seeds: int, size: float) -> Hits:
    """Whether one rise, at a random place and pace, is divided; of a seed, or of the mean over seeds."""
    unit = steps[steps > 0].min()
    x = np.log1p(steps / unit)
    divided = []
    for _ in range(worlds):
        width = random.uniform(0.05, 0.2) * np.ptp(x)
        at = random.uniform(x[1], x[-2]) + 0.1 * random.standard_normal((seeds, 1))
        values = sigmoid(x, at, width) + size * random.standard_normal((seeds, len(x)))
        rows = pd.concat([
            pd.DataFrame({"series": "loss", "seed": seed, "step": steps, "value": value, "error": np.nan})
            for seed, value in enumerate(values)
        ]).assign(shared_error=np.nan, headline=True)  # fmt: skip
        found = dating.date(Observed(rows, axis=Axis(unit)), Stages(draws=100))
        key = "loss", staging.EVERYONE if seeds > 1 else 0
        divided.append(bool(dating.boundaries(found.events.get(key, []))))
    return {"a boundary": divided}


def false_events(
    worlds: int, random: np.random.Generator, *, make: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    steps: np.ndarray, size: float, keep: float = 0.0,
) -> Hits:  # fmt: skip
    """Whether a series with one change or none has an extremum or a plateau; and with none, whether it changes."""
    x = np.log1p(steps)
    bounded, moved = [], []
    for _ in range(worlds):
        run, curves = run_of(steps, make(random, x) + drift(random, len(x), size=size, keep=keep), random)
        bounded.append(bool(bounds_of(run, curves)))
        moved.append(changed(run))
    return {ANYWHERE: bounded, "a change": moved} if make is flat else {ANYWHERE: bounded}


def flat(random: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Nothing."""
    return 0 * x


def rise(random: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """One sigmoid, at a random place."""
    return sigmoid(x, random.normal(4.2, 0.5), 1 / 3)


PLANTED = {
    "half_rise": (lambda x: sigmoid(x, 4.37), 4.37, half_rise, SIXTY, 0.03, simulated.normal, np.nan),
    "half-rise, steep, few steps": (
        lambda x: sigmoid(x, 4.37, 0.1), 4.37, half_rise, OCTAVES, 0.05, simulated.normal, np.nan,
    ),
    "half-rise, slow, noisy": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, half_rise, SIXTY, 0.1, simulated.normal, np.nan),
    "half-rise, error understated": (
        lambda x: sigmoid(x, 3.1, 0.6), 3.1, half_rise, SIXTY, 0.1, simulated.normal, 0.02,
    ),
    "half-rise, heavy tails": (lambda x: sigmoid(x, 4.37), 4.37, half_rise, SIXTY, 0.06, simulated.heavy, np.nan),
    "half-rise, autocorrelated noise": (
        lambda x: sigmoid(x, 4.37), 4.37, half_rise, SIXTY, 0.05,
        lambda random, count: drift(random, count, size=1.0), np.nan,
    ),
    "fastest": (lambda x: sigmoid(x, 4.37), 4.37, steepest, SIXTY, 0.05, simulated.normal, np.nan),
    "fastest, uneven steps": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, steepest, SIXTY, 0.05, simulated.normal, np.nan),
    "maximum": (hill, TOP, nearest("extremum", TOP), OCTAVES, 0.05, simulated.normal, np.nan),
    "maximum, heavy tails": (hill, TOP, nearest("extremum", TOP), SIXTY, 0.05, simulated.heavy, np.nan),
    "plateau": (two_steps, 4.6, nearest("plateau", 4.6), SIXTY, 0.02, simulated.normal, np.nan),
}  # fmt: skip
FALSE = {
    "one rise, 20 steps, noise 0.05": (rise, OCTAVES, 0.05, 0.0),
    "one rise, 56 steps, noise 0.05": (rise, SIXTY, 0.05, 0.0),
    "one rise, 16 steps, noise 0.02": (rise, SIXTEEN, 0.02, 0.0),
    "one rise, 16 steps, noise 0.05": (rise, SIXTEEN, 0.05, 0.0),
    "one rise, 56 steps, autocorrelated noise 0.05": (rise, SIXTY, 0.05, 0.7),
    "flat, 20 steps": (flat, OCTAVES, 0.05, 0.0),
    "flat, 56 steps": (flat, SIXTY, 0.05, 0.0),
    "flat, 56 steps, autocorrelated noise": (flat, SIXTY, 0.05, 0.7),
}
OVER_SEEDS = "Coverage of 90 % intervals of dates over seeds"
SPACINGS = {
    "14 round steps": np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000.0]),
    "14 even steps": np.arange(0, 14_000, 1000.0),
    "80 log-spaced steps": np.unique(np.r_[0, np.round(np.geomspace(100, 50_000, 80))]),
    "500 even steps": np.arange(0, 50_000, 100.0),
    "500 even steps without step 0": np.arange(100, 50_001, 100.0),
}
LIKE = {"500 even steps": np.arange(100, 50_001, 100.0), "80 log-spaced steps": np.round(np.geomspace(100, 50_000, 80))}
FOUND = {"500 even steps": (0.9, 1.0), "80 log-spaced steps": (0.73, 1.0)}
FAULTS = {
    554: (ANYWHERE,),
    557: (ANYWHERE, "a change"),
}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    *(
        Case(number, OVER_SEEDS, f"onsets of a population, {seeds} seeds", means, {"seeds": seeds},
             {HALF_RISE: COVERS_90, MEDIAN_STABLE: COVERS_90}, 0.5)
        for number, seeds in enumerate(SEEDS, start=420)
    ),
    Case(430, OVER_SEEDS, "four branches of one run", branches, {}, {"stable": COVERS_90}, 0.5),
    *(
        Case(number, "Planted events: recall, and coverage of the 90 % interval", name, planted,
             dict(zip(("make", "true", "find", "steps", "size", "noise", "error"), one, strict=True)),
             {"found": RECALL, "90 % interval": COVERS_90}, 0.125)
        for number, (name, one) in enumerate(PLANTED.items(), start=500)
    ),
    *(
        Case(number, "False events, on series with one change or none", name, false_events,
             {"make": make, "steps": steps, "size": size, "keep": keep},
             {ANYWHERE: RARE, "a change": RARE}, 0.25)
        for number, (name, (make, steps, size, keep)) in enumerate(FALSE.items(), start=550)
    ),
    *(
        Case(number, "In the likeness of a published series of coefficients with five stages", f"{spacing}, {name}",
             likeness, {"steps": LIKE[spacing], "shape": shape},
             {"boundaries found": FOUND[spacing], "90 % interval": (0.85, 1.0), "one too many": RARE}, 0.0625)
        for number, (spacing, (name, shape)) in enumerate(product(LIKE, RISES.items()), start=600)
    ),
    *(
        Case(number, "Published correlations with n-grams, by seed", name, published, {"name": name},
             {"half-rise in the order of n": RECALL, "unigrams peak before bigrams": (0.8, 1.0)})
        for number, name in enumerate(("gpt2_small", "pythia_160m", "pythia_410m", "openwebtext_mamba_130m"), start=650)
    ),
    *(
        Case(number, "False stages of one rise", f"{name}, {seeds} seed{'s' if seeds > 1 else ''}, noise {size}",
             false_stages, {"steps": steps, "seeds": seeds, "size": size}, {"a boundary": (0.0, 0.02)}, 0.0625)
        for number, ((name, steps), seeds, size) in enumerate(
            ((one, seeds, size) for one in SPACINGS.items() for seeds in (1, 3, 5, 10, 20) for size in (0.001, 0.1)
             if len(one[1]) < 100 or seeds in (1, 5)), start=700)
    ),
], FAULTS)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Write the table."""
    table.main("Events and stages", "stages", CASES, long=800, short=48, words=words)


if __name__ == "__main__":
    main()
