"""The image processor of a checkpoint: how images become what its model takes."""

from __future__ import annotations

from pathlib import Path

import transformers

from landscape import files
from landscape.checkpoints.blame import blamed
from landscape.foreign import Pretrained

NAME = "preprocessor_config.json"
MOST_BYTES = 1_000_000


def load(folder: Path) -> Pretrained | None:
    """The image processor in a folder; None if there is none. No code that it names is run.

    Raises:
        InputError: If it cannot be loaded.
    """
    if not (folder / NAME).is_file():
        return None
    files.require(folder / NAME, MOST_BYTES)
    auto: Pretrained = transformers.AutoImageProcessor
    with blamed(f"the image processor of {folder} cannot be loaded", "save it again with save_pretrained"):
        made: Pretrained = auto.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return made
