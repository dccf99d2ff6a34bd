"""Points of aligned checkpoints: the spaces that they are in, and where alignment moves them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor, nn

from landscape.objectives import Objective
from landscape.session.anchors import Anchors
from landscape.session.batches import Batches
from landscape.shapes import Float
from landscape.space import untie
from landscape.study.kinds.alignment import Aligned
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task
from landscape.symmetry.group import move
from landscape.symmetry.group.table import STREAM, Table
from landscape.symmetry.tables import own_table, table_of, wants_untied

MOVES = "symmetry"
"""Folder of the moves that alignment found, beside the rows."""


@dataclass(frozen=True)
class Coordinates:
    """Where aligned checkpoints are.

    Attributes:
        store: Where moves are kept.
        batches: Objectives of the data sets.
        anchors: Points of the checkpoints, not aligned.
    """

    store: Store
    batches: Batches
    anchors: Anchors

    def unties(self, aligned: Aligned, on: str) -> bool:
        """Whether an alignment needs a head that is a parameter of its own."""
        return unties(self.batches.objective(on).model, aligned)

    def objective(self, aligned: Aligned, on: str) -> Objective:
        """The objective in whose space points are aligned."""
        return self.batches.objective(on, untied=self.unties(aligned, on))

    def table(self, aligned: Aligned, on: str) -> Table:
        """The symmetries that an alignment may use."""
        model, how = self.objective(aligned, on).model, aligned.alignment
        return own_table(how.table, model, how.symmetry_group) if how.table else table_of(model, how.symmetry_group)

    def in_space(self, point: Float[Tensor, " P"], aligned: Aligned, on: str) -> Float[Tensor, " Q"]:
        """A point in the space in which it is aligned.

        Args:
            point: The point, in the space of the checkpoints.
            aligned: How it is aligned.
            on: Name of the data set.
        """
        if not self.unties(aligned, on):
            return point
        return untie(point, self.batches.objective(on).space, self.batches.objective(on, untied=True).space)

    def points(self, task: Task[Spec], aligned: Aligned) -> list[Tensor]:
        """The aligned points of a task's checkpoints."""
        (key,) = task.needs[len(task.checkpoints) :]
        moves = move.load(self.moves(key))
        table, space = self.table(aligned, task.on), self.objective(aligned, task.on).space
        pairs = zip(task.checkpoints, self.anchors.vectors(task), strict=True)
        return [move.moved(table, space, self.in_space(point, aligned, task.on), moves[c.ref]) for c, point in pairs]

    def moves(self, key: str) -> Path:
        """Where a task of alignment leaves its moves."""
        return self.store.folder / MOVES / f"{key}.safetensors"


def unties(model: nn.Module, aligned: Aligned) -> bool:
    """Whether the residual stream is to turn, and cannot while the head is tied to the embedding."""
    wanted = any(fnmatchcase(STREAM, pattern) for pattern in aligned.alignment.groups)
    return wanted and not aligned.alignment.table and wants_untied(model, aligned.alignment.symmetry_group)
