"""Mode connectivity and loss landscapes across checkpoints and seeds.

>>> import landscape as ls
>>> ls.barriers  # doctest: +ELLIPSIS
<function barriers at ...>

A call is imported when it is used, so importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscape.lazy import resolve

if TYPE_CHECKING:
    from landscape.face.align import align
    from landscape.face.barriers import barriers
    from landscape.face.components import components
    from landscape.face.curve import curve
    from landscape.face.llc import llc
    from landscape.face.plane import plane
    from landscape.face.point import point
    from landscape.face.probe import probe
    from landscape.face.run import run
    from landscape.face.simplex import simplex
    from landscape.face.stages import stages
    from landscape.face.trajectory import trajectory

__version__ = "0.1.0"
__all__ = [
    "align", "barriers", "components", "curve", "llc", "plane", "point", "probe", "run", "simplex", "stages",
    "trajectory",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """A call of the face.

    Raises:
        AttributeError: If there is no such call.
    """
    if name not in __all__:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    globals()[name] = found = resolve(f"landscape.face.{name}:{name}")
    return found


def __dir__() -> list[str]:
    """The calls, and the version."""
    return [*__all__, "__version__"]
