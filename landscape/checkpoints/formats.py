"""Safetensors folders, whole or sharded, read straight into memory that we own.

A file is read and never mapped: a mapped file that is truncated under us would end the process.
Only NumPy is needed, so a plan can look at sizes without importing torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from landscape.errors import InputError
from landscape.shapes import Float

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
HEADER_LIMIT = 100_000_000
ITEM = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
INCIDENTAL = {
    "_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache", "initializer_range"
}  # fmt: skip
FLOATS = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


@dataclass(frozen=True)
class Stored:
    """Where one tensor lies on disk."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    bytes: int


def has_weights(folder: Path) -> bool:
    """Whether the folder holds weights in a form that is read here."""
    return (folder / SINGLE).is_file() or (folder / INDEX).is_file()


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a folder.

    Raises:
        InputError: If there are none, or the index of the shards cannot be read.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} holds neither {SINGLE} nor {INDEX}; give a folder written by save_pretrained")
    try:
        shards = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{folder / INDEX} is damaged ({error}); copy the checkpoint again") from error
    if outside := [shard for shard in shards if Path(shard).name != shard]:
        raise InputError(f"{folder / INDEX} names the file {outside[0]!r} outside its folder; do not trust it")
    return sorted(folder / shard for shard in shards)


def index(folder: Path) -> dict[str, Stored]:
    """Every tensor of a folder by name.

    Raises:
        InputError: If a file is missing, truncated or no safetensors file.
    """
    return {name: stored for file in weight_files(folder) for name, stored in _header(file).items()}


def _header(file: Path) -> dict[str, Stored]:
    again = "copy or download the checkpoint again"
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if 8 + length > size or length > HEADER_LIMIT:
                raise InputError(f"{file} is truncated, or no safetensors file: {size} bytes; {again}")
            entries = json.loads(stream.read(length))
        entries.pop("__metadata__", None)
        tensors = {name: _stored(file, 8 + length, entry) for name, entry in entries.items()}
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; {again}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} has a damaged header ({error}); {again}") from error
    end = max((s.begin + s.bytes for s in tensors.values()), default=0)
    if end > size:
        raise InputError(f"{file} is truncated: {size} bytes, and its header promises {end}; {again}")
    return tensors


def _stored(file: Path, data: int, entry: Mapping[str, Any]) -> Stored:
    dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
    begin, end = (int(place) for place in entry["data_offsets"])
    if not 0 <= begin <= end or (dtype in ITEM and end - begin != prod(shape) * ITEM[dtype]):
        raise ValueError(f"bytes {begin} to {end} for {dtype} of shape {shape}")
    return Stored(file, dtype, shape, data + begin, end - begin)


def fill(
    out: Float[np.ndarray, " P"],
    folder: Path,
    names: Iterable[str],
    shapes: Iterable[tuple[int, ...]],
    tied: Iterable[tuple[str, str]] = (),
) -> None:
    """Read a checkpoint into ``out``, one parameter after the other, as float32.

    Float32 tensors go from the file to their place with no copy between; others are converted.

    Args:
        out: Where the point goes; contiguous float32.
        folder: The checkpoint.
        names: Parameters in the order of the space.
        shapes: Their shapes.
        tied: ``(alias, name)``: other names under which a file may hold a tied parameter.

    Raises:
        InputError: If a parameter is missing, has another shape, or cannot be read.
    """
    stored = index(folder)
    for alias, name in tied:
        if name not in stored and alias in stored:
            stored[name] = stored[alias]
    streams: dict[Path, int] = {}
    place = 0
    try:
        for name, shape in zip(names, shapes, strict=True):
            if name not in stored:
                raise InputError(
                    f"{folder} lacks the parameter {name!r} {shape} of its own model class; "
                    "it may have been saved from another class"
                )
            here = stored[name]
            if here.shape != tuple(shape):
                raise InputError(f"{folder}: parameter {name!r} is {here.shape} on disk and {shape} in its config")
            if here.file not in streams:
                streams[here.file] = os.open(here.file, os.O_RDONLY)
            _read(streams[here.file], here, out[place : place + prod(shape)], name)
            place += prod(shape)
    finally:
        for descriptor in streams.values():
            os.close(descriptor)


def _read(descriptor: int, stored: Stored, out: Float[np.ndarray, " n"], name: str) -> None:
    if stored.dtype not in FLOATS:
        raise InputError(f"{stored.file}: parameter {name!r} is stored as {stored.dtype}, not as {list(FLOATS)}")
    raw: Any = out if stored.dtype == "F32" else np.empty(out.size, FLOATS[stored.dtype])
    target = memoryview(raw).cast("B")
    done = 0
    while done < stored.bytes:
        got = os.preadv(descriptor, [target[done:]], stored.begin + done)
        if not got:
            raise InputError(f"{stored.file} was truncated while it was read; copy or download it again")
        done += got
    if stored.dtype == "BF16":
        out.view(np.uint32)[...] = raw.astype(np.uint32) << 16
    elif raw is not out:
        out[...] = raw


def content_id(folder: Path) -> str:
    """SHA-256 over config and weights: the same for the same model wherever it lies.

    Raises:
        InputError: If a file is missing.
    """
    digest = hashlib.sha256()
    for file in [folder / CONFIG, *weight_files(folder)]:
        if not file.is_file():
            raise InputError(f"{file} is missing; give a folder written by save_pretrained")
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def signature(folder: Path) -> str:
    """Names, sizes and times of the files behind :func:`content_id`; changes when they may have."""
    stats = [(file.name, file.stat()) for file in [folder / CONFIG, *weight_files(folder)] if file.is_file()]
    return json.dumps([(name, s.st_size, s.st_mtime_ns) for name, s in stats])


def architecture(folder: Path) -> dict[str, object]:
    """The settings of the config that change the function in evaluation mode.

    Raises:
        InputError: If the config cannot be read.
    """
    try:
        config = dict(json.loads((folder / CONFIG).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read ({error}); copy the checkpoint again") from error
    return {name: value for name, value in config.items() if name not in INCIDENTAL and "drop" not in name}
