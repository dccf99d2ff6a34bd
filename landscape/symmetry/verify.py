"""Verification that a moved point computes the same function: in float64, on real batches, every time."""

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
"""Number of examples on which outputs are compared."""
MARGIN = 1e4
"""Largest difference of two outputs, in units of rounding in float64."""
FINER = 2.0**-29
"""Ratio of rounding in float64 to rounding in float32."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values", "decoder_input_ids")


@dataclass(frozen=True)
class Checked:
    """Result of a comparison of outputs.

    Attributes:
        difference: Largest difference of an output, in float64 and in the units of the outputs.
        tolerance: Difference that rounding explains.
        groups: Groups whose change alone makes a larger difference, with that difference; empty if the comparison
            passed.
    """

    difference: float
    tolerance: float
    groups: Mapping[str, float]


def outputs(objective: Objective, model: nn.Module, params: Params) -> Tensor:
    """All logits of a language model or classifier; for any other module, the values of its measure.

    Args:
        objective: Batches and measure.
        model: The module.
        params: Its named parameters.
    """
    batch = objective.part(0, min(EXAMPLES, objective.examples))
    # Running statistics belong to no point; they are estimated anew at each, as everywhere.
    if getattr(model, "config", None) is not None and not objective.statistics:
        inputs = {name: batch[name].to(_dtype(batch[name], params)) for name in INPUTS if name in batch}
        if inputs and (not getattr(model.config, "is_encoder_decoder", False) or "decoder_input_ids" in inputs):
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

    The tolerance is the rounding error of float32 on the same batch, scaled to float64, times the largest condition
    number of the maps of the move, times a margin.

    Args:
        objective: Model and real batches.
        table: The architecture.
        point: A point.
        move: The move.
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
    """:func:`check`, and an error if the function has changed.

    Args:
        objective: Model and real batches.
        table: The architecture.
        point: A point.
        move: The move.

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
    """Largest condition number of the maps of an element."""
    worst = 1.0
    for change in element.values():
        for maps in change.maps.values():
            values = torch.linalg.svdvals(maps)
            worst = max(worst, float((values[..., 0] / values[..., -1]).max()))
    return worst


def _dtype(value: Tensor, params: Params) -> torch.dtype:
    return next(iter(params.values())).dtype if value.is_floating_point() else value.dtype
