"""Files of ``torch.save``: ``pytorch_model.bin``, ``.pt``, ``.pth``, Lightning's ``.ckpt``; nothing of them is run.

The names come from torch's restricted unpickler (``weights_only``), which refuses what is no tensor, number or
container. The values are then read from the places in the zip archive where torch put them, as with safetensors; each
tensor has to lie within its own record of the archive.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from landscape.checkpoints.formats import shards
from landscape.checkpoints.formats.tensors import AGAIN, DTYPES, FLOATS, ITEM, Stored, reason, require_whole
from landscape.errors import InputError

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pt.tar", ".pth.tar")
WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
DEEP = 4
"""Wrappings within each other."""

ALLOW = "LANDSCAPE_ALLOW_CLASS"
"""Variable of the environment: classes beside tensors that are let pass, unread; ``--allow-class`` sets it."""
NUMPY = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.ndarray", "numpy.dtype",
)  # fmt: skip
"""What numbers and arrays of NumPy are pickled as."""
HARMFUL = ("posix", "nt", "os", "subprocess", "sys", "builtins", "runpy", "shutil", "socket", "importlib", "pty")
"""Modules of which no class is offered to be passed over."""

LIMITS = {"data.pkl": 100_000_000, "byteorder": 64, "version": 64, ".format_version": 64, ".storage_alignment": 64}
"""Bytes of the records beside the values."""
INFLATED = 64
"""A compressed archive may hold so many times its own size."""
BYTEARRAY = re.compile(rb"c(?:__builtin__|builtins)\nbytearray\n")
"""A pickle may ask for one of any size, and torch would make it."""


class _Nothing:
    """In the place of a class beside the tensors: it takes anything and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Nothing:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def is_named_so(path: Path) -> bool:
    """Whether a file has the name of a file of ``torch.save``."""
    return path.name.endswith(SUFFIXES)


def claims(path: Path) -> list[Path]:
    """The ``.bin`` files of a folder, or the file itself."""
    if path.is_file():
        return [path] if is_named_so(path) else []
    return shards.files(path, SINGLE, INDEX)


def index(path: Path) -> dict[str, Stored]:
    """Every tensor by name, whatever dictionary of the usual ones it is wrapped in.

    Raises:
        InputError: If a file is missing, damaged, holds no tensors, or asks for more than tensors.
    """
    return {name: stored for file in claims(path) for name, stored in _tensors(file).items()}


def _tensors(file: Path) -> dict[str, Stored]:
    """Names and places of a file's tensors.

    Raises:
        InputError: As :func:`index`.
    """
    try:
        stat = file.stat()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; {AGAIN}") from error
    archive = _known(file, stat.st_size, stat.st_mtime_ns)
    if archive is None or not archive.plain:
        return _loaded(file)
    try:
        return _plain(file, stat.st_size, stat.st_mtime_ns)
    except InputError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        return _loaded(file)  # torch from 2.14 on has no sparse tensor without its values


def _require_values(tensor: Any, name: str, file: Path) -> None:
    """Refuse a tensor whose bytes are not its values.

    Raises:
        InputError: If it is one.
    """
    if tensor.is_nested or tensor.is_neg() or tensor.is_conj():
        what = "nested" if tensor.is_nested else "a view that is negated or conjugated when it is read"
        raise InputError(f"{file}: {name!r} is {what}; save a state_dict of plain tensors")


@lru_cache(maxsize=256)
def _plain(file: Path, size: int, changed: int) -> dict[str, Stored]:
    """Names and places of one state of a file: its pickle takes longer to parse than many a checkpoint to read.

    Raises:
        InputError: If a tensor does not lie within its record.
    """
    archive = _known(file, size, changed)
    assert archive is not None
    check, found = partial(require_sums, file, size, changed), {}
    for name, tensor in _state(file, "meta").items():
        _require_values(tensor, name, file)
        dtype, shape = _dtype(tensor), tuple(tensor.shape)
        if str(tensor.layout) != "torch.strided":
            found[name] = Stored(file, str(tensor.layout).removeprefix("torch."), shape)
            continue
        try:
            begin, count = _record(tensor, archive)
        except ValueError as error:
            raise InputError(f"{file} is damaged: {name!r} {error}; {AGAIN}") from error
        if tensor.is_contiguous():
            first = begin + tensor.storage_offset() * tensor.element_size()
            found[name] = Stored(file, dtype, shape, first, check=check)
        else:
            get = partial(_strided, file, begin, count, dtype, shape, tensor.stride(), tensor.storage_offset())
            found[name] = Stored(file, dtype, shape, get=get, check=check)
    return require_whole(file, found)


