"""What all kinds of ``[[measure]]`` share: which checkpoints, which pairs, and how they become tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby, product
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from landscape.errors import InputError, did_you_mean
from landscape.llc.settings import ChainSettings
from landscape.spec import one_or_several
from landscape.study.checkpoint import Checkpoint, in_order, order
from landscape.study.sections import Data
from landscape.study.tasks import MAIN, Spec, Task

if TYPE_CHECKING:
    from landscape.study.proposal import Inventory, Proposal

Steps = tuple[int, ...] | Literal["all", "last"]
WITHIN_RUN = ("neighbours", "last", "first")
"""Ways to pair the steps of one run."""
Group = Sequence[Checkpoint]
Tile = tuple[tuple[Checkpoint, ...], tuple[tuple[int, int], ...]]
"""Anchors, and the wanted pairs of positions among them."""


def _between(value: tuple[str, ...]) -> tuple[str, ...]:
    if "step" in value:
        raise ValueError(f"steps of one run are paired by {', '.join(WITHIN_RUN)} or all; give one of these")
    alone = [name for name in value if name in {*WITHIN_RUN, "all"}]
    if alone and len(value) > 1:
        raise ValueError(f'{alone[0]} pairs steps or all checkpoints: give it alone, or labels such as ["seed"]')
    return value


Between = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several), AfterValidator(_between)]
"""A label or several, in which alone the checkpoints of a pair differ; or ``neighbours last first all``."""


@dataclass(frozen=True)
class Grid:
    """The checkpoints of a study.

    Attributes:
        runs: Those of the section ``[checkpoints]``.
        branches: Those of ``[checkpoints.branches]``.
    """

    runs: tuple[Checkpoint, ...]
    branches: tuple[Checkpoint, ...] = ()

    @property
    def every(self) -> tuple[Checkpoint, ...]:
        """All of them."""
        return self.runs + self.branches

    def having(self, names: Sequence[str]) -> tuple[Checkpoint, ...]:
        """The checkpoints to pair by some labels: the runs, or the branches if only these have all the labels.

        Raises:
            InputError: If no checkpoints have them.
        """
        for checkpoints in (self.runs, self.branches):
            if all(any(c.label(name) is not None for c in checkpoints) for name in names):
                return checkpoints
        known = dict.fromkeys(name for c in self.every for name, _ in c.labels)
        unknown = next((name for name in names if name not in known), names[0])
        hint = did_you_mean(unknown, (*known, *WITHIN_RUN, "all"))
        raise InputError(
            f'between = "{", ".join(names)}" pairs checkpoints by a label that they do not have{hint}; their labels '
            f"are {', '.join(known) or 'none'}, and all, neighbours, last and first pair them otherwise"
        )


@dataclass(frozen=True)
class Hashes:
    """Hashes of what tasks read beside checkpoints; without them a plan has tasks whose keys mean nothing.

    Attributes:
        data: The data sets of a study by name.
        of_data: Fingerprint of fixed batches.
        of_probes: The same for what probes make of them.
        of_file: Hash of a file or folder; of None it is empty.
    """

    data: Mapping[str, Data]
    of_data: Callable[[Data], str] = field(default=lambda data: "")
    of_probes: Callable[[Data], str] = field(default=lambda data: "")
    of_file: Callable[[str | None], str] = field(default=lambda file: file or "")

    def main(self, on: str) -> str:
        """Fingerprint of the batches of a data set."""
        return self.of_data(self.data[on])


class Measure(Spec):
    """One ``[[measure]]`` of a study.

    Attributes:
        at_steps: Only at these training steps; ``last`` is the last of all.
        on: The data sets that it is measured on: ``main`` is ``[data]``, others are ``[data.NAME]``.
    """

    at_steps: Steps = "all"
    on: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (MAIN,)

    @abstractmethod
    def groups(self, grid: Grid) -> Iterator[Group]:
        """Sets of checkpoints that are measured together."""

    @abstractmethod
    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The tasks of one set of checkpoints on one data set, each after those it needs.

        Args:
            group: The checkpoints.
            hashes: Of what is read beside them.
            on: Name of the data set.
        """

    @abstractmethod
    def nothing(self, grid: Grid) -> str:
        """The message where there is nothing to measure."""

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """Measures of this kind that make sense for what there is; those without any task are left out."""
        yield from ()

    def before(self, measures: Sequence[Measure]) -> Iterator[Measure]:
        """Other measures that this one is compared with, if the study does not have them anyway."""
        yield from ()

    def other_data(self, data: Data) -> Iterator[tuple[str, Data]]:
        """Further batches that it reads, each with the setting of their text; data must have another text."""
        yield from ()

    @property
    def of_chains(self) -> ChainSettings | None:
        """Settings of chains that it samples; None if it samples none."""
        return None

    @property
    def own_table(self) -> str | None:
        """The symmetry table of the user's own by which it aligns, as ``mine.py:table``; None if there is none."""
        return None

    def connectivity(self) -> Iterator[str]:
        """Names of the series of connectivity that it makes."""
        yield from ()

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """How the names of other series that it makes begin; ``distances`` for matrices of pairs."""
        yield from ()


