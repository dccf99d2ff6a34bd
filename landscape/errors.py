"""Errors that the user can fix."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Bad input: one sentence that says what was given, what was wanted and what to do.

    The command line prints the sentence and exits with 2. Any other exception is a bug.
    """


class StorageError(InputError):
    """A result could not be written. Later ones could not be written either, so the run stops."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or nothing if none is near.

    >>> did_you_mean("sede", ("seed", "step")), did_you_mean("x", ("seed", "step"))
    ('; did you mean seed?', '')

    Args:
        given: What was given.
        known: Names that there are.
    """
    near = get_close_matches(given, [name for name in known if name != given], n=1)
    return f"; did you mean {near[0]}?" if near else ""
