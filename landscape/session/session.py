"""What a worker keeps between tasks; each part is loaded by the kinds of task that need it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.anchor import Anchor
from landscape.checkpoints import fetch
from landscape.objectives import Objective
from landscape.own import label
from landscape.points.memory import keep_freed_memory
from landscape.rows import Row
from landscape.session.anchors import Anchors
from landscape.session.batches import Batches
from landscape.session.evaluator import Choices, Evaluator, evaluations
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import Study
from landscape.study.kinds.alignment import Aligned
from landscape.study.kinds.losses import AnyDtype
from landscape.study.need import BFLOAT16, bytes_of
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task

if TYPE_CHECKING:
    from landscape.session.coordinates import Coordinates
    from landscape.session.probe_models import ProbeModels

OWN = "own"
"""What the loss of models in memory is called in rows."""


@dataclass(frozen=True)
class InMemory:
    """Models that are in memory already.

    Attributes:
        objective: Their loss on given batches.
        points: Each as a point, by content.
        buffers: The learned buffers of each, by content and name.
        fitted: Their loss on the batches that curves are fitted on and models are aligned on; None if there are none.
        key: Stands for batches and loss in keys of tasks: a loss is a function, and has no hash.
    """

    objective: Objective
    points: Mapping[str, Tensor]
    buffers: Mapping[str, dict[str, Tensor]]
    fitted: Objective | None = None
    key: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass
class Session:
    """One worker's side of a study.

    Attributes:
        store: Where results are read and written.
        study: The study.
        tasks: All tasks, in plan order.
        device: Where to compute.
        workers: How many sessions share the memory of the machine.
        signatures: Signature and content of each checkpoint on this disk when it was identified, by path.
        memory: Models in memory, in place of checkpoints.
        on_disk: Whether points stay in their files, and models take no memory.
        spread: Whether points are spread over devices; they stay in their files, then.
    """

    store: Store
    study: Study
    tasks: Sequence[Task[Spec]]
    device: torch.device
    workers: int = 1
    signatures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    memory: InMemory | None = None
    on_disk: bool = False
    spread: bool = False
    _choices: dict[tuple[str, bool], Choices] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep freed memory: the activations of a pass have the sizes of those of the last one."""
        keep_freed_memory()

    @cached_property
    def batches(self) -> Batches:
        """The objectives of its data sets."""
        first = self.tasks[0].checkpoints[0]
        if self.memory is None:
            narrow = torch.bfloat16 if all(bytes_of(task.spec) == BFLOAT16 for task in self.tasks) else torch.float32
            hollow = narrow if self.on_disk else None
            return Batches(self.study.data_sets, first, self.device, hollow=hollow)
        memory = self.memory
        return Batches(self.study.data_sets, first, self.device, memory.objective, memory.fitted, memory.buffers)

    @cached_property
    def anchors(self) -> Anchors:
        """The points of its checkpoints."""
        objective = self.batches.objective(self.tasks[0].on)
        return Anchors(
            objective.model, objective.space.size, self.tasks, self.device, self.workers, self.signatures,
            self.memory.points if self.memory else {}, self.on_disk,
        )  # fmt: skip

    @cached_property
    def coordinates(self) -> Coordinates:
        """The points of aligned checkpoints."""
        from landscape.session.coordinates import Coordinates

        return Coordinates(self.store, self.batches, self.anchors)

    @cached_property
    def probe_models(self) -> ProbeModels:
        """Models for probes, and the items of these."""
        from landscape.session.probe_models import ProbeModels

        return ProbeModels(self.store, self.study, self.tasks[0].checkpoints[0], self.device)

    def objective(self, task: Task[Spec], aligned: Aligned | None = None) -> Objective:
        """The objective of a task, in the space in which its checkpoints are aligned."""
        return self.coordinates.objective(aligned, task.on) if aligned else self.batches.objective(task.on)

    def points(self, task: Task[Spec], aligned: Aligned | None = None) -> list[Anchor]:
        """The points of a task's checkpoints, aligned if that is wanted, in memory or on disk."""
        return [*self.coordinates.points(task, aligned)] if aligned else self.anchors.of(task)

    def vectors(self, task: Task[Spec], aligned: Aligned | None = None) -> list[Tensor]:
        """The same in memory, for kinds of task that do more than combine them."""
        return self.coordinates.points(task, aligned) if aligned else self.anchors.vectors(task)

    def release(self) -> None:
        """Drop models and points, which other processes hold from now on."""
        self._choices.clear()
        for held in ("batches", "anchors", "coordinates", "probe_models"):
            self.__dict__.pop(held, None)

    def evaluator(
        self,
        task: Task[Spec],
        dtype: AnyDtype,
        aligned: Aligned | None = None,
        checkpoints: Sequence[Checkpoint] | None = None,
    ) -> Evaluator:
        """What evaluates the points of a task.

        Args:
            task: The task.
            dtype: Of the forward pass.
            aligned: How its checkpoints are aligned.
            checkpoints: Whose learned buffers the points take; None is those of the task, one for each anchor.
        """
        untied = aligned is not None and self.coordinates.unties(aligned, task.on)
        key = task.on, untied
        if key not in self._choices:
            objective = self.batches.objective(task.on, untied=untied)
            self._choices[key] = Choices(
                objective, evaluations(self.tasks, objective.examples), self.device, not self.on_disk, self.spread
            )
        owners = task.checkpoints if checkpoints is None else checkpoints
        return Evaluator(self._choices[key], self.batches.buffers(task.on), owners, dtype)

    def columns(self, task: Task[Spec], dtype: str = "float32", dtype_error: float | None = None) -> Row:
        """Columns on the data that every row of a task has.

        Args:
            task: The task.
            dtype: Of the forward pass.
            dtype_error: Its largest error against float32, in the unit of the loss.
        """
        objective, data = self.batches.objective(task.on), self.study.data_sets[task.on]
        adapters = [] if self.memory else [how for c in task.checkpoints if (how := fetch.adapter_of(c))]
        return {
            "data": task.on,
            "objective": OWN if self.memory else label(data.objective),
            "unit": objective.unit,
            "examples": objective.examples,
            "length": None if self.memory or data.own or "images" in data.reads else data.length,
            "dtype": dtype,
            "dtype_error": dtype_error,
            "buffers": self.batches.buffers(task.on).whose(task),
            **objective.columns,
            **({"adapter": adapters[0]} if adapters else {}),
        }
