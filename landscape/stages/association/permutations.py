"""Permutations of seeds, and p values of a statistic among its permuted values.

The observed arrangement is one of the arrangements, so a p value is never below one over their number.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int

EXACT = 7
"""Largest number of seeds of which all permutations are enumerated (5,040)."""
EXACT_SIGNS = 12
"""Largest number of seeds of which all signs are enumerated (4,096)."""
SLACK = 1e-9
"""Statistics that differ by less, in standard deviations, are ties."""


def orders(seeds: int, count: int, random: np.random.Generator) -> Int[np.ndarray, "orders seeds"]:
    """Permutations of the seeds, the identity first: all of them, or ``count`` random ones.

    Args:
        seeds: Number of seeds.
        count: Number of random permutations, if there are too many to enumerate.
        random: Source of randomness.

    >>> orders(3, 9999, np.random.default_rng(0))[:2].tolist()
    [[0, 1, 2], [0, 2, 1]]
    """
    if seeds <= EXACT:
        return np.array(list(permutations(range(seeds))))
    drawn = random.permuted(np.tile(np.arange(seeds), (count, 1)), axis=1)
    return np.concatenate([np.arange(seeds)[None], drawn])


def signs(seeds: int, count: int, random: np.random.Generator) -> Int[np.ndarray, "signs seeds"]:
    """Signs of paired differences, the observed ones (all 1) first: all of them, or ``count`` random ones.

    Args:
        seeds: Number of seeds.
        count: Number of random arrangements, if there are too many to enumerate.
        random: Source of randomness.
    """
    if seeds <= EXACT_SIGNS:
        return np.array(list(product((1, -1), repeat=seeds)))
    return np.concatenate([np.ones((1, seeds), int), random.choice([-1, 1], size=(count, seeds))])


def p_value(statistics: Float[np.ndarray, " arrangements"]) -> float:
    """Share of the arrangements whose statistic is at least the observed one, which is the first; in (0, 1]."""
    return float(p_values(statistics[None])[0])


def p_values(statistics: Float[np.ndarray, "tests arrangements"]) -> Float[np.ndarray, " tests"]:
    """The p value of each of several tests, as in :func:`p_value`, in [0, 1]."""
    slack = SLACK * np.maximum(statistics.std(axis=1, keepdims=True), 1e-300)
    return np.asarray((statistics >= statistics[:, :1] - slack).mean(axis=1))


def floor(statistics: Float[np.ndarray, " arrangements"], exact: bool) -> float:
    """The smallest p value that the design allows: the share of arrangements tied for the largest statistic.

    If arrangements are sampled it is one over their number.
    """
    if not exact:
        return 1 / len(statistics)
    slack = SLACK * max(float(statistics.std()), 1e-300)
    return float(np.mean(statistics >= statistics.max() - slack))


def largest(statistics: Float[np.ndarray, "tests arrangements"]) -> Float[np.ndarray, " tests"]:
    """Family-wise p values (Westfall and Young 1993): each statistic against the maximum over all tests.

    Args:
        statistics: One row for each test, over the same arrangements. Rows are standardised here.
    """
    spread = statistics.std(axis=1, keepdims=True)
    centred = statistics - statistics.mean(axis=1, keepdims=True)
    scaled = np.divide(centred, spread, out=np.zeros_like(statistics), where=spread > 0)
    maximum = scaled.max(axis=0)
    return np.array([np.mean(maximum >= observed - SLACK) for observed in scaled[:, 0]])


def false_discovery(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Benjamini and Hochberg's q values, in [0, 1]; nan is not a test and stays nan."""
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q