def at_steps(steps: Steps, checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """The checkpoints of some training steps."""
    every = list(checkpoints)
    if steps == "last":
        steps = (max((c.step for c in every if c.step is not None), default=0),)
    return [c for c in every if steps == "all" or c.step in steps]


def by(checkpoints: Iterable[Checkpoint], names: Iterable[str]) -> Iterator[list[Checkpoint]]:
    """Checkpoints in groups that agree in some labels."""
    names = list(names)
    for _, group in groupby(in_order(checkpoints, names), key=lambda c: [order(c.label(name)) for name in names]):
        yield list(group)


def paired(between: tuple[str, ...], steps: Steps, grid: Grid) -> Iterator[Group]:
    """Sets of checkpoints of which pairs are wanted.

    Args:
        between: As in a study.
        steps: Only at these.
        grid: The checkpoints.

    Raises:
        InputError: If they are paired by a label that they do not have.
    """
    runs = at_steps(steps, grid.runs)
    if between == ("all",):
        yield runs
    elif between[0] in WITHIN_RUN:
        names = dict.fromkeys(name for c in runs for name, _ in c.labels if name != "step")
        yield from (in_order(run, ["step"]) for run in by(runs, names))
    else:
        chosen = at_steps(steps, grid.having(between))
        names = dict.fromkeys(name for c in chosen for name, _ in c.labels if name not in between)
        others = [*(name for name in names if name != "step"), "step"]
        yield from (in_order(group, between) for group in by(chosen, others))


def tiles(group: Group, size: int, between: tuple[str, ...]) -> Iterator[Tile]:
    """The wanted pairs of a group in tiles.

    Args:
        group: The checkpoints.
        size: Largest number of checkpoints on each side of a tile.
        between: Which pairs are wanted.
    """
    count = len(group)
    match between[0]:
        case "neighbours":
            for i in range(0, count - 1, size):
                block = tuple(group[i : i + size + 1])
                yield block, tuple((k, k + 1) for k in range(len(block) - 1))
        case "last":
            for i in range(0, count - 1, size):
                block = tuple(group[i : min(i + size, count - 1)])
                yield (*block, group[-1]), tuple((k, len(block)) for k in range(len(block)))
        case "first":
            for i in range(1, count, size):
                block = tuple(group[i : i + size])
                yield (group[0], *block), tuple((0, k) for k in range(1, len(block) + 1))
        case _:
            yield from _blocks(group, size)


def _blocks(group: Group, size: int) -> Iterator[Tile]:
    """Blocks of all pairs, in snake order, so that neighbours share a side."""
    blocks = [range(i, min(i + size, len(group))) for i in range(0, len(group), size)]
    for row, block in enumerate(blocks):
        columns = blocks[row:]
        if row % 2:
            columns = [*columns[:1:-1], columns[0], *columns[1:2]]
        for other in columns:
            pairs: Iterable[tuple[int, int]] = combinations(block, 2) if other is block else product(block, other)
            wanted = sorted(pairs)
            if wanted:
                used = sorted({i for pair in wanted for i in pair})
                position = {i: n for n, i in enumerate(used)}
                yield tuple(group[i] for i in used), tuple((position[i], position[j]) for i, j in wanted)


def after(task: Task[Spec], *needs: Task[Spec]) -> Iterator[Task[Spec]]:
    """Tasks, and then a task that needs them."""
    yield from needs
    yield replace(task, needs=tuple(one.key for one in needs))
