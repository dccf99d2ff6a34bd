"""Worker processes that are forked before this process computes anything, and wait for what they are to do.

A worker that is spawned imports torch and transformers anew, which takes seconds; one that is forked has what this
process has imported. Forks are safe while this process has no threads but those of OpenBLAS and jemalloc, which know
forks: the lock that another thread holds would be held in the fork for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)
"""What ends a run."""
MAX_FORKS = 8
"""Forks that wait, at most; each takes some milliseconds."""
THREADS = Path("/proc/self/task")
JEMALLOC = "jemalloc_bg_thd"
"""The thread of the allocator of pyarrow, which takes and frees its locks around a fork."""

_FORKED = threading.Event()
"""Set once this process has forked: that ends the threads of OpenBLAS, so those that there are later may be others."""
os.register_at_fork(after_in_parent=_FORKED.set)

Loop = Callable[[Connection], None]
"""What a worker does with its end of the line."""


@dataclass(frozen=True)
class Fork:
    """A process that waits.

    Attributes:
        process: The process.
        line: The end of this process of the line to it.
    """

    process: BaseProcess
    line: Connection


def is_safe() -> bool:
    """Whether this process can be forked.

    That is on Linux, without threads but those that OpenBLAS and pyarrow's allocator make when they are loaded.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    from threadpoolctl import threadpool_info

    pools: list[dict[str, Any]] = threadpool_info()
    idle = sum(pool["num_threads"] - 1 for pool in pools if pool["internal_api"] == "openblas")
    threads = sum(1 for thread in THREADS.iterdir() if _name(thread) != JEMALLOC)
    return threads == 1 or (threads == 1 + idle and not _FORKED.is_set())


@contextmanager
def waiting(count: int, loop: Loop) -> Generator[list[Fork]]:
    """Forks that wait; none where it is not safe. Those that are left in the list at the end are ended.

    Args:
        count: How many may be needed.
        loop: What each does.
    """
    forks: list[Fork] = []
    try:
        if count > 1 and is_safe():
            with _held(STOPS):
                forks += (_fork(loop) for _ in range(min(count, MAX_FORKS)))
        yield forks
    finally:
        end(forks)


def end(forks: list[Fork]) -> None:
    """End those that wait, and empty the list."""
    for fork in forks:
        fork.process.kill()
        fork.process.join()
        fork.line.close()
    forks.clear()


def _name(thread: Path) -> str:
    try:
        return (thread / "comm").read_text().strip()
    except OSError:  # it has just ended
        return ""


def _fork(loop: Loop) -> Fork:
    context = get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(here, there, loop), daemon=True)
    with warnings.catch_warnings():  # Python counts the threads of OpenBLAS, too
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    there.close()
    return Fork(process, here)


@contextmanager
def _held(signals: Collection[signal.Signals]) -> Generator[None]:
    """Signals come afterwards: Python ignores the exception of a handler that runs while it forks.

    They are caught and sent again, not blocked: a thread of OpenBLAS would take what this one blocks.
    """
    caught: list[int] = []
    before = {number: signal.signal(number, lambda got, _: caught.append(got)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for got in caught:
            signal.raise_signal(got)


def _run(here: Connection, there: Connection, loop: Loop) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    here.close()
    loop(there)
