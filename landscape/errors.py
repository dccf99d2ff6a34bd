"""The one error that is the user's to mend."""


class InputError(Exception):
    """Bad input: one sentence with what was given, what was wanted and what to do.

    The command line prints the sentence and exits with 2; any other exception is ours.
    """


class StorageError(InputError):
    """Results could not be written, so no later task can be either; the run stops."""
