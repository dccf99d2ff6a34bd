"""Stages: recall, false alarms and coverage of dated events, of one series and over seeds.

python validation/stages.py
python validation/stages.py --short
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import simulated
import table
from simulated import OCTAVES, SIXTEEN, SIXTY, TOP, Curve, Noise, dated, drift, hill, sigmoid, two_steps
from table import COVERS_90, RARE, RECALL, Case, Hits

from landscape.stages import events, onsets, staging
from landscape.stages.events import Event
from landscape.stages.smooth import Curves, smooth

SEEDS = (5, 10, 20)
X = np.log1p(SIXTY)


def means(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Whether the 90 % intervals of the mean run and of the median run hold those of the population of seeds.

    The curves of the seeds are known up to a shift: nothing is smoothed, so that the intervals are those over seeds.
    """
    half, median, x = [], [], np.linspace(0, 12, 100)
    seen = np.linspace(0, 12, 61)
    for at in dated(random, 6 + 0.6 * random.standard_normal((worlds, seeds)), 0.05, 400):
        curves = [Curves(x=x, mean=draws.mean(axis=0), draws=draws, seen=seen, noise=0.0)
                  for draws in sigmoid(x, at[..., None])]  # fmt: skip
        mean = staging.mean_run(curves, random)
        assert mean is not None
        half.append(holds(events.crossing(mean, 0.5, rising=True), 6.0, seen))
        median.append(holds(onsets.middle([Event("settles", "fall", draws) for draws in at], random), 6.0, seen))
    return {"half-way up of the mean run": half, "median of when runs settle": median}


def children(worlds: int, random: np.random.Generator) -> Hits:
    """Whether the interval of when a run settles holds the crossing of the true mean barrier of its children."""
    steps = np.array([0, 2, 4, 8, 16, 32, 64, 128, 256.0])
    true = float(np.log1p(25))
    pair = np.array([(a, b) for a in range(4) for b in range(a)])
    hits = []
    for _ in range(worlds):
        own = np.exp(0.2 * random.standard_normal((len(steps), 4)) - 0.02)
        values = 0.05 * np.exp(true - np.log1p(steps))[:, None] * own[:, pair].mean(axis=2)
        values = values + 0.002 * random.standard_normal((len(steps), 1))
        draws = onsets.resampled([(one, np.full(6, 0.002), pair) for one in values], 200, random)
        hits.append(holds(onsets.settles(steps, draws, 0.05), true, np.log1p(steps)))
    return {"settles": hits}


def holds(event: Event, true: float, seen: np.ndarray) -> bool:
    """Whether the 90 % interval of an event holds a place in ``log(step + 1)``."""
    row = events.row(event, seen)
    return bool(np.log1p(row["low"]) <= true <= np.log1p(row["high"]))


def curve(value: np.ndarray, steps: np.ndarray, random: np.random.Generator, error: float = np.nan) -> Curves:
    """Draws of the curve behind a noisy series."""
    return smooth(steps, value, np.full(len(steps), error), draws=200, random=random)


Finder = Callable[[Curves], Event | None]


def half_way(one: Curves) -> Event:
    """The crossing of one half."""
    return events.crossing(one, 0.5, rising=True)


def steepest(one: Curves) -> Event | None:
    """The fastest change."""
    return next(iter(events.fastest(one)), None)


def nearest(kind: str, place: float) -> Finder:
    """The boundary of a kind that is nearest to a place."""

    def find(one: Curves) -> Event | None:
        found = [event for event in events.boundaries(one) if event.kind == kind]
        return min(found, key=lambda event: abs(np.median(event.at) - place)) if found else None

    return find


def planted(
    worlds: int, random: np.random.Generator, *, make: Curve, true: float, find: Finder, steps: np.ndarray,
    size: float, noise: Noise, error: float = np.nan,
) -> Hits:  # fmt: skip
    """Whether a planted event is found, and whether its interval then holds it."""
    x = np.log1p(steps)
    found, covered = [], []
    for _ in range(worlds):
        one = curve(make(x) + size * noise(random, len(x)), steps, random, error)
        event = find(one)
        found.append(event is not None)
        if event is not None:
            covered.append(holds(event, true, one.seen))
    return {"found": found, "90 % interval": covered}


