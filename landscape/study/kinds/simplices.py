"""Mixtures of several checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from landscape.spec import MOST_SEED
from landscape.study.kinds.losses import Dtype, after_ends
from landscape.study.measure import WITHIN_RUN, Between, Grid, Group, Hashes, Measure, paired
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task


def _not_of_one_run(value: tuple[str, ...]) -> tuple[str, ...]:
    if value[0] in WITHIN_RUN:
        raise ValueError(f"{value[0]} pairs steps of one run; a simplex is between a label such as seed, or all")
    return value


class Simplices(Measure):
    """Mixtures of all checkpoints of a group: edges, centre and inside of their simplex.

    Attributes:
        kind: Always ``simplices``.
        between: The label in which alone the checkpoints of a simplex differ, a list of labels, or ``all``.
        mixtures: Random mixtures, drawn evenly from the simplex.
        seed: Random seed of these mixtures.
        dtype: As for barriers.
        keep_losses: As for barriers.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({"kind", "at_steps", "on", "keep_losses"})

    kind: Literal["simplices"] = "simplices"
    between: Annotated[Between, AfterValidator(_not_of_one_run)] = ("seed",)
    mixtures: int = Field(16, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Dtype = "float32"
    keep_losses: bool = True

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """At the last step."""
        where = {"between": there.pairing[0], **there.last}
        yield Proposal("averages of the checkpoints, and other mixtures", where, on=False)

    @property
    def combines(self) -> bool:
        """It does."""
        return True

    def passes(self, task: Task[Spec]) -> int:
        """Edges, the centre, and the random ones."""
        n = len(task.checkpoints)
        return n * (n - 1) // 2 + 1 + self.mixtures

    def groups(self, grid: Grid) -> Iterator[Group]:
        """Those of which mixtures are wanted."""
        return paired(self.between, self.at_steps, grid)

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """One for a group."""
        if len(group) > 1:
            yield from after_ends(Task(self, tuple(group), data=hashes.main(on), on=on), self.dtype)

    def nothing(self, grid: Grid) -> str:
        """There are no two checkpoints to mix."""
        return (
            f"a measure of simplices has nothing to mix between {', '.join(self.between)}: {len(grid.runs)} "
            "checkpoints share no step; give at least two at one step"
        )
