"""Errors of libraries as one sentence about their input."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from landscape.checkpoints import formats
from landscape.errors import InputError


@contextmanager
def blamed(what: str, then: str) -> Generator[None]:
    """Turn every error that a library raises within this context into one sentence about its input.

    Args:
        what: Beginning of the sentence.
        then: What to do.

    Raises:
        InputError: With the first line of the error.
    """
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # raised by libraries in Rust
            raise
        raise InputError(f"{what} ({formats.reason(error)}); {then}") from error
