"""Tasks on this machine: in this process, or in a few worker processes.

The queue stays here and a worker holds one task at a time, so the order of the plan is kept and a worker that dies
costs one task. A worker ends by itself when this process does.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Thread
from types import FrameType
from typing import Any, Literal, Protocol

from landscape.errors import InputError, StorageError


class Job(Protocol):
    """What an engine asks of a task."""

    @property
    def key(self) -> str:
        """What makes it unique."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of jobs to finish first; one that is not handed in counts as finished."""
        ...


PARTING = 5.0
"""Seconds that an idle worker has to end by itself."""

Work = Callable[[Any], object]
"""Does one job; a raised exception is the job's failure, a ``StorageError`` ends the run."""


@dataclass(frozen=True)
class Event:
    """What happened to a job."""

    kind: Literal["done", "failed"]
    job: Any
    message: str = ""
    trace: str = ""


def run(
    jobs: Sequence[Any], hire: Callable[[], Work], report: Callable[[Event], None], *, workers: int = 1
) -> dict[str, str]:
    """Run jobs in their order, each after those it needs.

    Args:
        jobs: Jobs; see :class:`Job`.
        hire: Makes what does the work; called once in each worker, so it must be picklable for more than one.
        report: Called here for each finished or failed job.
        workers: Processes; 1 is this process itself.

    Returns:
        Message of each failed job by key.

    Raises:
        StorageError: If a job could not store its result, or the work could not be set up.
    """
    queue = _Queue(jobs, report)
    if workers == 1:
        work: Work | None = None
        while job := queue.next():
            work = work or hire()
            queue.finish(job, *_attempt(work, job))
    elif jobs:
        _crew(queue, hire, min(workers, len(jobs)))
    return queue.failed


class _Queue:
    """Jobs still to do, in plan order."""

    def __init__(self, jobs: Sequence[Any], report: Callable[[Event], None]) -> None:
        self.waiting = list(jobs)
        self.open = {job.key for job in jobs}
        self.failed: dict[str, str] = {}
        self.report = report

    def next(self) -> Any | None:
        """The first job that needs nothing unfinished; None if there is none now."""
        for job in list(self.waiting):
            if lost := next((key for key in job.needs if key in self.failed), None):
                self.waiting.remove(job)
                self.finish(job, f"needs a task that failed: {self.failed[lost]}")
            elif not self.open.intersection(job.needs):
                self.waiting.remove(job)
                return job
        return None

    def finish(self, job: Any, message: str = "", trace: str = "") -> None:
        """Take note of a result; a message is that of a failure."""
        self.open.discard(job.key)
        if message:
            self.failed[job.key] = message
        self.report(Event("failed" if message else "done", job, message, trace))


def _attempt(work: Work, job: Any) -> tuple[str, str]:
    """Message and trace of a failure, or two empty strings.

    Raises:
        StorageError: If the result could not be stored, which no other job's could be either.
    """
    try:
        work(job)
    except StorageError:
        raise
    except InputError as error:
        return str(error), ""
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
    return "", ""


@dataclass
class _Worker:
    process: SpawnProcess
    line: Connection
    job: Any = None


def _crew(queue: _Queue, hire: Callable[[], Work], count: int) -> None:
    crew = [_hire(hire) for _ in range(count)]
    try:
        while True:
            for worker in crew:
                if worker.job is None and (job := queue.next()):
                    worker.job = job
                    with suppress(OSError):  # a worker that is gone is seen below
                        worker.line.send(job)
            busy = [worker for worker in crew if worker.job is not None]
            if not busy:
                break
            ready = connection.wait([worker.line for worker in busy])
            for worker in [worker for worker in busy if worker.line in ready]:
                job, worker.job = worker.job, None
                try:
                    queue.finish(job, *_answer(worker.line))
                except (EOFError, ConnectionError):  # it is gone; the second if it left something unread
                    worker.process.join()
                    queue.finish(job, f"its worker process ended with exit code {worker.process.exitcode}")
                    crew[crew.index(worker)] = _hire(hire)
        for worker in crew:
            with suppress(OSError):
                worker.line.send(None)
            worker.process.join(PARTING)
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.process.join(PARTING)
            worker.process.kill()
            worker.process.join()


def _answer(line: Connection) -> tuple[str, str]:
    stop, message, trace = line.recv()
    if stop:
        raise StorageError(message)
    return message, trace


def _hire(hire: Callable[[], Work]) -> _Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, hire), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _serve(line: Connection, hire: Callable[[], Work]) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    Thread(target=_end_with_parent, daemon=True).start()
    work: Work | None = None
    while True:
        if (job := line.recv()) is None:
            return
        try:
            work = work or hire()
            line.send((False, *_attempt(work, job)))
        except Exception as error:
            line.send((True, str(error), traceback.format_exc()))


def _leave(number: int, frame: FrameType | None) -> None:
    """End by an exception, so that a job that is long can save what it has.

    Raises:
        SystemExit: Always.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a group is signalled at once, and by the parent once more
    raise SystemExit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
