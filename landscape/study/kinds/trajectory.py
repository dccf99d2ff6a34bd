"""What lies along a run: lines from earlier to later checkpoints, continued beyond them, and means of the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from landscape.shapes import Float
from landscape.spec import MOST_SEED
from landscape.study.kinds.losses import Dtype, after_ends
from landscape.study.measure import Grid, Group, Hashes, Measure, Tile, paired, tiles
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task

WINDOW = "window"
OF_LINES = ("points", "beyond", "fall", "control", "seed")


class Trajectory(Measure):
    """Lines along a run, and means of its last checkpoints.

    Attributes:
        kind: Always ``trajectory``.
        between: ``first``, from the first checkpoint of a run to each later one; ``neighbours``, from each to the next;
            ``last``, from each to the last; ``window``, the mean of each ``k`` consecutive checkpoints.
        k: Checkpoints of a window.
        points: Even t from the earlier checkpoint, at t = 0, to the later one, at t = 1.
        beyond: Largest t: how far lines are continued beyond the later checkpoint.
        fall: Share of the fall of the loss from t = 0 to 1 that ends the plateau.
        control: With ``first``: whether to also draw lines from noise, the numbers of each tensor of the first
            checkpoint in random order; left out, yes.
        seed: Of this order.
        dtype: As for barriers.
        resamples: Bootstrap resamples.
        keep_losses: As for barriers.
        tile: Lines or windows of one task.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({"kind", "at_steps", "on", "keep_losses", "tile"})

    kind: Literal["trajectory"] = "trajectory"
    between: Literal["first", "neighbours", "last", "window"] = "first"
    k: int = Field(5, ge=2)
    points: int = Field(21, ge=3, le=201)
    beyond: float = Field(1.0, ge=1, le=10)
    fall: float = Field(0.1, gt=0, lt=1)
    control: bool | None = None
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Dtype = "float32"
    resamples: int = Field(1000, ge=100)
    keep_losses: bool = True
    tile: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _settings_are_of_what_is_measured(self) -> Trajectory:
        given = [name for name in OF_LINES if name in self.model_fields_set]
        if self.between == WINDOW and given:
            raise ValueError(f'{given[0]} is a setting of lines, and between = "{WINDOW}" averages checkpoints')
        if self.between != WINDOW and "k" in self.model_fields_set:
            raise ValueError(f'k is the size of a window: give between = "{WINDOW}"')
        if self.control and self.between != "first":
            raise ValueError('control is noise in place of the first checkpoint: give between = "first"')
        return self

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """From the first checkpoint of each run."""
        yield Proposal("the loss on lines from the first checkpoint of each run to its later ones", on=False)

    @property
    def has_control(self) -> bool:
        """Whether lines from noise are drawn."""
        return self.between == "first" and self.control is not False

    @property
    def t(self) -> Float[np.ndarray, " t"]:
        """Where lines are evaluated: even t in [0, 1] and, in the same steps, beyond."""
        gaps = self.points - 1
        return np.arange(int(self.beyond * gaps + 1e-9) + 1) / gaps

    @property
    def combines(self) -> bool:
        """If no noise is made, which is a point in memory."""
        return not self.has_control

    def vectors(self, task: Task[Spec]) -> int:
        """The noise."""
        return int(self.has_control)

    def passes(self, task: Task[Spec]) -> int:
        """A mean for each window; for each line what is not its ends, and for the control also its start."""
        if self.between == WINDOW:
            return len(task.pairs)
        each = len(self.t) - 2
        return len(task.pairs) * (each * (1 + self.has_control)) + self.has_control

    def words(self) -> tuple[str, ...]:
        """How steps are paired."""
        return (self.between,)

    def groups(self, grid: Grid) -> Iterator[Group]:
        """The runs."""
        yield from paired(("neighbours",), self.at_steps, grid)

    def tiles(self, group: Group) -> Iterator[Tile]:
        """The lines or windows of a run; a window is the checkpoints from the first to the second of a pair."""
        if self.between != WINDOW:
            yield from tiles(group, self.tile, (self.between,))
            return
        for begin in range(0, len(group) - self.k + 1, self.tile):
            anchors = tuple(group[begin : begin + self.tile + self.k - 1])
            yield anchors, tuple((n, n + self.k - 1) for n in range(len(anchors) - self.k + 1))

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The tiles of a run, after the losses of its checkpoints."""
        for anchors, pairs in self.tiles(group):
            yield from after_ends(Task(self, anchors, pairs, hashes.main(on), on), self.dtype)

    def nothing(self, grid: Grid) -> str:
        """No run has enough checkpoints."""
        least = self.k if self.between == WINDOW else 2
        return (
            f"a measure of {self.kind} needs at least {least} checkpoints of one run for between = {self.between}, "
            f"and no run of the {len(grid.runs)} checkpoints has so many"
        )

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """The gain of averaging over training."""
        if not distances:
            yield f"trajectory:{self.between}"
