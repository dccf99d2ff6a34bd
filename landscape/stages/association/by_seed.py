"""Is connectivity associated with behaviour? Tests whose unit is the seed.

All series have trends over training, so any two series of one run are correlated. Correlations over checkpoints,
circular shifts and differences reject true null hypotheses most of the time, and are not offered. There are two
hypotheses:

- The *seed* hypothesis: seeds whose connectivity changes early change their behaviour early. Under the null hypothesis
  the behaviours of the seeds are exchangeable. The statistics under all permutations of the seeds are then its exact
  distribution, even if connectivities depend on each other. The timing of the loss may explain an association, so each
  test has a version that holds the loss fixed, or else is a description without a p value.
- The *population* hypothesis: one of the two comes first on average. It is weak evidence, since all early events
  coincide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int
from landscape.stages.association import intervals, permutations
from landscape.stages.association.intervals import Interval

SEED, POPULATION = "seed", "population"
MIN_RELIABILITY = 0.05
"""Lower bound of the reliability of dates: the share of their variance over seeds that is not error of dating."""
MAX_LEAK = 0.3
"""Largest partial correlation from errors of the loss at which an interval is shown."""
CUBIC_SEEDS = 12
"""Seeds from which on the effect of the loss is a cubic, and not a parabola."""
TIE_DECIMALS = 12
"""Decimals of an affinity; smaller differences are ties."""
Dates = Float[np.ndarray, "seeds draws"]
Square = Float[np.ndarray, "seeds seeds"]
Squares = Float[np.ndarray, "*worlds seeds seeds"]


@dataclass(frozen=True)
class Association:
    """The result of one test.

    Attributes:
        test: Name of the test.
        hypothesis: ``seed`` or ``population``.
        effect: Effect; the docstring of the test says which, and in what unit.
        low: Lower end of the 95 % interval over seeds; nan if there are too few seeds.
        high: Upper end of it.
        p: P value; nan for a description.
        p_floor: Smallest p value that the design allows.
        statistics: Statistics of all arrangements, the observed one first; for the family-wise p value.
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
    """Sum, in its units, of the affinity of each seed's connectivity and the behaviour that a permutation gives it."""
    total = np.zeros((*affinity.shape[:-2], len(orders)))
    for seed in range(orders.shape[1]):
        total += affinity[..., seed, orders[:, seed]]
    return total


def ranks(at: Float[np.ndarray, "seeds ..."]) -> Float[np.ndarray, "seeds ..."]:
    """Ranks over the seeds in each draw, with mean 0 and norm 1; ties share a rank, and infinite dates are last."""
    ranked = stats.rankdata(at, axis=0)
    return _unit(ranked - ranked.mean(axis=0))


def onset(connectivity: Dates, behaviour: Dates, orders: Int[np.ndarray, "orders seeds"]) -> Association:
    """Rank correlation of two onsets over the seeds (Spearman's rho), the mean over draws of both.

    The statistic is this mean, so uncertain dates weaken the test as they should. One-sided: a positive correlation.

    Args:
        connectivity: Onsets on the axis of training; infinity where it never happens.
        behaviour: The same for the other series.
        orders: Permutations, from :func:`landscape.stages.association.permutations.orders`.

    Returns:
        The test; its effect is in [-1, 1].
    """
    affinity = ranks(connectivity) @ ranks(behaviour).T / connectivity.shape[1]
    statistics = np.clip(swapped(affinity, orders), -1, 1)  # rounding
    interval = intervals.of_rank_correlation(float(statistics[0]), len(affinity))
    return over_orders("onset", float(statistics[0]), interval, statistics, len(affinity))


