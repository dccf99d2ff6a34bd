"""Are seeds that are less connected also less alike in behaviour? Matrices of pairs, permuted by seed.

Pairs share seeds. Taken as independent they reject a true null hypothesis two to three times too often; so rows and
columns of one matrix are permuted together. Steps are never pooled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int
from landscape.stages.association import intervals
from landscape.stages.association.by_seed import Association, Square, Squares, explained_by, over_orders

Scores = Float[np.ndarray, " seeds"]
Pairs = Float[np.ndarray, "*worlds pairs"]


def mantel(a: Square, b: Square, orders: Int[np.ndarray, "orders seeds"]) -> Association:
    """Spearman's correlation of two matrices over the pairs (Mantel 1967), one-sided; the interval is the jackknife's.

    Args:
        a: Symmetric, the diagonal ignored: barriers.
        b: The same: distances of behaviour.
        orders: From :func:`landscape.stages.association.permutations.orders`.
    """

    def correlation(kept: Int[np.ndarray, " kept"]) -> float:
        x, y = (_standard(stats.rankdata(_upper(one[np.ix_(kept, kept)]))) for one in (a, b))
        return float(x @ y)

    found = np.clip(statistics(a, b, orders), -1, 1)
    return over_orders("matrix", float(found[0]), _within_one(correlation, len(a)), found, len(a))


def statistics(a: Squares, b: Squares, orders: Int[np.ndarray, "orders seeds"]) -> Float[np.ndarray, "*worlds orders"]:
    """Spearman's correlation over the pairs in every order of the seeds of the second; in each of some worlds."""
    x, y = _ranked(a), _ranked(b)
    upper = np.triu_indices(x.shape[-1], 1)
    rows, columns = orders[:, upper[0]], orders[:, upper[1]]
    flat = zip(x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), strict=True)
    found = [theirs[rows, columns] @ ours[upper] for ours, theirs in flat]
    return np.stack(found).reshape(*x.shape[:-2], len(orders))


def given_loss(a: Square, score: Scores, loss: Scores, orders: Int[np.ndarray, "orders seeds"]) -> Association:
    """Partial correlation of barriers with differences of a score, the loss held fixed, one-sided.

    What the loss explains of the score is taken as a parabola (a cubic from twelve seeds on). The residuals of the
    seeds are permuted, the score is put together again and its differences taken anew (a conditional randomisation
    test; Candes et al. 2018, arXiv:1610.02351). So the null distribution keeps that two seeds of different loss differ
    in the score to the same side, whatever form the loss has in the barriers. Permuting the residuals of the pairs
    (MRQAP; Dekker et al. 2007) does not, and rejects a true null hypothesis in 17 to 26 % of worlds in which barriers
    are distances along a line. The statistic is the correlation of what a regression on the differences of the losses
    leaves of both. The loss is taken as known: its error is small beside the differences of the seeds.

    Args:
        a: As for :func:`mantel`.
        score: Of each seed.
        loss: The same.
        orders: As for :func:`mantel`.
    """
    basis = explained_by(loss)
    explained = basis @ (basis.T @ score)
    again = explained + (score - explained)[orders]

    def residuals(values: Pairs, kept: Int[np.ndarray, " kept"]) -> Pairs:
        apart = _upper(differences(loss[kept]))
        return _standard(_without(values, np.column_stack([np.ones(len(apart)), apart])))

    def correlation(kept: Int[np.ndarray, " kept"]) -> float:
        x = residuals(_upper(a[np.ix_(kept, kept)]), kept)
        return float(x @ residuals(_upper(differences(score[kept])), kept))

    every = np.arange(len(loss))
    moved = residuals(_upper(np.abs(again[:, :, None] - again[:, None])), every)
    found = np.clip(moved @ residuals(_upper(a), every), -1, 1)
    interval = _within_one(correlation, len(a), intervals.LEAST_DESCRIBED)
    return over_orders("matrix given loss", float(found[0]), interval, found, len(a))


