"""Learned curves between pairs of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from landscape import catalogue
from landscape.spec import MOST_SEED, BesideStudy, Choice
from landscape.study.kinds.along import Along
from landscape.study.kinds.barriers import Barriers
from landscape.study.measure import Hashes, Measure
from landscape.study.proposal import Inventory, Proposal
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task

TEXT = "fit"
"""Purpose of the batches that curves are fitted on."""


class Curves(Along):
    """Learned curves between pairs of checkpoints, compared with the straight line.

    Attributes:
        kind: Always ``curves``.
        path: Kind of curve.
        bends: Anchors between the ends.
        fit_steps: Optimizer steps.
        fit_batch: Examples of a step.
        fit_parts: Values of t in a step, one in each of as many equal stretches; 1 is Garipov et al.'s.
        rate: Learning rate.
        decay: Weight decay of the sampled point.
        seed: Of batches and t.
        control: Whether to also fit a curve from the first end to a random point as far away, with the same budget.
        fit_text: Text to fit on; another than that of ``[data]``.
        fit_sequences: Examples to fit on.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = Along.ELSEWHERE | {"fit_text", "fit_sequences"}

    kind: Literal["curves"] = "curves"
    path: Annotated[str, AfterValidator(Choice(catalogue.CURVES))] = "bezier"
    bends: int = Field(1, ge=1, le=8)
    fit_steps: int = Field(600, ge=1)
    fit_batch: int = Field(32, ge=1)
    fit_parts: int = Field(2, ge=1)
    rate: float = Field(2e-3, gt=0)
    decay: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    control: bool = True
    fit_text: BesideStudy
    fit_sequences: int = Field(1024, ge=2)
    tile: int = Field(2, ge=1)

    def paths(self, task: Task[Spec]) -> int:
        """Those of the pairs, and their controls."""
        return len(task.pairs) * (1 + self.control)

    def vectors(self, task: Task[Spec]) -> int:
        """What an optimizer keeps of the bends of a pair: their values, gradients and two moments."""
        return super().vectors(task) + 4 * self.bends

    def gradients(self, task: Task[Spec], examples: int) -> int:
        """Those of the fits."""
        return self.paths(task) * self.fit_steps * self.fit_batch

    def fitted_on(self, data: Data) -> Data:
        """The batches that curves are fitted on."""
        return data.model_copy(update={"text": self.fit_text, "sequences": self.fit_sequences, "where": None})

    def texts(self, hashes: Hashes, on: str) -> tuple[tuple[str, str], ...]:
        """The batches that it is fitted on."""
        return ((TEXT, hashes.of_data(self.fitted_on(hashes.data[on]))),)

    def other_data(self, data: Data) -> Iterator[tuple[str, Data]]:
        """What is fitted on, and what is aligned on."""
        yield "fit_text", self.fitted_on(data)
        yield from super().other_data(data)

    def before(self, measures: Sequence[Measure]) -> Iterator[Measure]:
        """The same pairs along the straight line."""
        lines = {(m.between, m.on, way) for m in measures if isinstance(m, Barriers) and m.path == "linear"
                 for way in m.align}  # fmt: skip
        if missing := tuple(way for way in self.align if (self.between, self.on, way) not in lines):
            shared = self.model_dump(include=set(Along.model_fields) & self.model_fields_set - {"kind", "path"})
            yield Barriers.model_validate({**shared, "align": missing, "tile": self.tile})

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """At the last step, where there is a text to fit on."""
        where = {"between": there.pairing[0], **there.last}
        yield Proposal(
            "bent paths of low loss between checkpoints that no straight line connects; fitted on another text",
            {**where, "fit_text": there.train_text or "training.txt"}, on=False,
        )  # fmt: skip

    def connectivity(self) -> Iterator[str]:
        """The barrier over training of the straight lines."""
        if self.between != ("all",):
            yield f"barrier:{','.join(self.between)}"