def _record(tensor: Any, archive: _Archive) -> tuple[int, int]:
    """Where the record of a tensor on the meta device begins, and how many values it has.

    Raises:
        ValueError: If it has none, or the tensor reaches beyond it.
    """
    storage, item = tensor.untyped_storage(), tensor.element_size()
    # Where the storage lies in the archive: torch's "layout control", filled in on the meta device.
    begin = getattr(storage, "_checkpoint_offset", None)
    if tensor.device.type != "meta" or begin is None:
        raise ValueError("has no values in the file")
    there = archive.records.get(begin)
    if there != storage.nbytes():
        raise ValueError(f"wants a record of {storage.nbytes()} bytes and has one of {there}")
    first, steps = tensor.storage_offset(), tensor.stride()
    last = first + sum((n - 1) * step for n, step in zip(tensor.shape, steps, strict=True))
    if tensor.numel() and (first < 0 or min(steps, default=0) < 0 or (last + 1) * item > there):
        raise ValueError(f"lies at {first} to {last} of the {there // item} values of its record")
    return begin, there // item


def _strided(
    file: Path, begin: int, count: int, dtype: str, shape: tuple[int, ...], steps: tuple[int, ...], first: int
) -> np.ndarray:
    """Values that do not lie one after the other, such as those of a transposed matrix.

    Raises:
        InputError: If the file ends before them.
    """
    record = np.fromfile(file, FLOATS[dtype], count, offset=begin)
    if record.size != count:
        raise InputError(f"{file} was truncated while it was read; {AGAIN}")
    strides = [step * ITEM[dtype] for step in steps]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(record[first:], shape, strides))


def _loaded(file: Path) -> dict[str, Stored]:
    """Tensors that torch has to load: of files older than torch 1.6, compressed ones, and those of another byte order.

    Raises:
        InputError: If the file is damaged, or holds a tensor without values.
    """
    stat = file.stat()
    if _known(file, stat.st_size, stat.st_mtime_ns) is not None:
        require_sums(file, stat.st_size, stat.st_mtime_ns)
    found = {}
    for name, tensor in _state(file, "cpu").items():
        _require_values(tensor, name, file)
        dtype, shape = _dtype(tensor), tuple(tensor.shape)
        if tensor.device.type == "meta":
            raise InputError(f"{file} has no values for {name!r}, which was saved on the meta device; save the weights")
        if str(tensor.layout) != "torch.strided":
            found[name] = Stored(file, str(tensor.layout).removeprefix("torch."), shape)
        else:
            found[name] = Stored(file, dtype, shape, get=partial(array, tensor))
    return found


def _dtype(tensor: Any) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return DTYPES.get(name, name)


