"""Requests to the hub: bounded in time and size, with the token sent to the hub only.

The client itself waits without a limit, follows pages to any host with the token, and makes paths from headers. All its
requests pass through the two hooks here.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import huggingface_hub
from httpx2 import URL, Client, Request, Response, SyncByteStream
from huggingface_hub import constants

from landscape.checkpoints.hub.errors import sentences
from landscape.errors import InputError
from landscape.study.checkpoint import Place

LOG = logging.getLogger("landscape")
CONNECT, READ = 10.0, 30.0
"""Seconds to connect to the hub, and between two chunks of its answer."""
NOTICE = 5.0
"""Seconds until a message says what is waited for."""
FORGET = 30.0
"""Seconds until a hub that did not answer is queried again; downloads wait longer."""
MAX_BYTES, MAX_SECONDS = 64 << 20, 120.0
"""Largest size and time of an answer that is not a file; a page of the largest listing has a megabyte."""
SLOW = 10_000
"""Lowest accepted speed of a download, in bytes per second."""
SHORT = 1 << 20
"""Largest size of an error page in bytes."""
COMMIT = re.compile(r"[0-9a-f]{40}")
ETAG = re.compile(r'(?:W/)?"?[\w+=-]{1,200}"?')

_SILENT: dict[str, float] = {}
"""The time at which each origin last failed to answer, in seconds of the monotonic clock."""


class Silent(InputError):
    """The hub cannot be reached, or does not answer in time."""


@dataclass
class _Call:
    """The budget of one query, or of one download."""

    place: Place
    most: int
    until: float
    patient: bool = False
    sent: tuple[str, float] | None = None
    """Origin and time of the request that has no answer yet."""


_CALL: ContextVar[_Call | None] = ContextVar("_CALL", default=None)


@contextmanager
def asking(place: Place, file: int | None = None) -> Generator[None]:
    """Query the hub within bounds, with clear messages for errors.

    After a query without an answer, no query is sent for a while, since the cache may have the answer. Downloads still
    wait, since a task would fail without its file.

    Args:
        place: The subject of the query.
        file: Size of the file to download, in bytes; None for a query.

    Raises:
        Silent: If the hub does not answer.
        InputError: If its answer is too long, takes too long, or cannot be used.
        StorageError: If the cache cannot be written.
    """
    _install()
    waiting = threading.Timer(NOTICE, LOG.warning, ("waiting for the hub to answer about %s", place))
    waiting.daemon = True
    until = time.monotonic() + MAX_SECONDS
    call = _Call(place, MAX_BYTES, until) if file is None else _Call(place, file, until + file / SLOW, patient=True)
    token = _CALL.set(call)
    if not call.patient:  # what a download waits for is logged elsewhere, with its size
        waiting.start()
    try:
        with sentences(place):
            yield
    finally:
        _note(call, after=0.0)
        waiting.cancel()
        _CALL.reset(token)


@cache
def _install() -> None:
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [*huggingface_hub.get_session().event_hooks["request"], _before],
        "response": [_after],
    }
    huggingface_hub.set_client_factory(lambda: Client(event_hooks=hooks, follow_redirects=True, timeout=None))


def _before(request: Request) -> None:
    """Bound a request, and remove the token if it goes to another host.

    Raises:
        Silent: If there is no time left, or the hub has just failed to answer.
    """
    here = _origin(request.url)
    if here != _origin(URL(constants.ENDPOINT)):
        for name in ("authorization", "cookie"):
            request.headers.pop(name, None)
    if (call := _CALL.get()) is None:
        return
    now = time.monotonic()
    _note(call, after=0.9 * min(CONNECT, READ))
    if not call.patient and now - _SILENT.get(here, -FORGET) < FORGET:
        raise Silent(
            f"{call.place} is not in the cache and the hub cannot be reached ({here} does not answer); run again with "
            "a network, or set HF_HUB_OFFLINE=1 to stop asking"
        )
    _require_time(call, now)
    request.headers["accept-encoding"] = "identity"
    request.extensions["timeout"] = {"connect": CONNECT, "read": READ, "write": READ, "pool": CONNECT}
    call.sent = here, now


def _note(call: _Call, after: float) -> None:
    """Remember the origin if it has left a request without an answer for this many seconds."""
    now = time.monotonic()
    if call.sent is not None and now - call.sent[1] >= after:
        _SILENT[call.sent[0]] = now


def _after(response: Response) -> None:
    """Bound an answer, and refuse headers that would be used in paths but are not valid there.

    Raises:
        InputError: If there is one.
    """
    if (call := _CALL.get()) is None:
        return
    call.sent = None
    headers = response.headers
    commit, etags = headers.get("x-repo-commit"), (headers.get("etag"), headers.get("x-linked-etag"))
    if commit is not None and not COMMIT.fullmatch(commit):
        raise InputError(f"the hub answers for {call.place} with {commit[:60]!r} as its commit; do not trust it")
    if any(etag is not None and not ETAG.fullmatch(etag) for etag in etags):
        raise InputError(f"the hub gives a file of {call.place} the name of a path; do not trust it")
    if headers.get("content-encoding", "identity") != "identity":
        raise InputError(f"the hub sends {call.place} compressed, which was not asked for; run again later")
    routes = (response.links.get("xet-auth", {}).get("url"), headers.get("x-xet-refresh-route"))
    if any(route and _origin(URL(route)) not in _trusted() for route in routes):
        headers.pop("x-xet-hash", None)  # the token would be sent there; the file has an ordinary address too
    assert isinstance(response.stream, SyncByteStream)
    response.stream = _Bounded(response.stream, call, call.most if response.is_success else max(call.most, SHORT))


class _Bounded(SyncByteStream):
    """The body of an answer, which raises an error if it is too long or too slow."""

    def __init__(self, stream: SyncByteStream, call: _Call, most: int) -> None:
        self._stream, self._call, self._most = stream, call, most

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise InputError(
                    f"the hub sends more for {self._call.place} than the {self._most:,} bytes that it may have; "
                    "do not trust it, or run again later"
                )
            _require_time(self._call, time.monotonic())
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _require_time(call: _Call, now: float) -> None:
    if now > call.until:
        raise Silent(f"the hub takes too long to answer about {call.place}; run again later")


def _origin(url: URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _trusted() -> tuple[str, ...]:
    """Origins at which the client may renew its access: addresses of the first are rewritten to the second."""
    return _origin(URL(constants.HUGGINGFACE_CO_URL_HOME)), _origin(URL(constants.ENDPOINT))
