"""Names that are imported when they are first used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def resolve(target: str) -> object:
    """What ``module:name`` is."""
    module, _, name = target.partition(":")
    found: object = getattr(import_module(module), name)
    return found


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
