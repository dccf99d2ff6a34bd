"""A path as one file: its anchors, its settings, and the state needed to continue its fit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from landscape.errors import InputError, StorageError
from landscape.files import replacing
from landscape.paths import kind
from landscape.paths.fit import FitSettings, State
from landscape.shapes import Float

VERSION = "1"


@dataclass(frozen=True)
class Saved:
    """A path on disk.

    Attributes:
        ends: Names of its ends and of the data it is fitted on. A fit is continued only if these are the same.
        settings: How it is fitted.
        anchors: Ends and bends, in order, each a point.
        state: State of the fit.
    """

    ends: tuple[str, ...]
    settings: FitSettings
    anchors: Float[Tensor, "anchors P"]
    state: State

    def coefficients(self, t: Float[Tensor, " t"]) -> Float[Tensor, "t anchors"]:
        """Coefficients over the anchors at each t."""
        return kind(self.settings.kind).coefficients(t, list(self.anchors), [self.anchors.shape[1]])


def save(path: Path, saved: Saved) -> None:
    """Write a path atomically.

    Raises:
        StorageError: If it cannot be written.
    """
    tensors = {"anchors": saved.anchors}
    if saved.state.step < saved.settings.steps:  # only an unfinished fit is continued
        tensors |= {"first": saved.state.first, "second": saved.state.second}
    about = {
        "landscape_path": VERSION, "ends": json.dumps(saved.ends), "recipe": json.dumps(asdict(saved.settings)),
        "step": str(saved.state.step),
    }  # fmt: skip
    try:
        with replacing(path) as part:
            save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, part.name, metadata=about)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {path}: {error}; make room or choose another --out") from error


def load(path: Path) -> Saved:
    """Read a path.

    Raises:
        InputError: If the file is missing, or holds no path.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            anchors = file.get_tensor("anchors")
            more = [file.get_tensor(name) for name in ("first", "second") if name in file.keys()]  # noqa: SIM118
        settings, inner = FitSettings(**json.loads(about["recipe"])), anchors[1:-1].clone()
        first, second = more or (torch.zeros_like(inner), torch.zeros_like(inner))
        state = State(inner, first, second, int(about["step"]))
        return Saved(tuple(json.loads(about["ends"])), settings, anchors, state)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} holds no path of landscape ({error}); give one that landscape curve wrote") from error


def key(settings: FitSettings) -> str:
    """A short hash of the settings of a fit, for file names."""
    return hashlib.blake2b(json.dumps(asdict(settings), sort_keys=True).encode(), digest_size=6).hexdigest()


def joined(ends: Float[Tensor, "2 P"], state: State) -> Float[Tensor, "anchors P"]:
    """Ends and bends in order, each a point."""
    return torch.cat([ends[:1], state.inner, ends[1:]])
