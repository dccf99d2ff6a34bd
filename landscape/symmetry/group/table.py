"""What may change in an architecture without changing its function: groups, and which axis of which weight they move.

A table is data. Its groups say what can be reordered and turned; its lines say, for each parameter, which group moves
each of its axes, as ``"stream 0.heads/qk*"``: a name is a group, after the slash comes the part that turns, a star
marks the dual (what turns by ``M`` on one side turns by ``M^-T`` on the other), a plus an axis of all the queries that
share a key, and a dash an axis that nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.space import Space

SymmetryGroup = Literal["all", "permutations"]
Kind = Literal["fixed", "scale", "sign", "linear", "permutation", "rotary", "orthogonal", "centred"]
"""What a part may do inside a block: nothing; a positive factor; change its sign; any invertible map; a permutation;
a factor and a rotation in each pair of coordinates that positions rotate; a rotation; one that keeps the mean."""
Params = dict[str, Tensor]
STREAM = "stream"
"""The residual stream."""
ACTIVATIONS: dict[str, Kind] = {"relu": "scale", "tanh": "sign", "linear": "linear"}
"""What passes an activation: ``f(c x) = c f(x)`` for positive c, for -1, for any c."""


@dataclass(frozen=True)
class Part:
    """What turns inside the blocks of a group.

    Attributes:
        name: As lines call it.
        size: Coordinates of a block.
        kind: How they may turn.
        rotary: Of these, the leading ones that positions rotate, the first half of them paired with the second.
    """

    name: str
    size: int
    kind: Kind
    rotary: int = 0


@dataclass(frozen=True)
class Group:
    """Blocks that may be reordered, and what may turn inside them.

    Attributes:
        name: Of the group.
        blocks: How many; hidden units, heads, coordinates of the stream, or 1 if the whole stream turns.
        parts: What turns inside them.
        within: Queries that share a key, reordered inside their block.
    """

    name: str
    blocks: int
    parts: tuple[Part, ...] = ()
    within: int = 1

    def part(self, name: str) -> Part | None:
        """The part of a name; None where nothing turns."""
        return next((part for part in self.parts if part.name == name), None)


@dataclass(frozen=True)
class Axis:
    """Which group moves an axis, and how."""

    group: str
    part: str = ""
    dual: bool = False
    queries: bool = False

    @classmethod
    def read(cls, text: str) -> Axis | None:
        """An axis of a line.

        >>> Axis.read("0.heads/qk*")
        Axis(group='0.heads', part='qk', dual=True, queries=False)
        """
        if text == "-":
            return None
        name = text.rstrip("*+")
        group, _, part = name.partition("/")
        return cls(group, part, "*" in text[len(name) :], "+" in text[len(name) :])


@dataclass(frozen=True)
class Fused:
    """A parameter that holds several matrices along one axis, as the queries, keys and values of GPT-2 and GPT-NeoX.

    Attributes:
        axis: Along which.
        lines: Each matrix's line, with the positions along the axis that are its own.
    """

    axis: int
    lines: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Piece:
    """A parameter, or a part of one, whose axes are moved by groups."""

    parameter: str
    axes: tuple[Axis | None, ...]
    dim: int = 0
    index: tuple[int, ...] | None = None

    @cached_property
    def _index(self) -> Tensor:
        return torch.tensor(self.index)

    def take(self, params: Mapping[str, Tensor]) -> Tensor:
        """Its values."""
        whole = params[self.parameter]
        return whole if self.index is None else whole.index_select(self.dim, self._index.to(whole.device))

    def put(self, params: Mapping[str, Tensor], values: Tensor) -> None:
        """Write its values."""
        whole = params[self.parameter]
        if self.index is None:
            whole.copy_(values)
        else:
            whole.index_copy_(self.dim, self._index.to(whole.device), values)


@dataclass(frozen=True)
class Norm:
    """A norm whose gain is folded into what reads it, so that the stream may turn.

    Attributes:
        weight: The gain.
        bias: The shift; None if it has none.
        readers: Parameters that read its output, each with the axis of its inputs.
    """

    weight: str
    bias: str | None
    readers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Table:
    """The symmetries of one architecture.

    Attributes:
        name: Of the architecture.
        groups: By name, in the order of the network.
        pieces: All that groups move.
        norms: Norms to be folded; empty if the stream does not turn.
    """

    name: str
    groups: dict[str, Group]
    pieces: tuple[Piece, ...]
    norms: tuple[Norm, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        model: nn.Module,
        groups: Sequence[Group],
        lines: Mapping[str, str | Fused],
        norms: Sequence[Norm] = (),
    ) -> Table:
        """A table for a model, held against its parameters.

        Args:
            name: Of the architecture.
            model: The model.
            groups: All groups.
            lines: A line for each parameter; those of parameters that this model lacks are left out.
            norms: Norms to be folded.

        Raises:
            InputError: If a parameter has no line, or one that does not fit it.
        """
        space, known = Space.of(model), {group.name: group for group in groups}
        shapes = dict(zip(space.names, space.shapes, strict=True))
        if lost := [parameter for parameter in shapes if parameter not in lines]:
            raise InputError(
                f"the symmetry table {name} has no line for the parameter {lost[0]!r} {shapes[lost[0]]}; give a table "
                'for this model, or symmetry = "none"'
            )
        pieces: list[Piece] = []
        for parameter, shape in shapes.items():
            line = lines[parameter]
            if isinstance(line, Fused):
                pieces += (Piece(parameter, _axes(text), line.axis, index) for text, index in line.lines)
            else:
                pieces.append(Piece(parameter, _axes(line)))
            for piece in [piece for piece in pieces if piece.parameter == parameter]:
                _require_fit(name, piece, shape, known)
        used = {axis.group for piece in pieces for axis in piece.axes if axis}
        here = tuple(norm for norm in norms if norm.weight in shapes)
        return cls(name, {g.name: g for g in groups if g.name in used}, tuple(pieces), here)

    @cached_property
    def touching(self) -> dict[str, tuple[Piece, ...]]:
        """The pieces that each group moves."""
        return {
            name: tuple(piece for piece in self.pieces if any(axis and axis.group == name for axis in piece.axes))
            for name in self.groups
        }


def _axes(line: str) -> tuple[Axis | None, ...]:
    return tuple(Axis.read(word) for word in line.split())


def _require_fit(name: str, piece: Piece, shape: Sequence[int], groups: Mapping[str, Group]) -> None:
    """Refuse a line whose axes cannot be moved as it says.

    Raises:
        InputError: If the line has another number of axes, an axis is no whole number of blocks, or there is no such
            group.
    """
    if len(piece.axes) != len(shape):
        raise InputError(
            f"the symmetry table {name} gives {piece.parameter!r} {len(piece.axes)} axes and it has {len(shape)}; "
            "mend its line"
        )
    for dim, (axis, length) in enumerate(zip(piece.axes, shape, strict=True)):
        if axis is None:
            continue
        if axis.group not in groups:
            raise InputError(
                f"the symmetry table {name} moves axis {dim} of {piece.parameter!r} by {axis.group}, and has no such "
                f"group; there are {', '.join(groups)}"
            )
        group = groups[axis.group]
        length = len(piece.index) if piece.index is not None and dim == piece.dim else length
        blocks = group.blocks * (group.within if axis.queries else 1)
        part = group.part(axis.part)
        if length % (blocks * (part.size if part else 1)):
            size = part.size if part else "any number"
            raise InputError(
                f"the symmetry table {name} moves axis {dim} of {piece.parameter!r}, {length} long, by {axis.group} "
                f"of {blocks} blocks of {size}; mend its line"
            )


def stream(width: int, *, turns: bool, centred: bool) -> Group:
    """The residual stream: permuted, or turned as a whole.

    Args:
        width: Its coordinates.
        turns: Whether it may turn; its norms must be folded then.
        centred: Whether its norms take the mean away, which a rotation must keep then.
    """
    if not turns:
        return Group(STREAM, width)
    return Group(STREAM, 1, (Part("", width, "centred" if centred else "orthogonal"),))


def units(name: str, size: int, activation: str, symmetry_group: SymmetryGroup) -> Group:
    """Hidden units, with what their activation lets through: positive factors for relu, signs for tanh.

    Lines call the axes that such a factor moves ``unit``, in and out (out with a star), and those that are only
    reordered (weights before a norm, gates) by no part.

    Args:
        name: Of the group.
        size: How many.
        activation: Name of what comes between in and out; ``linear`` if nothing does.
        symmetry_group: Whether anything but the order is free.
    """
    free = ACTIVATIONS.get(activation, "fixed") if symmetry_group == "all" else "fixed"
    return Group(name, size, (Part("unit", 1, free),) if free != "fixed" else ())


def heads(
    name: str,
    count: int,
    size: int,
    symmetry_group: SymmetryGroup,
    *,
    queries: int = 1,
    rotary: int = 0,
    values: int | None = None,
) -> Group:
    """Attention heads: whole heads are reordered, queries and keys turn together, values and outputs do.

    Args:
        name: Of the group.
        count: Heads of keys and values.
        size: Coordinates of a head's queries.
        symmetry_group: Any invertible map inside a head, or permutations only.
        queries: Heads of queries that share one of keys.
        rotary: Coordinates that positions rotate; in these no permutation is a symmetry.
        values: Coordinates of a head's values, if others.
    """
    inside: Kind = "linear" if symmetry_group == "all" else "permutation"
    turning: Kind = inside if not rotary else "rotary" if symmetry_group == "all" else "fixed"
    qk, vo = Part("qk", size, turning, rotary), Part("vo", values or size, inside)
    return Group(name, count, (qk, vo), queries)


def activation_of(config: Any) -> str:
    """The name of the activation of a model's feed-forward layers."""
    return str(getattr(config, "hidden_act", None) or getattr(config, "activation_function", ""))
