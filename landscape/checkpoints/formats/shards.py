"""One weight file, or many and an index that names them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from landscape.checkpoints.formats.tensors import AGAIN
from landscape.errors import InputError

NAME = re.compile(r"(?:model|pytorch_model)-(\d+)-of-(\d+)\.(?:safetensors|bin)")
"""A shard: its number and how many there are."""


def index_of(shard: str) -> str:
    """The index that names a shard.

    >>> index_of("pytorch_model-00001-of-00002.bin")
    'pytorch_model.bin.index.json'
    """
    return re.sub(r"-\d+-of-\d+(\.\w+)$", r"\1.index.json", shard)


def files(folder: Path, single: str, index: str) -> list[Path]:
    """The weight files of a folder: ``single``, or those that ``index`` names, or none.

    Raises:
        InputError: If the index cannot be read, or names a file outside its folder.
    """
    if (folder / single).is_file():
        return [folder / single]
    if not (folder / index).is_file():
        return []
    return sorted(folder / name for name in named(folder / index))


def named(index: Path) -> set[str]:
    """The file names that an index of shards holds.

    Raises:
        InputError: If it cannot be read, or a name leaves its folder.
    """
    try:
        names = {str(name) for name in json.loads(index.read_text())["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is damaged ({error}); {AGAIN}") from error
    if outside := [name for name in names if Path(name).name != name]:
        raise InputError(f"{index} names the file {outside[0]!r} outside its folder; do not trust it")
    return names