def distances_given_loss(a: Square, b: Square, loss: Scores, count: int, random: np.random.Generator) -> Association:
    """The same with distances of behaviour, which cannot be put together from what each seed brings.

    Seeds are exchanged only with the seed next to them in the loss (local permutations; Kim et al. 2022,
    arXiv:2112.11666), of what a regression on the differences and sums of the losses and their squares leaves. Either
    half of the neighbours may be exchanged, which makes the test conservative. Few seeds have few neighbours: with
    nine or fewer nothing can be shown.

    Args:
        a: As for :func:`mantel`.
        b: The same.
        loss: Of each seed.
        count: Arrangements that are drawn.
        random: For them.
    """
    apart, together = _upper(differences(loss)), _upper(loss[:, None] + loss)
    design = np.column_stack([np.ones(len(apart)), apart, apart**2, together, together**2])
    x = _standard(_without(_upper(a), design))
    orders = _neighbours(loss, count, random)
    moved = _upper(b[orders[:, :, None], orders[:, None, :]])
    found = np.clip(_standard(_without(moved, design)) @ x, -1, 1)
    return over_orders("matrix given loss", float(found[0]), intervals.UNKNOWN, found, len(a))


def differences(values: Float[np.ndarray, " seeds"]) -> Square:
    """Absolute differences of a score between seeds."""
    return np.asarray(np.abs(values[:, None] - values[None]))


def standardised(values: Square) -> Square:
    """With mean 0 and deviation 1 over the pairs."""
    upper = np.triu_indices(len(values), 1)
    return _square(_standard(values[upper]) * np.sqrt(len(upper[0])))


def _neighbours(loss: Scores, count: int, random: np.random.Generator) -> Int[np.ndarray, "orders seeds"]:
    """Orders that exchange neighbours in the loss, those of even or those of odd places; the one seen first."""
    seeds = len(loss)
    by_loss = np.argsort(loss, kind="stable")
    orders = np.tile(np.arange(seeds), (count + 1, 1))
    first, swaps = random.integers(2, size=count), random.integers(2, size=(count, seeds // 2))
    for n, (begin, chosen) in enumerate(zip(first, swaps, strict=True), start=1):
        for k, swap in zip(range(begin, seeds - 1, 2), chosen, strict=False):
            if swap:
                i, j = by_loss[k : k + 2]
                orders[n, [i, j]] = orders[n, [j, i]]
    return orders


def _within_one(
    correlation: Callable[[Int[np.ndarray, " kept"]], float], seeds: int, least: int = intervals.LEAST
) -> intervals.Interval:
    low, high = intervals.jackknife(correlation, seeds, least)
    return float(np.clip(low, -1, 1)), float(np.clip(high, -1, 1))


def _ranked(values: Squares) -> Squares:
    return _square(_standard(stats.rankdata(_upper(values), axis=-1)))


def _upper(values: Squares) -> Pairs:
    return np.asarray(values[..., *np.triu_indices(values.shape[-1], 1)])


def _without(values: Pairs, design: Float[np.ndarray, "pairs k"]) -> Pairs:
    """What a regression on some columns leaves of the values; columns that say nothing new take no part."""
    left, sizes, _ = np.linalg.svd(design / np.maximum(np.linalg.norm(design, axis=0), 1e-300), full_matrices=False)
    basis = left[:, sizes > 1e-9 * sizes[0]]
    return np.asarray(values - (values @ basis) @ basis.T)


def _standard(values: Float[np.ndarray, "*worlds pairs"]) -> Float[np.ndarray, "*worlds pairs"]:
    centred = values - values.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9))


def _square(values: Float[np.ndarray, "*worlds pairs"]) -> Squares:
    seeds = int((1 + np.sqrt(1 + 8 * values.shape[-1])) / 2)
    out = np.zeros((*values.shape[:-1], seeds, seeds))
    out[..., *np.triu_indices(seeds, 1)] = values
    return out + out.mT
