"""What the end of a file of results says: whether it is whole, and of which task.

It is read without pyarrow, whose import takes 40 MB that a command needs only when there are results.
"""

from __future__ import annotations

import os
from pathlib import Path

MAGIC = b"PAR1"
FOOTER = 8
"""Bytes at the end of a Parquet file: the length of what it says about itself, and its mark."""
KEY = "landscape.key"
"""In the footer of a file: the key of its task."""


def is_whole(file: Path, key: str, holds: str) -> bool:
    """Whether a Parquet file ends as one does, and says that it is the key's; only its footer is read.

    One that says nothing of a key is of an earlier version, if it has what such files have.

    Args:
        file: The file.
        key: Key of its task.
        holds: What such files have in their footer.
    """
    try:
        with file.open("rb") as stream:
            stream.seek(-FOOTER, os.SEEK_END)
            end = stream.read()
            length = int.from_bytes(end[:4], "little")
            stream.seek(-FOOTER - length, os.SEEK_END)
            about = stream.read(length)
    except (OSError, ValueError):
        return False
    own = _said(KEY, key) in about or (KEY.encode() not in about and holds.encode() in about)
    return end[4:] == MAGIC and own


def _said(name: str, value: str) -> bytes:
    """An entry of a footer's metadata as Thrift's compact protocol writes it, with a value of up to 127 letters."""
    return name.encode() + b"\x18" + bytes([len(value)]) + value.encode()
