"""Descent by weights: the element that brings one point nearest to another.

In canonical form the remaining symmetries keep the norm, so ``|a - g b|^2`` is smallest where the inner product
``<a, g b>`` is largest. The product is linear in the change of each group for given changes of the others. So groups
are changed in turn, each to its optimum, until none can be improved (coordinate descent, as in Ainsworth et al. 2023
for permutations). A group that moves both axes of a matrix is a quadratic assignment, see :mod:`quadratic`. The result
depends on the start, so there are several starts, and the best result is taken.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.symmetry.group.element import Change, Element, apply, draw, moved, still
from landscape.symmetry.group.table import Axis, Group, Params, Piece, Table
from landscape.symmetry.search import quadratic
from landscape.symmetry.search.nearest import Products, nearest, product

ENOUGH = 1e-6
"""Smallest gain of a change that is made, as a share of the norm of the group's weights."""
LOOSE = 1e-3
"""The same for a large model."""
ENOUGH_SURE = 0.1
"""Share of a group's weights with known other axes from which on no guesses are added."""
MOST_TRIES = 50
"""Average number of tries of a group after which descent ends."""
EQUAL = 1e-5
"""Share of the distance below which two points are the same up to rounding, so that no other start is needed."""
LARGE = 20_000_000
"""Number of parameters above which there is one start unless more are asked for, and small gains are left."""
FEW, MANY = 1, 4


@dataclass(frozen=True)
class Nearest:
    """The element that brings one point nearest to another.

    Attributes:
        element: Takes the second point nearest to the first.
        before: Euclidean distance of the two points.
        after: Distance of the first and the changed second point; never larger.
        starts: Number of starts.
        tries: Number of groups that were tried, over all starts.
    """

    element: Element
    before: float
    after: float
    starts: int
    tries: int


def align(
    table: Table,
    a: Params,
    b: Params,
    random: torch.Generator,
    *,
    starts: int | None = None,
    only: Collection[str] | None = None,
) -> Nearest:
    """The element that brings ``b`` nearest to ``a``, both in canonical form.

    The first start aligns each group by axes that nothing moves or that are aligned already, and otherwise by what no
    order changes. The second is no change at all; the others are random elements.

    Args:
        table: The architecture.
        a: Named parameters.
        b: Named parameters to be changed.
        random: Source of randomness, for the order of groups and for starts.
        starts: Number of starts; None is four, and one for a large model.
        only: Groups that may change; None is all.
    """
    names = [name for name in table.groups if only is None or name in only]
    size = _parameters(a)
    count = starts or (FEW if size > LARGE else MANY)
    before = distance(a, b)
    best, lowest, tries = dict[str, Change](), before, 0
    for n in range(count):
        begin: Element = {} if n < 2 else draw(table, random, stretch=False, only=names)
        settled = set[str]()
        if n == 0:
            begin, settled = anchored(table, a, b, names)
        found, took = descend(table, a, b, begin, names, random, more=0 if size > LARGE else MANY, settled=settled)
        tries += took
        if (here := distance(a, apply(table, b, found))) < lowest:
            best, lowest = dict(found), here
        if lowest < EQUAL * before:
            break
    return Nearest(best, before, lowest, count, tries)


def distance(a: Params, b: Params) -> float:
    """``|a - b|`` over all parameters, in units of the weights, accumulated in float64."""
    total = sum(float(torch.linalg.vector_norm(a[name] - b[name], dtype=torch.float64)) ** 2 for name in a)
    return math.sqrt(total)


def descend(
    table: Table,
    a: Params,
    b: Params,
    start: Element,
    names: Sequence[str],
    random: torch.Generator,
    more: int = 0,
    settled: Collection[str] = (),
) -> tuple[Element, int]:
    """Change groups in a random order until none can be improved; also returns the number of tries.

    A group is tried again only after a group that shares a weight with it has changed.

    Args:
        table: The architecture.
        a: Named parameters.
        b: Named parameters to be changed.
        start: Element to start from.
        names: Groups that may change.
        random: Source of randomness, for the order of groups.
        more: Number of random starts of a quadratic assignment.
        settled: Groups that are at their optimum at the start.
    """
    element = {name: start.get(name, still(table.groups[name])) for name in names}
    enough = LOOSE if _parameters(a) > LARGE else ENOUGH
    sizes = {name: enough * _size(table, name, a, b) for name in names}
    neighbours = {
        name: {axis.group for piece in table.touching[name] for axis in piece.axes if axis} & set(names) - {name}
        for name in names
    }
    stale, steps = set(names) - set(settled), 0
    while stale and steps < MOST_TRIES * len(names):
        waiting = [name for name in names if name in stale]
        name = waiting[int(torch.randint(len(waiting), (1,), generator=random))]
        change, gained = improve(table, a, b, element, name, random, more)
        stale.discard(name)
        steps += 1
        if gained > sizes[name]:
            element[name] = change
            stale |= neighbours[name]
    return element, steps


