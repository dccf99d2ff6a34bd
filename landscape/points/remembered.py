"""The strategies that were fastest, kept in the user's cache folder, so that no search is repeated."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from landscape.files import replacing
from landscape.objectives import Objective
from landscape.points.strategy import Strategy

FOLDER = "LANDSCAPE_CACHE"
"""Environment variable with the folder; by default ``landscape`` in the user's cache folder."""
SCHEMA = 1


@dataclass(frozen=True)
class Remembered:
    """The strategy of one kind of work on one machine.

    Attributes:
        file: The file that holds it.
    """

    file: Path

    @classmethod
    def of(cls, objective: Objective, dtype: str) -> Remembered:
        """The strategy for a model's shape, batches, precision, versions and machine, whatever the weights and text."""
        device = objective.device
        what = {
            "schema": SCHEMA,
            "torch": torch.__version__,
            "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
            "cores": [os.cpu_count(), torch.get_num_threads()],
            "dtype": dtype,
            "model": [type(objective.model).__name__, *objective.space.sizes],
            "batch": {name: list(tensor.shape[1:]) for name, tensor in objective.batch.items()},
        }
        name = hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).hexdigest()
        return cls(_folder() / "strategies" / f"{name}.json")

    def recall(self) -> Strategy | None:
        """The strategy; None if none is kept, or it cannot be read."""
        with suppress(OSError, ValueError, TypeError):
            return Strategy(**json.loads(self.file.read_text("utf-8")))
        return None

    def keep(self, strategy: Strategy) -> None:
        """Keep a strategy; where nothing can be written, the next command searches again."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.file) as stream:
                stream.write(json.dumps(asdict(strategy)).encode())


def _processor() -> str:
    return f"{platform.machine()} {platform.processor()} {torch.backends.cpu.get_cpu_capability()}"


def _folder() -> Path:
    own, users = os.environ.get(FOLDER), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(users) if users else Path.home() / ".cache") / "landscape"
