"""The zip archives of ``torch.save``: checked before torch reads them, and where each record lies in them."""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from landscape.checkpoints.formats.tensors import AGAIN, reason
from landscape.errors import InputError

Source = Path | IO[bytes] | io.BytesIO

LIMITS = {"data.pkl": 100_000_000, "byteorder": 64, "version": 64, ".format_version": 64, ".storage_alignment": 64}
"""Largest size in bytes of the records that hold no values."""
MAX_INFLATION = 64
"""Largest ratio of the content of a compressed archive to its own size."""
BYTEARRAY = re.compile(rb"c(?:__builtin__|builtins)\nbytearray\n")
"""A pickle may request a bytearray of any size, and torch would allocate it."""


@dataclass(frozen=True)
class Archive:
    """An archive in the zip form of torch 1.6 and later.

    Attributes:
        plain: Whether values lie in it uncompressed and little-endian.
        records: Size in bytes of each record of values, by the offset of its first byte.
    """

    plain: bool
    records: Mapping[int, int]


@lru_cache(maxsize=256)
def known_archive(file: Path, size: int, changed: int) -> Archive | None:
    """:func:`read_archive` of one state of a file.

    Args:
        file: The file.
        size: Its size in bytes.
        changed: The time of its last change, in nanoseconds.
    """
    return read_archive(file)


def read_archive(source: Source) -> Archive | None:
    """The layout of a zip file, after checks for everything that could harm torch; None if it is no zip file.

    Raises:
        InputError: If it is damaged, or would need far more memory than its size justifies.
    """
    name = source if isinstance(source, Path) else "a piece"
    try:
        with zipfile.ZipFile(source) as archive:
            entries, stream = archive.infolist(), archive.fp
            assert stream is not None
            size = stream.seek(0, os.SEEK_END)
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names) or any(entry.flag_bits & 1 for entry in entries):
                raise InputError(f"{name} is encrypted, or holds a record twice; {AGAIN}")
            data = [entry for entry in entries if re.search(r"(^|/)data/[^/]*$", entry.filename)]
            if sum(entry.file_size for entry in entries) > MAX_INFLATION * size or any(
                entry.file_size > limit
                for entry in entries
                if (limit := LIMITS.get(entry.filename.rpartition("/")[2])) is not None
            ):
                raise InputError(f"{name} would inflate to more than weights do; do not trust it")
            for entry in entries:
                if entry.filename.endswith("data.pkl") and BYTEARRAY.search(archive.read(entry)):
                    raise InputError(f"{name} requests memory besides tensors (bytearray); save only its state_dict")
            order = [archive.read(entry) for entry in entries if entry.filename.endswith("/byteorder")]
            plain = all(e.compress_type == zipfile.ZIP_STORED for e in entries) and order in ([], [b"little"])
            records = {_begin(stream, entry): entry.file_size for entry in data}
            return Archive(plain, records)
    except (zipfile.BadZipFile, EOFError):
        return None
    except (OSError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise InputError(f"{name} is damaged ({reason(error)}); {AGAIN}") from error


def _begin(stream: IO[bytes] | io.BytesIO, entry: zipfile.ZipInfo) -> int:
    """Offset of the first byte of a record: its local header has a length of its own."""
    stream.seek(entry.header_offset + 26)
    lengths = stream.read(4)
    return entry.header_offset + 30 + sum(int.from_bytes(lengths[n : n + 2], "little") for n in (0, 2))


@lru_cache(maxsize=4096)
def require_sums(file: Path, size: int, changed: int) -> None:
    """Verify the checksums of all records of one state of a file, once.

    Args:
        file: The file.
        size: Its size in bytes.
        changed: The time of its last change, in nanoseconds.

    Raises:
        InputError: If a bit has changed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    # torch can be told to leave checksums out, and then writes zeros.
                    while entry.CRC and stream.read(1 << 20):
                        pass
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file} is damaged ({reason(error)}); {AGAIN}") from error


def require_no_bytearray(source: Source) -> None:
    """Refuse a pickle that requests a bytearray.

    Raises:
        InputError: If it does.
    """
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source.read()) as stream:
        before = b""
        while piece := stream.read(1 << 20):
            if BYTEARRAY.search(before + piece):
                raise InputError(f"{source} requests memory besides tensors (bytearray); save only its state_dict")
            before = piece[-32:]
