"""The best change of one group, for given products of the blocks of two points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import factorial

import torch
from torch import Tensor

from landscape.shapes import Float
from landscape.symmetry.group.element import Change
from landscape.symmetry.group.table import Axis, Group, Part
from landscape.symmetry.search import inside

ROUNDS = 4
"""Alternations between orders of queries and maps, where queries share a key."""
CHEAP = 3e8
"""Approximate number of operations up to which all orders of the queries are tried."""


@dataclass
class Products:
    """Products of the blocks of one group, summed over pieces.

    Attributes:
        plain: ``[blocks, blocks]``, of axes that are only permuted.
        queries: ``[blocks, within, blocks, within]``, the same where queries share a key.
        parts: ``[blocks, blocks, d, d]``, of each part with maps.
        query_parts: ``[blocks, within, blocks, within, d, d]``, the same where queries share a key.
    """

    plain: Tensor | None = None
    queries: Tensor | None = None
    parts: dict[str, Tensor] = field(default_factory=dict)
    query_parts: dict[str, Tensor] = field(default_factory=dict)

    def add(self, axis: Axis, group: Group, a: Tensor, b: Tensor) -> None:
        """Add the products of a piece.

        Args:
            axis: The axis of the group.
            group: The group.
            a: Weights of one point, with that axis first.
            b: Weights of the other, likewise.
        """
        part, within = rotated_part(group, axis), group.within if axis.queries else 1
        rows = group.blocks * within * (part.size if part else 1)
        self.add_whole(axis, group, a.reshape(rows, -1) @ b.reshape(rows, -1).mT)

    def add_whole(self, axis: Axis, group: Group, whole: Float[Tensor, "n n"]) -> None:
        """Add the products of all coordinates of an axis.

        Args:
            axis: The axis.
            group: Its group.
            whole: The products of every two coordinates.
        """
        part, within = rotated_part(group, axis), group.within if axis.queries else 1
        if part is None:
            rows = group.blocks * within
            square = whole.reshape(rows, -1, rows, whole.shape[1] // rows).diagonal(dim1=1, dim2=3).sum(-1)
            if within == 1:
                self.plain = square if self.plain is None else self.plain + square
            else:
                square = square.reshape(group.blocks, within, group.blocks, within)
                self.queries = square if self.queries is None else self.queries + square
            return
        rows = group.blocks * within * part.size
        if len(whole) > rows:  # positions of a channel, which move with it
            whole = whole.reshape(rows, -1, rows, len(whole) // rows).diagonal(dim1=1, dim2=3).sum(-1)
        if within == 1:
            blocks = whole.reshape(group.blocks, part.size, group.blocks, part.size).transpose(1, 2)
            self.parts[part.name] = self.parts[part.name] + blocks if part.name in self.parts else blocks
        else:
            shape = (group.blocks, within, part.size) * 2
            blocks = whole.reshape(shape).permute(0, 1, 3, 4, 2, 5)
            known = self.query_parts.get(part.name)
            self.query_parts[part.name] = blocks if known is None else known + blocks

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return self.plain is None and self.queries is None and not self.rotates

    @property
    def rotates(self) -> bool:
        """Whether any part has maps."""
        return bool(self.parts) or bool(self.query_parts)

    def plus(self, other: Products, share: float) -> Products:
        """The sum of these and a share of others of the same group."""

        def both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
            return a if b is None else share * b if a is None else a + share * b

        def each(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: t for name in {**a, **b} if (t := both(a.get(name), b.get(name))) is not None}

        return Products(
            both(self.plain, other.plain), both(self.queries, other.queries), each(self.parts, other.parts),
            each(self.query_parts, other.query_parts),
        )  # fmt: skip

    def scaled(self, share: float) -> Products:
        """These, times a number."""
        return Products().plus(self, share)

    def square(self) -> float:
        """Mean square of all products, in squared units of these."""
        every = [t for t in (self.plain, self.queries) if t is not None]
        every += [*self.parts.values(), *self.query_parts.values()]
        return float(sum(float(t.double().square().sum()) for t in every) / max(sum(t.numel() for t in every), 1))


def rotated_part(group: Group, axis: Axis) -> Part | None:
    """The part whose maps act along an axis; None if it is only permuted."""
    part = group.part(axis.part)
    return part if part and part.kind != "fixed" else None


def nearest(group: Group, products: Products) -> tuple[Change, float]:
    """The change with the largest product, and this product.

    Blocks are assigned by ``gain[i, j]``, the largest product of new block i with old block j over the maps inside, so
    the answer is exact. Where queries share a key, their order and the maps inside a block are optimised alternately.
    """
    gains = torch.zeros(group.blocks, group.blocks, dtype=torch.float64)
    if products.plain is not None:
        gains += products.plain.cpu()
    single = group.within == 1
    for name, blocks in products.parts.items():
        part = _part(group, name)
        if single or name not in products.query_parts:
            gains += inside.gain(blocks.double(), part).cpu()
    inner = torch.arange(group.within).repeat(group.blocks, 1)
    if not single:
        orders, reached = _query_orders(group, products)
        gains += reached
    rows = torch.arange(group.blocks)
    order = rows if group.ordered else inside.assign(gains)
    if not single:
        inner = orders[rows, order]
    maps = {}
    for name in {*products.parts, *products.query_parts}:
        part = _part(group, name)
        maps[name] = (
            inside.PART_KINDS[part.kind].best(_summed(group, products, name, rows, order, inner), part).double().cpu()
        )
    return Change(order, inner, maps), float(gains[rows, order].sum())


def product(group: Group, products: Products, change: Change) -> float:
    """The product of a given change, in units of the products.

    Args:
        group: The group.
        products: Its products.
        change: The change.
    """
    rows, order = torch.arange(group.blocks), change.order
    total = 0.0
    if products.plain is not None:
        total += float(products.plain.double()[rows, order].sum())
    if products.queries is not None:
        w = torch.arange(group.within)
        total += float(products.queries.double()[rows[:, None], w, order[:, None], change.queries].sum())
    for name in {*products.parts, *products.query_parts}:
        blocks = _summed(group, products, name, rows, order, change.queries)
        maps = change.maps.get(name)
        kept = torch.eye(_part(group, name).size, dtype=torch.float64).expand_as(blocks) if maps is None else maps
        total += float((blocks.cpu() * kept).sum())
    return total


def scores_of(group: Group, like: Products, change: Change) -> Products:
    """Products for which a given change is the nearest: its own matrices.

    Args:
        group: The group.
        like: Products whose shapes are taken.
        change: The change.
    """
    rows, w = torch.arange(group.blocks), torch.arange(group.within)
    out = Products()
    if like.plain is not None:
        out.plain = torch.zeros_like(like.plain)
        out.plain[rows, change.order] = 1
    if like.queries is not None:
        out.queries = torch.zeros_like(like.queries)
        out.queries[rows[:, None], w, change.order[:, None], change.queries] = 1
    for name, blocks in like.parts.items():
        maps = change.maps.get(name, inside.identity(group.blocks, _part(group, name)))
        out.parts[name] = torch.zeros_like(blocks)
        out.parts[name][rows, change.order] = maps.to(blocks)
    for name, blocks in like.query_parts.items():
        maps = change.maps.get(name, inside.identity(group.blocks, _part(group, name)))
        out.query_parts[name] = torch.zeros_like(blocks)
        out.query_parts[name][rows[:, None], w, change.order[:, None], change.queries] = maps[:, None].to(blocks)
    return out


def _part(group: Group, name: str) -> Part:
    part = group.part(name)
    assert part is not None
    return part


def _summed(
    group: Group, products: Products, name: str, rows: Tensor, columns: Tensor, inner: Tensor
) -> Float[Tensor, "n d d"]:
    """Products of a part between chosen blocks, including its queries in a given order."""
    size = _part(group, name).size
    out = torch.zeros(len(rows), size, size, dtype=torch.float64)
    if name in products.parts:
        out += products.parts[name][rows, columns].double().cpu()
    if name in products.query_parts:
        w = torch.arange(group.within)
        out += products.query_parts[name][rows[:, None], w, columns[:, None], inner].double().cpu().sum(dim=1)
    return out


def _query_orders(group: Group, products: Products) -> tuple[Tensor, Tensor]:
    """For every pair of blocks the order of the queries, ``[blocks, blocks, within]``, and its product.

    Orders and maps are optimised alternately: from every order if that is cheap, else from the best order of single
    queries and from the maps of the keys alone.
    """
    count, within = group.blocks, group.within
    rows, columns = (axis.reshape(-1) for axis in torch.meshgrid(*[torch.arange(count)] * 2, indexing="ij"))
    largest, best = (
        torch.full((count * count,), -torch.inf, dtype=torch.float64),
        torch.zeros(count * count, within).long(),
    )
    for orders in _starts(group, products, rows, columns):
        for _ in range(ROUNDS):
            maps = {
                name: inside.PART_KINDS[part.kind].best(_summed(group, products, name, rows, columns, orders), part)
                for name in products.query_parts if (part := _part(group, name))
            }  # fmt: skip
            orders = _assigned(_query_gains(products, rows, columns, maps))
        found = _reached(group, products, rows, columns, orders)
        better = found > largest
        largest, best = torch.where(better, found, largest), torch.where(better[:, None], orders, best)
    return best.reshape(count, count, within), largest.reshape(count, count)


def _starts(group: Group, products: Products, rows: Tensor, columns: Tensor) -> list[Tensor]:
    """Orders to start from, each for all pairs of blocks."""
    widest = max((_part(group, name).size for name in products.query_parts), default=1)
    if len(rows) * factorial(group.within) * widest**3 <= CHEAP:
        return [torch.tensor(order).expand(len(rows), -1) for order in permutations(range(group.within))]
    single = _query_gains(products, rows, columns, {})
    keys = {}
    for name, blocks in products.query_parts.items():
        part = _part(group, name)
        apart = blocks.permute(0, 2, 1, 3, 4, 5).double().cpu().flatten(0, 1)
        single = single + inside.gain(apart, part)
        if name in products.parts:
            keys[name] = inside.PART_KINDS[part.kind].best(products.parts[name][rows, columns].double().cpu(), part)
    return [_assigned(single), _assigned(_query_gains(products, rows, columns, keys))]


def _query_gains(
    products: Products, rows: Tensor, columns: Tensor, maps: Mapping[str, Tensor]
) -> Float[Tensor, "pairs within within"]:
    """Products of every two queries of every pair of blocks, with given maps."""
    some = next(iter([products.queries, *products.query_parts.values()][products.queries is None :]))
    assert some is not None
    within = some.shape[1]
    gains = torch.zeros(len(rows), within, within, dtype=torch.float64)
    if products.queries is not None:
        gains += products.queries.double().cpu()[rows, :, columns]
    for name, turned in maps.items():
        apart = products.query_parts[name].permute(0, 2, 1, 3, 4, 5).double().cpu().flatten(0, 1)
        gains += (apart * turned[:, None, None]).sum(dim=(-2, -1))
    return gains


def _reached(
    group: Group, products: Products, rows: Tensor, columns: Tensor, orders: Tensor
) -> Float[Tensor, " pairs"]:
    """Products of pairs of blocks with the queries in these orders and the best maps for them."""
    total = torch.zeros(len(rows), dtype=torch.float64)
    if products.queries is not None:
        w = torch.arange(group.within)
        total += products.queries.double().cpu()[rows[:, None], w, columns[:, None], orders].sum(dim=1)
    for name in products.query_parts:
        total += inside.gain(_summed(group, products, name, rows, columns, orders), _part(group, name))
    return total


def _assigned(gains: Tensor) -> Tensor:
    orders: Sequence[Tensor] = [inside.assign(one) for one in gains]
    return torch.stack(list(orders))
