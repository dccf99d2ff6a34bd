"""The identity of a checkpoint on this disk: its config, and a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from landscape.checkpoints.formats import peft, weight_files
from landscape.errors import InputError
from landscape.progress import Progress, of_bytes

CONFIG = "config.json"
PIECE = 1 << 20
"""Bytes that are hashed at a time."""
TOKENIZER = (
    "tokenizer*.json", "vocab.*", "merges.txt", "*_map.json", "added_tokens.json", "*.model", "*.spm", "*.codes",
    "*.tiktoken", "tekken.json",
)  # fmt: skip
"""Names of the files of tokenizers."""


def config_folder(path: Path, configured: str = "") -> Path:
    """The folder of a checkpoint's ``config.json``: the configured one, the checkpoint's own, or that of its base.

    Raises:
        InputError: If there is no config, without which the model is unknown.
    """
    folder = Path(configured) if configured else path if path.is_dir() else path.parent
    folder = folder.parent if folder.name == CONFIG else folder
    if not configured and not (folder / CONFIG).is_file() and peft.claims(path):
        folder = peft.base_of(path)
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"{folder} holds no {CONFIG}, so the model of {path} is not known; put its {CONFIG} there, or name the "
            'folder that has it: config = "..." in [checkpoints], or --config; for a model of your own: --objective '
            "mine.py:build"
        )
    return folder


def content_id(path: Path, config: Path | None) -> str:
    """SHA-256 over config, if the model is that of a config, and weights: the same for the same model in any folder.

    Raises:
        InputError: If a file is missing.
    """
    files = _files(path, config)
    progress = of_bytes(f"hashing {path}", sum(file.stat().st_size for file in files if file.is_file()))
    return hash_of((file.name, sha256(file, progress)) for file in files)


def _files(path: Path, config: Path | None) -> list[Path]:
    return [*([config / CONFIG] if config else []), *weight_files(path)]


def hash_of(files: Iterable[tuple[str, str]]) -> str:
    """The content id of files by name and SHA-256, config first."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in files).encode()).hexdigest()


def sha256(file: Path, progress: Progress | None = None) -> str:
    """SHA-256 of a file, which is read a piece at a time.

    Args:
        file: The file.
        progress: Is told the bytes that are read.

    Raises:
        InputError: If it is missing.
    """
    digest, piece = hashlib.sha256(), memoryview(bytearray(PIECE))
    try:
        with file.open("rb") as stream:
            while size := stream.readinto(piece):
                digest.update(piece[:size])
                if progress is not None:
                    progress.advance(size)
        return digest.hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; copy or download the checkpoint again") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); check the path and its permissions") from error


def signature(path: Path, config: Path | None) -> str:
    """Names, sizes, times and inodes of the files behind :func:`content_id`: a change of a file changes the signature.

    The time of the last inode change is among them, since a copy may preserve the time of writing but not this one.
    """
    stats = [(file.name, file.stat()) for file in _files(path, config) if file.is_file()]
    return json.dumps([(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in stats])


def require_unchanged(path: Path, config: Path | None, known: str, content: str) -> None:
    """Refuse a checkpoint whose content has changed since it was identified; called after its weights were read.

    Args:
        path: Folder or file of the checkpoint.
        config: Folder of its config; None if its model is not that of a config.
        known: Its signature when it was identified.
        content: Its content hash at that time.

    Raises:
        InputError: If its files have changed, and their content has.
    """
    if signature(path, config) != known and content_id(path, config) != content:
        raise InputError(
            f"the files of {path} have changed since they were identified; let what writes them finish, and run again: "
            "nothing was measured on them"
        )
