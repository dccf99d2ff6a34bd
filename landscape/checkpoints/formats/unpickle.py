"""The restricted unpickler of torch (``weights_only``), with inert stand-ins for NumPy and for allowed classes."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from landscape.checkpoints.formats.archive import Source, read_archive, require_no_bytearray
from landscape.checkpoints.formats.tensors import AGAIN, reason
from landscape.errors import InputError
from landscape.foreign import Pickled

ALLOW = "LANDSCAPE_ALLOW_CLASS"
"""Environment variable with classes besides tensors that a file may hold, unread; ``--allow-class`` sets it."""
NUMPY = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.ndarray", "numpy.dtype",
)  # fmt: skip
"""The names under which numbers and arrays of NumPy are pickled."""
HARMFUL = ("posix", "nt", "os", "subprocess", "sys", "builtins", "runpy", "shutil", "socket", "importlib", "pty")
"""Modules whose classes are never offered for ``--allow-class``."""


class _Nothing:
    """Stands in for a class besides tensors: it accepts anything and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Nothing:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def load(source: Source, device: str) -> Any:
    """The result of ``torch.load``, with an inert object in place of all but tensors, numbers and containers.

    Raises:
        InputError: If the file is damaged, or requests anything else.
    """
    import torch

    name = source if isinstance(source, Path) else "a piece"
    if read_archive(source) is None:
        require_no_bytearray(source)
    if not isinstance(source, Path):
        source.seek(0)
    allowed: list[Any] = [(_Nothing, full) for full in (*NUMPY, *filter(None, os.environ.get(ALLOW, "").split(",")))]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore")  # about other pickle protocols, which are read or refused
            return torch.load(source, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        what = wants[1] if wants else "something"
        harmless = wants and what.split(".")[0] not in HARMFUL
        raise InputError(
            f"{name} was refused and nothing of it was run: it holds {what} besides tensors, or is not a file of "
            f"torch.save; save only its state_dict, best as safetensors"
            + (f", or pass over it: --allow-class {what}" if harmless else "")
        ) from error
    except Exception as error:
        why = reason(error)
        why = "a form that may hold code" if "weights_only" in why else why  # torch advises to run the code
        raise InputError(f"{name} is damaged, or not a file of torch.save ({why}); {AGAIN}") from error


def array(tensor: Pickled) -> np.ndarray:
    """The values of a tensor of floats; bfloat16 as ``<u2``."""
    import torch

    values = tensor.detach().contiguous()
    return np.asarray((values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy())
