"""Files of ``torch.save``: ``pytorch_model.bin``, ``.pt``, ``.pth``, Lightning's ``.ckpt``; none of their code is run.

Names come from torch's restricted unpickler (``weights_only``), which refuses everything but tensors, numbers and
containers. Values are then read from where torch put them in the zip archive, as with safetensors. Each tensor must lie
within its own record of the archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from landscape.checkpoints.formats import shards
from landscape.checkpoints.formats.archive import Archive, known_archive, require_sums
from landscape.checkpoints.formats.tensors import AGAIN, DTYPES, FLOATS, ITEM, Stored, require_whole
from landscape.checkpoints.formats.unpickle import array, load
from landscape.errors import InputError
from landscape.foreign import Pickled

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pt.tar", ".pth.tar")
WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
MAX_DEPTH = 4
"""Largest number of nested wrappings."""


def is_named_so(path: Path) -> bool:
    """Whether a file has the name of a file of ``torch.save``."""
    return path.name.endswith(SUFFIXES)


def claims(path: Path) -> list[Path]:
    """The ``.bin`` files of a folder, or the file itself."""
    if path.is_file():
        return [path] if is_named_so(path) else []
    return shards.files(path, SINGLE, INDEX)


def index(files: list[Path]) -> dict[str, Stored]:
    """Every tensor of some files by name, without the usual dictionaries around them.

    Raises:
        InputError: If a file is missing, damaged, holds no tensors, or requests more than tensors.
    """
    return {name: stored for file in files for name, stored in _tensors(file).items()}


def _tensors(file: Path) -> dict[str, Stored]:
    """Names and locations of the tensors of a file.

    Raises:
        InputError: As :func:`index`.
    """
    try:
        stat = file.stat()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; {AGAIN}") from error
    archive = known_archive(file, stat.st_size, stat.st_mtime_ns)
    if archive is None or not archive.plain:
        return _loaded(file)
    try:
        return _plain(file, stat.st_size, stat.st_mtime_ns)
    except InputError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        return _loaded(file)  # from torch 2.14 on, sparse tensors cannot be made without their values


def _require_values(tensor: Pickled, name: str, file: Path) -> None:
    """Refuse a tensor whose bytes are not its values.

    Raises:
        InputError: If it is one.
    """
    if tensor.is_nested or tensor.is_neg() or tensor.is_conj():
        what = "nested" if tensor.is_nested else "a view that is negated or conjugated when it is read"
        raise InputError(f"{file}: {name!r} is {what}; save a state_dict of plain tensors")


@lru_cache(maxsize=256)
def _plain(file: Path, size: int, changed: int) -> dict[str, Stored]:
    """Names and locations of the tensors of one state of a file; cached, since parsing a pickle is slow.

    Raises:
        InputError: If a tensor does not lie within its record.
    """
    archive = known_archive(file, size, changed)
    assert archive is not None
    check, tensors = partial(require_sums, file, size, changed), {}
    for name, tensor in _state(file, "meta").items():
        _require_values(tensor, name, file)
        dtype, shape = _dtype(tensor), tuple(tensor.shape)
        if str(tensor.layout) != "torch.strided":
            tensors[name] = Stored(file, str(tensor.layout).removeprefix("torch."), shape)
            continue
        try:
            begin, count = _record(tensor, archive)
        except ValueError as error:
            raise InputError(f"{file} is damaged: {name!r} {error}; {AGAIN}") from error
        if tensor.is_contiguous():
            first = begin + tensor.storage_offset() * tensor.element_size()
            tensors[name] = Stored(file, dtype, shape, first, check=check)
        else:
            get = partial(_strided, file, begin, count, dtype, shape, tensor.stride(), tensor.storage_offset())
            tensors[name] = Stored(file, dtype, shape, get=get, check=check)
    return require_whole(file, tensors)


def _record(tensor: Pickled, archive: Archive) -> tuple[int, int]:
    """Offset of the record of a tensor on the meta device, and the number of its values.

    Raises:
        ValueError: If it has none, or the tensor reaches beyond it.
    """
    storage, item = tensor.untyped_storage(), tensor.element_size()
    # Offset of the storage in the archive: torch's "layout control", set on the meta device.
    begin = getattr(storage, "_checkpoint_offset", None)
    if tensor.device.type != "meta" or begin is None:
        raise ValueError("has no values in the file")
    size = archive.records.get(begin)
    if size != storage.nbytes():
        raise ValueError(f"wants a record of {storage.nbytes()} bytes and has one of {size}")
    first, steps = tensor.storage_offset(), tensor.stride()
    last = first + sum((n - 1) * step for n, step in zip(tensor.shape, steps, strict=True))
    if tensor.numel() and (first < 0 or min(steps, default=0) < 0 or (last + 1) * item > size):
        raise ValueError(f"lies at {first} to {last} of the {size // item} values of its record")
    return begin, size // item


def _strided(
    file: Path, begin: int, count: int, dtype: str, shape: tuple[int, ...], steps: tuple[int, ...], first: int
) -> np.ndarray:
    """Values that are not contiguous, such as those of a transposed matrix.

    Raises:
        InputError: If the file ends before them.
    """
    record = np.fromfile(file, FLOATS[dtype], count, offset=begin)
    if record.size != count:
        raise InputError(f"{file} was truncated while it was read; {AGAIN}")
    strides = [step * ITEM[dtype] for step in steps]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(record[first:], shape, strides))


def _loaded(file: Path) -> dict[str, Stored]:
    """Tensors that torch must load: of files from before torch 1.6, compressed files, and files of another byte order.

    Raises:
        InputError: If the file is damaged, or holds a tensor without values.
    """
    stat = file.stat()
    if known_archive(file, stat.st_size, stat.st_mtime_ns) is not None:
        require_sums(file, stat.st_size, stat.st_mtime_ns)
    tensors = {}
    for name, tensor in _state(file, "cpu").items():
        _require_values(tensor, name, file)
        dtype, shape = _dtype(tensor), tuple(tensor.shape)
        if tensor.device.type == "meta":
            raise InputError(f"{file} has no values for {name!r}, which was saved on the meta device; save the weights")
        if str(tensor.layout) != "torch.strided":
            tensors[name] = Stored(file, str(tensor.layout).removeprefix("torch."), shape)
        else:
            tensors[name] = Stored(file, dtype, shape, get=partial(array, tensor))
    return tensors


def _dtype(tensor: Pickled) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return DTYPES.get(name, name)


def _state(file: Path, device: str) -> dict[str, Any]:
    tensors = _unwrapped(load(file, device), file)
    if not tensors:
        raise InputError(f"{file} holds no tensors by name, at its top or under {list(WRAPPINGS)}; save a state_dict")
    return tensors


def _unwrapped(state: Pickled, file: Path, depth: int = 0) -> dict[str, Any]:
    """The tensors of a state dict, or of the one that is wrapped in it; empty if there are none.

    Under an unusual name, it is the only entry that holds named tensors and nothing else.

    Raises:
        InputError: If there are several.
    """
    import torch

    if not isinstance(state, Mapping) or depth > MAX_DEPTH:
        return {}
    inside = {w: inner for w in WRAPPINGS if (inner := _unwrapped(state.get(w), file, depth + 1))}
    own = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}
    if not inside and not own:
        inside = {str(k): dict(v) for k, v in state.items() if _is_state(v)}
    if len(inside) > 1:
        raise InputError(f"{file} holds weights under {list(inside)}; save only the one that is meant")
    return next(iter(inside.values()), own)


def _is_state(value: Pickled) -> bool:
    import torch

    return (
        isinstance(value, Mapping)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
        and any(v.is_floating_point() for v in value.values())
    )
