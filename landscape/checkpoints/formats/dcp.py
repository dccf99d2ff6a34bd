"""PyTorch's distributed checkpoints (DCP, FSDP): a folder of ``.distcp`` files and a pickled ``.metadata``.

torch reads ``.metadata`` with a plain unpickler, which runs code of the file. Here every name in it becomes an inert
record, made again for each file, and only names that DCP itself writes are accepted.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from landscape.checkpoints.formats import unpickle
from landscape.checkpoints.formats.tensors import AGAIN, DTYPES, FLOATS, ITEM, Stored, reason
from landscape.errors import InputError
from landscape.files import read
from landscape.foreign import Pickled

METADATA = ".metadata"
SUBFOLDERS = ("pytorch_model_fsdp_0",)
FORMATS = "_MEM_FORMAT_ENCODING"
CLASSES = {
    "torch.distributed.checkpoint.metadata": {
        "Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata", "TensorProperties",
        "MetadataIndex", "StorageMeta", FORMATS,
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint._extension": {"ExtensionRegistry"},
    "torch.serialization": {"_get_layout"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
    "collections": {"OrderedDict"},
}  # fmt: skip
DTYPE = re.compile(r"(complex|float|bfloat|q?u?int|bits|bool)\w*")
MAX_METADATA = 500_000_000
"""Largest size of ``.metadata`` in bytes."""
MAX_AXES, MAX_SIZE = 64, 1 << 48


def claims(path: Path) -> list[Path]:
    """The files of a distributed checkpoint."""
    folder = _folder(path)
    return [folder / METADATA, *sorted(folder.glob("*.distcp"))] if folder else []


def _folder(path: Path) -> Path | None:
    return next((f for f in (path, *(path / name for name in SUBFOLDERS)) if (f / METADATA).is_file()), None)


@dataclass(frozen=True)
class _Piece:
    """A rectangle of a tensor and where its values lie."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    begin: int
    length: int


def index(files: list[Path]) -> dict[str, Stored]:
    """Every tensor by name, assembled from all ranks; the first of the files is the metadata.

    Raises:
        InputError: If the metadata is damaged or requests more than DCP writes.
    """
    folder = files[0].parent
    try:
        return dict(_tensors(folder, _metadata(folder / METADATA)))
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{folder / METADATA} is damaged ({reason(error)}); {AGAIN}") from error


def _tensors(folder: Path, metadata: Pickled) -> Iterator[tuple[str, Stored]]:
    """Names and locations of the tensors.

    Raises:
        InputError: If a piece lies outside its folder.
        ValueError: If it lies outside its tensor.
    """
    where = {}
    for at, info in metadata.storage_data.items():
        if getattr(at, "offset", None) is not None:
            where[str(at.fqn), _numbers(at.offset)] = info
    for name, entry in metadata.state_dict_metadata.items():
        if not hasattr(entry, "chunks"):
            continue
        torch_dtype, shape, pieces = str(entry.properties.values[0]), _numbers(entry.size), []
        for chunk in entry.chunks:
            offsets, sizes = _numbers(chunk.offsets), _numbers(chunk.sizes)
            if len(offsets) != len(shape) or any(
                o + n > whole for o, n, whole in zip(offsets, sizes, shape, strict=True)
            ):
                raise ValueError(f"a piece of {name!r} at {offsets}, {sizes} large, is outside of {shape}")
            if (info := where.get((str(name), offsets))) is not None:
                begin, length = _numbers((info.offset, info.length))
                pieces.append(_Piece(offsets, sizes, str(info.relative_path), begin, length))
        if outside := [piece.file for piece in pieces if Path(piece.file).name != piece.file or piece.file == ".."]:
            raise InputError(f"{folder / METADATA} names {outside[0]!r} outside its folder; do not trust it")
        dtype = DTYPES.get(torch_dtype, torch_dtype)
        yield str(name), Stored(folder / METADATA, dtype, shape, get=partial(_assemble, folder, dtype, shape, pieces))


