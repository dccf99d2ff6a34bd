"""The population hypothesis: which of two onsets comes first on average. Weak evidence, and always named so."""

from __future__ import annotations

import numpy as np

from landscape.stages.association import intervals, permutations
from landscape.stages.association.by_seed import POPULATION, Association, Times


def lead(
    connectivity: Times,
    behaviour: Times,
    *,
    shared: bool,
    gap: float,
    count: int,
    random: np.random.Generator,
) -> Association:
    """Which comes first: mean over the seeds of behaviour's onset less connectivity's, on the axis of training.

    Two-sided by flipping the signs of the seeds' differences, which is exact where these are symmetric about zero and
    independent; p is at least ``2 / 2^n``. Positive: behaviour later. The interval is Student's t, wider
    by half a gap on either side.

    Args:
        connectivity: Onsets on the axis of training, finite: what happens outside of training is dated at its ends,
            and the effect is then a bound.
        behaviour: The same.
        shared: Whether connectivity is that to the other seeds. A mean over pairs varies twice as much as its seeds
            show (Hoeffding's projection), so their deviations are doubled; as they are, they reject a true null
            hypothesis in 11 to 16 % of simulated worlds.
        gap: Width of the gap between the checkpoints around the onsets. A mean lead within it is not resolved: where
            onsets lie between two checkpoints is the interpolation's guess, the same one in all seeds.
        count: Sampled signs, if there are too many seeds for all.
        random: For the signs.
    """
    if shared:
        connectivity = connectivity + (connectivity - connectivity.mean(axis=0))
    difference = behaviour - connectivity
    own = np.median(difference, axis=1)
    seeds = len(own)
    statistics = np.abs(permutations.signs(seeds, count, random) @ own) / seeds
    exact = seeds <= permutations.EXACT_SIGNS
    p_floor = 2 / 2**seeds if exact else 1 / len(statistics)
    effect = float(own.mean())
    if abs(effect) < gap:
        return Association("lead", POPULATION, effect, *intervals.UNKNOWN, np.nan, np.nan)
    low, high = intervals.of_mean(own)
    p = permutations.p_value(statistics)
    return Association("lead", POPULATION, effect, low - gap / 2, high + gap / 2, p, p_floor)
