"""Learned buffers of checkpoints: part of the function, and no coordinates of a point.

A point that is no checkpoint takes those of one: of two ends, of the nearer; or, if that is asked for, their mean.
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
from landscape.study.checkpoint import Checkpoint
from landscape.study.tasks import Spec, Task


@dataclass
class Buffers:
    """The learned buffers of a model and of its checkpoints.

    Attributes:
        model: The model.
        fresh: What they are before a checkpoint is read; what a file lacks stays so.
        interpolated: Whether points take means by their coefficients.
        known: Those of the checkpoints read so far, by content.
    """

    model: nn.Module
    fresh: dict[str, Tensor]
    interpolated: bool = False
    known: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module, how: str = "nearest") -> Buffers:
        """Those of a model that no checkpoint was given to."""
        fresh = {name: value.cpu().clone() for name, value in learned_buffers(model).items()}
        return cls(model, fresh, how == "interpolated")

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
            put(self.read(checkpoint), model)

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

    def whose(self, task: Task[Spec]) -> str | None:
        """Whose learned buffers the points of a task take; None for a model without any."""
        if not self.fresh:
            return None
        if not self.differ(task.checkpoints):
            return "own"
        return "interpolated" if self.interpolated else "nearer end"

    def shared(
        self, checkpoints: Sequence[Checkpoint], rows: Float[Tensor, "points *tensors anchors"]
    ) -> Iterator[tuple[dict[str, Tensor], Int[Tensor, " some"]]]:
        """Learned buffers, and the rows that take them.

        A row takes those of its largest coefficient, the first of equal ones; or the mean by its coefficients, where
        whole numbers stay those of the largest.

        Args:
            checkpoints: One for each anchor; or some that agree in their buffers.
            rows: Coefficients of points; for a row of each tensor, their mean counts.
        """
        if not self.differ(checkpoints):
            yield self.read(checkpoints[0]), torch.arange(len(rows))
            return
        weights = rows.flatten(1, -2).mean(dim=1) if rows.ndim > 2 else rows
        owner, held = weights.argmax(dim=1), [self.read(checkpoint) for checkpoint in checkpoints]
        if self.interpolated:
            for n, row in enumerate(weights):
                yield _mean(row, held, int(owner[n])), torch.tensor([n])
            return
        for k in sorted(set(owner.tolist())):
            yield held[k], torch.nonzero(owner == k)[:, 0]


def put(buffers: dict[str, Tensor], model: nn.Module) -> None:
    """Give a model some buffers."""
    for name, value in buffers.items():
        model.get_buffer(name).copy_(value)


def _mean(weights: Float[Tensor, " k"], held: Sequence[dict[str, Tensor]], owner: int) -> dict[str, Tensor]:
    return {
        name: sum((w * own[name] for w, own in zip(weights.tolist(), held, strict=True)), torch.zeros_like(value))
        if value.is_floating_point() else value
        for name, value in held[owner].items()
    }  # fmt: skip
