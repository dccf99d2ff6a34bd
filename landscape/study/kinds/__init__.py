"""Kinds of measure: the settings of each, the checkpoints it is about, its tasks and their cost. One kind a file."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from landscape import catalogue
from landscape.study.measure import Measure


@cache
def kind(name: str) -> type[Measure]:
    """The class of a kind of measure: that of its file which is of this kind.

    Raises:
        ValueError: If there is no such kind.
    """
    module = import_module(f"{__name__}.{catalogue.MEASURES[name].module}")
    found: type[Measure] = getattr(module, name.capitalize())
    return found
