"""Learned buffers of checkpoints: part of the function, and no coordinates of a point.

A point that is no checkpoint takes those of one: of two ends, of the nearer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from landscape.checkpoints import fetch, models
from landscape.errors import InputError
from landscape.shapes import Float, Int
from landscape.space import learned_buffers
from landscape.task import Checkpoint, Task


@dataclass
class Buffers:
    """The learned buffers of a model and of its checkpoints.

    Attributes:
        model: The model.
        fresh: What they are before a checkpoint is read; what a file lacks stays so.
        known: Those of the checkpoints read so far, by content.
    """

    model: nn.Module
    fresh: dict[str, Tensor]
    known: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module) -> Buffers:
        """Those of a model that no checkpoint was given to."""
        return cls(model, {name: value.cpu().clone() for name, value in learned_buffers(model).items()})

    def read(self, checkpoint: Checkpoint) -> dict[str, Tensor]:
        """The learned buffers of a checkpoint, by name."""
        if not self.fresh:
            return {}
        if checkpoint.content not in self.known:
            found = models.buffers(fetch.weights(checkpoint), self.model)
            self.known[checkpoint.content] = {**self.fresh, **found}
        return self.known[checkpoint.content]

    def differ(self, checkpoints: Sequence[Checkpoint]) -> list[str]:
        """Names of those in which some of these checkpoints differ."""
        if not checkpoints:
            return []
        first, *others = map(self.read, checkpoints)
        return [name for name in first if not all(torch.equal(first[name], other[name]) for other in others)]

    def give(self, checkpoint: Checkpoint, *models: nn.Module) -> None:
        """Give these models the learned buffers of a checkpoint."""
        for model in models:
            for name, value in self.read(checkpoint).items():
                model.get_buffer(name).copy_(value)

    def give_common(self, checkpoints: Sequence[Checkpoint], what: str, *models: nn.Module) -> None:
        """Give these models the learned buffers that all these checkpoints have.

        Args:
            checkpoints: The checkpoints.
            what: What is done with all of them at once.
            models: The models.

        Raises:
            InputError: If they differ.
        """
        if names := self.differ(checkpoints):
            raise InputError(
                f"the checkpoints differ in learned buffers such as {names[0]!r}, which are no coordinates of a point, "
                f"and {what} takes one set of them; take one checkpoint at a time (tile = 1 for llc), or barriers and "
                "mixtures, whose points take those of the nearer end"
            )
        self.give(checkpoints[0], *models)

    def whose(self, task: Task) -> str | None:
        """Whose learned buffers the points of a task take; None for a model without any."""
        if not self.fresh:
            return None
        return "nearer end" if self.differ(task.checkpoints) else "own"

    def nearest(
        self, checkpoints: Sequence[Checkpoint], rows: Float[Tensor, "points *tensors anchors"]
    ) -> Iterator[tuple[Checkpoint, Int[Tensor, " some"]]]:
        """The rows that take the buffers of each checkpoint: that of the largest coefficient, the first of equal ones.

        Args:
            checkpoints: One for each anchor; or some that agree in their buffers.
            rows: Coefficients of points; for a row of each tensor, their mean counts.
        """
        if not self.differ(checkpoints):
            yield checkpoints[0], torch.arange(len(rows))
            return
        weights = rows.flatten(1, -2).mean(dim=1) if rows.ndim > 2 else rows
        owner = weights.argmax(dim=1)
        for k in sorted(set(owner.tolist())):
            yield checkpoints[k], torch.nonzero(owner == k)[:, 0]
