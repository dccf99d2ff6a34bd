"""Anchors of points: vectors in memory, or vectors whose coordinates are read from files when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from landscape.shapes import Float

PIECE = 1 << 20
"""Coordinates of a vector on disk that are in memory at a time: four mebibytes as float32."""


@runtime_checkable
class OnDisk(Protocol):
    """A point that stays in its files: a vector whose coordinates are read when they are needed."""

    def __len__(self) -> int:
        """Number of coordinates."""
        ...

    def read(self, begin: int, out: Float[Tensor, " n"]) -> None:
        """Read the coordinates from ``begin`` on.

        Args:
            begin: Position of the first.
            out: Where to, float32 on the CPU.
        """
        ...


Anchor = Tensor | OnDisk


def pieces(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Bounds of consecutive pieces of at most ``PIECE`` coordinates.

    >>> list(pieces(3, 5))
    [(3, 5)]
    """
    for start in range(begin, end, PIECE):
        yield start, min(start + PIECE, end)


def values(anchor: Anchor, begin: int, end: int) -> Float[Tensor, " n"]:
    """Some coordinates: a view of a vector in memory, or a copy of what is on disk.

    Args:
        anchor: The anchor.
        begin: Position of the first.
        end: Position after the last.
    """
    if isinstance(anchor, Tensor):
        return anchor[begin:end]
    out = torch.empty(end - begin, dtype=torch.float32)
    anchor.read(begin, out)
    return out


def norm(a: Anchor) -> float:
    """Euclidean length of a point, in units of the coordinates, accumulated in float64."""
    squares = (torch.linalg.vector_norm(values(a, *p), dtype=torch.float64) ** 2 for p in pieces(0, len(a)))
    return float(sum(squares, torch.zeros((), dtype=torch.float64, device=_device(a))).sqrt())


def distance(a: Anchor, b: Anchor) -> float:
    """Euclidean distance between two points, ``|b - a|``, in units of the coordinates, accumulated in float64."""
    total = torch.zeros((), dtype=torch.float64, device=_device(a))
    for piece in pieces(0, len(a)):
        total += torch.linalg.vector_norm(values(b, *piece) - values(a, *piece), dtype=torch.float64) ** 2
    return float(total.sqrt())


def _device(a: Anchor) -> torch.device:
    return a.device if isinstance(a, Tensor) else torch.device("cpu")
