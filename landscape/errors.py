"""Errors that the user can fix."""


class InputError(Exception):
    """Bad input: one sentence that says what was given, what was wanted and what to do.

    The command line prints the sentence and exits with 2. Any other exception is a bug.
    """


class StorageError(InputError):
    """A result could not be written. Later ones could not be written either, so the run stops."""
