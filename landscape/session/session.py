"""What a worker keeps between tasks: the objective, points in memory, the strategy that was fastest."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscape.checkpoints import fetch, formats, identity, models
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import Dtype, dtype_error, evaluate, losses, tuner
from landscape.points.fastest import fastest
from landscape.points.memory import keep_freed_memory
from landscape.points.remembered import Remembered
from landscape.points.strategy import Strategy, Tuner, affordable, least_seconds
from landscape.rows import Row
from landscape.session import data as fixed
from landscape.session.buffers import Buffers, put
from landscape.session.cache import Cache
from landscape.shapes import Float, Int
from landscape.space import untie
from landscape.study.file import Study
from landscape.study.kinds import ON_TEXT, Barriers, Curves
from landscape.study.sections import Data
from landscape.study.store import Store
from landscape.study.tasks import Checkpoint, Task
from landscape.symmetry.group import move
from landscape.symmetry.group.table import STREAM, Table
from landscape.symmetry.tables import table_of, wants_untied

if TYPE_CHECKING:
    from landscape.probes import Subject

MEMORY_SHARE = 0.25
MOVES = "symmetry"
"""Folder of the moves that matching found, beside the rows."""
SPAWN_SECONDS = 10.0
"""What a second process costs before its first result."""
TRIAL_EXAMPLES = 8
"""Examples of a pass that only times numbers of threads."""
ONE_THREAD = 1_000_000
"""Parameters below which one thread is taken without timing."""


@dataclass(frozen=True)
class Result:
    """Rows of a task, and the per-example losses to keep."""

    rows: list[Row]
    losses: Float[np.ndarray, "rows examples"] | None = None


@dataclass(frozen=True)
class Values:
    """What was measured at some points.

    Attributes:
        losses: Loss of each example.
        metrics: Everything else the objective measures, likewise.
        dtype_error: Largest error of a mean loss seen against float32; None in float32.
        how: Columns that say how it was run.
    """

    losses: Float[np.ndarray, "points examples"]
    metrics: dict[str, Float[np.ndarray, "points examples"]]
    dtype_error: float | None
    how: Row


def joined(parts: Sequence[Values], order: Int[np.ndarray, " points"]) -> Values:
    """Values at some points and at others as those of all, in this order of them."""
    errors = [part.dtype_error for part in parts if part.dtype_error is not None]
    return Values(
        np.concatenate([part.losses for part in parts])[order],
        {name: np.concatenate([part.metrics[name] for part in parts])[order] for name in parts[0].metrics},
        max(errors, default=None),
        {**parts[-1].how, "seconds": sum(part.how["seconds"] for part in parts)},
    )


def unties(model: nn.Module, matching: Mapping[str, Any]) -> bool:
    """Whether the stream is to turn, and cannot while the head is tied."""
    wanted = any(fnmatchcase(STREAM, pattern) for pattern in matching["groups"])
    return wanted and wants_untied(model, matching["symmetry_group"])


def moves_file(store: Store, key: str) -> Path:
    """Where a task of matching leaves its moves."""
    return store.folder / MOVES / f"{key}.safetensors"


@dataclass
class Session:
    """One worker's side of a study.

    Attributes:
        store: Where results are read and written.
        study: The study.
        tasks: All tasks, in plan order.
        device: Where to compute.
        workers: How many sessions share the machine's memory.
        signatures: Of the checkpoints on this disk, by path, with their content: what they were when identified.
    """

    store: Store
    study: Study
    tasks: Sequence[Task]
    device: torch.device
    workers: int = 1
    signatures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _fitting: dict[str, Objective] = field(default_factory=dict)
    _tuners: dict[str, Tuner] = field(default_factory=dict)
    _stored: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, tuple[Any, str]] = field(default_factory=dict)
    _staging: Tensor | None = None
    _fastest: Dtype | None = None
    _finite: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Keep memory for what comes: the activations of a pass have the sizes of the last one's."""
        keep_freed_memory()

    @property
    def data(self) -> Data:
        """The fixed batches."""
        return self.study.data

    @property
    def keep_losses(self) -> bool:
        """Whether tasks on paths keep the losses of every example."""
        return all(getattr(m, "keep_losses", True) for m in self.study.measure)

    @cached_property
    def objective(self) -> Objective:
        """The objective of the study."""
        return fixed.build(self.data, self.tasks[0].checkpoints[0]).to(self.device)

    def fitting(self, fingerprint: str, *, untied: bool = False) -> Objective:
        """The objective on the batches that curves are fitted on, or that symmetries are matched on."""
        key = f"{fingerprint} {untied}"
        if key not in self._fitting:
            first = self.tasks[0].checkpoints[0]
            wanted = [m.fitted_on(self.data) for m in self.study.measure if isinstance(m, Curves)]
            along = [m for m in self.study.measure if isinstance(m, Barriers | Curves)]
            wanted += [m.match.aligned_on(self.data) for m in along if set(m.symmetry) & set(ON_TEXT)]
            (data, *_) = (data for data in wanted if fixed.fingerprint(data, first) == fingerprint)
            self._fitting[key] = fixed.build(data, first, untied=untied).to(self.device)
        return self._fitting[key]

    @cached_property
    def _untied(self) -> Objective:
        return fixed.build(self.data, self.tasks[0].checkpoints[0], untied=True).to(self.device)

    def unties(self, matching: Mapping[str, Any] | None) -> bool:
        """Whether matching by these settings needs a head that is a parameter of its own."""
        return matching is not None and unties(self.objective.model, matching)

    def objective_for(self, matching: Mapping[str, Any] | None) -> Objective:
        """The objective in whose space points are matched by these settings; that of the study for None."""
        return self._untied if self.unties(matching) else self.objective

    def table(self, matching: Mapping[str, Any]) -> Table:
        """The symmetries that these settings take out."""
        return table_of(self.objective_for(matching).model, matching["symmetry_group"])

    def in_space(self, point: Float[Tensor, " P"], matching: Mapping[str, Any] | None) -> Float[Tensor, " Q"]:
        """A point in the space in which it is matched."""
        if not self.unties(matching):
            return point
        return untie(point, self.objective.space, self._untied.space)

    def matched(self, task: Task) -> list[Tensor]:
        """The points of a task, in the coordinates that its settings ask for."""
        matching = dict(task.settings).get("matching")
        anchors = self.anchors(task)
        if matching is None:
            return anchors
        (key,) = task.needs[len(task.checkpoints) :]
        moves = move.load(moves_file(self.store, key))
        table, space = self.table(matching), self.objective_for(matching).space
        pairs = zip(task.checkpoints, anchors, strict=True)
        return [move.moved(table, space, self.in_space(point, matching), moves[c.ref]) for c, point in pairs]

    @cached_property
    def _cache(self) -> Cache[Tensor]:
        uses: dict[str, list[int]] = {}
        for position, task in enumerate(self.tasks):
            for checkpoint in task.checkpoints:
                uses.setdefault(checkpoint.content, []).append(position)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / self.workers
        if self.device.type == "cuda":
            memory = torch.cuda.mem_get_info(self.device)[1]
        most = max((len(task.checkpoints) for task in self.tasks if task.kind != "match"), default=2)
        return Cache(max(most, int(memory * MEMORY_SHARE / (4 * self.objective.space.size))), uses)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {task.key: position for position, task in enumerate(self.tasks)}

    def anchors(self, task: Task) -> list[Tensor]:
        """The points of the task's checkpoints, on the device.

        Raises:
            InputError: If one cannot be loaded, or is not finite.
        """
        return [self.anchor(task, checkpoint) for checkpoint in task.checkpoints]

    def anchor(self, task: Task, checkpoint: Checkpoint) -> Tensor:
        """The point of one of the task's checkpoints; in memory that later ones may take."""
        return self._cache.get(checkpoint.content, self._position[task.key], partial(self._load, checkpoint))

    def _load(self, checkpoint: Checkpoint, old: Tensor | None) -> Tensor:
        out = old if self.device.type == "cpu" else self._staging
        new = checkpoint.content not in self._finite
        path = fetch.weights(checkpoint)
        self._staging = models.load(path, self.objective.model, out, look=new)
        known, *_ = self.signatures.get(str(path.resolve()), ("",))
        if known:  # what was downloaded is named by its content
            identity.require_unchanged(path, fetch.described(checkpoint), known, checkpoint.content)
        self._finite.add(checkpoint.content)
        return self._staging.to(self.device)

    def subject(self, point: Float[Tensor, " P"], checkpoint: Checkpoint) -> Subject:
        """A model with these weights, the checkpoint's buffers and its tokenizer: whom probes ask."""
        params = self.objective.space.params(point)
        self.buffers.give(checkpoint, self._asked_model.model)
        for name, parameter in self._asked_model.model.named_parameters():
            parameter.data.copy_(params[name])
        return self._asked_model

    @property
    def begun(self) -> bool:
        """Whether texts that probes ask about begin with a token for that."""
        return self._asked_model.kind == "causal" and bool(self._asked_model.start)

    @cached_property
    def _asked_model(self) -> Subject:
        """A model of its own, since the weights of the objective's never move."""
        from landscape.session import asking

        return asking.subject(self.data, self.tasks[0].checkpoints[0], self.device)

    def asked(self, task: Task, *, keep: bool = True) -> tuple[Any, str]:
        """The items of a probe, made once, and their hash; ``keep`` what is costly to make for other sessions."""
        settings = dict(task.settings)
        key = json.dumps({name: value for name, value in settings.items() if name != "between"})
        if key not in self._asked:
            from landscape.session import asking

            given = asking.given(self.study, settings)
            store = self.store if keep else None
            self._asked[key] = asking.items(settings["probe"], self._asked_model, given, settings["seed"], store)
        return self._asked[key]

    @cached_property
    def buffers(self) -> Buffers:
        """The learned buffers of the checkpoints."""
        return Buffers.of(self.objective.model, self.data.buffers)

    def stored(self, checkpoint: Checkpoint) -> str:
        """The dtype of a checkpoint's weights on disk."""
        if checkpoint.content not in self._stored:
            self._stored[checkpoint.content] = formats.stored_as(formats.index(fetch.weights(checkpoint)).values())
        return self._stored[checkpoint.content]

    def evaluate(
        self,
        anchors: list[Tensor],
        rows: Float[Tensor, "points *tensors anchors"],
        dtype: Any,
        checkpoints: Sequence[Checkpoint],
        examples: Int[np.ndarray, " n"] | None = None,
        matching: Mapping[str, Any] | None = None,
    ) -> Values:
        """What the objective measures at the points ``rows @ anchors``.

        Args:
            anchors: Points.
            rows: Coefficients over them.
            dtype: Precision of the forward pass.
            checkpoints: Whose learned buffers the points take, as :meth:`Buffers.shared` says: one for each anchor, or
                checkpoints that agree in them.
            examples: Which examples; None is all.
            matching: By which settings the points are matched.

        Raises:
            InputError: If a loss is not finite.
        """
        model = self.objective_for(matching).model
        order, parts = [], []
        for buffers, here in self.buffers.shared(checkpoints, rows):
            put(buffers, model)
            order.append(here)
            parts.append(self._evaluate(anchors, rows[here], dtype, examples, matching))
        return joined(parts, torch.cat(order).argsort().numpy())

    def _evaluate(
        self,
        anchors: list[Tensor],
        rows: Float[Tensor, "points *tensors anchors"],
        dtype: Any,
        examples: Int[np.ndarray, " n"] | None,
        matching: Mapping[str, Any] | None,
    ) -> Values:
        whole = self.objective_for(matching)
        if dtype not in self._tuners:
            remembered = Remembered.of(whole, dtype)
            known, wanted = remembered.recall(), self._evaluations(self.tasks)
            self._tuners[dtype] = tuner(whole, 0 if known else wanted, known, remembered.keep)
        search = self._tuners[dtype]
        objective = whole if examples is None else whole.take(torch.from_numpy(examples))
        begin = time.perf_counter()
        values = evaluate(objective, anchors, rows, strategy=search, dtype=dtype)
        seconds = time.perf_counter() - begin
        error, strategy = None, search.best
        if dtype != "float32":
            error = dtype_error(objective, anchors, rows, values["loss"], strategy)
        how = {
            "device": str(self.device),
            "strategy": f"{strategy.kind} {strategy.points}x{strategy.examples}",
            "threads": torch.get_num_threads(),
            "seconds": seconds,
        }
        losses = values.pop("loss").double().numpy()
        if bad := int((~np.isfinite(losses)).any(axis=1).sum()):
            wide = dtype == "float32"
            hint = "the weights there overflow: leave out a checkpoint that is broken" if wide else "try float32"
            raise InputError(f"the loss is not finite at {bad} of {len(losses)} points in {dtype}; {hint}")
        return Values(losses, {name: v.double().numpy() for name, v in values.items()}, error, how)

    def _evaluations(self, tasks: Sequence[Task]) -> int:
        """Examples times points of these tasks; a gradient counts three times."""
        examples = self.objective.examples
        return sum(task.points * examples + 3 * task.gradients(examples) for task in tasks)

    def fastest(
        self,
        anchors: list[Tensor],
        rows: Float[Tensor, "points *tensors anchors"],
        checkpoints: Sequence[Checkpoint],
        examples: Int[np.ndarray, " n"],
        matching: Mapping[str, Any] | None,
    ) -> Dtype:
        """The dtype that :func:`fastest` finds; it looks once."""
        if self._fastest is None:
            objective = self.objective_for(matching)
            put(next(iter(self.buffers.shared(checkpoints, rows)))[0], objective.model)
            self._fastest = fastest(objective, anchors, rows, examples, self._evaluations(self.tasks))
        return self._fastest

    def settings(self, task: Task, dtype: str = "float32", dtype_error: float | None = None) -> Row:
        """Columns that every row of a task has."""
        return {
            "objective": self.data.objective,
            "unit": self.objective.unit,
            "examples": self.objective.examples,
            "length": self.data.length,
            "dtype": dtype,
            "dtype_error": dtype_error,
            "buffers": self.buffers.whose(task),
            **self.objective.columns,
        }

    def crew(self, left: Sequence[Task]) -> tuple[int, int]:
        """Workers and threads of each that finish the tasks soonest, by timing one thread against all.

        Small models often run slower on many threads than on one, and then a process a core is best. Where timing would
        be a large part of the work, one worker takes one thread for a small model and all for a large one.
        """
        cores = len(os.sched_getaffinity(0))
        if self.device.type != "cpu" or cores == 1:
            return 1, cores
        wanted, examples = self._evaluations(left), min(TRIAL_EXAMPLES, self.objective.examples)
        if not affordable(2 * 2 * examples, wanted):
            return 1, 1 if self.objective.space.size < ONE_THREAD else cores
        anchors, few = self.anchors(left[0])[:1], self.objective.take(torch.arange(examples))
        seconds = {}
        for threads in {1, cores}:
            torch.set_num_threads(threads)
            once = least_seconds(partial(losses, few, anchors, torch.ones(1, 1), strategy=Strategy()))
            seconds[threads] = once * wanted / examples
        apart = seconds[1] / min(cores, len(left)) + SPAWN_SECONDS
        threads = min(seconds, key=lambda n: seconds[n])
        return (min(cores, len(left)), 1) if apart < seconds[threads] else (1, threads)


