"""How differently two checkpoints behave: one number for each pair, to be compared with the barrier matrix.

``disagreement`` is ``1 - kappa``, with Cohen's kappa of the choices of the two, item by item: 0 for the same choices, 1
for no more agreement than the frequencies of the choices give by chance. ``divergence`` is the mean Jensen-Shannon
divergence of their predictions in nats, from 0 to ln 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from landscape.shapes import Float, Int

ROWS = 2**22
"""Probabilities of a step of the divergence."""


@dataclass(frozen=True)
class Distance:
    """A distance between two checkpoints, with its error.

    Attributes:
        metric: ``disagreement``, ``divergence``, or one of :mod:`kl`.
        value: The distance; without unit, or in nats.
        error: Its standard error, by a jackknife over clusters of items.
        items: Number of items compared.
        subset: Which of the items; empty for all.
    """

    metric: str
    value: float
    error: float
    items: int
    subset: str = ""


def disagreement(one: Int[np.ndarray, " n"], other: Int[np.ndarray, " n"], clusters: np.ndarray) -> Distance:
    """``1 - kappa = (1 - agreement) / (1 - agreement by chance)``, without unit.

    It is 0 if both always choose one and the same.

    Args:
        one: Choices of the first checkpoint.
        other: Choices of the second.
        clusters: Cluster of each item.
    """
    groups = pd.factorize(clusters)[0]
    labels, both = np.unique(np.stack([one, other]), return_inverse=True)
    a, b = both.reshape(2, -1)
    same = np.bincount(groups, weights=a == b)
    n = np.bincount(groups).astype(float)
    counts = [_counts(groups, side, len(labels)) for side in (a, b)]
    sides = [(np.asarray(table.sum(axis=0)).ravel(), table) for table in counts]

    def value(agree: float, size: float, first: np.ndarray, second: np.ndarray) -> float:
        chance = float(first @ second) / size**2
        return 0.0 if chance == 1 else (1 - agree / size) / (1 - chance)

    without = [
        value(same.sum() - same[g], n.sum() - n[g], *(w - table[[g]].toarray().ravel() for w, table in sides))
        for g in range(len(n))
    ]
    return Distance(
        "disagreement", value(same.sum(), n.sum(), *(w for w, _ in sides)), jackknife(np.array(without)), len(one)
    )


def _counts(groups: np.ndarray, labels: np.ndarray, classes: int) -> sparse.csr_matrix:
    ones = np.ones(len(groups))
    return sparse.csr_matrix((ones, (groups, labels)), shape=(groups.max() + 1, classes))


def divergence(one: Float[Tensor, "n classes"], other: Float[Tensor, "n classes"], clusters: np.ndarray) -> Distance:
    """Mean of ``H((p + q) / 2) - (H(p) + H(q)) / 2`` over items, in nats.

    Args:
        one: Log-probabilities of the first checkpoint.
        other: Log-probabilities of the second.
        clusters: Cluster of each item.
    """
    step = max(1, ROWS // one.shape[1])
    values = torch.cat([
        _jensen_shannon(one[k : k + step], other[k : k + step]) for k in range(0, len(one), step)
    ]).numpy()
    groups = pd.factorize(clusters)[0]
    sums, n = np.bincount(groups, weights=values), np.bincount(groups)
    left = (sums.sum() - sums) / (n.sum() - n) if len(n) > 1 else np.array([])
    return Distance("divergence", float(values.mean()), jackknife(left), len(values))


def _jensen_shannon(one: Float[Tensor, "n classes"], other: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    a, b = one.double(), other.double()
    middle = torch.logaddexp(a, b) - float(np.log(2))
    halves = [(torch.exp(side) * torch.where(side > -torch.inf, side - middle, 0.0)).sum(dim=1) for side in (a, b)]
    return ((halves[0] + halves[1]) / 2).clamp(min=0.0)


def jackknife(left: Float[np.ndarray, " clusters"]) -> float:
    """Standard error from the values that leave one cluster out each."""
    n = len(left)
    return float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())) if n > 1 else float("nan")
