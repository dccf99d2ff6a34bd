"""Does connectivity go with behaviour? Tests whose unit is the seed.

Everything trends in training, so within one run anything correlates with anything: correlations over checkpoints,
circular shifts and differences reject true null hypotheses most of the time and are not offered. What is tested is

- the *seed* hypothesis: a seed whose connectivity is early has its behaviour early. An affinity ``A[i, j]`` says how
  well the connectivity of seed i goes with the behaviour of seed j; the statistic is the sum over a seed's own pairs
  ``A[i, i]``, and under the null hypothesis the behaviours of the seeds are exchangeable, so the sums ``A[i,
  order(i)]`` are its exact distribution, whatever the seeds' connectivities share;
- the *population* hypothesis: the events fall together in training on average. Weak, since any two things that happen
  early do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int
from landscape.stages import permutations

SEED, POPULATION = "seed", "population"
COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
LEAST = 3
"""Seeds that a resample needs to say anything."""
FEW = 20
"""Draws that a partial correlation is averaged over, in each order of the seeds."""
Times = Float[np.ndarray, "seeds draws"]
Square = Float[np.ndarray, "seeds seeds"]
Squares = Float[np.ndarray, "*worlds seeds seeds"]


@dataclass(frozen=True)
class Association:
    """What one test found.

    Attributes:
        test: Which test.
        hypothesis: ``seed`` or ``population``.
        effect: Its effect, by the docstring of the test.
        low: Lower end of the 95 % interval over seeds, and over the uncertainty of timing where there is one.
        high: Upper end of it.
        p: P value; nan for what is described only.
        p_floor: The smallest that the design could have given.
        statistics: Of all arrangements, the one seen first; for the family-wise p value.
    """

    test: str
    hypothesis: str
    effect: float
    low: float
    high: float
    p: float
    p_floor: float
    statistics: Float[np.ndarray, " arrangements"] | None = None


def swapped(affinity: Squares, orders: Int[np.ndarray, "orders seeds"]) -> Float[np.ndarray, "*worlds orders"]:
    """Sum of the affinities of each seed's connectivity with the behaviour that an order gives it."""
    total = np.zeros((*affinity.shape[:-2], len(orders)))
    for seed in range(orders.shape[1]):
        total += affinity[..., seed, orders[:, seed]]
    return total


def ranks(at: Times) -> Times:
    """Ranks over the seeds in each draw, with mean 0 and norm 1; ties share theirs, and what never happens is last."""
    ranked = stats.rankdata(at, axis=0)
    return _unit(ranked - ranked.mean(axis=0))


def onset(
    connectivity: Times, behaviour: Times, orders: Int[np.ndarray, "orders seeds"], random: np.random.Generator
) -> Association:
    """Rank correlation of two onsets over the seeds (Spearman's rho), the mean over draws of both.

    The statistic is the mean itself, so the uncertainty of timing weakens the test as it should. One-sided: early
    with early. The interval resamples seeds, and a draw within.

    Args:
        connectivity: Onsets on the axis of training; infinity where it never happens.
        behaviour: The same of the other series.
        orders: From :func:`landscape.stages.permutations.orders`.
        random: For the interval.
    """
    affinity = ranks(connectivity) @ ranks(behaviour).T / connectivity.shape[1]
    statistics = swapped(affinity, orders)
    chosen = random.integers(len(affinity), size=connectivity.shape)
    c, b = (ranks(np.take_along_axis(at, chosen, axis=0)) for at in (connectivity, behaviour))
    return correlated("onset", enough(_correlations(c, b), distinct(chosen), len(affinity)), statistics, len(affinity))


