"""Elements of the symmetry group of an architecture, and their action on points."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.shapes import Float, Int
from landscape.space import Space
from landscape.symmetry.group.table import Axis, Group, Params, Table
from landscape.symmetry.search import inside


@dataclass(frozen=True)
class Change:
    """The change of one group: new block i is old block ``order[i]``, multiplied by ``maps[part][i]``.

    Attributes:
        order: Order of the blocks.
        queries: Order of the queries that share a key, inside each new block.
        maps: Maps of each part, in float64; a part that is missing does not change.
    """

    order: Int[Tensor, " blocks"]
    queries: Int[Tensor, "blocks within"]
    maps: Mapping[str, Float[Tensor, "blocks d d"]]


Element = Mapping[str, Change]
"""A change for each group; a group that is missing does not change."""


def still(group: Group) -> Change:
    """The identity."""
    return Change(torch.arange(group.blocks), torch.arange(group.within).repeat(group.blocks, 1), {})


def draw(table: Table, random: torch.Generator, *, stretch: bool, only: Collection[str] | None = None) -> Element:
    """A random element.

    Args:
        table: The architecture.
        random: Source of randomness.
        stretch: Whether maps may change lengths; if not, the point keeps its norm.
        only: Groups that change; None is all.
    """
    out = {}
    for name, group in table.groups.items():
        order = torch.arange(group.blocks) if group.ordered else torch.randperm(group.blocks, generator=random)
        queries = torch.rand(group.blocks, group.within, generator=random).argsort(dim=1)
        maps = {
            part.name: inside.PART_KINDS[part.kind].draw(group.blocks, part, random, stretch) for part in group.parts
        }
        if only is None or name in only:
            out[name] = Change(order, queries, maps)
    return out


def compose(table: Table, second: Element, first: Element) -> Element:
    """The element that applies ``first`` and then ``second``.

    Args:
        table: The architecture.
        second: The element to be applied last.
        first: The element to be applied first.
    """
    out: dict[str, Change] = {}
    for name, group in table.groups.items():
        two, one = second.get(name), first.get(name)
        if two is None or one is None:
            if (known := two or one) is not None:
                out[name] = known
            continue
        maps = {}
        for part in group.parts:
            here = one.maps.get(part.name)
            then = two.maps.get(part.name)
            moved = None if here is None else here[two.order]
            if (made := moved if then is None else then if moved is None else then @ moved) is not None:
                maps[part.name] = made
        out[name] = Change(one.order[two.order], one.queries[two.order].gather(1, two.queries), maps)
    return out


def inverse(table: Table, element: Element) -> Element:
    """The inverse of an element."""
    out = {}
    for name, change in element.items():
        back = change.order.argsort()
        maps = {part: torch.linalg.inv(maps)[back] for part, maps in change.maps.items()}
        out[name] = Change(back, change.queries.argsort(dim=1)[back], maps)
    return out


def act(values: Tensor, dim: int, axis: Axis, group: Group, change: Change) -> Tensor:
    """A tensor with one of its axes changed.

    Args:
        values: The tensor.
        dim: Which of its dimensions.
        axis: How the group moves it.
        group: The group.
        change: The change of the group.
    """
    within = group.within if axis.queries else 1
    moved = values.movedim(dim, 0)
    parts = moved.reshape(group.blocks, within, -1, *moved.shape[1:])[change.order.to(values.device)]
    if axis.queries and within > 1:
        rows = torch.arange(group.blocks, device=values.device)[:, None]
        parts = parts[rows, change.queries.to(values.device)]
    if (maps := change.maps.get(axis.part)) is not None:
        if axis.dual:
            maps = torch.linalg.inv(maps).mT
        blocks = parts.reshape(group.blocks, within, maps.shape[-1], -1)
        parts = torch.einsum("bij,bwjk->bwik", maps.to(parts), blocks)
    return parts.reshape(moved.shape).movedim(0, dim)


def moved(values: Tensor, axes: tuple[Axis | None, ...], table: Table, element: Element, but: str = "") -> Tensor:
    """A piece with all its axes changed.

    Args:
        values: The piece.
        axes: How its axes move.
        table: The architecture.
        element: The element to apply.
        but: Name of a group that is left out.
    """
    for dim, axis in enumerate(axes):
        if axis and axis.group != but and (change := element.get(axis.group)) is not None:
            values = act(values, dim, axis, table.groups[axis.group], change)
    return values


def apply(table: Table, params: Params, element: Element) -> Params:
    """A changed copy of all parameters.

    Args:
        table: The architecture.
        params: Named parameters.
        element: The element to apply.
    """
    out = {name: value.clone() for name, value in params.items()}
    for piece in table.pieces:
        if any(axis and axis.group in element for axis in piece.axes):
            piece.put(out, moved(piece.take(params), piece.axes, table, element))
    return out


def apply_to_point(table: Table, space: Space, point: Float[Tensor, " P"], element: Element) -> Float[Tensor, " P"]:
    """A changed copy of a point.

    Args:
        table: The architecture.
        space: Its coordinates.
        point: The point.
        element: The element to apply.
    """
    return space.vector(apply(table, space.params(point), element))