def _numbers(values: Pickled) -> tuple[int, ...]:
    """Sizes or offsets, checked.

    Raises:
        ValueError: If they are not.
    """
    if not isinstance(values, tuple | list) or len(values) > MAX_AXES:
        raise ValueError(f"{type(values).__name__} in place of sizes")
    if not all(type(n) is int and 0 <= n < MAX_SIZE for n in values):
        raise ValueError("sizes that are not numbers, negative or too large")
    return tuple(values)


class _Unsafe(pickle.UnpicklingError):
    """The file requests something that no distributed checkpoint holds."""


class _Record:
    """The state of one object of a file, without behaviour."""

    def __new__(cls, *_: object) -> _Record:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"values": state})


class _Restricted(pickle._Unpickler):
    """The unpickler in Python: the one in C allocates whatever length a file claims.

    The records of names belong to this unpickler alone, so a file cannot change them for the next one.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.known: dict[tuple[str, str], Any] = {
            (module, name): type(name, (_Record,), {}) for module, names in CLASSES.items() for name in names
        }
        self.known |= {("torch", name): name for name in DTYPES}
        self.known |= {("torch", "Size"): tuple, ("collections", "OrderedDict"): dict}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return partial(_member, self.known["torch.distributed.checkpoint.metadata", FORMATS])
        if (module, name) not in self.known and module == "torch" and DTYPE.fullmatch(name):
            return name  # a dtype that is not a float; it is refused when the tensor is read
        if (module, name) not in self.known:
            raise _Unsafe(f"{module}.{name}")
        return self.known[module, name]


def _member(formats: Pickled, owner: Pickled, name: Pickled) -> Any:
    """The only accepted use of ``getattr``: Python 3.11.0 to 3.11.3 pickle members of enumerations with it.

    Raises:
        _Unsafe: For anything else.
    """
    if owner is not formats or not isinstance(name, str) or name.startswith("_"):
        raise _Unsafe("builtins.getattr")
    return formats()


def _metadata(file: Path) -> Any:
    try:
        return _Restricted(read(file, MAX_METADATA)).load()
    except _Unsafe as error:
        raise InputError(
            f"{file} was refused and nothing of it was run: it asks for {error}, which no distributed checkpoint holds"
        ) from error
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file} is damaged ({reason(error)}); {AGAIN}") from error


def _assemble(folder: Path, dtype: str, shape: tuple[int, ...], pieces: list[_Piece]) -> np.ndarray:
    """One tensor from its pieces; each is a small file of ``torch.save`` within a ``.distcp``.

    Raises:
        InputError: If a piece is missing, damaged, or of another dtype or shape, or the pieces leave a gap.
    """
    whole: np.ndarray = np.empty(shape, FLOATS[dtype])
    filled = np.zeros(shape, bool)
    try:
        for piece in pieces:
            here = tuple(slice(o, o + n) for o, n in zip(piece.offsets, piece.sizes, strict=True))
            whole[here] = _values(folder / piece.file, piece, dtype)
            filled[here] = True
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} cannot be read ({reason(error)}); {AGAIN}") from error
    if (count := int(filled.sum())) != whole.size:
        raise InputError(
            f"{folder} holds {count} of {whole.size} values of a tensor ({ITEM[dtype]} bytes each); {AGAIN}"
        )
    return whole


def _values(file: Path, piece: _Piece, dtype: str) -> np.ndarray:
    """The values of a piece.

    Raises:
        ValueError: If the file is too short, or holds something else there.
    """
    import torch

    with file.open("rb") as stream:
        if piece.begin + piece.length > os.fstat(stream.fileno()).st_size:
            raise ValueError(f"{file.name} is truncated")
        stream.seek(piece.begin)
        content = stream.read(piece.length)
    try:
        tensor = unpickle.load(io.BytesIO(content), "cpu")
    except InputError as error:
        raise ValueError(f"{file.name} at {piece.begin}: {error}") from error
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise ValueError(f"{file.name} holds a {type(tensor).__name__} at {piece.begin} that is not a plain tensor")
    if DTYPES.get(str(tensor.dtype).removeprefix("torch.")) != dtype or tuple(tensor.shape) != piece.sizes:
        raise ValueError(f"{file.name} holds {tensor.dtype} {tuple(tensor.shape)} in place of {dtype} {piece.sizes}")
    return unpickle.array(tensor)
