"""Is connectivity associated with behaviour? Tests whose unit is the seed.

Everything trends in training, so within one run anything correlates with anything: correlations over checkpoints,
circular shifts and differences reject true null hypotheses most of the time and are not offered. What is tested is

- the *seed* hypothesis: a seed whose connectivity is early has its behaviour early. Under the null hypothesis the
  behaviours of the seeds are exchangeable, so the statistic in all orders of the seeds is its exact distribution,
  whatever the seeds' connectivities share. A test that the timing of the loss alone can explain exists in a form that
  holds the loss fixed, or is described without a p value;
- the *population* hypothesis: one comes first on average. Weak, since any two things that happen early fall together.
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
LEAST_RELIABLE = 0.05
"""Least share of the variance of dates over the seeds that is taken for their own, and not for errors of dating."""
MOST_LEAK = 0.3
"""Partial correlation that errors of the loss may leave where an interval is shown."""
CURVED = 12
"""Seeds from which on what the loss explains may have a third bend."""
ROUNDED = 12
"""Decimals of an affinity; what differs by less is a tie."""
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
        low: Lower end of the 95 % interval over seeds; nan where there are too few of them for one.
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


def ranks(at: Float[np.ndarray, "seeds ..."]) -> Float[np.ndarray, "seeds ..."]:
    """Ranks over the seeds in each draw, with mean 0 and norm 1; ties share theirs, and what never happens is last."""
    ranked = stats.rankdata(at, axis=0)
    return _unit(ranked - ranked.mean(axis=0))


def onset(connectivity: Times, behaviour: Times, orders: Int[np.ndarray, "orders seeds"]) -> Association:
    """Rank correlation of two onsets over the seeds (Spearman's rho), the mean over draws of both.

    The statistic is the mean itself, so the uncertainty of timing weakens the test as it should. One-sided: early
    with early.

    Args:
        connectivity: Onsets on the axis of training; infinity where it never happens.
        behaviour: The same of the other series.
        orders: From :func:`landscape.stages.association.permutations.orders`.
    """
    affinity = ranks(connectivity) @ ranks(behaviour).T / connectivity.shape[1]
    statistics = np.clip(swapped(affinity, orders), -1, 1)  # rounding
    interval = intervals.of_rank_correlation(float(statistics[0]), len(affinity))
    return over_orders("onset", float(statistics[0]), interval, statistics, len(affinity))


def onset_given(
    connectivity: Times,
    behaviour: Times,
    given: Float[np.ndarray, "seeds others"],
    orders: Int[np.ndarray, "orders seeds"],
) -> Association:
    """Partial correlation of two onsets with a third held fixed.

    Connectivity's onset is regressed on a parabola in the third (a cubic from twelve seeds on), its residuals are
    permuted (Freedman and Lane 1983), and each time regressed again, which keeps the level with few seeds. On the dates
    and not their ranks, which leave some of a shared cause; and a straight line leaves what is curved of it.

    The third is dated with an error. A cause that is measured with reliability R, the share of its variance that is
    its own, leaves ``r_cg r_bg (1 - R) / R / sqrt((1 - r_cg^2) (1 - r_bg^2))`` of partial correlation between two
    series that it alone connects. So much is added to the statistic of every other order; the effect is less by it,
    on Fisher's scale. Without it the test rejected a true null hypothesis in 18 to 49 % of simulated worlds.

    Args:
        connectivity: Onsets, finite.
        behaviour: The same of the other series.
        given: The same of what is held fixed; its draws say how well it is dated.
        orders: As for :func:`onset`.
    """
    c, b = (_unit(at.mean(axis=1) - at.mean()) for at in (connectivity, behaviour))
    basis = explained_by(given.mean(axis=1))
    with_c, with_b = basis @ (basis.T @ c), basis @ (basis.T @ b)
    moved = _unit(c - with_c)[orders]
    moved = _unit(moved - (moved @ basis) @ basis.T, axis=1)
    statistics = moved @ _unit(b - with_b)
    leak = _leak(with_c, with_b, given)
    effect = float(np.tanh(_z(statistics[0]) - _z(leak)))
    statistics[1:] = np.minimum(statistics[1:] + leak, 1)
    held = basis.shape[1] - 1
    interval = intervals.of_partial_correlation(effect, len(c), held) if leak < MOST_LEAK else intervals.UNKNOWN
    return over_orders("onset given loss", effect, interval, statistics, len(c))


def explained_by(cause: Float[np.ndarray, " seeds"]) -> Float[np.ndarray, "seeds terms"]:
    """An orthonormal basis of what a cause may explain: a parabola in it, or a cubic from twelve seeds on."""
    spread = max(float(cause.std()), 1e-300)
    return np.asarray(np.linalg.qr(np.vander((cause - cause.mean()) / spread, 3 if len(cause) < CURVED else 4))[0])


def trajectory(affinity: Square) -> Association:
    """Chance that a seed's curve goes better with its own other curve than with that of another seed; 1/2 is none.

    Over pairs of different seeds, in both directions, of the affinities without the means of their rows and columns: a
    curve that goes well with all others, as an early one does where all behaviours are early, is no match. A
    description without a p value: the timing of the loss alone lets the curves of a seed go together, and no way to
    hold it fixed for whole curves kept its level.

    Args:
        affinity: From :func:`likeness`.
    """

    def chance(kept: Int[np.ndarray, " kept"]) -> float:
        among = affinity[np.ix_(kept, kept)]
        among = among - among.mean(axis=0) - among.mean(axis=1, keepdims=True)
        own = np.diag(among)
        better = sum(np.sign((side - among).round(ROUNDED)) / 2 + 0.5 for side in (own[:, None], own[None])) / 2
        return float((better.sum() - np.trace(better)) / (len(kept) * (len(kept) - 1)))

    return described("trajectory", chance, len(affinity))


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


def precursor(counts: Square, events: Int[np.ndarray, " seeds"]) -> Association:
    """Share of the events of behaviour just after one of connectivity of the same seed, less that of other seeds.

    A description without a p value, for the same reason as :func:`trajectory`.

    Args:
        counts: From :func:`coincidences`.
        events: Of behaviour, in each seed.
    """

    def more(kept: Int[np.ndarray, " kept"]) -> float:
        among, total = counts[np.ix_(kept, kept)], max(int(events[kept].sum()), 1)
        own = float(np.trace(among))
        return own / total - (float(among.sum()) - own) / (total * (len(kept) - 1))

    return described("precursor", more, len(counts))


def described(test: str, statistic: Callable[[Int[np.ndarray, " kept"]], float], seeds: int) -> Association:
    """A statistic of the seeds without a p value."""
    interval = intervals.jackknife(statistic, seeds, intervals.LEAST_DESCRIBED)
    return Association(test, SEED, statistic(np.arange(seeds)), *interval, np.nan, np.nan)


def over_orders(
    test: str, effect: float, interval: Interval, statistics: Float[np.ndarray, " arrangements"], seeds: int
) -> Association:
    """A test over orders of the seeds."""
    exact = seeds <= permutations.EXACT
    p, p_floor = permutations.p_value(statistics), permutations.floor(statistics, exact)
    return Association(test, SEED, effect, *interval, p, p_floor, statistics)


def _leak(with_c: Float[np.ndarray, " seeds"], with_b: Float[np.ndarray, " seeds"], given: Times) -> float:
    """Partial correlation that errors of a cause leave between two series, given what it explains of each."""
    error = float(given.var(axis=1, ddof=1).mean()) if given.shape[1] > 1 else 0.0
    reliable = max(1 - error / max(float(given.mean(axis=1).var(ddof=1)), 1e-300), LEAST_RELIABLE)
    apart = np.sqrt(max((1 - with_c @ with_c) * (1 - with_b @ with_b), 1e-12))
    return float(np.clip((with_c @ with_b) * (1 - reliable) / reliable / apart, 0, 1))


def _z(correlation: float) -> float:
    return float(np.arctanh(np.clip(correlation, -intervals.NEAREST_ONE, intervals.NEAREST_ONE)))


def _centred(values: Float[np.ndarray, "*rows steps"]) -> Float[np.ndarray, "*rows steps"]:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def _unit(values: Float[np.ndarray, "*shape"], axis: int = 0) -> Float[np.ndarray, "*shape"]:
    norm = np.sqrt((values**2).sum(axis=axis, keepdims=True))
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values, dtype=float), where=norm > 1e-9))
