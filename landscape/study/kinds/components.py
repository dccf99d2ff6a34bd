"""Which parts of a network make the barrier: only these tensors go from one checkpoint to the other.

Adilova et al. 2023, arXiv:2307.06966.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from landscape.errors import InputError
from landscape.shapes import Float
from landscape.spec import one_or_several
from landscape.study.kinds.alignment import NONE
from landscape.study.kinds.along import Along
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task

LAYERS, BLOCKS = "layers", "blocks"
FROM_FIRST, FROM_LAST = "from_first", "from_last"
INPUT, OUTPUT, REST = "input", "output", "rest"
"""What the tensors before the first block, after the last, and in no pattern are called."""
NUMBERED = re.compile(r"(?:.*?\.)??\d+(?=\.)")
USUAL = {LAYERS: 75, BLOCKS: 14}
"""Components of a model of twelve blocks, where the names of the tensors are not known."""
Parts = dict[str, tuple[int, ...]]
"""Positions of the tensors of each component, in the order of the model."""


class Components(Along):
    """Which parts of a network make the barrier: only these tensors go from one checkpoint to the other.

    Attributes:
        kind: Always ``components``.
        path: Always a straight line.
        move: ``layers``, each module that holds parameters of its own; ``blocks``, each numbered block, and what lies
            before and after all blocks; or patterns of names of tensors, such as ``*.mlp.*``, each a component, and
            what no pattern takes is one more.
        ways: ``single``, each component alone; ``from_first``, it and all before it; ``from_last``, it and all after
            it.
        starts: Where the other tensors stay: ``a``, at the first checkpoint of a pair; ``b``, at the second.
        points: Size of the even t grid, from no move at t = 0, to a whole one at t = 1.
    """

    kind: Literal["components"] = "components"
    path: Literal["linear"] = "linear"
    move: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (BLOCKS,)
    ways: Annotated[
        tuple[Literal["single", "from_first", "from_last"], ...], Field(min_length=1), BeforeValidator(one_or_several)
    ] = ("single", "from_first", "from_last")
    starts: Annotated[tuple[Literal["a", "b"], ...], Field(min_length=1), BeforeValidator(one_or_several)] = ("a", "b")
    points: int = Field(5, ge=3, le=101)

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """At the last step."""
        where = {"between": there.pairing[0], **there.last}
        yield Proposal("which blocks of the network make the barriers of the last step", where, on=False)

    @property
    def t(self) -> Float[np.ndarray, " t"]:
        """Shares of the way that components go, even t in [0, 1]."""
        return np.linspace(0, 1, self.points)

    @property
    def combines(self) -> bool:
        """If they are not aligned, which moves whole points."""
        return self.align == (NONE,)

    def passes(self, task: Task[Spec]) -> int:
        """For each pair and start, all sets of components that move, at all t but 0."""
        moving = sets(self.count(task.tensors), self.ways)
        return len(task.pairs) * len(self.starts) * len(moving) * (self.points - 1)

    def count(self, tensors: Sequence[str]) -> int:
        """Number of components, about: files have their tensors in another order than the model.

        Args:
            tensors: Names of its tensors; empty where they are not known.
        """
        if self.move[0] not in USUAL:
            return len(self.move) + 1
        if not tensors:
            return USUAL[self.move[0]]
        if self.move == (LAYERS,):
            return len({name.rpartition(".")[0] for name in tensors})
        return len({hit[0] for name in tensors if (hit := NUMBERED.match(name))}) + 2

    def words(self) -> tuple[str, ...]:
        """What moves, and how checkpoints are aligned."""
        return (",".join(self.move), *super().words())

    def parts(self, tensors: Sequence[str]) -> Parts:
        """The components of a model.

        Args:
            tensors: Names of its tensors, in its order.

        Raises:
            InputError: If a pattern takes nothing, or two take the same tensor.
        """
        if self.move == (LAYERS,):
            names = [name.rpartition(".")[0] or name for name in tensors]
        elif self.move == (BLOCKS,):
            names = _blocks(tensors)
        else:
            names = _by_patterns(tensors, self.move)
        found: dict[str, list[int]] = {}
        for position, name in enumerate(names):
            found.setdefault(name, []).append(position)
        order = (*self.move, REST) if names and self.move[0] not in USUAL else tuple(found)
        return {name: tuple(found[name]) for name in order if name in found}


def sets(count: int, ways: Sequence[str]) -> dict[tuple[int, ...], list[tuple[str, int]]]:
    """The sets of components that move, each once, with the ways and positions that they are of.

    Args:
        count: Number of components.
        ways: ``single``, ``from_first``, ``from_last``.

    >>> sets(2, ("single", "from_first"))
    {(0,): [('single', 0), ('from_first', 0)], (1,): [('single', 1)], (0, 1): [('from_first', 1)]}
    """
    out: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    for way in ways:
        for k in range(count):
            begin, end = 0 if way == FROM_FIRST else k, count if way == FROM_LAST else k + 1
            out.setdefault(tuple(range(begin, end)), []).append((way, k))
    return out


def _blocks(tensors: Sequence[str]) -> list[str]:
    """The component of each tensor: its name up to the first number; before all numbers, input; after them, output.

    Raises:
        InputError: If there is no number.
    """
    found = [NUMBERED.match(name) for name in tensors]
    numbered = [position for position, hit in enumerate(found) if hit]
    if not numbered:
        raise InputError(
            f"no tensor of the model has a number in its name, such as {tensors[0]}, so it has no blocks; give "
            f'move = "{LAYERS}", or patterns'
        )
    names = []
    for position, hit in enumerate(found):
        module = tensors[position].rpartition(".")[0] or tensors[position]
        outside = INPUT if position < numbered[0] else OUTPUT if position > numbered[-1] else module
        names.append(hit[0] if hit else outside)
    return names


def _by_patterns(tensors: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The component of each tensor: the pattern that takes it.

    Raises:
        InputError: If a pattern takes nothing, or two take the same tensor.
    """
    names = []
    for name in tensors:
        takes = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
        if len(takes) > 1:
            raise InputError(f"move: {takes[0]} and {takes[1]} both take the tensor {name}; give patterns apart")
        names.append(takes[0] if takes else REST)
    if unused := [pattern for pattern in patterns if pattern not in names]:
        raise InputError(
            f'move: {unused[0]} takes no tensor of the model; give "{LAYERS}", "{BLOCKS}", or patterns of names such '
            f"as {tensors[0]}"
        )
    return names
