"""Tables of symmetries: what may change in an architecture without changing its function.

A table is data. Its groups state what can be permuted and rotated. Its lines state, for each parameter, which group
moves each of its axes, as ``"stream 0.heads/qk*"``. A name is a group; after the slash comes the part inside its
blocks. A star marks the dual: if one side is multiplied by ``M``, the other is multiplied by ``M^-T``. A plus marks an
axis of all queries that share a key, and a dash an axis that nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.space import Space

SymmetryGroup = Literal["all", "permutations"]
PartKind = Literal[
    "fixed", "scale", "sign", "linear", "permutation", "rotary", "pair_sign", "pair_scale", "orthogonal", "centred"
]
"""Maps of a part inside a block: none; a positive factor; a sign; any invertible map; a permutation; a factor and a
rotation in each pair of coordinates that positions rotate; a sign in each such pair; a positive factor in each such
pair; an orthogonal map; one that keeps the mean."""
Params = dict[str, Tensor]
STREAM = "stream"
"""The residual stream."""


@dataclass(frozen=True)
class Part:
    """A part of the blocks of a group, and the maps that may act on it.

    Attributes:
        name: Its name in lines.
        size: Number of coordinates of a block.
        kind: Kind of maps.
        rotary: Number of leading coordinates that positions rotate, the first half of them paired with the second.
    """

    name: str
    size: int
    kind: PartKind
    rotary: int = 0


@dataclass(frozen=True)
class Group:
    """Blocks that may be permuted, and the maps that may act inside them.

    Attributes:
        name: Name of the group.
        blocks: Number of blocks: hidden units, heads, coordinates of the stream, or 1 if the whole stream is rotated.
        parts: Parts of the blocks, with their maps.
        within: Number of queries that share a key; they are permuted inside their block. So are the units of an expert.
        ordered: Whether the blocks keep their order, as heads do whose bias depends on their number.
    """

    name: str
    blocks: int
    parts: tuple[Part, ...] = ()
    within: int = 1
    ordered: bool = False

    def part(self, name: str) -> Part | None:
        """The part of this name; None where the group is only permuted."""
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
    """A parameter that holds several matrices along one axis, such as queries, keys and values of GPT-2 and GPT-NeoX.

    Attributes:
        axis: The axis.
        lines: The line of each matrix, with its indices along the axis.
        joined: For matrices that are stacked along the first axis, one for each block of a group such as the experts of
            a layer: their axis that is joined to the first. The line has one axis for both.
    """

    axis: int
    lines: tuple[tuple[str, tuple[int, ...]], ...]
    joined: int | None = None


@dataclass(frozen=True)
class Piece:
    """A parameter, or a part of one, whose axes are moved by groups."""

    parameter: str
    axes: tuple[Axis | None, ...]
    dim: int = 0
    index: tuple[int, ...] | None = None
    joined: int | None = None

    @cached_property
    def _index(self) -> Tensor:
        return torch.tensor(self.index)

    def take(self, params: Mapping[str, Tensor]) -> Tensor:
        """Its values."""
        whole = params[self.parameter]
        part = whole if self.index is None else whole.index_select(self.dim, self._index.to(whole.device))
        return part if self.joined is None else part.movedim(self.joined, 1).flatten(0, 1)

    def put(self, params: Mapping[str, Tensor], values: Tensor) -> None:
        """Write its values."""
        whole = params[self.parameter]
        if self.joined is not None:
            values = values.reshape(len(whole), -1, *values.shape[1:]).movedim(1, self.joined)
        if self.index is None:
            whole.copy_(values)
        else:
            whole.index_copy_(self.dim, self._index.to(whole.device), values)


@dataclass(frozen=True)
class Norm:
    """A norm whose gain is folded into the weights that read it, so that the stream may be rotated.

    Attributes:
        weight: Name of the gain.
        bias: Name of the shift; None if it has none.
        readers: Names of the parameters that read its output, each with the axis of its inputs.
        offset: What is added to the parameter to make the gain; Gemma's gain is ``1 + w``.
    """

    weight: str
    bias: str | None
    readers: tuple[tuple[str, int], ...]
    offset: float = 0.0


@dataclass(frozen=True)
class Table:
    """The symmetries of one architecture.

    Attributes:
        name: Name of the architecture.
        groups: Groups by name, in the order of the network.
        pieces: All pieces of parameters.
        norms: Norms to be folded; empty if the stream is not rotated.
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
        """A table for a model, checked against its parameters.

        Args:
            name: Name of the architecture.
            model: The model.
            groups: All groups.
            lines: A line for each parameter; lines of parameters that this model lacks are ignored.
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
                pieces += (Piece(parameter, _axes(text), line.axis, index, line.joined) for text, index in line.lines)
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
    """Refuse a line that does not fit its parameter.

    Raises:
        InputError: If the line has another number of axes, an axis is no whole number of blocks, or there is no such
            group.
    """
    if piece.joined is not None and piece.index is not None:
        rest = [len(piece.index) if dim == piece.dim else length for dim, length in enumerate(shape)]
        shape = (rest[0] * rest.pop(piece.joined), *rest[1:])
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
        if piece.index is not None and piece.joined is None and dim == piece.dim:
            length = len(piece.index)
        blocks = group.blocks * (group.within if axis.queries else 1)
        part = group.part(axis.part)
        if length % (blocks * (part.size if part else 1)):
            size = part.size if part else "any number"
            raise InputError(
                f"the symmetry table {name} moves axis {dim} of {piece.parameter!r}, {length} long, by {axis.group} "
                f"of {blocks} blocks of {size}; mend its line"
            )
