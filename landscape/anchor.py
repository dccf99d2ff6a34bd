"""Anchors of points: vectors in memory, or vectors whose coordinates are read from files when they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from landscape.shapes import Float

PIECE = 1 << 20
"""Coordinates of a vector on disk that are in memory at a time: four mebibytes as float32."""

THREADS = 4
"""Largest number of threads that read."""


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


def pieces(begin: int, end: int, each: int | None = None) -> Iterator[tuple[int, int]]:
    """Bounds of consecutive pieces.

    >>> list(pieces(3, 8, 4))
    [(3, 7), (7, 8)]

    Args:
        begin: Position of the first coordinate.
        end: Position after the last.
        each: Most coordinates of a piece; None is ``PIECE``.
    """
    each = each or PIECE
    for start in range(begin, end, each):
        yield start, min(start + each, end)


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


def shared_out(begin: int, end: int) -> list[tuple[int, int]]:
    """Bounds of parts of whole pieces, one for each thread that reads.

    Args:
        begin: Position of the first coordinate.
        end: Position after the last.
    """
    count = -(-(end - begin) // PIECE)
    each = PIECE * max(1, -(-count // min(THREADS, torch.get_num_threads())))
    return [(start, min(start + each, end)) for start in range(begin, end, each)]


@contextmanager
def one_thread_each(parts: int) -> Generator[ThreadPoolExecutor]:
    """A pool whose threads run the operations of torch by themselves.

    The pieces are small. Where other programs are busy, threads of torch wait for each other at each of them: on two
    shared cores this was measured to take ten times as long.

    Args:
        parts: Number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that start later take it over
    try:
        with ThreadPoolExecutor(max(1, parts)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def norm(a: Anchor) -> float:
    """Euclidean length of a point, in units of the coordinates, accumulated in float64."""
    return _length(lambda begin, end: values(a, begin, end), a)


def distance(a: Anchor, b: Anchor) -> float:
    """Euclidean distance between two points, ``|b - a|``, in units of the coordinates, accumulated in float64."""
    return _length(lambda begin, end: values(b, begin, end) - values(a, begin, end), a)


def _length(vector: Callable[[int, int], Tensor], a: Anchor) -> float:
    """Euclidean length of a vector that is made piece by piece, as long as an anchor."""

    def square(part: tuple[int, int]) -> float:
        total = 0.0
        for begin, end in pieces(*part):
            total += float(torch.linalg.vector_norm(vector(begin, end), dtype=torch.float64)) ** 2
        return total

    if isinstance(a, Tensor):
        return math.sqrt(square((0, len(a))))
    parts = shared_out(0, len(a))
    with one_thread_each(len(parts)) as pool:
        return math.sqrt(sum(pool.map(square, parts)))