def onset_given(
    connectivity: Times,
    behaviour: Times,
    given: Times,
    orders: Int[np.ndarray, "orders seeds"],
    random: np.random.Generator,
) -> Association:
    """Partial correlation of two onsets with a third held fixed, the mean over draws of all three.

    Connectivity's onset is rid of the third by regression, its residuals are permuted (Freedman and Lane 1983), and
    each time rid of it again, which keeps the level with few seeds. On the dates and not their ranks: what is left of
    a shared cause after a regression on ranks rejected a true null hypothesis in 13 to 48 % of simulated worlds.

    Args:
        connectivity: Onsets, finite.
        behaviour: The same of the other series.
        given: The same of what is held fixed.
        orders: As for :func:`onset`.
        random: For the interval, which resamples seeds and a draw within.
    """
    few = min(FEW, connectivity.shape[1])
    c, b, fixed = (_unit((at - at.mean(axis=0))[:, :few]) for at in (connectivity, behaviour, given))
    c, b = _without(c, fixed), _without(b, fixed)
    statistics = np.zeros(len(orders))
    for draw in range(few):
        moved = _without(c[:, draw][orders].T, np.repeat(fixed[:, [draw]], len(orders), axis=1))
        statistics += b[:, draw] @ moved / few
    chosen = random.integers(len(given), size=given.shape)
    again = [np.take_along_axis(at, chosen, axis=0) for at in (connectivity, behaviour, given)]
    c, b, fixed = (_unit(at - at.mean(axis=0)) for at in again)
    # Of three seeds what is left of two of them goes together perfectly, whatever they are.
    resampled = _correlations(_without(c, fixed), _without(b, fixed))
    resampled = enough(resampled, distinct(chosen), len(given), LEAST + 1)
    return correlated("onset given loss", resampled, statistics, len(given))


def trajectory(affinity: Square, orders: Int[np.ndarray, "orders seeds"], random: np.random.Generator) -> Association:
    """Whole-trajectory coupling: how much better a seed's two series go together than those of different seeds.

    ``mean_i A[i, i]`` less the mean over ``A[i, j]`` with i and j different; the null distribution swaps seeds (the
    trial-swap permutation test, valid for trends that all seeds share).

    Args:
        affinity: From :func:`likeness`.
        orders: As for :func:`onset`.
        random: For the interval.
    """
    seeds = len(affinity)
    statistics = swapped(affinity, orders) / seeds
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=1000).astype(float)
    own = weights @ np.diag(affinity) / seeds
    off = affinity - np.diag(np.diag(affinity))
    pairs = seeds**2 - (weights**2).sum(axis=1)
    among = np.divide(np.einsum("ri,ij,rj->r", weights, off, weights), pairs, out=np.full(len(pairs), np.nan),
                      where=pairs > 0)  # fmt: skip
    effect = float(np.trace(affinity) / seeds - off.sum() / (seeds**2 - seeds))
    resampled = enough(own - among, (weights > 0).sum(axis=1), seeds)
    return over_orders("trajectory", effect, resampled, statistics, seeds)


def match(affinity: Square, orders: Int[np.ndarray, "orders seeds"]) -> Association:
    """Permute-match: does every seed's behaviour go best with its own connectivity?

    For fixed connectivities and independent seeds, behaviours choose their best partners independently and alike,
    with chances ``q``; all choose their own with ``prod q_i <= 1 / n^n``, the product being largest where all are
    equal. So a perfect match has ``p = 1 / n^n``, below ``1 / n!``; otherwise p is that of the swaps, and both
    together are valid, since a perfect match has the largest sum of all orders (after Yuan and Shou 2023, bioRxiv
    2023.03.13.531689). The effect is the share of seeds that match.

    Args:
        affinity: From :func:`likeness`.
        orders: As for :func:`onset`.
    """
    seeds = len(affinity)
    best = affinity.max(axis=0)
    alone = (affinity >= best).sum(axis=0) == 1
    matched = (np.diag(affinity) >= best) & alone
    statistics = swapped(affinity, orders)
    p = float(seeds) ** -seeds if matched.all() else permutations.p_value(statistics)
    low, high = stats.binomtest(int(matched.sum()), seeds).proportion_ci(COVERAGE, method="wilson")
    return Association("match", SEED, float(matched.mean()), float(low), float(high), p, float(seeds) ** -seeds)


def likeness(x: Float[np.ndarray, "*worlds seeds steps"], y: Float[np.ndarray, "*worlds seeds steps"]) -> Squares:
    """Correlation over the steps of each seed's x with each seed's y, by the sign of that of the means over seeds.

    The sign is the same for all orders of the seeds, so it is no choice that the test would have to pay for.
    Pearson's, for ranks magnify the noise of the stretches where nothing happens: Spearman's found 5 to 13 % of
    simulated couplings of five seeds where Pearson's found 73 to 86 %.
    """
    a, b = (_unit(_centred(values), axis=-1) for values in (x, y))
    means = [_centred(values.mean(axis=-2)) for values in (x, y)]
    sign = np.where((means[0] * means[1]).sum(axis=-1) < 0, -1.0, 1.0)
    return np.asarray(sign[..., None, None] * (a @ b.mT))


