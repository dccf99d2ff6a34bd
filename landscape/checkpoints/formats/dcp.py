"""PyTorch's distributed checkpoints (DCP, FSDP): a folder of ``.distcp`` files and a pickled ``.metadata``.

torch reads ``.metadata`` with a plain unpickler, which runs what the file says; here only the dozen classes that
DCP itself writes are allowed.
"""

from __future__ import annotations

import io
import pickle
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from landscape.checkpoints.formats.tensors import AGAIN, DTYPES, FLOATS, ITEM, Stored, reason
from landscape.errors import InputError

METADATA = ".metadata"
SUBFOLDERS = ("pytorch_model_fsdp_0",)
ALLOWED = {
    "torch.distributed.checkpoint.metadata": {
        "Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata", "TensorProperties",
        "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint._extension": {"ExtensionRegistry"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size", *DTYPES},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
    "collections": {"OrderedDict"},
}  # fmt: skip


def claims(path: Path) -> list[Path]:
    """The files of a distributed checkpoint."""
    folder = _folder(path)
    return [folder / METADATA, *sorted(folder.glob("*.distcp"))] if folder else []


def _folder(path: Path) -> Path | None:
    return next((f for f in (path, *(path / name for name in SUBFOLDERS)) if (f / METADATA).is_file()), None)


def index(path: Path) -> dict[str, Stored]:
    """Every tensor by name, whole, from however many ranks.

    Raises:
        InputError: If the metadata is damaged or asks for more than DCP writes.
    """
    folder = _folder(path)
    assert folder is not None
    found = {}
    metadata = _metadata(folder / METADATA)
    try:
        for name, entry in metadata.state_dict_metadata.items():
            if hasattr(entry, "chunks"):
                dtype = DTYPES.get(str(entry.properties.dtype).removeprefix("torch."), "?")
                pieces = [
                    (tuple(chunk.offsets), tuple(chunk.sizes), info.relative_path, info.offset, info.length)
                    for chunk in entry.chunks
                    for at, info in metadata.storage_data.items()
                    if at.fqn == name and tuple(at.offset) == tuple(chunk.offsets)
                ]
                if outside := [file for _, _, file, _, _ in pieces if Path(file).name != file]:
                    raise InputError(f"{folder / METADATA} names {outside[0]!r} outside its folder; do not trust it")
                shape = tuple(entry.size)
                found[name] = Stored(
                    folder / METADATA, dtype, shape, get=partial(_assemble, folder, dtype, shape, pieces)
                )
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{folder / METADATA} is damaged ({error}); {AGAIN}") from error
    return found


class _Unsafe(pickle.UnpicklingError):
    """The file asks for something that no distributed checkpoint holds."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _member
        if name not in ALLOWED.get(module, ()):
            raise _Unsafe(f"{module}.{name}")
        return super().find_class(module, name)


def _member(kind: Any, name: Any) -> Enum:
    """The one use of ``getattr`` there is: Python 3.11.0 to 3.11.3 pickle a member of an enumeration so.

    Raises:
        _Unsafe: For anything else.
    """
    if not (isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__):
        raise _Unsafe("builtins.getattr")
    return kind[name]


def _metadata(file: Path) -> Any:
    try:
        with file.open("rb") as stream:
            return _Restricted(stream).load()
    except _Unsafe as error:
        raise InputError(
            f"{file} was refused and nothing of it was run: it asks for {error}, which no distributed checkpoint holds"
        ) from error
    except (
        OSError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise InputError(f"{file} is damaged ({error}); {AGAIN}") from error


def _assemble(folder: Path, dtype: str, shape: tuple[int, ...], pieces: list[Any]) -> np.ndarray:
    """One tensor from its pieces; each is a small file of ``torch.save`` within a ``.distcp``.

    Raises:
        InputError: If a piece is missing or damaged.
    """
    import torch

    whole: np.ndarray = np.empty(shape, FLOATS[dtype])
    filled = 0
    try:
        for offsets, sizes, name, begin, length in pieces:
            with (folder / name).open("rb") as stream:
                stream.seek(begin)
                piece = torch.load(io.BytesIO(stream.read(length)), map_location="cpu", weights_only=True)
            piece = piece.view(torch.uint16) if dtype == "BF16" else piece
            whole[tuple(slice(o, o + n) for o, n in zip(offsets, sizes, strict=True))] = piece.numpy()
            filled += piece.numel()
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{folder} cannot be read ({reason(error)}); {AGAIN}") from error
    if filled != whole.size:
        raise InputError(
            f"{folder} holds {filled} of {whole.size} values of a tensor ({ITEM[dtype]} bytes each); {AGAIN}"
        )
    return whole
