"""The population hypothesis: where events fall in training on average. Weak evidence, and always named so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape.stages import permutations
from landscape.stages.association import POPULATION, Association, Times, interval

MARKS = 999
"""Placements that coincidences are compared with."""


def lead(
    connectivity: Times,
    behaviour: Times,
    *,
    shared: bool,
    count: int,
    random: np.random.Generator,
) -> Association:
    """Which comes first: mean over the seeds of behaviour's onset less connectivity's, on the axis of training.

    Two-sided by flipping the signs of the seeds' differences, which is exact where these are symmetric about zero and
    independent; p is at least ``2 / 2^n``. Positive: behaviour later. The interval resamples seeds, and a draw within.

    Args:
        connectivity: Onsets on the axis of training, finite: what happens outside of training is dated at its ends,
            and the effect is then a bound.
        behaviour: The same.
        shared: Whether connectivity is that to the other seeds. A mean over pairs varies twice as much as its seeds
            show (Hoeffding's projection), so their deviations are doubled; as they are, they reject a true null
            hypothesis in 11 to 16 % of simulated worlds.
        count: Sampled signs, if there are too many seeds for all.
        random: For signs and interval.
    """
    if shared:
        connectivity = connectivity + (connectivity - connectivity.mean(axis=0))
    difference = behaviour - connectivity
    own = np.median(difference, axis=1)
    seeds, draws = difference.shape
    statistics = np.abs(permutations.signs(seeds, count, random) @ own) / seeds
    chosen = random.integers(seeds, size=(seeds, draws))
    means = np.take_along_axis(difference, chosen, axis=0).mean(axis=0)
    exact = seeds <= permutations.EXACT_SIGNS
    p_floor = 2 / 2**seeds if exact else 1 / len(statistics)
    return Association(
        "lead", POPULATION, float(own.mean()), *interval(means), permutations.p_value(statistics), p_floor,
    )  # fmt: skip


def precursor(
    connectivity: Sequence[np.ndarray],
    behaviour: Sequence[np.ndarray],
    *,
    window: float,
    spacing: float,
    ends: tuple[float, float],
    random: np.random.Generator,
) -> Association:
    """Share of the events of behaviour with one of connectivity just before, against schedules placed anywhere.

    The null hypothesis moves all events of behaviour by one offset, evenly over training and around its end, for
    seeds share a schedule: placing them one by one would take a common schedule for coincidence. So the schedule is
    one observation however many seeds there are, and p is near the share of training that the windows cover.

    Args:
        connectivity: For each seed the dates of its events on the axis of training, ``[events]``.
        behaviour: The same.
        window: As for :func:`landscape.stages.association.coincidences`.
        spacing: The same.
        ends: First and last place on that axis.
        random: For offsets and interval.
    """
    first, length = ends[0], ends[1] - ends[0]
    events = np.array([len(dates) for dates in behaviour])
    offsets = np.concatenate([[0.0], random.uniform(0, length, MARKS)])
    own = np.zeros((len(behaviour), len(offsets)))
    for n, (before, after) in enumerate(zip(connectivity, behaviour, strict=True)):
        if len(before) and len(after):
            placed = np.where(offsets == 0, after[:, None], first + (after[:, None] + offsets - first) % length)
            late = placed[:, None] - before[None, :, None]
            own[n] = ((late >= -spacing) & (late <= window)).any(axis=1).sum(axis=0)
    statistics = own.sum(axis=0) / events.sum()
    drawn = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=1000)
    total = drawn @ events
    again = np.divide(drawn @ own[:, 0], total, out=np.full(len(drawn), np.nan), where=total > 0)
    return Association(
        "precursor", POPULATION, float(statistics[0]), *interval(again), permutations.p_value(statistics),
        permutations.floor(statistics, exact=False),
    )  # fmt: skip
