"""Errors of libraries as one sentence about what they were given."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from landscape.checkpoints import formats
from landscape.errors import InputError


@contextmanager
def blamed(what: str, then: str) -> Generator[None]:
    """Whatever a library raises within this is the fault of what it was given: one sentence says so.

    Raises:
        InputError: With the first line of what was raised.
    """
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # as libraries in Rust raise
            raise
        raise InputError(f"{what} ({formats.reason(error)}); {then}") from error
