"""The tokenizer of a checkpoint."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import transformers

from landscape import files
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.configs import say
from landscape.checkpoints.identity import CONFIG as MODEL_CONFIG
from landscape.checkpoints.identity import TOKENIZER, hash_of, sha256
from landscape.checkpoints.normalizers import require_no_growth
from landscape.errors import InputError

CONFIG = "tokenizer_config.json"
KEPT = 4
"""Tokenizers that are kept."""
FEW_WORDS = 8
"""Number of words that every tokenizer with a vocabulary has."""


def load(folder: Path) -> Any:
    """The tokenizer in a folder.

    Raises:
        InputError: If there is none, or it cannot be loaded.
    """
    lost = InputError(
        f'{folder} holds no tokenizer; save it next to the weights, or name its folder: tokenizer = "..." in [data], '
        "or --tokenizer"
    )
    if not folder.is_dir():
        raise lost
    described = files_of(folder)
    require_no_growth(folder)
    code = _auto_map(folder / CONFIG)
    then = (
        "its own code (auto_map) is never run; save it as a tokenizer.json, or name the folder of another"
        if code
        else "save it again with save_pretrained"
    )
    try:
        with blamed(f"the tokenizer of {folder} cannot be loaded", then):
            made = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            made("")
            words = made.get_vocab().keys() - made.get_added_vocab().keys() - set(made.all_special_tokens)
    except InputError as error:
        raise error if described else lost from error
    # Without files, AutoTokenizer makes a tokenizer of the model's type that has special tokens only.
    wanted = made.vocab_files_names.values()
    if not words or (len(words) < FEW_WORDS and wanted and not any((folder / str(name)).is_file() for name in wanted)):
        raise lost
    if code:
        say(f"{folder} names code of its own for its tokenizer (auto_map), which is not run: it is not needed")
    return made


def shared(folder: Path) -> Any:
    """The same, loaded once while its files stay as they are; it is not to be changed.

    Raises:
        InputError: If there is none, or it cannot be loaded.
    """
    files = [*files_of(folder), *folder.glob(MODEL_CONFIG)]
    return _shared(folder, folder.resolve(), hash_of((file.name, sha256(file)) for file in files))


@lru_cache(maxsize=KEPT)
def _shared(folder: Path, place: Path, content: str) -> Any:
    return load(folder)


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that make its tokenizer.

    Raises:
        InputError: If one is too large, or is not a regular file.
    """
    paths = sorted(file for pattern in TOKENIZER for file in folder.glob(pattern))
    for file in paths:
        files.require(file, files.MOST_JSON)
    return paths


def _auto_map(file: Path) -> bool:
    try:
        entries = files.read_json(file)
    except (OSError, ValueError):
        return False
    return isinstance(entries, dict) and "auto_map" in entries
