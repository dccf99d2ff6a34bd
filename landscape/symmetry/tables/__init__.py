"""Symmetry tables, one file per architecture and one catalogue line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast, runtime_checkable

from landscape import own
from landscape.catalogue import SYMMETRY_TABLES
from landscape.checkpoints.adapters import is_factored
from landscape.errors import InputError
from landscape.foreign import Pretrained
from landscape.space import Space
from landscape.symmetry.group.table import Group, SymmetryGroup, Table
from landscape.symmetry.tables import adapter, chain


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
    if is_factored(model):
        return cast(Architecture, adapter)
    if config is None:
        return cast(Architecture, chain)
    if config.model_type not in SYMMETRY_TABLES.members:
        raise InputError(
            f"there is no symmetry table for {config.model_type}; there is one for {', '.join(SYMMETRY_TABLES)} and "
            'for chains of layers: give a table of your own, or align = "none"'
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


def own_table(name: str, model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The table that a function of the user's own file returns.

    Args:
        name: The function, such as ``mine.py:table``. It is called with model and symmetry group, and returns a table,
            or a line for each parameter, such as ``{"0.weight": "hidden -"}``: its groups are permuted then, each as
            long as its axes are.
        model: The model.
        symmetry_group: All symmetries, or permutations only.

    Raises:
        InputError: If it fails, or returns neither, or lines that do not fit the model.
    """
    try:
        made = own.function(name)(model, symmetry_group)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{own.label(name)} fails: {type(error).__name__}: {error}") from error
    if isinstance(made, Table):
        return made
    if not isinstance(made, Mapping) or not all(isinstance(line, str) for line in made.values()):
        raise InputError(
            f"{own.label(name)} returns a {type(made).__name__}; a Table, or a line for each parameter, is wanted"
        )
    space, sizes = Space.of(model), dict[str, int]()
    for parameter, shape in zip(space.names, space.shapes, strict=True):
        for word, length in zip(str(made.get(parameter, "")).split(), shape, strict=False):
            if word != "-" and sizes.setdefault(word, length) != length:
                raise InputError(
                    f"{own.label(name)} gives {word} to axes of {sizes[word]} and of {length} ({parameter}); give "
                    "groups of two sizes two names"
                )
    return Table.of(own.label(name), model, [Group(word, size) for word, size in sizes.items()], made)


def wants_untied(model: Pretrained, symmetry_group: SymmetryGroup) -> bool:
    """Whether the stream of a model could be rotated if its head were a separate parameter.

    Raises:
        InputError: If there is no table for its architecture.
    """
    return symmetry_group == "all" and load(model).ROTATES_UNTIED and bool(Space.of(model).tied)
