"""Symmetry tables, one file per architecture and one catalogue line each."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from landscape.catalogue import SYMMETRY_TABLES
from landscape.errors import InputError
from landscape.foreign import Pretrained
from landscape.space import Space
from landscape.symmetry.group.table import SymmetryGroup, Table
from landscape.symmetry.tables import chain


@runtime_checkable
class Architecture(Protocol):
    """What every table's file has.

    Attributes:
        ROTATES_UNTIED: Whether the stream can be rotated only if the head is not tied to the embedding.
    """

    ROTATES_UNTIED: bool

    def table(self, model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
        """The symmetries of a model."""


def load(model: Pretrained) -> Architecture:
    """The file of a model's architecture; modules of torch alone are taken for a chain of layers.

    Raises:
        InputError: If there is none.
    """
    config = getattr(model, "config", None)
    if config is None:
        return cast(Architecture, chain)
    if config.model_type not in SYMMETRY_TABLES.members:
        raise InputError(
            f"there is no symmetry table for {config.model_type}; there is one for {', '.join(SYMMETRY_TABLES)} and "
            'for chains of layers: give a table of your own, or symmetry = "none"'
        )
    return cast(Architecture, SYMMETRY_TABLES.load(config.model_type))


def table_of(model: Pretrained, symmetry_group: SymmetryGroup = "all") -> Table:
    """The table of a model's architecture.

    Args:
        model: A model of transformers, or a chain of layers.
        symmetry_group: All symmetries, or permutations only.

    Raises:
        InputError: If there is none.
    """
    return load(model).table(model, symmetry_group)


def wants_untied(model: Pretrained, symmetry_group: SymmetryGroup) -> bool:
    """Whether the stream of a model could be rotated if its head were a separate parameter.

    Raises:
        InputError: If there is no table for its architecture.
    """
    return symmetry_group == "all" and load(model).ROTATES_UNTIED and bool(Space.of(model).tied)
