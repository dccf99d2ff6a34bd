"""Files that others may change: read within bounds, and written atomically."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from landscape.errors import InputError
from landscape.foreign import Json

MOST_TEXT = 1 << 28
"""Bytes of a text; its tokens take many times as much memory."""
MOST_JSON = 100_000_000
"""Bytes of a JSON file; that of a tokenizer has up to 40 million."""


def read(path: Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    A device or a pipe is refused: it may never end, and opening a pipe may never return.

    Raises:
        OSError: If it cannot be opened.
        InputError: If it is not a regular file, or is larger.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise InputError(f"{path} is a device or a pipe; give a regular file")
        content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(
            f"{path} is larger than the {most / 1e6:,.0f} MB that such a file may have; give a smaller one"
        )
    return content


def require(path: Path, most: int) -> None:
    """Refuse a path that is not a regular file of at most ``most`` bytes, before a library reads it.

    Raises:
        InputError: If it is not.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{path} is not a regular file; give one")
    if about.st_size > most:
        raise InputError(f"{path} is larger than the {most / 1e6:,.0f} MB that such a file may have; give less")


def parsed(text: bytes | str, *, strict: bool = True) -> Json:
    """JSON as Python values.

    Args:
        text: The text.
        strict: Whether numbers must be finite.

    Raises:
        ValueError: If it is not JSON, is nested too deeply, or has a number that is not finite.
    """
    try:
        return json.loads(text, parse_constant=_not_finite, parse_float=_finite) if strict else json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _not_finite(number: str) -> NoReturn:
    raise ValueError(f"{number} is not a JSON number")


def _finite(number: str) -> float:
    value = float(number)
    if abs(value) == float("inf"):
        _not_finite(number)
    return value


def read_json(path: Path, *, strict: bool = True, most: int = MOST_JSON) -> Json:
    """A JSON file as Python values.

    Args:
        path: The file.
        strict: As in :func:`parsed`.
        most: Largest size in bytes.

    Raises:
        OSError: If it cannot be opened.
        ValueError: As :func:`parsed`.
        InputError: As :func:`read`.
    """
    return parsed(read(path, most), strict=strict)


def beside(path: Path) -> Path:
    """An unpredictable temporary name in the folder of a file or folder."""
    return path.with_name(f".{path.name[-40:]}.{secrets.token_hex(8)}.tmp")


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """A new file that replaces ``path`` atomically when it is complete, and is removed if anything fails.

    No link is followed and no existing file is opened. ``name`` of the stream is the path of the new file, for
    libraries that open it themselves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = beside(path)
    try:
        with new.open("xb") as stream:  # O_EXCL: fails if anything is there, even a dangling link
            yield stream
        flushed(new)
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)
    flushed(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """A new folder that replaces ``path`` when it is complete, and is removed if anything fails.

    The old folder is removed last: after a kill there is one of the two, or both under other names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new, old = beside(path), beside(path)
    new.mkdir()
    try:
        yield new
        for written in [*new.rglob("*"), new]:
            flushed(written)
        if path.exists():
            path.rename(old)
        Path(new).rename(path)
        flushed(path.parent)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def flushed(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
