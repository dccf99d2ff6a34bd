"""Adapters of low rank: ``B A = (B G) (G^-1 A)`` for every invertible ``G``, of each module on its own."""

from __future__ import annotations

from torch import nn

from landscape.checkpoints.adapters import Factors
from landscape.symmetry.group.table import Fused, Group, Part, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: nn.Module, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model of adapters: the coordinates between the two factors of each module."""
    groups: list[Group] = []
    lines: dict[str, str | Fused] = {
        name: " ".join("-" * parameter.ndim) for name, parameter in model.named_parameters()
    }
    for name, module in model.named_modules():
        if isinstance(module, Factors):
            rank = len(module.lora_A.weight)
            maps = symmetry_group == "all"
            groups.append(Group(name, 1, (Part("rank", rank, "linear"),)) if maps else Group(name, rank))
            lines[f"{name}.lora_A.weight"] = f"{name}/rank -" if maps else f"{name} -"
            lines[f"{name}.lora_B.weight"] = f"- {name}/rank*" if maps else f"- {name}"
    return Table.of("adapter", model, groups, lines)
