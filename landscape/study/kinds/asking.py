"""What measures of behaviour share: which probes, and their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from landscape.catalogue import PROBES
from landscape.spec import MOST_SEED, BesideStudy, Choice, one_or_several
from landscape.study.measure import Group, Hashes, Measure
from landscape.study.tasks import Spec, Task

PREDICTIONS, KL = "predictions", "kl"
"""In place of a probe, for distances: what the models predict on the examples of the study."""
NO_PROBES = (PREDICTIONS, KL)
MOST_ITEMS = 1_000_000
ITEMS, TRAIN_TEXT = "items", "train_text"
"""Purposes of files that probes read."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, if each is a probe, with its task where it has one, or stands in place of probes.

    Raises:
        ValueError: If one is not known, with the nearest.
    """
    choice = Choice(PROBES, *NO_PROBES)
    for name in filter(None, names):
        choice(name.partition(":")[0])
    return names


Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several), AfterValidator(_known)]


class Asking(Measure):
    """Probes, and their inputs.

    Attributes:
        names: Which probes; ``harness:TASK`` is a task of lm-evaluation-harness.
        count: Items to make or to take; left out, as many as a probe takes by default.
        items: The user's own items, of one probe: a file, or a folder of them.
        train_text: What the models were trained on, or a text like it; ``ngrams`` needs it.
        labels: Classes of a classifier of sentence pairs in the order of its outputs, if its config does not name them.
        pll: Which pseudo-log-likelihood masked models are scored with.
        seed: Of what is random in the items.
        dtype: Always float32.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({
        "kind", "at_steps", "on", "among", "tile", "items", "train_text",
    })  # fmt: skip

    names: Names
    count: int | None = Field(None, ge=2, le=MOST_ITEMS)
    items: BesideStudy | None = None
    train_text: BesideStudy | None = None
    labels: tuple[str, ...] | None = None
    pll: Literal["within_word_l2r", "original"] = "within_word_l2r"
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _items_are_of_one_probe(self) -> Asking:
        if self.items is not None and len(self.names) > 1:
            raise ValueError("items are those of one probe: give each probe with items a [[measure]] of its own")
        return self

    @property
    def name(self) -> str:
        """The probe of a task, whose settings name one."""
        (name,) = self.names
        return name

    def passes(self, task: Task[Spec]) -> int:
        """One for each checkpoint."""
        return len(task.checkpoints)

    def words(self) -> tuple[str, ...]:
        """The probes."""
        return self.names

    def files(self, hashes: Hashes) -> tuple[tuple[str, str], ...]:
        """Hashes of the files that probes read."""
        return ((ITEMS, hashes.of_file(self.items)), (TRAIN_TEXT, hashes.of_file(self.train_text)))

    def of_one(self, name: str) -> Asking:
        """The same settings for one of the probes."""
        return self.model_copy(update={"names": (name,)})

    def answers(self, probes: Asking, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """A task for each checkpoint and probe.

        Args:
            probes: Settings of the kind ``probes``.
            group: The checkpoints.
            hashes: Of what is read beside them.
            on: Name of the data set.
        """
        data, files = hashes.of_probes(hashes.data[on]), self.files(hashes)
        for checkpoint in group:
            for name in self.names:
                if name not in NO_PROBES:
                    yield Task(probes.of_one(name), (checkpoint,), data=data, on=on, texts=files)
