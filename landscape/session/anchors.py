"""Points of checkpoints in memory: each is loaded once, and evicted by the order of the plan."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from landscape.anchor import Anchor
from landscape.checkpoints import fetch, formats, identity, models
from landscape.checkpoints.on_disk import PointOnDisk
from landscape.session.cache import Cache
from landscape.study.checkpoint import FACTORS, Checkpoint
from landscape.study.tasks import Spec, Task

MEMORY_SHARE = 0.25
"""Share of the memory that points may take."""
BYTES = 4
"""Bytes of a coordinate."""


@dataclass
class Anchors:
    """The points of the checkpoints of a study, on the device.

    Attributes:
        model: A model of their architecture.
        parameters: Coordinates of a point.
        tasks: All tasks, in plan order.
        device: Where points are kept.
        workers: How many sessions share the memory of the machine.
        signatures: Signature and content of each checkpoint on this disk when it was identified, by path.
        in_memory: Points that are in memory already, by content.
        on_disk: Whether points stay in their files, and are read when they are combined.
    """

    model: nn.Module
    parameters: int
    tasks: Sequence[Task[Spec]]
    device: torch.device
    workers: int = 1
    signatures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    in_memory: Mapping[str, Tensor] = field(default_factory=dict)
    on_disk: bool = False
    _files: dict[str, PointOnDisk] = field(default_factory=dict)
    _stored: dict[str, str] = field(default_factory=dict)
    _finite: set[str] = field(default_factory=set)
    _staging: Tensor | None = None

    @cached_property
    def _cache(self) -> Cache[Tensor]:
        uses: dict[str, list[int]] = {}
        for position, task in enumerate(self.tasks):
            for checkpoint in task.checkpoints:
                uses.setdefault(checkpoint.content, []).append(position)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / self.workers
        if self.device.type == "cuda":
            memory = torch.cuda.mem_get_info(self.device)[1]
        most = max((len(task.checkpoints) for task in self.tasks if task.kind != "align"), default=2)
        return Cache(max(most, int(memory * MEMORY_SHARE / (BYTES * self.parameters))), uses)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {task.key: position for position, task in enumerate(self.tasks)}

    def of(self, task: Task[Spec]) -> list[Anchor]:
        """The points of a task's checkpoints, in memory or on disk.

        Raises:
            InputError: If one cannot be loaded, or is not finite.
        """
        if self.on_disk:
            return [self._opened(checkpoint) for checkpoint in task.checkpoints]
        return list(self.vectors(task))

    def vectors(self, task: Task[Spec]) -> list[Tensor]:
        """The points of a task's checkpoints in memory.

        Raises:
            InputError: If one cannot be loaded, or is not finite.
        """
        return [self.one(task, checkpoint) for checkpoint in task.checkpoints]

    def one(self, task: Task[Spec], checkpoint: Checkpoint) -> Tensor:
        """The point of one of the task's checkpoints; later ones may be written to its memory."""
        if checkpoint.content in self.in_memory:
            return self.in_memory[checkpoint.content].to(self.device)
        return self._cache.get(checkpoint.content, self._position[task.key], partial(self._load, checkpoint))

    def stored(self, checkpoint: Checkpoint) -> str | None:
        """The dtype of a checkpoint's weights on disk; None for one in memory."""
        if checkpoint.content in self.in_memory:
            return None
        if checkpoint.content not in self._stored:
            self._stored[checkpoint.content] = formats.stored_as(formats.index(fetch.weights(checkpoint)).values())
        return self._stored[checkpoint.content]

    def _opened(self, checkpoint: Checkpoint) -> PointOnDisk:
        """The point of a checkpoint that stays in its files; these are compared with what was identified."""
        if checkpoint.content not in self._files:
            path = fetch.weights(checkpoint)
            self._files[checkpoint.content] = PointOnDisk.of(path, self.model)
            self._require_unchanged(path, checkpoint)
        return self._files[checkpoint.content]

    def _load(self, checkpoint: Checkpoint, old: Tensor | None) -> Tensor:
        out = old if self.device.type == "cpu" else self._staging
        new = checkpoint.content not in self._finite
        path = fetch.weights(checkpoint)
        self._staging = models.load(path, self.model, out, look=new)
        self._require_unchanged(path, checkpoint)
        self._finite.add(checkpoint.content)
        return self._staging.to(self.device)

    def _require_unchanged(self, path: Path, checkpoint: Checkpoint) -> None:
        whole = Path(checkpoint.ref) if checkpoint.adapter == "factors" else path
        known, *_ = self.signatures.get(str(whole.resolve()), ("",))
        if known:  # what was downloaded is named by its content
            content = checkpoint.content.removesuffix(FACTORS)
            identity.require_unchanged(whole, fetch.config_of(checkpoint), known, content)