def onset_given(
    connectivity: Dates,
    behaviour: Dates,
    fixed: Float[np.ndarray, "seeds others"],
    orders: Int[np.ndarray, "orders seeds"],
) -> Association:
    """Partial correlation of two onsets, with the onset of the loss held fixed.

    The onset of connectivity is regressed on a parabola in the onset of the loss (a cubic from twelve seeds on). Its
    residuals are permuted (Freedman and Lane 1983) and regressed again each time, which keeps the level with few seeds.
    The regression is on dates: ranks would leave a part of a common cause, and a straight line its curvature.

    The onset of the loss has an error. A common cause that is measured with reliability R (the share of its variance
    that is not error) leaves a partial correlation of ``r_cg r_bg (1 - R) / R / sqrt((1 - r_cg^2) (1 - r_bg^2))``
    between two series that are otherwise independent. This leak is added to the statistics of all other permutations
    and subtracted from the effect on Fisher's scale. Without it the test rejected true null hypotheses in 18 to 49 % of
    simulated worlds.

    Args:
        connectivity: Onsets on the axis of training, finite.
        behaviour: The same for the other series.
        fixed: The same for the loss; its draws give the error of its dates.
        orders: As for :func:`onset`.

    Returns:
        The test; its effect is in [-1, 1].
    """
    c, b = (_unit(at.mean(axis=1) - at.mean()) for at in (connectivity, behaviour))
    basis = explained_by(fixed.mean(axis=1))
    with_c, with_b = basis @ (basis.T @ c), basis @ (basis.T @ b)
    moved = _unit(c - with_c)[orders]
    moved = _unit(moved - (moved @ basis) @ basis.T, axis=1)
    statistics = moved @ _unit(b - with_b)
    leak = _leak(with_c, with_b, fixed)
    effect = float(np.tanh(_z(statistics[0]) - _z(leak)))
    statistics[1:] = np.minimum(statistics[1:] + leak, 1)
    held = basis.shape[1] - 1
    interval = intervals.of_partial_correlation(effect, len(c), held) if leak < MAX_LEAK else intervals.UNKNOWN
    return over_orders("onset given loss", effect, interval, statistics, len(c))


def explained_by(cause: Float[np.ndarray, " seeds"]) -> Float[np.ndarray, "seeds terms"]:
    """Orthonormal basis of the functions of a cause: a parabola, or a cubic from twelve seeds on; no unit."""
    spread = max(float(cause.std()), 1e-300)
    return np.asarray(np.linalg.qr(np.vander((cause - cause.mean()) / spread, 3 if len(cause) < CUBIC_SEEDS else 4))[0])


def trajectory(affinity: Square) -> Association:
    """Probability that two curves of one seed are more similar than curves of different seeds; 1/2 is no association.

    It averages over pairs of different seeds, in both directions. The means of rows and columns are subtracted from the
    affinities first: a curve that is similar to all others, such as an early one where all behaviours are early, does
    not count as similar to its own. It is a description without a p value: the timing of the loss alone makes the
    curves of a seed similar, and no test that holds it fixed for whole curves kept its level.

    Args:
        affinity: From :func:`likeness`.

    Returns:
        The description; its effect is in [0, 1].
    """

    def chance(kept: Int[np.ndarray, " kept"]) -> float:
        among = affinity[np.ix_(kept, kept)]
        among = among - among.mean(axis=0) - among.mean(axis=1, keepdims=True)
        own = np.diag(among)
        better = sum(np.sign((side - among).round(TIE_DECIMALS)) / 2 + 0.5 for side in (own[:, None], own[None])) / 2
        return float((better.sum() - np.trace(better)) / (len(kept) * (len(kept) - 1)))

    return described("trajectory", chance, len(affinity))


def likeness(x: Float[np.ndarray, "*worlds seeds steps"], y: Float[np.ndarray, "*worlds seeds steps"]) -> Squares:
    """Correlation over steps of the x of each seed with the y of each seed, times the sign of that of their means.

    The sign is the same for all permutations of the seeds, so the test does not have to correct for it. The correlation
    is Pearson's. Ranks magnify the noise of flat intervals: Spearman's correlation found 5 to 13 % of simulated
    couplings of five seeds, and Pearson's 73 to 86 %.
    """
    a, b = (_unit(_centred(values), axis=-1) for values in (x, y))
    means = [_centred(values.mean(axis=-2)) for values in (x, y)]
    sign = np.where((means[0] * means[1]).sum(axis=-1) < 0, -1.0, 1.0)
    return np.asarray(sign[..., None, None] * (a @ b.mT))


