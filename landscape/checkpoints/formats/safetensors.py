"""Safetensors, whole or in shards. Only the header is parsed, so no torch is needed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from landscape.checkpoints.formats import shards
from landscape.checkpoints.formats.tensors import AGAIN, ITEM, Stored, require_whole
from landscape.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
HEADER_LIMIT = 100_000_000


def claims(path: Path) -> list[Path]:
    """The safetensors files of a folder, or the file itself."""
    if path.is_file():
        return [path] if path.suffix == ".safetensors" else []
    return shards.files(path, SINGLE, INDEX)


def index(path: Path) -> dict[str, Stored]:
    """Every tensor by name.

    Raises:
        InputError: If a file is missing, truncated or no safetensors file.
    """
    return {name: stored for file in claims(path) for name, stored in _header(file).items()}


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
            if 8 + length > size or length > HEADER_LIMIT:
                raise InputError(f"{file} is truncated, or no safetensors file: {size} bytes; {AGAIN}")
            entries = json.loads(stream.read(length))
        entries.pop("__metadata__", None)
        tensors = {name: _stored(file, 8 + length, entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} has a damaged header ({error}); {AGAIN}") from error
    return require_whole(file, tensors)


def _stored(file: Path, data: int, entry: Mapping[str, Any]) -> Stored:
    dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
    begin, end = (int(place) for place in entry["data_offsets"])
    if not 0 <= begin <= end or (dtype in ITEM and end - begin != prod(shape) * ITEM[dtype]):
        raise ValueError(f"bytes {begin} to {end} for {dtype} of shape {shape}")
    return Stored(file, dtype, shape, data + begin)
