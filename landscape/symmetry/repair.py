"""REPAIR: units of an interpolated network with interpolated mean and standard deviation.

Averaging weights shrinks the outputs of units, more in deeper layers. REPAIR rescales each unit to the mean and
standard deviation interpolated at t between those of the ends (Jordan et al. 2023, arXiv:2211.08403). The correction is
folded into weight and bias, so that the result is a point of the same space. It is for layers without a norm. A
BatchNorm does the same by its statistics, which objectives estimate anew at every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import Measured
from landscape.shapes import Float
from landscape.space import output_axes
from landscape.symmetry.group.table import STREAM, Params, Table

DEAD = 1e-6
"""Share of the largest deviation of a layer below which a unit counts as constant, and only its mean is corrected."""
Moments = tuple[Float[Tensor, " units"], Float[Tensor, " units"]]


@torch.no_grad()
def repaired(
    objective: Objective, table: Table, ends: Float[Tensor, "2 P"], t: Sequence[float]
) -> Float[Tensor, "t P"]:
    """Points between two ends, repaired on all examples of the objective.

    Layers are corrected one after the other, each with the layers before it already corrected. Use other examples than
    those on which the points are evaluated.

    Args:
        objective: Model and batches.
        table: The architecture; units of its groups other than the stream are corrected.
        ends: The ends, the second aligned to the first.
        t: Values in [0, 1].

    Raises:
        InputError: If no layer without a norm has a weight and a bias.
    """
    layers = layers_of(table, objective.model)
    if not layers:
        raise InputError(
            f"a model of table {table.name} has no layer with a bias that feeds units; nothing can be repaired"
        )
    space = objective.space
    first, last = (_moments(objective, space.params(end), layers, None) for end in ends)
    out = []
    for share in t:
        params = {name: value.clone() for name, value in space.params((1 - share) * ends[0] + share * ends[1]).items()}
        goals = {
            name: tuple((1 - share) * a + share * b for a, b in zip(first[name], last[name], strict=True))
            for name in layers
        }
        here = _moments(objective, params, layers, goals)  # type: ignore[arg-type]
        for name, axis in layers.items():
            _fold(params, name, axis, here[name], goals[name])  # type: ignore[arg-type]
        out.append(space.vector(params))
    return torch.stack(out)


def layers_of(table: Table, model: nn.Module) -> dict[str, int]:
    """Layers with weight and bias whose outputs are units of a group, each with the axis of its outputs."""
    axes = dict(zip((name for name, _ in model.named_parameters()), output_axes(model), strict=True))
    out = {}
    for piece in table.pieces:
        name, _, kind = piece.parameter.rpartition(".")
        bias = f"{name}.bias" if name else "bias"
        if kind != "weight" or len(piece.axes) < 2 or bias not in axes:
            continue
        axis = piece.axes[axes[piece.parameter]]
        if axis is not None and axis.group != STREAM:
            out[name] = axes[piece.parameter]
    return out


def _moments(
    objective: Objective, params: Params, layers: dict[str, int], goals: dict[str, Moments] | None
) -> dict[str, Moments]:
    """Mean and deviation of the outputs of layers; with goals, of each after those before it have reached theirs."""
    found: dict[str, Moments] = {}
    with ExitStack() as stack:
        for name in layers:

            def listen(module: nn.Module, inputs: Any, output: Tensor, name: str = name) -> Tensor:
                values = (output.movedim(1, -1) if isinstance(module, nn.modules.conv._ConvNd) else output).double()
                flat = values.reshape(-1, values.shape[-1])
                found[name] = flat.mean(dim=0), flat.std(dim=0, correction=0)
                if goals is None:
                    return output
                scale, shift = _affine(found[name], goals[name])
                mended = (values * scale + shift).to(output)
                return mended.movedim(-1, 1) if isinstance(module, nn.modules.conv._ConvNd) else mended

            stack.callback(objective.model.get_submodule(name).register_forward_hook(listen).remove)
        inner = {f"model.{name}": value for name, value in params.items()}
        functional_call(Measured(objective), inner, ([objective.batch],))
    return found


def _affine(here: Moments, goal: Moments) -> Moments:
    """Factor and shift that take units from one mean and deviation to another."""
    alive = here[1] > DEAD * here[1].max()
    scale = torch.where(alive, goal[1] / here[1].clamp(min=1e-300), torch.ones_like(here[1]))
    return scale, goal[0] - here[0] * scale


def _fold(params: Params, name: str, axis: int, here: Moments, goal: Moments) -> None:
    """Fold the factor and shift of a layer's outputs into its weight and bias."""
    prefix = f"{name}." if name else ""
    weight, bias = params[f"{prefix}weight"], params[f"{prefix}bias"]
    scale, shift = _affine(here, goal)
    weight.copy_((weight.double().movedim(axis, -1) * scale).movedim(-1, axis))
    bias.copy_(bias.double() * scale + shift)
