"""The canonical form of a point: gains folded into the weights that read them, and free factors balanced.

The remaining symmetries keep the norm: permutations and rotations. Two points are aligned in their canonical forms.
Then the second takes the gains and factors of the first, which does not change. So the functions on the straight line
between the two are those on the line between the canonical forms, since gains and factors are equal at both ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.shapes import Float
from landscape.symmetry.group.element import Element, apply, compose, moved, still
from landscape.symmetry.group.table import STREAM, Group, Params, Part, Table
from landscape.symmetry.search import inside
from landscape.symmetry.search.nearest import rotated_part

SMALL = 1e-6
"""Share of the largest gain of a norm below which a gain is too small to divide by."""
MOST_FACTOR = 1e3
"""Largest factor of a balanced map; beyond it a direction of a head is practically absent."""
ABSENT = 1e-18
"""Share of the largest eigenvalue that stands for zero."""
SWEEPS = 200
"""Largest number of sweeps over groups whose balances depend on one another."""
LOOSE = 1e3
"""Change in units of rounding below which a balance has converged."""
Gains = Mapping[str, Float[Tensor, " width"]]


def gains(table: Table, params: Params, only: Collection[str] | None = None) -> dict[str, Tensor]:
    """The parameters of the norms to be folded; none if the stream is not among the groups that may change.

    Args:
        table: The architecture.
        params: Named parameters.
        only: Groups that may change; None is all.

    Raises:
        InputError: If one of them is practically zero.
    """
    norms = table.norms if only is None or STREAM in only else ()
    out = {norm.weight: params[norm.weight].clone() for norm in norms}
    offsets = {norm.weight: norm.offset for norm in norms}
    for name, weight in out.items():
        gain = weight + offsets[name]
        if float(gain.abs().min()) <= SMALL * float(gain.abs().max()):
            raise InputError(
                f"the gain {name!r} has a value that is practically zero, so that it cannot be folded and the "
                "stream cannot be rotated; give permutations as the symmetry_group"
            )
    return out


def ones(table: Table, known: Gains) -> dict[str, Tensor]:
    """Parameters of norms whose gains are all 1.

    Args:
        table: The architecture.
        known: Parameters of its folded norms, for their shapes.
    """
    offsets = {norm.weight: norm.offset for norm in table.norms}
    return {name: torch.full_like(value, 1 - offsets[name]) for name, value in known.items()}


def folded(table: Table, params: Params, into: Gains) -> Params:
    """Params with the gains ``into`` in their norms, and the ratio of old to new gains in the weights that read them.

    ``W diag(g) = W' diag(g')``, and ``b / g`` of a shift ``b`` stays the same.

    Args:
        table: The architecture.
        params: Named parameters.
        into: New parameter of each norm.
    """
    out = dict(params)
    for norm in table.norms:
        if norm.weight not in into:
            continue
        old, new = params[norm.weight], into[norm.weight].to(params[norm.weight])
        ratio = (old + norm.offset) / (new + norm.offset)
        out[norm.weight] = new.clone()
        if norm.bias is not None:
            out[norm.bias] = params[norm.bias] / ratio
        for reader, axis in norm.readers:
            value = out[reader]
            shape = [1] * value.ndim
            shape[axis] = -1
            out[reader] = value * ratio.view(shape)
    return out


def canonical(table: Table, params: Params, only: Collection[str] | None = None) -> tuple[Params, Element]:
    """The canonical form, and the element that makes it from the parameters with all gains 1.

    Args:
        table: The architecture.
        params: Named parameters.
        only: Groups that may change; None is all.

    Raises:
        InputError: If a gain cannot be folded.
    """
    plain = folded(table, params, ones(table, gains(table, params, only)))
    element = balancing(table, plain, only)
    return (apply(table, plain, element) if element else plain), element


def balancing(table: Table, params: Params, only: Collection[str] | None = None) -> Element:
    """The element that makes incoming and outgoing weights of every part equally large, and the norm smallest.

    With ``G`` the Gram matrix of incoming rows and ``H`` that of outgoing columns, a part is balanced by the inverse
    root of ``Z = H^-1/2 (H^1/2 G H^1/2)^1/2 H^-1/2``, for which ``Z H Z = G``. Only a rotation remains free. Units of
    successive layers depend on one another, so all are balanced in turn until they converge.

    Args:
        table: The architecture.
        params: Named parameters.
        only: Groups that may change; None is all.
    """
    total: Element = {}
    here = {name: value.clone() for name, value in params.items()}
    settled = LOOSE * torch.finfo(next(iter(params.values())).dtype).eps
    waiting = [
        group for name, group in table.groups.items()
        if (only is None or name in only) and any(inside.PART_KINDS[part.kind].free for part in group.parts)
    ]  # fmt: skip
    for _ in range(SWEEPS if _depend(table, waiting) else min(len(waiting), 1)):
        far = 0.0
        for group in waiting:
            maps = {p.name: _balance(table, group, p, here) for p in group.parts if inside.PART_KINDS[p.kind].free}
            step = {group.name: replace(still(group), maps=maps)}
            for piece in table.touching[group.name]:
                piece.put(here, moved(piece.take(here), piece.axes, table, step))
            total = compose(table, step, total)
            far = max(far, *(float((m - torch.eye(m.shape[-1], dtype=m.dtype)).abs().max()) for m in maps.values()))
        if far < settled:
            break
    return total


def _depend(table: Table, waiting: list[Group]) -> bool:
    """Whether balancing one of these groups moves what another is balanced by."""
    names = {group.name for group in waiting}
    return any(len({axis.group for axis in piece.axes if axis} & names) > 1 for piece in table.pieces)


def _balance(table: Table, group: Group, part: Part, params: Params) -> Float[Tensor, "blocks d d"]:
    """The map of every block that balances one part."""
    square = torch.zeros(2, group.blocks, part.size, part.size, dtype=torch.float64)
    for piece in table.touching[group.name]:
        for dim, axis in enumerate(piece.axes):
            if axis and axis.group == group.name and axis.part == part.name and rotated_part(group, axis):
                rows = piece.take(params).movedim(dim, 0).double()
                within = group.within if axis.queries else 1
                blocks = rows.reshape(group.blocks, within, part.size, -1).transpose(1, 2)
                blocks = blocks.reshape(group.blocks, part.size, -1)
                square[int(axis.dual)] += (blocks @ blocks.mT).cpu()
    if part.kind in ("rotary", "pair_scale"):
        return _balanced_pairs(square[0], square[1], part)
    return _balanced(square[0], square[1])


def _balanced(into: Tensor, out: Tensor) -> Float[Tensor, "blocks d d"]:
    # A head with zero weights on one side has no factor to balance.
    alive = (_trace(into) > 0) & (_trace(out) > 0)
    eye = torch.eye(into.shape[-1], dtype=into.dtype).expand_as(into)
    into, out = (torch.where(alive[:, None, None], square, eye) for square in (into, out))
    values, vectors = _eigen(out)
    root, back = (_raised(values, vectors, exponent) for exponent in (0.5, -0.5))
    both = back @ _raised(*_eigen(root @ into @ root), 0.5) @ back
    values, vectors = _eigen(both)
    return (vectors * values.pow(-0.5).clamp(1 / MOST_FACTOR, MOST_FACTOR)[..., None, :]) @ vectors.mT


def _balanced_pairs(into: Tensor, out: Tensor, part: Part) -> Float[Tensor, "blocks d d"]:
    """One factor for each pair of coordinates that positions rotate, and any map for the rest.

    Of ``pair_scale`` the Gram matrices are those of single gains, so that only their diagonals count.
    """
    if part.kind == "pair_scale":
        into, out = (torch.diag_embed(square.diagonal(dim1=-2, dim2=-1)) for square in (into, out))
    half = part.rotary // 2
    maps = torch.zeros_like(into)
    one = torch.arange(half)
    sizes = [square.diagonal(dim1=-2, dim2=-1) for square in (into, out)]
    pairs = [(size[:, :half] + size[:, half : 2 * half]).clamp(min=1e-300) for size in sizes]
    factor = (pairs[1] / pairs[0]).pow(0.25).clamp(1 / MOST_FACTOR, MOST_FACTOR)
    factor = torch.where((pairs[0] > 1e-300) & (pairs[1] > 1e-300), factor, torch.ones_like(factor))
    maps[:, one, one] = maps[:, one + half, one + half] = factor
    rest = slice(2 * half, None)
    if part.size > 2 * half:
        maps[:, rest, rest] = _balanced(into[:, rest, rest], out[:, rest, rest])
    return maps


def _trace(square: Tensor) -> Float[Tensor, " blocks"]:
    return square.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _eigen(square: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, bounded away from zero, and eigenvectors of symmetric matrices."""
    values, vectors = torch.linalg.eigh((square + square.mT) / 2)
    return torch.maximum(values, ABSENT * values[..., -1:].clamp(min=1e-300)), vectors


def _raised(values: Tensor, vectors: Tensor, exponent: float) -> Tensor:
    return (vectors * values.pow(exponent)[..., None, :]) @ vectors.mT