@dataclass
class Evaluator:
    """The evaluations of one task, and how they were made.

    Attributes:
        session: Where they are made.
        dtype: Precision of the forward pass; ``auto`` is decided on the first points.
        checkpoints: Whose learned buffers the points take, as for :meth:`Session.evaluate`.
        matching: By which settings the points are matched.
        dtype_error: As in :class:`Values`, the largest.
        how: Columns that say how they were run; empty if nothing was.
    """

    session: Session
    dtype: Dtype | Literal["auto"]
    checkpoints: Sequence[Checkpoint]
    matching: Mapping[str, Any] | None = None
    dtype_error: float | None = None
    how: Row = field(default_factory=dict)

    def evaluate(
        self, anchors: list[Tensor], rows: Float[Tensor, "points *tensors anchors"], examples: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "points n"], dict[str, Float[np.ndarray, "points n"]]]:
        """Losses and metrics of these examples at the points ``rows @ anchors``."""
        if self.dtype == "auto":
            self.dtype = self.session.fastest(anchors, rows, self.checkpoints, examples, self.matching)
        values = self.session.evaluate(anchors, rows, self.dtype, self.checkpoints, examples, self.matching)
        if values.dtype_error is not None:
            self.dtype_error = max(values.dtype_error, self.dtype_error or 0.0)
        self.how = {**values.how, "seconds": values.how["seconds"] + self.how.get("seconds", 0.0)}
        return values.losses, values.metrics