def coincidences(
    connectivity: Sequence[np.ndarray], behaviour: Sequence[np.ndarray], window: float, spacing: float
) -> Square:
    """How many events of behaviour have one of connectivity within a window before them, or less than a spacing after.

    Args:
        connectivity: For each seed the dates of its events on the axis of training, ``[events, draws]``.
        behaviour: The same.
        window: On that axis.
        spacing: That of the checkpoints, which dates cannot tell apart.

    Returns:
        ``C[i, j]``: events of behaviour in seed j that have one of connectivity in seed i, expected over the draws.
    """
    out = np.zeros((len(connectivity), len(behaviour)))
    for i, before in enumerate(connectivity):
        for j, after in enumerate(behaviour):
            if len(before) and len(after):
                late = after[:, None] - before[None]
                out[i, j] = ((late >= -spacing) & (late <= window)).any(axis=1).mean(axis=1).sum()
    return out


def precursor(
    counts: Square,
    events: Int[np.ndarray, " seeds"],
    orders: Int[np.ndarray, "orders seeds"],
    random: np.random.Generator,
) -> Association:
    """Share of the events of behaviour with an event of connectivity just before, against seeds swapped as wholes.

    Args:
        counts: From :func:`coincidences`.
        events: Of behaviour, in each seed.
        orders: As for :func:`onset`.
        random: For the interval.
    """
    statistics = swapped(counts, orders) / events.sum()
    seeds = len(counts)
    drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=1000)
    total = drawn @ events
    own = np.divide(drawn @ np.diag(counts), total, out=np.full(len(drawn), np.nan), where=total > 0)
    return over_orders("precursor", float(statistics[0]), own, statistics, seeds)


def interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """95 % interval of resampled values; nan ones are those that say nothing."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [TAIL, 1 - TAIL]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def over_orders(
    test: str,
    effect: float,
    resampled: Float[np.ndarray, " n"],
    statistics: Float[np.ndarray, " arrangements"],
    seeds: int,
) -> Association:
    """A test over orders of the seeds."""
    exact = seeds <= permutations.EXACT
    low, high = interval(resampled)
    p, p_floor = permutations.p_value(statistics), permutations.floor(statistics, exact)
    return Association(test, SEED, effect, low, high, p, p_floor, statistics)


def correlated(
    test: str, resampled: Float[np.ndarray, " n"], statistics: Float[np.ndarray, " arrangements"], seeds: int
) -> Association:
    """The same of a correlation, which rounding takes no farther than 1."""
    return over_orders(test, float(np.clip(statistics[0], -1, 1)), np.clip(resampled, -1, 1), statistics, seeds)


def distinct(chosen: Int[np.ndarray, "seeds n"]) -> Int[np.ndarray, " n"]:
    """How many seeds are in each resample."""
    return np.asarray(1 + (np.diff(np.sort(chosen, axis=0), axis=0) > 0).sum(axis=0))


def enough(
    resampled: Float[np.ndarray, " n"], kept: Int[np.ndarray, " n"], seeds: int, least: int = LEAST
) -> Float[np.ndarray, " n"]:
    """Resamples with nan for those that kept too few different seeds to say anything.

    All of them are nan where there are no more seeds than that, since only the seeds themselves would be left.
    """
    return np.where((kept >= least) & (seeds > least), resampled, np.nan)


def _correlations(a: Float[np.ndarray, "seeds n"], b: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, " n"]:
    """Of columns of norm 1; nan where one of them varies not at all."""
    vary = (a != 0).any(axis=0) & (b != 0).any(axis=0)
    return np.where(vary, (a * b).sum(axis=0), np.nan)


def _without(values: Float[np.ndarray, "seeds n"], fixed: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, "seeds n"]:
    """Columns of norm 1 with what goes with those of another table taken out, of norm 1 again."""
    return _unit(values - fixed * (values * fixed).sum(axis=0))


def _centred(values: Float[np.ndarray, "*rows steps"]) -> Float[np.ndarray, "*rows steps"]:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def _unit(values: Float[np.ndarray, "*shape"], axis: int = 0) -> Float[np.ndarray, "*shape"]:
    norm = np.sqrt((values**2).sum(axis=axis, keepdims=True))
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values, dtype=float), where=norm > 1e-9))