def array(tensor: Any) -> np.ndarray:
    """The values of a tensor of floats; bfloat16 as ``<u2``."""
    import torch

    values = tensor.detach().contiguous()
    return np.asarray((values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy())


@dataclass(frozen=True)
class _Archive:
    """The zip form of torch 1.6 and later.

    Attributes:
        plain: Whether values lie in it as they are: not compressed, and in the usual byte order.
        records: Size of each record by where it begins.
    """

    plain: bool
    records: Mapping[int, int]


@lru_cache(maxsize=256)
def _known(file: Path, size: int, changed: int) -> _Archive | None:
    """Of one state of a file."""
    return _archive(file)


def _archive(source: Path | IO[bytes] | io.BytesIO) -> _Archive | None:
    """What a zip file holds, once nothing of it is found that torch would fall for; None if it is none.

    Raises:
        InputError: If it is damaged, or would take more memory than it can be worth.
    """
    name = source if isinstance(source, Path) else "a piece"
    try:
        with zipfile.ZipFile(source) as archive:
            entries, stream = archive.infolist(), archive.fp
            assert stream is not None
            size = stream.seek(0, os.SEEK_END)
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names) or any(entry.flag_bits & 1 for entry in entries):
                raise InputError(f"{name} is encrypted, or holds a record twice; {AGAIN}")
            data = [entry for entry in entries if re.search(r"(^|/)data/[^/]*$", entry.filename)]
            if sum(entry.file_size for entry in entries) > INFLATED * size or any(
                entry.file_size > limit
                for entry in entries
                if (limit := LIMITS.get(entry.filename.rpartition("/")[2])) is not None
            ):
                raise InputError(f"{name} would inflate to more than weights do; do not trust it")
            for entry in entries:
                if entry.filename.endswith("data.pkl") and BYTEARRAY.search(archive.read(entry)):
                    raise InputError(f"{name} asks for memory beside tensors (bytearray); save its state_dict alone")
            order = [archive.read(entry) for entry in entries if entry.filename.endswith("/byteorder")]
            plain = all(e.compress_type == zipfile.ZIP_STORED for e in entries) and order in ([], [b"little"])
            records = {_begin(stream, entry): entry.file_size for entry in data}
            return _Archive(plain, records)
    except (zipfile.BadZipFile, EOFError):
        return None
    except (OSError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise InputError(f"{name} is damaged ({reason(error)}); {AGAIN}") from error


def _begin(stream: IO[bytes] | io.BytesIO, entry: zipfile.ZipInfo) -> int:
    """First byte of a record: its own header has a length of its own."""
    stream.seek(entry.header_offset + 26)
    lengths = stream.read(4)
    return entry.header_offset + 30 + sum(int.from_bytes(lengths[n : n + 2], "little") for n in (0, 2))


@lru_cache(maxsize=4096)
def require_sums(file: Path, size: int, changed: int) -> None:
    """Hold the records of one state of a file against their check sums, once.

    Raises:
        InputError: If a bit has changed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    # torch can be told to leave sums out, and then writes zeros.
                    while entry.CRC and stream.read(1 << 20):
                        pass
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file} is damaged ({reason(error)}); {AGAIN}") from error


def load(source: Path | IO[bytes] | io.BytesIO, device: str) -> Any:
    """What ``torch.load`` makes of a file, with nothing in the place of all that is no tensor, number or container.

    Raises:
        InputError: If the file is damaged, or asks for more.
    """
    import torch

    name = source if isinstance(source, Path) else "a piece"
    if _archive(source) is None:
        _require_no_bytearray(source)
    if not isinstance(source, Path):
        source.seek(0)
    allowed: list[Any] = [(_Nothing, full) for full in (*NUMPY, *filter(None, os.environ.get(ALLOW, "").split(",")))]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore")  # other pickle protocols: read or refused, never guessed at
            return torch.load(source, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        what = wants[1] if wants else "something"
        harmless = wants and what.split(".")[0] not in HARMFUL
        raise InputError(
            f"{name} was refused and nothing of it was run: it holds {what} beside tensors, or is no file of "
            f"torch.save; save its state_dict alone, best as safetensors"
            + (f", or pass over it: --allow-class {what}" if harmless else "")
        ) from error
    except Exception as error:
        why = reason(error)
        why = "a form that may hold code" if "weights_only" in why else why  # torch advises to run it
        raise InputError(f"{name} is damaged, or no file of torch.save ({why}); {AGAIN}") from error


def _require_no_bytearray(source: Path | IO[bytes] | io.BytesIO) -> None:
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source.read()) as stream:
        before = b""
        while piece := stream.read(1 << 20):
            if BYTEARRAY.search(before + piece):
                raise InputError(f"{source} asks for memory beside tensors (bytearray); save its state_dict alone")
            before = piece[-32:]


def _state(file: Path, device: str) -> dict[str, Any]:
    tensors = _unwrapped(load(file, device), file)
    if not tensors:
        raise InputError(f"{file} holds no tensors by name, at its top or under {list(WRAPPINGS)}; save a state_dict")
    return tensors


def _unwrapped(state: Any, file: Path, depth: int = 0) -> dict[str, Any]:
    """The tensors of a state dict, or of the one that is wrapped in it; empty if there are none.

    Under a name that is not usual, it is the only entry with names of tensors and nothing else.

    Raises:
        InputError: If several are.
    """
    import torch

    if not isinstance(state, Mapping) or depth > DEEP:
        return {}
    inside = {w: found for w in WRAPPINGS if (found := _unwrapped(state.get(w), file, depth + 1))}
    own = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}
    if not inside and not own:
        inside = {str(k): dict(v) for k, v in state.items() if _is_state(v)}
    if len(inside) > 1:
        raise InputError(f"{file} holds weights under {list(inside)}; save alone those that are meant")
    return next(iter(inside.values()), own)


def _is_state(value: Any) -> bool:
    import torch

    return (
        isinstance(value, Mapping)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
        and any(v.is_floating_point() for v in value.values())
    )
