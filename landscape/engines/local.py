"""Tasks on this machine: in this process, or in a few worker processes.

The queue stays here and a worker holds one task at a time, so the order of the plan is kept and a worker that dies
costs the time of one task, which is handed out once more. A worker ends by itself when this process does.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock, Thread
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
BEAT, SILENT = 10.0, 60.0
"""Seconds between the signs of life of a worker, and after which one that gives none is named."""
DEATHS = 2
"""Workers that may die on a job before it counts as failed."""

NEEDED = "needs a task that failed: "

Work = Callable[[Any], object]
"""Does one job; a raised exception is the job's failure, a ``StorageError`` ends the run."""


@dataclass(frozen=True)
class Event:
    """What happened to a job."""

    kind: Literal["done", "failed", "silent"]
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
        report: Called here for each finished or failed job, and for one whose worker gives no sign of life.
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
        self.deaths: Counter[str] = Counter()
        self.report = report

    def next(self) -> Any | None:
        """The first job that needs nothing unfinished; None if there is none now."""
        for job in list(self.waiting):
            if lost := next((key for key in job.needs if key in self.failed), None):
                self.waiting.remove(job)
                self.finish(job, NEEDED + self.failed[lost].removeprefix(NEEDED))
            elif not self.open.intersection(job.needs):
                self.waiting.remove(job)
                return job
        return None

    def lost(self, job: Any, how: str) -> None:
        """Hand the job of a worker that died out again, before all others; a second death is its failure."""
        self.deaths[job.key] += 1
        if self.deaths[job.key] < DEATHS:
            self.waiting.insert(0, job)
        else:
            self.finish(job, f"{self.deaths[job.key]} worker processes died on it, the last of {how}")

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
    heard: float = field(default_factory=time.monotonic)


def _crew(queue: _Queue, hire: Callable[[], Work], count: int) -> None:
    crew = [_hire(hire) for _ in range(count)]
    try:
        while True:
            _hand_out(queue, crew)
            if all(worker.job is None for worker in crew):
                break
            ready = connection.wait([worker.line for worker in crew], SILENT)
            for n, worker in enumerate(crew):
                if worker.line in ready:
                    crew[n] = _heard(queue, worker, hire)
                elif worker.job is not None and time.monotonic() - worker.heard > SILENT:
                    worker.heard = time.monotonic()
                    queue.report(Event("silent", worker.job, _silence(worker.process)))
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


def _hand_out(queue: _Queue, crew: Sequence[_Worker]) -> None:
    for worker in crew:
        if worker.job is None and (job := queue.next()):
            worker.job = job
            with suppress(OSError):  # a worker that is gone is seen when it is listened to
                worker.line.send(job)


def _heard(queue: _Queue, worker: _Worker, hire: Callable[[], Work]) -> _Worker:
    """Take what a worker says: a sign of life, or how its job went. One that is gone is replaced.

    Raises:
        StorageError: If the worker could not store a result, or could not be set up.
    """
    try:
        answer = worker.line.recv()
    except (EOFError, OSError):  # it is gone; the second if it left something unread
        worker.process.join()
        if worker.job is not None:
            queue.lost(worker.job, _death(worker.process))
        return _hire(hire)
    worker.heard = time.monotonic()
    if answer is not None:
        job, worker.job = worker.job, None
        stop, message, trace = answer
        if stop:
            raise StorageError(message)
        queue.finish(job, message, trace)
    return worker


def _death(process: SpawnProcess) -> str:
    """How a process ended, in words."""
    code = process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name + (", as the system sends where memory runs out" if name == "SIGKILL" else "")


def _silence(process: SpawnProcess) -> str:
    return (
        f"its worker process {process.pid} has given no sign of life for {SILENT:.0f} s; if it was stopped, wake it "
        f"with kill -CONT {process.pid}, or end it with kill -KILL {process.pid} and its task is handed out again"
    )


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
    speaking = Lock()
    Thread(target=_end_with_parent, daemon=True).start()
    Thread(target=_live, args=(line, speaking), daemon=True).start()
    work: Work | None = None
    while True:
        if (job := line.recv()) is None:
            return
        try:
            work = work or hire()
            answer = False, *_attempt(work, job)
        except Exception as error:
            answer = True, str(error), traceback.format_exc()
        with speaking:
            line.send(answer)


def _live(line: Connection, speaking: Lock) -> None:
    """Give a sign of life now and then, until there is nobody to take it."""
    with suppress(OSError):
        while True:
            time.sleep(BEAT)
            with speaking:
                line.send(None)


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
