"""Losses and metrics at points, with the dtype and strategy that are fastest here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from landscape.anchor import Anchor
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import Dtype, dtype_error, evaluate, tuner
from landscape.points.fastest import MAX_ERROR, fastest
from landscape.points.remembered import Remembered
from landscape.points.strategy import Strategy, Tuner
from landscape.points.streamed import Borrowed, Placement, streamed
from landscape.rows import Row
from landscape.session.buffers import Buffers, put
from landscape.session.placement import spread
from landscape.session.result import How, Values, joined
from landscape.shapes import Float, Int
from landscape.study.checkpoint import Checkpoint
from landscape.study.kinds.losses import AnyDtype
from landscape.study.tasks import Spec, Task

GRADIENT = 3
"""Forward passes that a gradient costs, about."""


def evaluations(tasks: Sequence[Task[Spec]], examples: int) -> int:
    """Evaluations of an example at a point that these tasks take; a gradient counts three times."""
    return sum(task.passes * examples + GRADIENT * task.gradients(examples) for task in tasks)


@dataclass
class Choices:
    """What was found to be fastest for an objective; it is looked for once.

    Attributes:
        objective: The objective.
        work: Evaluations of an example at a point, in all.
        device: Where it runs.
        stacks: Whether memory allows several points at once, and larger batches; else nothing is searched.
        spread: Whether points are spread over devices.
    """

    objective: Objective
    work: int
    device: torch.device
    stacks: bool = True
    spread: bool = False
    _tuners: dict[Dtype, Tuner] = field(default_factory=dict)
    _placements: dict[torch.dtype, Placement] = field(default_factory=dict)
    _fastest: Dtype | None = None

    def tuner(self, dtype: Dtype) -> Tuner:
        """What chooses the strategy for a dtype."""
        if dtype not in self._tuners and not self.stacks:
            self._tuners[dtype] = tuner(self.objective, 0)
        elif dtype not in self._tuners:
            remembered = Remembered.of(self.objective, dtype)
            known = remembered.recall()
            self._tuners[dtype] = tuner(self.objective, 0 if known else self.work, known, remembered.keep)
        return self._tuners[dtype]

    def placement(self, dtype: torch.dtype) -> Placement:
        """Where the modules of the model compute in a dtype."""
        if dtype not in self._placements:
            self._placements[dtype] = spread(self.objective.model, dtype, self.device)
        return self._placements[dtype]

    def fastest(
        self, anchors: Sequence[Anchor], rows: Float[Tensor, "points *tensors anchors"], examples: Int[np.ndarray, " n"]
    ) -> Dtype:
        """The fastest dtype whose error does not matter.

        Args:
            anchors: Points.
            rows: Coefficients over them.
            examples: On which it is measured.
        """
        if self._fastest is None:
            self._fastest = fastest(self.objective, anchors, rows, examples, self.work)
        return self._fastest


@dataclass
class Evaluator:
    """The evaluations of one task, and how they were made.

    Attributes:
        choices: The objective, and what is fastest for it.
        buffers: Learned buffers of the checkpoints.
        checkpoints: Whose learned buffers the points take, as :meth:`Buffers.shared` says: one for each anchor, or
            checkpoints that agree in them.
        dtype: Of the forward pass; ``auto`` is decided on the first points.
        dtype_error: Largest error of a mean loss measured against float32; None in float32.
        how: How they were run; None if nothing was.
    """

    choices: Choices
    buffers: Buffers
    checkpoints: Sequence[Checkpoint]
    dtype: AnyDtype
    dtype_error: float | None = None
    how: How | None = None
    _auto: bool = field(init=False)

    def __post_init__(self) -> None:
        """Keep in mind whether the dtype is a choice."""
        self._auto = self.dtype == "auto"

    @property
    def of_ends(self) -> Evaluator:
        """What evaluates ends: in float32 if the dtype is ``auto``, since all intervals along a path hang on them."""
        return replace(self, dtype="float32", dtype_error=None) if self._auto else self

    def again(self, halfwidth: float) -> bool:
        """Whether points have to be evaluated again, since ``auto`` chose a dtype that is too inexact for an interval.

        It was chosen before the interval was known: its error is to be below ``MAX_ERROR`` times the width. From here
        on the dtype is float32.

        Args:
            halfwidth: Of the interval, in the unit of the losses.
        """
        if not self._auto or self.dtype_error is None or self.dtype_error <= MAX_ERROR * 2 * halfwidth:
            return False
        self.dtype, self.dtype_error = "float32", None
        return True

    def evaluate(
        self,
        anchors: Sequence[Anchor],
        rows: Float[Tensor, "points *tensors anchors"],
        examples: Int[np.ndarray, " n"] | None = None,
    ) -> Values:
        """What the objective measures at the points ``rows @ anchors``.

        Args:
            anchors: Points.
            rows: Coefficients over them.
            examples: Which examples; None is all.

        Raises:
            InputError: If a loss is not finite.
        """
        model = self.choices.objective.model
        some = np.arange(self.choices.objective.examples) if examples is None else examples
        if self.dtype == "auto":
            put(next(iter(self.buffers.shared(self.checkpoints, rows)))[0], model)
            self.dtype = self.choices.fastest(anchors, rows, some)
        order, parts = [], []
        for buffers, here in self.buffers.shared(self.checkpoints, rows):
            put(buffers, model)
            order.append(here)
            parts.append(_evaluated(self.choices, anchors, rows[here], self.dtype, None if examples is None else some))
        values = joined(parts, torch.cat(order).argsort().numpy())
        if values.dtype_error is not None:
            self.dtype_error = max(values.dtype_error, self.dtype_error or 0.0)
        before = self.how.seconds if self.how else 0.0
        self.how = How(values.how.device, values.how.strategy, values.how.threads, values.how.seconds + before)
        return values

    def losses(
        self, anchors: Sequence[Anchor], rows: Float[Tensor, "points *tensors anchors"], examples: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "points n"], dict[str, Float[np.ndarray, "points n"]]]:
        """Losses, in their unit, and metrics of some examples at the points ``rows @ anchors``.

        Args:
            anchors: As for :meth:`evaluate`.
            rows: As for :meth:`evaluate`.
            examples: Indices of the examples.
        """
        values = self.evaluate(anchors, rows, examples)
        return values.losses, dict(values.metrics)

    @property
    def columns(self) -> Row:
        """Columns that say how the points were evaluated; none if none was."""
        return self.how.columns if self.how else {}


def _spread(
    choices: Choices,
    objective: Objective,
    anchors: Sequence[Anchor],
    rows: Float[Tensor, "points *tensors anchors"],
    dtype: Dtype,
) -> dict[str, Float[Tensor, "points examples"]]:
    """What an objective measures at points that are spread over devices.

    Raises:
        InputError: If the model cannot be taken apart into its modules.
    """
    own = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    try:
        return streamed(objective, anchors, rows, dtype=own, placement=choices.placement(own))
    except Borrowed as error:
        raise InputError(
            "a module of this model uses a parameter of another one, which may be on another device; leave out "
            "device_map"
        ) from error


def _evaluated(
    choices: Choices,
    anchors: Sequence[Anchor],
    rows: Float[Tensor, "points *tensors anchors"],
    dtype: Dtype,
    examples: Int[np.ndarray, " n"] | None,
) -> Values:
    objective = choices.objective if examples is None else choices.objective.take(torch.from_numpy(examples))
    begin = time.perf_counter()
    if choices.spread:
        values, strategy = _spread(choices, objective, anchors, rows, dtype), Strategy()
    else:
        search = choices.tuner(dtype)
        values = evaluate(objective, anchors, rows, strategy=search, dtype=dtype)
        strategy = search.best
    seconds = time.perf_counter() - begin
    error = None if dtype == "float32" else dtype_error(objective, anchors, rows, values["loss"], strategy)
    losses = values.pop("loss").double().numpy()
    if bad := int((~np.isfinite(losses)).any(axis=1).sum()):
        hint = (
            "the weights there overflow: leave out a checkpoint that is broken" if dtype == "float32" else "try float32"
        )
        raise InputError(f"the loss is not finite at {bad} of {len(losses)} points in {dtype}; {hint}")
    how = How(
        str(choices.device), f"{strategy.kind} {strategy.points}x{strategy.examples}", torch.get_num_threads(), seconds
    )
    return Values(losses, {name: v.double().numpy() for name, v in values.items()}, error, how)
