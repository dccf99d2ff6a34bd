"""Running statistics of a model at a point, for a model that is written."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from landscape.objectives import Objective
from landscape.points.evaluate import Measured, batch_statistics
from landscape.shapes import Float


@torch.no_grad()
def give(objective: Objective, point: Float[Tensor, " P"]) -> None:
    """Give the model of an objective the running statistics that its norms have at a point.

    Without norms nothing is done. Each batch of ``objective.statistics`` has equal weight, as where the point is
    evaluated.

    Args:
        objective: The model, and the batches of its statistics.
        point: The point.
    """
    if not objective.statistics:
        return
    module = Measured(objective)
    params = {f"model.{name}": value for name, value in objective.space.params(point).items()}
    with batch_statistics(objective) as buffers:
        for batch in objective.statistics:
            functional_call(module, {**params, **buffers}, ([batch],))
    for name, value in buffers.items():
        module.get_buffer(name).copy_(value)
