"""Permutations of seeds, and what may be said of a statistic among its permuted values.

Every p value counts the arrangement that was seen among the arrangements, so that it is never below one over their
number.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int

EXACT = 7
"""Up to so many seeds all orders are enumerated (5,040); up to 12 all signs (4,096)."""
EXACT_SIGNS = 12
SLACK = 1e-9
"""Statistics closer than this, in standard deviations, are ties."""


def orders(seeds: int, count: int, random: np.random.Generator) -> Int[np.ndarray, "orders seeds"]:
    """Orders of the seeds, the one that was seen first: all of them, or so many at random.

    >>> orders(3, 9999, np.random.default_rng(0))[:2].tolist()
    [[0, 1, 2], [0, 2, 1]]
    """
    if seeds <= EXACT:
        return np.array(list(permutations(range(seeds))))
    drawn = random.permuted(np.tile(np.arange(seeds), (count, 1)), axis=1)
    return np.concatenate([np.arange(seeds)[None], drawn])


def signs(seeds: int, count: int, random: np.random.Generator) -> Int[np.ndarray, "signs seeds"]:
    """Signs of paired differences, those that were seen (all 1) first: all of them, or so many at random."""
    if seeds <= EXACT_SIGNS:
        return np.array(list(product((1, -1), repeat=seeds)))
    return np.concatenate([np.ones((1, seeds), int), random.choice([-1, 1], size=(count, seeds))])


def p_value(statistics: Float[np.ndarray, " arrangements"]) -> float:
    """Share of the arrangements whose statistic is as large as the one seen, which is the first."""
    return float(p_values(statistics[None])[0])


def p_values(statistics: Float[np.ndarray, "tests arrangements"]) -> Float[np.ndarray, " tests"]:
    """The same of each of several tests."""
    slack = SLACK * np.maximum(statistics.std(axis=1, keepdims=True), 1e-300)
    return np.asarray((statistics >= statistics[:, :1] - slack).mean(axis=1))


def floor(statistics: Float[np.ndarray, " arrangements"], exact: bool) -> float:
    """The smallest p that the design could have given: the share of arrangements tied for the largest statistic.

    With sampled arrangements it is one over their number.
    """
    if not exact:
        return 1 / len(statistics)
    slack = SLACK * max(float(statistics.std()), 1e-300)
    return float(np.mean(statistics >= statistics.max() - slack))


def largest(statistics: Float[np.ndarray, "tests arrangements"]) -> Float[np.ndarray, " tests"]:
    """Family-wise p values by the largest statistic (Westfall and Young 1993): each against the maximum over all tests.

    Args:
        statistics: One row a test, all over the same arrangements; standardised here by their own mean and deviation.
    """
    spread = statistics.std(axis=1, keepdims=True)
    centred = statistics - statistics.mean(axis=1, keepdims=True)
    scaled = np.divide(centred, spread, out=np.zeros_like(statistics), where=spread > 0)
    most = scaled.max(axis=0)
    return np.array([np.mean(most >= seen - SLACK) for seen in scaled[:, 0]])


def false_discovery(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Benjamini and Hochberg's q; nan stays nan and is no test."""
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q
