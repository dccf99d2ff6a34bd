"""Does a changed point compute the same? Asked in float64, on real batches, every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.errors import InputError
from landscape.objectives import Batch, Objective
from landscape.points.evaluate import Measured, batch_statistics
from landscape.shapes import Float
from landscape.symmetry.exact import Float64, doubled
from landscape.symmetry.group.element import Element
from landscape.symmetry.group.move import Move, moved_params
from landscape.symmetry.group.table import Params, Table

EXAMPLES = 2
"""Examples that outputs are compared on."""
MARGIN = 1e4
"""How many times the rounding of float64 two outputs may differ."""
FINER = 2.0**-29
"""Rounding of float64 over that of float32."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")


@dataclass(frozen=True)
class Checked:
    """What a comparison of outputs saw.

    Attributes:
        difference: Largest difference of an output, in float64.
        tolerance: What rounding explains.
        groups: Groups whose change alone makes a difference beyond that, with it; found only where there is one.
    """

    difference: float
    tolerance: float
    groups: Mapping[str, float]


def outputs(objective: Objective, model: nn.Module, params: Params) -> Tensor:
    """All logits of a language model or classifier; of any other module what its measure gives."""
    batch = objective.part(0, min(EXAMPLES, objective.examples))
    # The running statistics of a model that keeps them belong to no point: they are estimated anew, as everywhere.
    if getattr(model, "config", None) is not None and not objective.statistics:
        inputs = {name: batch[name].to(_dtype(batch[name], params)) for name in INPUTS if name in batch}
        if inputs:
            found: Tensor = functional_call(model, params, kwargs=inputs).logits
            return found
    here = replace(objective, model=model)
    module, inner = Measured(here), {f"model.{name}": value for name, value in params.items()}

    def cast(part: Batch) -> Batch:
        return {name: value.to(_dtype(value, params)) for name, value in part.items()}

    with batch_statistics(here) as buffers:
        for part in objective.statistics:
            functional_call(module, {**inner, **buffers}, ([cast(part)],))
    return torch.stack(list(functional_call(module, {**inner, **buffers}, ([cast(batch)],)).values()))


@torch.no_grad()
def check(objective: Objective, table: Table, point: Float[Tensor, " P"], move: Move) -> Checked:
    """Outputs before and after a move.

    The tolerance is the rounding that float32 shows on the same batch, scaled to float64, times the worst ratio by
    which the maps of the move stretch, times a margin.

    Args:
        objective: Model and real batches.
        table: The architecture.
        point: A point.
        move: What is done to it.
    """
    params = objective.space.params(point)
    rough = outputs(objective, objective.model, params).double()
    model, fine = doubled(objective.model), {name: value.double() for name, value in params.items()}
    with Float64():
        before = outputs(objective, model, fine)

        def apart(one: Move) -> float:
            after = outputs(objective, model, moved_params(table, fine, one))
            return float((after - before).abs().max())

        difference = apart(move)
        rounding = max(float((rough - before).abs().max()), 2.0**-24 * float(before.abs().max()))
        tolerance = MARGIN * FINER * rounding * stretch(move.element)
        groups = {}
        if not difference <= tolerance:
            alone = {name: apart(Move({name: change}, move.gains)) for name, change in move.element.items()}
            groups = {name: value for name, value in alone.items() if not value <= tolerance}
    return Checked(difference, tolerance, groups)


def require_same(objective: Objective, table: Table, point: Float[Tensor, " P"], move: Move) -> Checked:
    """The same, and stop if the function has changed.

    Raises:
        InputError: Naming the table, the groups, and the largest difference.
    """
    found = check(objective, table, point, move)
    if not found.difference <= found.tolerance:
        worst = sorted(found.groups.items(), key=lambda item: -item[1])[:3]
        names = ", ".join(f"{name} ({value:.2g})" for name, value in worst) or "several groups together"
        raise InputError(
            f"the symmetry table {table.name} is wrong for this model: moving a point by it changes the outputs by "
            f"{found.difference:.2g} where rounding allows {found.tolerance:.2g}; the groups at fault: {names}"
        )
    return found


def stretch(element: Element) -> float:
    """Largest ratio of singular values over the maps of an element."""
    worst = 1.0
    for change in element.values():
        for maps in change.maps.values():
            values = torch.linalg.svdvals(maps)
            worst = max(worst, float((values[..., 0] / values[..., -1]).max()))
    return worst


def _dtype(value: Tensor, params: Params) -> torch.dtype:
    return next(iter(params.values())).dtype if value.is_floating_point() else value.dtype