def coincidences(
    connectivity: Sequence[np.ndarray], behaviour: Sequence[np.ndarray], window: float, spacing: float
) -> Square:
    """Number of events of behaviour that have an event of connectivity within a window before them.

    Args:
        connectivity: For each seed the dates of its events on the axis of training, ``[events, draws]``.
        behaviour: The same.
        window: Length of the window on this axis.
        spacing: Spacing of the checkpoints on this axis; an event of connectivity may also follow by less than this.

    Returns:
        ``C[i, j]``: expected number over draws, of events of behaviour in seed j with one of connectivity in seed i.
    """
    out = np.zeros((len(connectivity), len(behaviour)))
    for i, before in enumerate(connectivity):
        for j, after in enumerate(behaviour):
            if len(before) and len(after):
                late = after[:, None] - before[None]
                out[i, j] = ((late >= -spacing) & (late <= window)).any(axis=1).mean(axis=1).sum()
    return out


def precursor(counts: Square, events: Int[np.ndarray, " seeds"]) -> Association:
    """Share of events of behaviour just after one of connectivity in the same seed, minus that in other seeds.

    It is a description without a p value, for the same reason as :func:`trajectory`.

    Args:
        counts: From :func:`coincidences`.
        events: Number of events of behaviour in each seed.

    Returns:
        The description; its effect is in [-1, 1].
    """

    def more(kept: Int[np.ndarray, " kept"]) -> float:
        among, total = counts[np.ix_(kept, kept)], max(int(events[kept].sum()), 1)
        own = float(np.trace(among))
        return own / total - (float(among.sum()) - own) / (total * (len(kept) - 1))

    return described("precursor", more, len(counts))


def described(test: str, statistic: Callable[[Int[np.ndarray, " kept"]], float], seeds: int) -> Association:
    """A statistic of the seeds as a description without a p value.

    Args:
        test: Name of the description.
        statistic: Function of the indices of the seeds that are kept.
        seeds: Number of seeds.
    """
    interval = intervals.jackknife(statistic, seeds, intervals.MIN_SEEDS_PAIRED)
    return Association(test, SEED, statistic(np.arange(seeds)), *interval, np.nan, np.nan)


def over_orders(
    test: str, effect: float, interval: Interval, statistics: Float[np.ndarray, " arrangements"], seeds: int
) -> Association:
    """A test by permutations of the seeds.

    Args:
        test: Name of the test.
        effect: Its effect.
        interval: 95 % interval of the effect.
        statistics: Statistics of all permutations, the observed one first.
        seeds: Number of seeds.
    """
    exact = seeds <= permutations.EXACT
    p, p_floor = permutations.p_value(statistics), permutations.floor(statistics, exact)
    return Association(test, SEED, effect, *interval, p, p_floor, statistics)


def _leak(with_c: Float[np.ndarray, " seeds"], with_b: Float[np.ndarray, " seeds"], fixed: Dates) -> float:
    """Partial correlation that errors of a cause leave between two series, from what it explains of each."""
    error = float(fixed.var(axis=1, ddof=1).mean()) if fixed.shape[1] > 1 else 0.0
    reliability = max(1 - error / max(float(fixed.mean(axis=1).var(ddof=1)), 1e-300), MIN_RELIABILITY)
    unexplained = np.sqrt(max((1 - with_c @ with_c) * (1 - with_b @ with_b), 1e-12))
    return float(np.clip((with_c @ with_b) * (1 - reliability) / reliability / unexplained, 0, 1))


def _z(correlation: float) -> float:
    return float(np.arctanh(np.clip(correlation, -intervals.NEAREST_ONE, intervals.NEAREST_ONE)))


def _centred(values: Float[np.ndarray, "*rows steps"]) -> Float[np.ndarray, "*rows steps"]:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def _unit(values: Float[np.ndarray, "*shape"], axis: int = 0) -> Float[np.ndarray, "*shape"]:
    norm = np.sqrt((values**2).sum(axis=axis, keepdims=True))
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values, dtype=float), where=norm > 1e-9))
