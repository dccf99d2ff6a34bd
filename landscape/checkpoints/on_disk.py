"""Points that stay in their files."""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from landscape.anchor import pieces
from landscape.checkpoints import formats, names
from landscape.checkpoints.formats.tensors import FLOATS, Stored, read_raw, require_float
from landscape.errors import InputError
from landscape.shapes import Float
from landscape.space import Space

State = tuple[int, int, int]
"""Size, time of the last change and inode of a file."""


@dataclass
class PointOnDisk:
    """The coordinates of a checkpoint, read when they are needed: float32, whatever is stored.

    Files are read a piece at a time and never memory-mapped: if a mapped file were truncated meanwhile, the process
    would die. What is read often stays in the page cache of the system as long as there is room.

    Attributes:
        path: The checkpoint, for messages.
        tensors: Its tensors, in the order of its space.
    """

    path: Path
    tensors: dict[str, Stored]
    _states: dict[Path, State] = field(default_factory=dict)
    _whole: tuple[int, np.ndarray] | None = None

    @classmethod
    def of(cls, path: Path, model: nn.Module) -> PointOnDisk:
        """The point of a checkpoint.

        Args:
            path: A folder or file with weights.
            model: A model of its class, whose parameters are the coordinates; its values are not used.

        Raises:
            InputError: If a parameter is missing, of another shape, or not a float.
            NeedsConversion: If tensors must be split or merged to become parameters.
        """
        tensors = names.locate(formats.index(path), model, Space.of(model), path)
        for name, stored in tensors.items():
            require_float(name, stored)
            if stored.check is not None:
                stored.check()
        files = {stored.file for stored in tensors.values()}
        return cls(path, tensors, {file: _state(file.stat()) for file in files})

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(prod(stored.shape) for stored in self.tensors.values()))

    @cached_property
    def _listed(self) -> list[tuple[str, Stored]]:
        return list(self.tensors.items())

    def __len__(self) -> int:
        """Number of coordinates."""
        return self._ends[-1] if self._ends else 0

    def read(self, begin: int, out: Float[Tensor, " n"]) -> None:
        """Read the coordinates from ``begin`` on.

        Args:
            begin: Position of the first.
            out: Where to, float32 on the CPU.

        Raises:
            InputError: If a value is not finite, or the files have changed since the point was made.
        """
        number, done = bisect_right(self._ends, begin), 0
        while done < len(out):
            end = self._ends[number]
            here = out[done : done + end - begin]
            start = begin - (self._ends[number - 1] if number else 0)
            self._part(number, start, here)
            if not here.sum().isfinite() and not here.isfinite().all():
                raise InputError(self._not_finite(number))
            number, begin, done = number + 1, end, done + len(here)

    def _part(self, number: int, start: int, out: Float[Tensor, " n"]) -> None:
        """Values of one tensor from ``start`` on.

        Raises:
            InputError: If its file has changed since the point was made.
        """
        _, stored = self._listed[number]
        if stored.begin is None:
            out.copy_(_as_torch(self._all_of(number)[start : start + len(out)], stored.dtype))
            return
        descriptor = os.open(stored.file, os.O_RDONLY)
        try:
            if _state(os.fstat(descriptor)) != self._states[stored.file]:
                raise InputError(
                    f"{stored.file} has changed while it was read; let what writes it finish, and run again"
                )
            raw = out.numpy() if stored.dtype == "F32" else np.empty(len(out), FLOATS[stored.dtype])
            read_raw(descriptor, stored, start, raw)
        finally:
            os.close(descriptor)
        if stored.dtype != "F32":
            out.copy_(_as_torch(raw, stored.dtype))

    def _all_of(self, number: int) -> np.ndarray:
        """All values of a tensor whose place in its file is not known; those read last are kept."""
        held = self._whole  # another thread may put another tensor there
        if held is None or held[0] != number:
            self._whole = None
            get = self._listed[number][1].get
            assert get is not None
            held = self._whole = number, get().reshape(-1)
        return held[1]

    def _not_finite(self, number: int) -> str:
        """How many values of a tensor are not finite."""
        name, stored = self._listed[number]
        count, bad = prod(stored.shape), 0
        for start, end in pieces(0, count):
            values = torch.empty(end - start)
            self._part(number, start, values)
            bad += int((~values.isfinite()).sum())
        return (
            f"{self.path}: {bad} of {count} values of parameter {name!r} are NaN or infinite; leave this checkpoint out"
        )


def _as_torch(raw: np.ndarray, dtype: str) -> Tensor:
    """Stored values as a tensor; torch converts them on all threads."""
    return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16) if dtype == "BF16" else torch.from_numpy(raw)


def _state(stat: os.stat_result) -> State:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
