"""Any module with any loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives.objective import Batch, Objective, Values
from landscape.shapes import Float

Loss = Callable[[object, Batch], Float[Tensor, " examples"] | Mapping[str, Float[Tensor, " examples"]]]
"""Of outputs and a batch: the loss of each example, or several numbers of each by name, ``loss`` among them."""
Batches = Sequence[Mapping[str, Tensor]] | Mapping[str, Tensor]
"""One batch or several; tensors whose first axis is the example."""
EXAMPLE = "give tensors by name, such as {'inputs': x, 'labels': y}, or a list of such batches"


def build(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    *,
    inputs: tuple[str, ...] = ("inputs",),
    unit: str = "nats per example",
    statistics: tuple[Batch, ...] = (),
) -> Objective:
    """An objective from a module, its data and a function ``loss(outputs, batch)``.

    Args:
        model: The module. It is called with the tensors named by ``inputs``, in order.
        batch: Tensors whose first axis is the example.
        loss: Maps outputs and a part of the batch to one number for each of its examples; or to several such numbers
            by name, ``loss`` among them: the others are metrics.
        inputs: Names of the tensors in the batch that the module takes.
        unit: Unit of the loss.
        statistics: For models with BatchNorm: batches of training data on which its statistics are estimated anew at
            every point; each batch has equal weight. With the statistics of one endpoint, the points between the
            endpoints would collapse.

    Raises:
        InputError: If the batch is not a dict, an input is missing from it, its tensors differ in their number of
            examples, or the loss does not return one number for each example.
    """
    if not isinstance(batch, dict):
        raise InputError(
            f"the batch is a {type(batch).__name__}; give a dict of tensors, such as {{'inputs': x, 'labels': y}}"
        )
    if missing := sorted(set(inputs) - set(batch)):
        raise InputError(f"the batch has {sorted(batch)} and lacks the inputs {missing}")
    lengths = {name: len(tensor) for name, tensor in batch.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the tensors of the batch differ in their number of examples: {lengths}")

    def measure(model: nn.Module, part: Batch) -> Values:
        found = loss(model(*(part[name] for name in inputs)), part)
        named = dict(found) if isinstance(found, Mapping) else {"loss": found}
        if "loss" not in named:
            raise InputError(f"the loss returns {', '.join(named) or 'nothing'} by name, and no 'loss' among them")
        for name, values in named.items():
            if not isinstance(values, Tensor) or values.shape != part[inputs[0]].shape[:1]:
                shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                what = "the loss" if name == "loss" else f"the metric {name}"
                raise InputError(
                    f"{what} has shape {shape} and one number for each of {len(part[inputs[0]])} examples is "
                    "wanted; use reduction='none' and average over all but the first axis"
                )
        return {name: values if values.is_floating_point() else values.float() for name, values in named.items()}

    return Objective(model, batch, measure, unit, statistics)


def joined(batches: Batches, name: str) -> Batch:
    """One batch of several.

    Args:
        batches: One batch or several.
        name: What they are called.

    Raises:
        InputError: If they are no tensors, or do not go together.
    """
    every = several(batches, name)
    first = every[0]
    for number, batch in enumerate(every, start=1):
        if batch.keys() != first.keys():
            raise InputError(f"batch {number} of {name} has {sorted(batch)}, and the first has {sorted(first)}")
    try:
        return {key: torch.cat([batch[key] for batch in every]) for key in first}
    except RuntimeError as error:
        raise InputError(f"the batches of {name} differ in more than the number of examples: {error}") from error


def several(batches: Batches, name: str) -> list[Batch]:
    """The batches.

    Args:
        batches: One batch or several.
        name: What they are called.

    Raises:
        InputError: If there is none, or one is no dict of tensors.
    """
    every = [batches] if isinstance(batches, Mapping) else list(batches)
    if not every:
        raise InputError(f"{name} is empty: {EXAMPLE}")
    for batch in every:
        if not isinstance(batch, Mapping):
            raise InputError(f"a batch of {name} is a {type(batch).__name__}: {EXAMPLE}")
        if other := [key for key, value in batch.items() if not isinstance(value, Tensor)]:
            raise InputError(f"{other[0]!r} of {name} is a {type(batch[other[0]]).__name__}: {EXAMPLE}")
    return [dict(batch) for batch in every]
