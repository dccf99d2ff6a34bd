"""One weight file, or several shards and an index that names them."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from landscape.checkpoints.formats.tensors import AGAIN
from landscape.errors import InputError
from landscape.files import read_json

NAME = re.compile(r"(?:model|pytorch_model)-(\d+)-of-(\d+)\.(?:safetensors|bin)")
"""The name of a shard: its number and the number of shards."""


def index_of(shard: str) -> str:
    """The index that names a shard.

    >>> index_of("pytorch_model-00001-of-00002.bin")
    'pytorch_model.bin.index.json'
    """
    return re.sub(r"-\d+-of-\d+(\.\w+)$", r"\1.index.json", shard)


def files(folder: Path, single: str, index: str) -> list[Path]:
    """The weight files of a folder: ``single``, or those that ``index`` names, or none.

    If there is neither, a variant of one is taken, such as ``model.fp16.safetensors``.

    Args:
        folder: The folder.
        single: Name of a single weight file.
        index: Name of an index of shards.

    Raises:
        InputError: If the index cannot be read, names a file outside its folder, or there are several variants.
    """
    if (folder / single).is_file():
        return [folder / single]
    if (folder / index).is_file():
        return sorted(folder / name for name in named(folder / index))
    stem, suffix = single.rsplit(".", 1)
    indices = list(folder.glob(f"{glob.escape(index.removesuffix('.json'))}.*.json"))
    whole = [f for f in folder.glob(f"{stem}.*.{suffix}") if not re.search(r"-\d+-of-\d+\.", f.name) and f.is_file()]
    if len(whole) + len(indices) > 1:
        raise InputError(
            f"{folder} holds several variants, {', '.join(sorted(f.name for f in (*whole, *indices))[:4])}; give one "
            "file, or a folder with one of them"
        )
    return whole or [folder / name for file in indices for name in sorted(named(file))]


def named(index: Path) -> set[str]:
    """The file names in an index of shards.

    Raises:
        InputError: If it cannot be read, or a name leaves its folder.
    """
    try:
        names = set(read_json(index)["weight_map"].values())
        wrong = [name for name in names if not _is_plain(name)]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is damaged ({error}); {AGAIN}") from error
    if wrong:
        raise InputError(
            f"{index} names {wrong[0]!r:.60}, which is not a file name or lies outside its folder; do not trust it"
        )
    return names


def _is_plain(name: object) -> bool:
    """Whether it is a plain file name, without a folder."""
    return isinstance(name, str) and re.fullmatch(r"(?!\.\.?$)[^/\0]{1,200}", name) is not None and name.isprintable()
