"""What tests of damaged and harmful weight files share."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed.checkpoint as distributed

from landscape.checkpoints import formats


def values(file: Path) -> dict[str, np.ndarray]:
    """All tensors of a file or folder, as they are read."""
    found = formats.index(file)
    out = np.empty(sum(int(np.prod(s.shape)) for s in found.values()), np.float32)
    formats.read(out, found)
    return dict(zip(found, np.split(out, np.cumsum([int(np.prod(s.shape)) for s in found.values()])[:-1]), strict=True))


def saved(folder: Path, **state: Any) -> Path:
    """A distributed checkpoint of one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed.save(state, storage_writer=distributed.FileSystemWriter(folder), no_dist=True)
    return folder
