"""The loss of a checkpoint by itself: an end that many pairs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from landscape.study.measure import after
from landscape.study.tasks import Spec, Task

Dtype = Literal["float32", "tf32", "bfloat16"]
"""Of the forward pass; points are always combined in float32. ``tf32`` needs a GPU of NVIDIA."""
AnyDtype = Dtype | Literal["auto"]
"""``auto`` is the fastest on this machine whose error, seen against float32, is below a tenth of the interval."""


class Losses(Spec):
    """The loss of a checkpoint.

    Attributes:
        kind: Always ``losses``.
        dtype: Of the forward pass.
    """

    KEEPS_LOSSES: ClassVar[bool] = True

    kind: Literal["losses"] = "losses"
    dtype: Dtype = "float32"

    @property
    def combines(self) -> bool:
        """It does."""
        return True

    def passes(self, task: Task[Spec]) -> int:
        """One."""
        return 1


def after_ends(task: Task[Spec], dtype: AnyDtype, *needs: Task[Spec]) -> Iterator[Task[Spec]]:
    """The losses of the task's checkpoints, then other tasks that it needs, then the task.

    Args:
        task: The task.
        dtype: Its dtype; ends take float32 for ``auto``, since they are few and cancel no error here.
        needs: What else it needs.
    """
    spec = Losses(dtype="float32" if dtype == "auto" else dtype)
    ends = [Task(spec, (checkpoint,), data=task.data, on=task.on) for checkpoint in task.checkpoints]
    yield from after(task, *ends, *needs)
