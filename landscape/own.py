"""Functions of a file that the user names, such as ``mine.py:build``.

Such a file is run as ``python mine.py`` would run it. No file is run that is not named so: nothing of a checkpoint's.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from landscape.errors import InputError
from landscape.files import read

FUNCTION = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)
MOST_SOURCE = 10_000_000
"""Bytes of a source file."""


def is_own(name: str) -> bool:
    """Whether a name means a function of a file.

    >>> is_own("mine.py:build"), is_own("causal-lm")
    (True, False)
    """
    return FUNCTION.fullmatch(name) is not None


def parts(name: str) -> tuple[Path, str]:
    """The file and the function that a name means.

    >>> parts("runs/mine.py:build")[1]
    'build'
    """
    found = FUNCTION.fullmatch(name)
    assert found is not None
    return Path(found[1]), found[2]


def label(name: str) -> str:
    """The name without the folders of its file, as tables and figures have it; any other name unchanged.

    >>> label("runs/mine.py:build"), label("causal-lm")
    ('mine.py:build', 'causal-lm')
    """
    return ":".join((parts(name)[0].name, parts(name)[1])) if is_own(name) else name


def digest(name: str) -> str:
    """SHA-256 of the file; what it imports from other files does not count.

    Raises:
        InputError: If it cannot be read.
    """
    return hashlib.sha256(_source(parts(name)[0])).hexdigest()


def function(name: str) -> Callable[..., object]:
    """The function; its file is run once for each content that it has.

    Raises:
        InputError: If the file cannot be read or run, or has no such function.
    """
    file, wanted = parts(name)
    module = _run(str(file.resolve()), _source(file))
    found = getattr(module, wanted, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"{file} has no function {wanted}; it has {', '.join(known) or 'none'}")
    own: Callable[..., object] = found
    return own


def _source(file: Path) -> bytes:
    """The content of a source file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return read(file, MOST_SOURCE)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; check the path of the function") from error


@lru_cache(maxsize=32)
def _run(file: str, source: bytes) -> ModuleType:
    """The module that a file makes; it may import other files of its folder.

    Raises:
        InputError: If it fails.
    """
    name = f"_own_{hashlib.sha256(file.encode() + source).hexdigest()[:16]}"
    module = sys.modules[name] = ModuleType(name)  # where dataclasses look up their annotations
    module.__file__ = file
    folder = str(Path(file).parent)
    sys.path.insert(0, folder)
    try:
        exec(compile(source, file, "exec"), vars(module))  # noqa: S102
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module
