"""Engines hand tasks out in plan order; they know tasks, not measurements."""

from __future__ import annotations

from types import ModuleType

from landscape import catalogue
from landscape.errors import InputError


def load(name: str) -> ModuleType:
    """The module of an engine.

    Raises:
        InputError: If the package that it needs is not installed.
        ModuleNotFoundError: If another one is missing.
    """
    try:
        return catalogue.ENGINES.load(name)
    except ModuleNotFoundError as error:
        extra = catalogue.ENGINES[name].extra
        if not extra or error.name is None or error.name.startswith("landscape"):
            raise
        raise InputError(
            f"the engine {name!r} needs the package {error.name}, which is not installed; install it with: "
            f"pip install 'landscape-toolkit[{extra}]'"
        ) from error
