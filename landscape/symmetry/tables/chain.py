"""Chains of layers: multilayer perceptrons, and VGG with or without BatchNorm.

For any module whose leaves are linear layers, convolutions, norms, activations, pools and the like, applied in the
order of their registration.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from landscape.errors import InputError
from landscape.symmetry.group.groups import units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NORMS = (*BATCH_NORMS, nn.LayerNorm)
ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh"}
"""Activations that commute with factors; all others commute with permutations only."""

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: nn.Module, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model: the units between every two weighted layers.

    Raises:
        InputError: If a leaf with parameters is none of these, or there is no layer.
    """
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    for name, module in leaves:
        if list(module.parameters()) and not isinstance(module, (*WEIGHTED, *NORMS)):
            raise InputError(
                f"there is no symmetry table for a {type(model).__name__} whose {name} is a {type(module).__name__}; "
                'give a table, or symmetry = "none"'
            )
    weighted = [k for k, (_, module) in enumerate(leaves) if isinstance(module, WEIGHTED)]
    if not weighted:
        raise InputError(f"a {type(model).__name__} has no layers to align; give a table")
    groups: list[Group] = []
    lines: dict[str, str | Fused] = {}
    inputs = "-"
    for number, after in pairwise([*weighted, None]):
        assert number is not None
        name, layer = leaves[number]
        between = leaves[number + 1 : after]
        kinds = [ACTIVATIONS.get(type(module), "") for _, module in between if _acts(module)]
        norms = [module for _, module in between if isinstance(module, BATCH_NORMS)]
        normed = bool(norms)
        outputs, unit = "-", "-"
        if after is not None:
            count = int(layer.out_channels if hasattr(layer, "out_channels") else layer.out_features)
            passes = all(norm.affine for norm in norms) and not _mixed(between)
            free = (kinds[0] if len(kinds) == 1 else "" if kinds else "linear") if passes else ""
            groups.append(units(name, count, free, symmetry_group))
            outputs, unit = name, f"{name}/unit"
        own = outputs if normed else unit
        lines[_named(name, "weight")] = " ".join([own, inputs, *["-"] * (layer.weight.ndim - 2)])
        lines[_named(name, "bias")] = own
        for norm, module in between:
            if isinstance(module, NORMS):
                lines |= {_named(norm, kind): unit for kind in ("weight", "bias")}
        inputs = f"{unit}*" if unit != "-" else "-"
    return Table.of("chain", model, groups, lines)


def _acts(module: nn.Module) -> bool:
    """Whether a module is an activation."""
    return type(module).__module__.endswith("activation")


def _mixed(between: list[tuple[str, nn.Module]]) -> bool:
    """Whether a norm over the units lies between two layers; no factor of a unit commutes with it."""
    return any(isinstance(module, nn.LayerNorm) for _, module in between)


def _named(module: str, parameter: str) -> str:
    return f"{module}.{parameter}" if module else parameter
