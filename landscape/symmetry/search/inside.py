"""Maps inside a block: for each kind of part, the best map for given products, and a random one.

A kind is given ``K``, the products ``sum a b^T`` of a block of one point with a block of another. Among its maps that
keep the norm it finds the ``M`` with the largest ``<K, M> = sum_ij K[i, j] M[i, j]``, which brings ``M b`` nearest to
``a``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape.shapes import Float, Int
from landscape.symmetry.group.table import Part, PartKind

Blocks = Float[Tensor, "*blocks d d"]
SPREAD = 0.5
"""Logarithm of the largest factor by which a random map stretches."""


@dataclass(frozen=True)
class Inside:
    """The maps of a kind of part.

    Attributes:
        best: The map that keeps the norm and has the largest product with each block.
        draw: Random maps for a number of blocks, including maps that stretch if the kind has them and they are wanted.
        free: Whether maps may stretch, so that the part must be balanced.
    """

    best: Callable[[Blocks, Part], Blocks]
    draw: Callable[[int, Part, torch.Generator, bool], Blocks]
    free: bool = False


def gain(products: Blocks, part: Part) -> Float[Tensor, "*blocks"]:
    """The largest product ``<K, M>`` over the maps of a part's kind, in units of the products."""
    if part.kind in ("linear", "orthogonal") and part.size > 1:
        norms: Tensor = torch.linalg.matrix_norm(products, ord="nuc")
        return norms
    return (products * PART_KINDS[part.kind].best(products, part)).sum(dim=(-2, -1))


def polar(products: Blocks, part: Part) -> Blocks:
    """The nearest orthogonal map (Schoenemann 1966)."""
    u, _, v = torch.linalg.svd(products)
    nearest: Tensor = u @ v
    return nearest


def assign(gains: Float[Tensor, "n n"]) -> Int[Tensor, " n"]:
    """For each row its column in the assignment with the largest sum."""
    costs = -gains.cpu().double().numpy()
    # Constants subtracted from rows and columns do not change the assignment, and scipy takes two thirds of the time.
    costs -= costs.min(axis=1, keepdims=True)
    costs -= costs.min(axis=0, keepdims=True)
    return torch.from_numpy(linear_sum_assignment(costs)[1])


def identity(count: int, part: Part) -> Blocks:
    """Maps that change nothing."""
    return torch.eye(part.size, dtype=torch.float64).repeat(count, 1, 1)


def _identities(products: Blocks, part: Part) -> Blocks:
    return torch.eye(part.size, dtype=products.dtype, device=products.device).expand_as(products)


def _signs(products: Blocks, part: Part) -> Blocks:
    return torch.where(products < 0, -1.0, 1.0).to(products)


def _permutations(products: Blocks, part: Part) -> Blocks:
    flat = products.reshape(-1, part.size, part.size)
    rows = np.stack([linear_sum_assignment(one, maximize=True)[1] for one in flat.cpu().double().numpy()])
    return _identities(flat, part)[0][torch.from_numpy(rows)].reshape(products.shape).to(products)


def _centred(products: Blocks, part: Part) -> Blocks:
    """The best orthogonal map of the complement of the vector of ones, which stays fixed."""
    mean = torch.full((part.size, part.size), 1 / part.size, dtype=products.dtype, device=products.device)
    away = torch.eye(part.size, dtype=products.dtype, device=products.device) - mean
    basis = torch.linalg.eigh(away)[1][:, 1:]
    turned: Tensor = basis @ polar(basis.mT @ products @ basis, part) @ basis.mT + mean
    return turned


def _planes(part: Part) -> tuple[Tensor, Tensor, Tensor]:
    """First and second coordinates of the pairs that positions rotate, and the coordinates that they do not rotate."""
    half = part.rotary // 2
    return torch.arange(half), torch.arange(half, 2 * half), torch.arange(2 * half, part.size)


def _turned(cosine: Tensor, sine: Tensor, rest: Tensor, part: Part) -> Blocks:
    """Maps that are ``[[cosine, -sine], [sine, cosine]]`` in each pair, and another map in the rest."""
    one, two, left = _planes(part)
    out = torch.zeros(*cosine.shape[:-1], part.size, part.size, dtype=cosine.dtype, device=cosine.device)
    out[..., one, one] = out[..., two, two] = cosine
    out[..., two, one], out[..., one, two] = sine, -sine
    if len(left):
        out[..., left[:, None], left] = rest
    return out


