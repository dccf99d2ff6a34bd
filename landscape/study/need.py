"""How much memory tasks need, from the number of parameters alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from landscape.study.tasks import Spec, Task

FLOAT32, BFLOAT16 = 4, 2
"""Bytes of a coordinate."""
WORK = 250_000_000
"""Bytes for activations and for pieces of files, about."""
SHARE = 0.5
"""Share of the free memory that may be needed before points stay in their files."""


@dataclass(frozen=True)
class Need:
    """Memory that tasks need at once, in bytes.

    Attributes:
        in_memory: If points are vectors in memory.
        on_disk: If points stay in their files; None if a task needs whole vectors.
    """

    in_memory: int
    on_disk: int | None

    def stays_on_disk(self, free: int) -> bool:
        """Whether points stay in their files, with this number of free bytes."""
        return self.on_disk is not None and self.in_memory > SHARE * free

    def peak(self, free: int) -> int:
        """What is needed with this number of free bytes."""
        return self.on_disk if self.on_disk is not None and self.stays_on_disk(free) else self.in_memory


def need(tasks: Sequence[Task[Spec]], parameters: int) -> Need:
    """The memory that some tasks need, one after the other, in one process.

    Vectors in memory are a model, the anchors of a task and what it makes of them. On disk there is only the point that
    is evaluated, in the dtype of the computation.

    Args:
        tasks: The tasks.
        parameters: Coordinates of a point.
    """
    widest = max(bytes_of(task.spec) for task in tasks)
    vectors = max(len(task.checkpoints) + task.spec.vectors(task) for task in tasks)
    by_pieces = all(task.spec.combines for task in tasks)
    return Need(
        WORK + parameters * (FLOAT32 * (1 + vectors) + widest), WORK + parameters * widest if by_pieces else None
    )


def bytes_of(spec: Spec) -> int:
    """Bytes of a coordinate in the dtype of a spec's computation."""
    return BFLOAT16 if getattr(spec, "dtype", "float32") == "bfloat16" else FLOAT32
