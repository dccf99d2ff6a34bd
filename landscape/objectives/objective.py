"""An objective: a model, fixed batches, and numbers for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.shapes import Int
from landscape.space import Space

Batch = dict[str, Tensor]
"""Tensors whose first axis is the example."""
ModelKind = Literal["causal", "masked", "classifier", "multi-label", "regression", "seq2seq", "images"]
"""What a model predicts: next tokens, masked tokens, one of several classes, several labels, numbers, a second text, or
the class of an image."""
Values = dict[str, Tensor]
"""Numbers of each example by name, ``[examples]`` float32 each; ``loss`` is always among them."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A model, its data and what is measured on them.

    Attributes:
        model: Pretrained module. Other parameters are put in by ``functional_call``; the module itself never changes.
        batch: All examples.
        measure: Numbers of each example of a batch, or of a part of it.
        unit: Unit of the loss, such as ``nats per token``.
        statistics: For a model with running statistics: batches on which they are estimated anew at every point.
        columns: Columns of the rows that describe the batches.
    """

    model: nn.Module
    batch: Batch
    measure: Callable[[nn.Module, Batch], Values]
    unit: str
    statistics: tuple[Batch, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Set evaluation mode, and turn gradients off.

        Raises:
            InputError: If a module keeps running statistics and ``statistics`` is empty, or there are fewer than two
                examples.
        """
        for name, module in norms(self.model).items():
            if not self.statistics:
                raise InputError(
                    f"{name or 'the model'} is a {type(module).__name__}, whose running statistics belong to one "
                    "checkpoint and not to the points between; give statistics: training data to estimate them on"
                )
        if self.examples < 2:
            raise InputError(f"an error bar needs at least two examples, got {self.examples}; give more data")
        self.model.eval().requires_grad_(False)

    @cached_property
    def space(self) -> Space:
        """The parameter space of the model."""
        return Space.of(self.model)

    @property
    def device(self) -> torch.device:
        """Where its data are, and where points are evaluated."""
        return next(iter(self.batch.values())).device

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(next(iter(self.batch.values())))

    def part(self, begin: int, end: int) -> Batch:
        """Examples ``begin`` to ``end - 1`` of the batch."""
        return {name: tensor[begin:end] for name, tensor in self.batch.items()}

    def take(self, examples: Int[Tensor, " n"]) -> Objective:
        """The same objective on some of its examples."""
        return replace(self, batch={name: tensor[examples.to(tensor.device)] for name, tensor in self.batch.items()})

    def to(self, device: torch.device) -> Objective:
        """The same objective with model and data on a device."""
        batch = {name: tensor.to(device) for name, tensor in self.batch.items()}
        statistics = tuple({name: tensor.to(device) for name, tensor in part.items()} for part in self.statistics)
        return replace(self, model=_moved(self.model, device), batch=batch, statistics=statistics)


def _moved(model: nn.Module, device: torch.device) -> nn.Module:
    """A model on a device; of one whose parameters take no memory, the buffers."""
    if not any(parameter.is_meta for parameter in model.parameters()):
        return model.to(device)
    for module in model.modules():
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.to(device)
    return model


def norms(model: nn.Module) -> dict[str, nn.modules.batchnorm._NormBase]:
    """The modules that keep running statistics, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats
    }
