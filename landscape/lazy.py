"""What is imported when it is first used."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from threading import Event
from types import ModuleType

OWN_PROCESS = Event()
"""Set in the process of a command; in a notebook, objects of the user would be kept for ever."""


def resolve(target: str) -> object:
    """What ``module:name`` is."""
    module, _, name = target.partition(":")
    found: object = getattr(import_module(module), name)
    return found


@contextmanager
def much_imported() -> Generator[None]:
    """No garbage is collected while much is imported: each collection would look in vain at what modules hold.

    In the process of a command no later one looks at it either.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if OWN_PROCESS.is_set():
            gc.freeze()
        if collects:
            gc.enable()


def callable_package(package: str, target: str) -> None:
    """Make a package callable: a call of it is a call of the function ``module:name``, which is imported then.

    Args:
        package: Name of the package, which is imported already.
        target: The function.
    """

    class Package(ModuleType):
        """A package that is called as a function."""

        def __call__(self, *arguments: object, **options: object) -> object:
            """Call the function."""
            function = resolve(target)
            assert callable(function)
            return function(*arguments, **options)

    sys.modules[package].__class__ = Package