def _rotary(products: Blocks, part: Part) -> Blocks:
    """A rotation in each pair, which commutes with those of the positions, and any orthogonal map of the rest."""
    one, two, left = _planes(part)
    cosine = products[..., one, one] + products[..., two, two]
    sine = products[..., two, one] - products[..., one, two]
    length = torch.hypot(cosine, sine)
    known = length > 0
    safe = torch.where(known, length, torch.ones_like(length))
    cosine = torch.where(known, cosine / safe, torch.ones_like(cosine))
    rest = polar(products[..., left[:, None], left], part) if len(left) else products[..., :0, :0]
    return _turned(cosine, torch.where(known, sine / safe, torch.zeros_like(sine)), rest, part)


def _pairs(values: Float[Tensor, "*blocks pairs"], rest: Float[Tensor, "*blocks left"]) -> Blocks:
    """Diagonal maps with one value for each pair, and one for each coordinate that positions do not rotate."""
    return torch.diag_embed(torch.cat([values, values, rest], dim=-1))


def _pair_signs(products: Blocks, part: Part) -> Blocks:
    """A sign in each pair; rotations by other angles would not pass the gains of a norm of queries or keys."""
    one, two, left = _planes(part)
    known = products.diagonal(dim1=-2, dim2=-1)
    pairs, rest = known[..., one] + known[..., two], known[..., left]
    return _pairs(*(torch.where(value < 0, -1.0, 1.0).to(products) for value in (pairs, rest)))


def _draw_pair_sign(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    one, _, left = _planes(part)
    signs = torch.randint(2, (count, len(one) + len(left)), generator=random).double() * 2 - 1
    return _pairs(signs[:, : len(one)], signs[:, len(one) :])


def _draw_pair_scale(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    if not stretch:
        return identity(count, part)
    one, _, left = _planes(part)
    factors = _factors((count, len(one) + len(left)), random)
    return _pairs(factors[:, : len(one)], factors[:, len(one) :])


def _draw_identity(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    return identity(count, part)


def _draw_sign(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    return torch.randint(2, (count, 1, 1), generator=random).double() * 2 - 1


def _draw_scale(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    return _factors((count, 1, 1), random) if stretch else identity(count, part)


def _draw_orthogonal(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    return polar(torch.randn(count, part.size, part.size, generator=random, dtype=torch.float64), part)


def _draw_linear(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    turned = _draw_orthogonal(count, part, random, stretch)
    if not stretch:
        return turned
    return turned @ (_factors((count, part.size, 1), random) * _draw_orthogonal(count, part, random, stretch))


def _draw_permutation(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    rows = torch.rand(count, part.size, generator=random).argsort(dim=1)
    return torch.eye(part.size, dtype=torch.float64)[rows]


def _draw_centred(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    return _centred(torch.randn(count, part.size, part.size, generator=random, dtype=torch.float64), part)


def _draw_rotary(count: int, part: Part, random: torch.Generator, stretch: bool) -> Blocks:
    pairs = (count, part.rotary // 2)
    angle = 2 * torch.pi * torch.rand(pairs, generator=random, dtype=torch.float64)
    size = _factors(pairs, random) if stretch else torch.ones(pairs, dtype=torch.float64)
    left = Part("", part.size - part.rotary, "linear")
    return _turned(size * angle.cos(), size * angle.sin(), _draw_linear(count, left, random, stretch), part)


def _factors(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.exp(SPREAD * (2 * torch.rand(shape, generator=random, dtype=torch.float64) - 1))


PART_KINDS: dict[PartKind, Inside] = {
    "fixed": Inside(_identities, _draw_identity),
    "scale": Inside(_identities, _draw_scale, free=True),
    "sign": Inside(_signs, _draw_sign),
    "linear": Inside(polar, _draw_linear, free=True),
    "permutation": Inside(_permutations, _draw_permutation),
    "rotary": Inside(_rotary, _draw_rotary, free=True),
    "pair_sign": Inside(_pair_signs, _draw_pair_sign),
    "pair_scale": Inside(_identities, _draw_pair_scale, free=True),
    "orthogonal": Inside(polar, _draw_orthogonal),
    "centred": Inside(_centred, _draw_centred),
}
