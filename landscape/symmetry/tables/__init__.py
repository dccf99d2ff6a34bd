"""One table for each architecture: a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landscape.errors import InputError
from landscape.space import Space
from landscape.symmetry.group.table import SymmetryGroup, Table
from landscape.symmetry.tables import bert, chain, gpt2, gpt_neox, llama, resnet, vit

TABLES: dict[str, Callable[[Any, SymmetryGroup], Table]] = {
    "bert": bert.table,
    "gpt2": gpt2.table,
    "gpt_neox": gpt_neox.table,
    "llama": llama.table,
    "mistral": llama.table,
    "qwen2": llama.table,
    "resnet": resnet.table,
    "vit": vit.table,
}
"""By transformers' model type. Models of torch alone are taken for a chain of layers."""
TURNING = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2")
"""Whose stream turns once the head is no longer tied to the embedding."""


def table_of(model: Any, symmetry_group: SymmetryGroup = "all") -> Table:
    """The table of a model's architecture.

    Args:
        model: A model of transformers, or a chain of layers.
        symmetry_group: All continuous ones too, or permutations only.

    Raises:
        InputError: If there is none.
    """
    config = getattr(model, "config", None)
    if config is None:
        return chain.table(model, symmetry_group)
    if config.model_type not in TABLES:
        raise InputError(
            f"there is no symmetry table for {config.model_type}; there is one for {', '.join(TABLES)} and for chains "
            'of layers: give a table of your own, or symmetry = "none"'
        )
    return TABLES[config.model_type](model, symmetry_group)


def wants_untied(model: Any, symmetry_group: SymmetryGroup) -> bool:
    """Whether the stream of a model could turn if its head were a parameter of its own."""
    kind = getattr(getattr(model, "config", None), "model_type", "")
    return symmetry_group == "all" and kind in TURNING and bool(Space.of(model).tied)
