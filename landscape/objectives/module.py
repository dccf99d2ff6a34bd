"""Any module with any loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives.objective import Batch, Objective, Values
from landscape.shapes import Float


def build(
    model: nn.Module,
    batch: Batch,
    loss: Callable[[object, Batch], Float[Tensor, " examples"]],
    *,
    inputs: tuple[str, ...] = ("inputs",),
    unit: str = "nats per example",
    statistics: tuple[Batch, ...] = (),
) -> Objective:
    """An objective from a module, its data and a function ``loss(outputs, batch)``.

    Args:
        model: The module. It is called with the tensors named by ``inputs``, in order.
        batch: Tensors whose first axis is the example.
        loss: Maps outputs and a part of the batch to one number for each of its examples.
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
        values = loss(model(*(part[name] for name in inputs)), part)
        if values.shape != (wanted := part[inputs[0]].shape[:1]):
            raise InputError(
                f"the loss has shape {tuple(values.shape)} and one number for each of {wanted[0]} examples is "
                "wanted; use reduction='none' and average over all but the first axis"
            )
        return {"loss": values}

    return Objective(model, batch, measure, unit, statistics)
