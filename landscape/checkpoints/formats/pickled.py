"""Files of ``torch.save``: ``pytorch_model.bin``, ``.pt``, ``.pth``, Lightning's ``.ckpt``; nothing of them is run.

The names come from torch's restricted unpickler (``weights_only``), which refuses what is no tensor, number or
container. The values are then read from the places in the zip archive where torch put them, as with safetensors.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from landscape.checkpoints.formats import shards
from landscape.checkpoints.formats.tensors import AGAIN, DTYPES, Stored, reason, require_whole
from landscape.errors import InputError

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
WRAPPINGS = ("state_dict", "model_state_dict", "model", "module")


def claims(path: Path) -> list[Path]:
    """The ``.bin`` files of a folder, or the file itself."""
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
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
    if not _is_plain(file):
        return _found(file, plain=False)
    stat = file.stat()
    try:
        return _plain(file, stat.st_size, stat.st_mtime_ns)
    except InputError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        return _found(file, plain=False)  # torch from 2.14 on has no sparse tensor without its values


@lru_cache(maxsize=256)
def _plain(file: Path, size: int, changed: int) -> dict[str, Stored]:
    """Names and places of one state of a file: its pickle takes longer to parse than many a checkpoint to read."""
    return _found(file, plain=True)


def _found(file: Path, *, plain: bool) -> dict[str, Stored]:
    state = _state(file, "meta" if plain else "cpu")
    found: dict[str, Stored] = {}
    for name, tensor in state.items():
        dtype, shape = DTYPES.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype)), tuple(tensor.shape)
        if str(tensor.layout) != "torch.strided":
            found[name] = Stored(file, str(tensor.layout).removeprefix("torch."), shape)
        elif plain and tensor.is_contiguous():
            # Where the storage lies in the archive: torch's "layout control", filled in on the meta device.
            begin = tensor.untyped_storage()._checkpoint_offset + tensor.storage_offset() * tensor.element_size()
            found[name] = Stored(file, dtype, shape, begin)
        else:
            found[name] = Stored(file, dtype, shape, get=partial(_values, file, name, None if plain else tensor))
    return require_whole(file, found)


def _is_plain(file: Path) -> bool:
    """Whether values lie in the archive as they are: the zip form of torch 1.6 and later, not compressed.

    Raises:
        InputError: If the file is missing.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            order = [archive.read(entry) for entry in entries if entry.filename.endswith("/byteorder")]
            return all(e.compress_type == zipfile.ZIP_STORED for e in entries) and order in ([], [b"little"])
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; {AGAIN}") from error
    except zipfile.BadZipFile:
        return False


def _state(file: Path, device: str) -> dict[str, Any]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # other pickle protocols: read or refused, never guessed at
            state = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        raise InputError(
            f"{file} was refused and nothing of it was run: it holds {wants[1] if wants else 'something'} beside "
            "tensors, or is no file of torch.save; save its state_dict alone, best as safetensors (in Python, a class "
            "that you trust can be allowed with torch.serialization.safe_globals)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} is damaged, or no file of torch.save ({reason(error)}); {AGAIN}") from error
    tensors = _unwrapped(state, file)
    if not tensors:
        raise InputError(f"{file} holds no tensors by name, at its top or under {list(WRAPPINGS)}; save a state_dict")
    return tensors


def _unwrapped(state: Any, file: Path) -> dict[str, Any]:
    """The tensors of a state dict, or of the one that is wrapped in it; empty if there are none.

    Raises:
        InputError: If several are.
    """
    import torch

    if not isinstance(state, Mapping):
        return {}
    inside = {w: found for w in WRAPPINGS if (found := _unwrapped(state.get(w), file))}
    if len(inside) > 1:
        raise InputError(f"{file} holds weights under {list(inside)}; save alone those that are meant")
    return next(iter(inside.values()), {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)})


def _values(file: Path, name: str, tensor: Any) -> np.ndarray:
    import torch

    values = (_state(file, "cpu")[name] if tensor is None else tensor).contiguous()
    return np.asarray((values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy())
