"""What a family of public checkpoints is: which seeds and steps exist, where each lies, what is wrong with some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from landscape.study.checkpoint import Place

Label = tuple[int, int | None]
"""Seed and step."""


@dataclass(frozen=True)
class Defect:
    """Something known to be wrong with some checkpoints of a family.

    Attributes:
        kind: What an audit calls it, or ``note`` for what no audit can see.
        labels: Seed and step of each.
        says: What is wrong, in a few words.
        source: Who found it.
    """

    kind: str
    labels: frozenset[Label]
    says: str
    source: str

    @property
    def main(self) -> bool:
        """Whether it is the branch ``main`` that is wrong, and not the labels."""
        return self.kind == "empty main"

    def __str__(self) -> str:
        return f"{self.says} ({self.source})"


@dataclass(frozen=True)
class Family:
    """A family of public checkpoints of one architecture.

    Attributes:
        name: What a reference calls it.
        title: What it is.
        steps: For each seed its steps, rising; no steps if a seed has one checkpoint of which none is known.
        place: Where the checkpoint of a seed and step lies.
        model: The class of transformers.
        objective: The loss it was trained with.
        parameters: Unique parameters of that class.
        bytes: Bytes of weights to download for a seed and step.
        stored: The dtype of the files.
        source: Where this was learnt from.
        notes: What a user should know.
        defects: What is known to be wrong.
        whole: False if the lists of seeds and steps are not known to be complete or exact.
    """

    name: str
    title: str
    steps: Mapping[int, tuple[int, ...]]
    place: Callable[[int, int | None], Place]
    model: str
    objective: str
    parameters: int
    bytes: Callable[[int, int | None], int]
    stored: str
    source: str
    notes: tuple[str, ...] = ()
    defects: tuple[Defect, ...] = ()
    whole: bool = True

    def labels(self) -> Iterator[Label]:
        """Every checkpoint, by seed and step."""
        for seed, steps in self.steps.items():
            yield from ((seed, step) for step in steps or (None,))

    @cached_property
    def known_defects(self) -> dict[Label, str]:
        """What is wrong with each checkpoint that has a defect."""
        said: dict[Label, list[str]] = {}
        for defect in self.defects:
            for label in defect.labels if not defect.main else ():
                said.setdefault(label, []).append(str(defect))
        return {label: "; ".join(words) for label, words in said.items()}


def even(parameters: int, bytes_each: int) -> Callable[[int, int | None], int]:
    """Size of a checkpoint when all have the same dtype."""
    return lambda seed, step: parameters * bytes_each
