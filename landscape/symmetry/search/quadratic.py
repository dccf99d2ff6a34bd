"""One permutation of both axes of a matrix: the quadratic assignment that a tied decoder makes.

Maximise ``f(P) = <L, P> + sum_k <A_k, P B_k P'>`` over permutation matrices P, from several starts, by steps that never
decrease it (Frank and Wolfe 1956; Vogelstein et al. 2015 without the linear part).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.shapes import Float, Int
from landscape.symmetry.search.inside import assign

STEPS = 40
ENOUGH = 1e-9
"""Relative gain below which the steps stop."""
Pair = tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]


def value(linear: Float[Tensor, "n n"], pairs: Sequence[Pair], order: Int[Tensor, " n"]) -> float:
    """``f`` of an order, in units of ``L``: row i of P has its 1 in column ``order[i]``.

    Args:
        linear: ``L``.
        pairs: ``A_k`` and ``B_k``.
        order: The order.
    """
    rows = torch.arange(len(order))
    total = float(linear.double()[rows, order].sum())
    return total + sum(float((a.double() * b.double()[order][:, order]).sum()) for a, b in pairs)


def best_order(
    linear: Float[Tensor, "n n"],
    pairs: Sequence[Pair],
    now: Int[Tensor, " n"],
    random: torch.Generator,
    starts: int,
) -> Int[Tensor, " n"]:
    """The best order found; never worse than ``now``.

    Args:
        linear: ``L``.
        pairs: ``A_k`` and ``B_k``.
        now: The first start. The next two are the best order of the linear part, and the mean of all permutations.
        random: Source of randomness.
        starts: Number of further starts, at random points near the mean of all permutations.
    """
    n = len(now)
    eye = torch.eye(n, dtype=linear.dtype, device=linear.device)
    middle = torch.full_like(eye, 1 / n)
    begin = [eye[now], eye[assign(linear)], middle]
    begin += [(middle + eye[torch.randperm(n, generator=random)]) / 2 for _ in range(starts)]
    best, largest = now, value(linear, pairs, now)
    for start in begin:
        order = assign(_ascend(linear, pairs, start))
        # An ascent may end inside the polytope and is rounded; a second one starts from the rounded order.
        order = assign(_ascend(linear, pairs, eye[order]))
        if (found := value(linear, pairs, order)) > largest:
            best, largest = order, found
    return best


def _ascend(linear: Tensor, pairs: Sequence[Pair], p: Tensor) -> Tensor:
    """Frank-Wolfe with exact line search over doubly stochastic matrices."""
    for _ in range(STEPS):
        up = gradient(linear, pairs, p)
        corner = torch.zeros_like(p)
        corner[torch.arange(len(p)), assign(up)] = 1
        move = corner - p
        first = float((up * move).sum())
        if first <= ENOUGH * max(abs(float((up * p).sum())), 1e-300):
            break
        second = sum(float((a * (move @ b @ move.mT)).sum()) for a, b in pairs)
        share = 1.0 if second >= 0 else min(1.0, -first / (2 * second))
        p = p + share * move
    return p


def gradient(linear: Float[Tensor, "n n"], pairs: Sequence[Pair], p: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Gradient of ``f``: ``L + sum_k A_k P B_k' + A_k' P B_k``.

    Args:
        linear: ``L``.
        pairs: ``A_k`` and ``B_k``.
        p: A doubly stochastic matrix.
    """
    out = linear.clone()
    for a, b in pairs:
        out += a @ p @ b.mT + a.mT @ p @ b
    return out
