"""Clear messages for the errors of the hub client."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from textwrap import shorten

import httpx2
from huggingface_hub import constants, errors

from landscape.checkpoints.formats.tensors import reason
from landscape.errors import InputError, StorageError
from landscape.study.checkpoint import Place


class NotThere(InputError):
    """The hub answered that it has no such repository, revision or commit."""


ABSENT = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)
LATER = "the hub could not give {place} ({why}); run again later"
SENTENCES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (errors.GatedRepoError,),
        "{repo} is gated: accept its terms on its page of the hub, and log in with: hf auth login",
    ),
    (
        (errors.RepositoryNotFoundError,),
        "the hub has no repository {repo}, or it is private; check the name, or log in with: hf auth login",
    ),
    ((errors.RevisionNotFoundError,), "{repo} has no revision {revision!r}; check the name"),
    (
        (
            errors.LocalEntryNotFoundError,
            errors.OfflineModeIsEnabled,
            errors.RevisionResolutionError,
            httpx2.TransportError,
        ),
        "{place} is not in the cache and the hub cannot be reached ({why}); run again with a network",
    ),
    ((errors.HfHubHTTPError, ConnectionError), LATER),
    (
        (
            ValueError,
            RuntimeError,
            AssertionError,
            TypeError,
            LookupError,
            AttributeError,
            httpx2.RequestError,
            httpx2.InvalidURL,
        ),
        "the hub's answer for {place} cannot be used ({why}); check the name",
    ),
)
"""The message for each error of the client; the first that applies is used."""


@contextmanager
def sentences(place: Place) -> Generator[None]:
    """Turn errors of the client into clear messages.

    Raises:
        InputError: With the message.
        StorageError: If the cache cannot be written.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        fields = {"place": place, "repo": place.repo, "revision": place.revision, "why": _first(error)}
        for kinds, sentence in SENTENCES:
            if isinstance(error, kinds):
                gone = isinstance(error, ABSENT) and not isinstance(error, errors.GatedRepoError)
                raise (NotThere if gone else InputError)(sentence.format(**fields)) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise StorageError(
                f"cannot keep files of {place}: {error.strerror}; make room, or point HF_HOME to another disk"
            ) from error
        if isinstance(error, OSError):
            raise InputError(LATER.format(**fields)) from error
        raise


def _first(error: BaseException) -> str:
    """The root cause in a few words."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return shorten(reason(cause), 160, placeholder=" ...")
