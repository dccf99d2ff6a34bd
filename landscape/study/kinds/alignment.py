"""How checkpoints are aligned: moved by a symmetry of their architecture, so that they are close to the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from landscape import catalogue, own
from landscape.spec import BesideStudy, Choice, Own
from landscape.study.measure import Group, Hashes
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task
from landscape.symmetry.settings import AlignSettings

NONE = "none"
"""Checkpoints are not aligned."""
Align = Annotated[str, AfterValidator(Choice(catalogue.MATCHERS, NONE))]
LEARNING_BATCH = 16
"""Examples of a step of aligning by the loss."""
TEXT = "align"
"""Purpose of the batches that are aligned on."""


def reads_text(method: str) -> bool:
    """Whether a way to align needs batches."""
    return method != NONE and "align_text" in catalogue.MATCHERS[method].reads


def require_alignment(align: Sequence[str], alignment: Alignment) -> None:
    """Refuse settings of alignment that no way to align reads, and ways that lack a text.

    Args:
        align: Ways to align.
        alignment: Their settings.

    Raises:
        ValueError: If there are such.
    """
    if set(align) == {NONE} and alignment != Alignment.model_validate({}):
        raise ValueError('alignment says how checkpoints are aligned: give align = "weights" or another way')
    for method in align:
        if reads_text(method) and alignment.text is None:
            raise ValueError(f'align = "{method}" needs a text: give alignment = {{ text = "FILE" }}')
    if alignment.text is not None and not any(map(reads_text, align)):
        readers = " and ".join(filter(reads_text, catalogue.MATCHERS))
        raise ValueError(f"alignment.text is for align = {readers}: leave it out")


def alignment_text(align: Sequence[str], alignment: Alignment, data: Data) -> Iterator[tuple[str, Data]]:
    """What checkpoints are aligned on, with the setting of its text; nothing if no way to align reads any.

    Args:
        align: Ways to align.
        alignment: Their settings.
        data: The data set that is measured on.
    """
    if any(map(reads_text, align)):
        yield "alignment.text", alignment.on(data)


class Alignment(AlignSettings):
    """How checkpoints are aligned, and on what text.

    Attributes:
        text: For ``activations`` and ``learned``: what to align on, another text than that of ``[data]``.
        sequences: Number of examples of it.
        table: A function of a file of your own, as ``mine.py:table``, that returns the symmetries of the model; left
            out, those of its architecture.
    """

    text: BesideStudy | None = None
    sequences: int = Field(256, ge=8)
    table: Own | None = None

    def on(self, data: Data) -> Data:
        """The batches that are aligned on."""
        return data.model_copy(update={"text": self.text, "sequences": self.sequences, "where": None})


class Aligned(Spec):
    """A group of checkpoints, aligned to the first of them.

    Attributes:
        kind: Always ``align``.
        method: By what.
        alignment: How checkpoints are aligned.
        dtype: Always float32.
    """

    kind: Literal["align"] = "align"
    method: Annotated[str, AfterValidator(Choice(catalogue.MATCHERS))]
    alignment: Alignment
    dtype: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _text_is_given(self) -> Aligned:
        if reads_text(self.method) and self.alignment.text is None:
            raise ValueError(f'align = "{self.method}" needs a text: give alignment = {{ text = "FILE" }}')
        return self

    def deciding(self) -> dict[str, JsonValue]:
        """What the method reads; the text counts by its fingerprint."""
        read = {"symmetry_group", "groups", "seed", *catalogue.MATCHERS.load(self.method).SETTINGS}
        table: dict[str, JsonValue] = {"table": own.digest(name)} if (name := self.alignment.table) else {}
        return {"method": self.method, **self.alignment.model_dump(mode="json", include=read), **table}

    def passes(self, task: Task[Spec]) -> int:
        """Two for each checkpoint, in float64, to verify the alignment."""
        return 2 * len(task.checkpoints)

    def vectors(self, task: Task[Spec]) -> int:
        """A copy of each, which moves."""
        return len(task.checkpoints)

    def gradients(self, task: Task[Spec], examples: int) -> int:
        """Those of learning by the loss."""
        steps = self.alignment.steps if "steps" in catalogue.MATCHERS.load(self.method).SETTINGS else 0
        return (len(task.checkpoints) - 1) * steps * LEARNING_BATCH

    def words(self) -> tuple[str, ...]:
        """The method."""
        return (self.method,)

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The task that aligns a group; none for one checkpoint.

        Args:
            group: The checkpoints.
            hashes: Of what is read beside them.
            on: Name of the data set.
        """
        if len(group) > 1:
            reads = reads_text(self.method)
            texts = ((TEXT, hashes.of_data(self.alignment.on(hashes.data[on]))),) if reads else ()
            yield Task(self, tuple(group), data=hashes.main(on), on=on, texts=texts)