def false_events(
    worlds: int, random: np.random.Generator, *, make: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    steps: np.ndarray, size: float, keep: float = 0.0,
) -> Hits:  # fmt: skip
    """Whether a series with one change or none has an extremum or a plateau; and with none, whether it changes."""
    x = np.log1p(steps)
    bounded, moved, fastest = [], [], []
    for _ in range(worlds):
        one = curve(make(random, x) + drift(random, len(x), size=size, keep=keep), steps, random)
        bounded.append(bool(events.boundaries(one)))
        moved.append(events.changes([one]))
        fastest.append(bool(events.fastest(one)))
    if make is flat:
        return {"an extremum or a plateau": bounded, "a change": moved, "a fastest change": fastest}
    return {"an extremum or a plateau": bounded}


def flat(random: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Nothing."""
    return 0 * x


def rise(random: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """One sigmoid, at a random place."""
    return sigmoid(x, random.normal(4.2, 0.5), 1 / 3)


PLANTED = {
    "crossing": (lambda x: sigmoid(x, 4.37), 4.37, half_way, SIXTY, 0.03, simulated.normal, np.nan),
    "crossing, steep, few steps": (
        lambda x: sigmoid(x, 4.37, 0.1), 4.37, half_way, OCTAVES, 0.05, simulated.normal, np.nan,
    ),
    "crossing, slow, noisy": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, half_way, SIXTY, 0.1, simulated.normal, np.nan),
    "crossing, error understated": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, half_way, SIXTY, 0.1, simulated.normal, 0.02),
    "crossing, heavy tails": (lambda x: sigmoid(x, 4.37), 4.37, half_way, SIXTY, 0.06, simulated.heavy, np.nan),
    "crossing, autocorrelated noise": (
        lambda x: sigmoid(x, 4.37), 4.37, half_way, SIXTY, 0.05,
        lambda random, count: drift(random, count, size=1.0), np.nan,
    ),
    "fastest": (lambda x: sigmoid(x, 4.37), 4.37, steepest, SIXTY, 0.05, simulated.normal, np.nan),
    "fastest, uneven steps": (lambda x: sigmoid(x, 3.1, 0.6), 3.1, steepest, SIXTY, 0.05, simulated.normal, np.nan),
    "maximum": (hill, TOP, nearest("extremum", TOP), OCTAVES, 0.05, simulated.normal, np.nan),
    "maximum, heavy tails": (hill, TOP, nearest("extremum", TOP), SIXTY, 0.05, simulated.heavy, np.nan),
    "plateau": (two_steps, 4.6, nearest("plateau", 4.6), SIXTY, 0.04, simulated.normal, np.nan),
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
ANYWHERE = "an extremum or a plateau"
FAULTS = {
    **dict.fromkeys((420, 421), ("half-way up of the mean run",)),
    554: (ANYWHERE,),
    557: (ANYWHERE, "a change", "a fastest change"),
}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    *(
        Case(number, OVER_SEEDS, f"onsets of a population, {seeds} seeds", means, {"seeds": seeds},
             {"half-way up of the mean run": COVERS_90, "median of when runs settle": COVERS_90}, 0.5)
        for number, seeds in enumerate(SEEDS, start=420)
    ),
    Case(430, OVER_SEEDS, "four children of one run", children, {}, {"settles": COVERS_90}, 0.5),
    *(
        Case(number, "Planted events: recall, and coverage of the 90 % interval", name, planted,
             dict(zip(("make", "true", "find", "steps", "size", "noise", "error"), one, strict=True)),
             {"found": RECALL, "90 % interval": COVERS_90}, 0.125)
        for number, (name, one) in enumerate(PLANTED.items(), start=500)
    ),
    *(
        Case(number, "False events, on series with one change or none", name, false_events,
             {"make": make, "steps": steps, "size": size, "keep": keep},
             {ANYWHERE: RARE, "a change": RARE, "a fastest change": RARE}, 0.125)
        for number, (name, (make, steps, size, keep)) in enumerate(FALSE.items(), start=550)
    ),
], FAULTS)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Write the table."""
    table.main("Events and stages", "stages", CASES, long=800, short=48, words=words)


if __name__ == "__main__":
    main()