def improve(
    table: Table, a: Params, b: Params, element: Element, name: str, random: torch.Generator, more: int = 0
) -> tuple[Change, float]:
    """The best change of a group for given changes of the others, and by how much the product grows.

    Args:
        table: The architecture.
        a: Named parameters.
        b: Named parameters to be changed.
        element: Changes of all groups.
        name: The group.
        random: Source of randomness.
        more: Number of random starts of a quadratic assignment.
    """
    group, now = table.groups[name], element.get(name, still(table.groups[name]))
    linear, pairs = products(table, a, b, element, name)
    if pairs:
        plain = torch.zeros_like(pairs[0][0]) if linear.plain is None else linear.plain
        order = quadratic.best_order(plain, pairs, now.order, random, more)
        gained = quadratic.value(plain, pairs, order) - quadratic.value(plain, pairs, now.order)
        return Change(order, now.queries, {}), gained
    change, largest = nearest(group, linear)
    return change, largest - product(group, linear, now)


def products(
    table: Table, a: Params, b: Params, element: Element, name: str
) -> tuple[Products, list[tuple[Tensor, Tensor]]]:
    """Products of a group's blocks after changes of all others: those linear in it, and the pairs that it moves twice.

    Args:
        table: The architecture.
        a: Named parameters.
        b: Named parameters to be changed.
        element: Changes of all groups.
        name: The group.
    """
    group = table.groups[name]
    linear = Products()
    pairs: list[tuple[Tensor, Tensor]] = []
    for piece in table.touching[name]:
        one, two = piece.take(a), moved(piece.take(b), piece.axes, table, element, but=name)
        dims = [dim for dim, axis in enumerate(piece.axes) if axis and axis.group == name]
        if len(dims) == 2:
            assert not group.parts, "a group that moves both axes of a matrix is only permuted"
            order = [*dims, *(dim for dim in range(one.ndim) if dim not in dims)]
            flat = [value.permute(order).reshape(group.blocks, group.blocks, -1) for value in (one, two)]
            pairs += ((flat[0][..., k], flat[1][..., k]) for k in range(flat[0].shape[-1]))
            continue
        (dim,) = dims
        axis = piece.axes[dim]
        assert axis is not None
        linear.add(axis, group, one.movedim(dim, 0), two.movedim(dim, 0))
    return linear, pairs


def anchored(table: Table, a: Params, b: Params, names: Sequence[str]) -> tuple[Element, set[str]]:
    """A first guess from the weights alone: groups are aligned by what is known, the best known first.

    Along an axis whose group is not aligned yet, values are sorted, which removes their order. Where such an axis may
    be rotated, nothing is compared.

    Args:
        table: The architecture.
        a: Named parameters.
        b: Named parameters to be changed.
        names: Groups that may change.

    Returns:
        The guess, and the groups all of whose other axes were known, so that they are at their optimum.
    """
    element: dict[str, Change] = {}
    settled: set[str] = set()
    held = set(table.groups) - set(names)
    sizes = {piece: float(torch.linalg.vector_norm(piece.take(b))) ** 2 for piece in table.pieces}
    left = list(names)
    while left:
        sure = {name: _sure(table, sizes, name, {*element, *held}) for name in left}
        name = max(left, key=lambda n: sure[n])
        group, found = table.groups[name], Products()
        for piece in table.touching[name]:
            _compare(table, (a, b), piece, name, element, held, found, sure[name] < ENOUGH_SURE)
        element[name] = still(group) if found.empty else nearest(group, found)[0]
        left.remove(name)
        if sure[name] == 1:
            settled.add(name)
    return element, settled


def _compare(
    table: Table,
    points: tuple[Params, Params],
    piece: Piece,
    name: str,
    element: Element,
    held: Collection[str],
    found: Products,
    guess: bool,
) -> None:
    """Add the products of one piece, if its other axes are known; if they are not, only as a guess."""
    group = table.groups[name]
    dim = next(d for d, axis in enumerate(piece.axes) if axis and axis.group == name)
    here = piece.axes[dim]
    assert here is not None
    unknown = [
        d
        for d, axis in enumerate(piece.axes)
        if d != dim and axis and axis.group not in element and axis.group not in held
    ]
    axes = [axis for d in unknown if (axis := piece.axes[d])]
    if unknown and (
        not guess or _rotates(group, here) or any(_rotates(table.groups[axis.group], axis) for axis in axes)
    ):
        return
    one, two = piece.take(points[0]), moved(piece.take(points[1]), piece.axes, table, element, but=name)
    for d in unknown:
        one, two = (value.sort(dim=d).values for value in (one, two))
    found.add(here, group, one.movedim(dim, 0), two.movedim(dim, 0))


def _rotates(group: Group, axis: Axis | None) -> bool:
    part = group.part(axis.part) if axis else None
    return part is not None and part.kind not in ("fixed", "scale")


def _sure(table: Table, sizes: Mapping[Piece, float], name: str, aligned: Collection[str]) -> float:
    """Share of a group's weights whose other axes are known."""
    total = sure = 0.0
    for piece in table.touching[name]:
        others = [axis.group for axis in piece.axes if axis and axis.group != name]
        twice = sum(axis is not None and axis.group == name for axis in piece.axes) > 1
        total += sizes[piece]
        sure += sizes[piece] if not twice and all(other in aligned for other in others) else 0.0
    return sure / max(total, 1e-300)


def _parameters(params: Params) -> int:
    return sum(value.numel() for value in params.values())


def _size(table: Table, name: str, a: Params, b: Mapping[str, Tensor]) -> float:
    """Product of the norms of a group's weights in both points: a bound of any product."""
    norms = [sum(float(piece.take(p).double().square().sum()) for piece in table.touching[name]) for p in (a, b)]
    return float((norms[0] * norms[1]) ** 0.5)
