"""Safetensors, whole or in shards. Only the header is parsed, so no torch is needed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from landscape.checkpoints.formats import shards
from landscape.checkpoints.formats.tensors import AGAIN, ITEM, Stored, require_whole
from landscape.errors import InputError
from landscape.files import parsed

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_AXES = 64
HEADER_LIMIT = 25_000_000
"""Largest header in bytes, that of 200,000 tensors; as Python objects it takes many times as much memory."""


def claims(path: Path) -> list[Path]:
    """The safetensors files of a folder, or the file itself."""
    if path.is_file():
        return [path] if path.suffix == ".safetensors" else []
    return shards.files(path, SINGLE, INDEX)


def index(files: list[Path]) -> dict[str, Stored]:
    """Every tensor of some files by name.

    Raises:
        InputError: If a file is missing, truncated or no safetensors file.
    """
    return {name: stored for file in files for name, stored in _header(file).items()}


def _header(file: Path) -> dict[str, Stored]:
    try:
        stat = file.stat()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; {AGAIN}") from error
    return _parsed(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _parsed(file: Path, size: int, changed: int) -> dict[str, Stored]:
    """The header of one state of a file.

    Raises:
        InputError: If it is damaged.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            if start == b"version ":
                raise InputError(f"{file} is a pointer of Git LFS and not the file itself; fetch it with: git lfs pull")
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if 8 + length > size:
                raise InputError(f"{file} is truncated, or not a safetensors file: {size} bytes; {AGAIN}")
            if length > HEADER_LIMIT:
                raise InputError(f"{file} has a header of {length} bytes, and at most {HEADER_LIMIT} are read; {AGAIN}")
            entries = parsed(stream.read(length))
        notes = entries.pop("__metadata__", {})
        _require_text(notes)
        tensors = require_whole(file, {n: _stored(file, 8 + length, entry) for n, entry in entries.items()})
        _require_full(sorted(entry["data_offsets"] for entry in entries.values()), size - 8 - length)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); check the path and its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} has a damaged header ({error}); {AGAIN}") from error
    return tensors


def _require_text(notes: Mapping[str, Any]) -> None:
    """Refuse metadata whose values are not text.

    Raises:
        ValueError: If one is not.
    """
    if wrong := [name for name, note in notes.items() if not isinstance(note, str)]:
        raise ValueError(f"its metadata {wrong[0]!r:.40} is not text")


def _require_full(spans: list[list[int]], size: int) -> None:
    """Check that every byte after the header belongs to one tensor, as the format requires.

    Raises:
        ValueError: If bytes belong to two, or to none.
    """
    ends = [0, *(end for _, end in spans)]
    begins = [*(begin for begin, _ in spans), size]
    if wrong := next((pair for pair in zip(ends, begins, strict=True) if pair[0] != pair[1]), None):
        raise ValueError(f"bytes {min(wrong)} to {max(wrong)} belong to two tensors, or to none")


def _stored(file: Path, data: int, entry: Mapping[str, Any]) -> Stored:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if (
        len(shape) > MAX_AXES
        or not isinstance(dtype, str)
        or not all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    ):
        raise ValueError(f"dtype {dtype!r:.40}, shape {shape!r:.40}, bytes {begin!r:.40} to {end!r:.40}")
    if begin > end or (dtype in ITEM and end - begin != prod(shape) * ITEM[dtype]):
        raise ValueError(f"bytes {begin} to {end} for {dtype} of shape {tuple(shape)}")
    return Stored(file, dtype, tuple(shape), data + begin)
