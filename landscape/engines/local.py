"""Jobs on this machine: in this process, or in a few worker processes.

The queue stays in this process and a worker holds one job at a time. So the order of the plan is kept, and a worker
that dies costs the time of one job, which is handed out once more. A worker ends by itself when this process does.
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
from typing import Any, Literal, Protocol, runtime_checkable

from landscape.errors import InputError, StorageError


@runtime_checkable
class Job(Protocol):
    """What an engine needs to know of a job."""

    @property
    def key(self) -> str:
        """Its unique key."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of jobs to finish first; a key that belongs to no job of the run counts as finished."""
        ...


SHUTDOWN = 5.0
"""Seconds that an idle worker has to end by itself."""
HEARTBEAT, SILENT = 10.0, 60.0
"""Seconds between the heartbeats of a worker, and without any after which it is reported."""
MAX_DEATHS = 2
"""Number of workers that may die on a job before the job counts as failed."""

NEEDED = "needs a task that failed: "

Work = Callable[[Any], object]
"""Does one job. An exception is the failure of the job; a ``StorageError`` ends the run."""


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes:
        kind: ``done``, ``failed``, or ``silent`` if its worker sends no heartbeat.
        job: The job.
        message: Of a failure or of the silence.
        trace: Traceback of a failure that is not the user's.
    """

    kind: Literal["done", "failed", "silent"]
    job: Any
    message: str = ""
    trace: str = ""


def run(
    jobs: Sequence[Job], start: Callable[[], Work], report: Callable[[Event], None], *, workers: int = 1
) -> dict[str, str]:
    """Run jobs in their order, each after those it needs.

    Args:
        jobs: Jobs; see :class:`Job`.
        start: Makes the function that does the work; called once in each worker, and pickled if there are several.
        report: Called in this process for each finished or failed job, and for one whose worker sends no heartbeat.
        workers: Number of processes; 1 is this process itself.

    Returns:
        Message of each failed job by key.

    Raises:
        StorageError: If a job could not store its result, or the work could not be set up.
    """
    queue = _Queue(jobs, report)
    if workers == 1:
        work: Work | None = None
        while job := queue.next():
            work = work or start()
            queue.finish(job, *_attempt(work, job))
    elif jobs:
        _run_workers(queue, start, min(workers, len(jobs)))
    return queue.failed


class _Queue:
    """Jobs still to do, in plan order."""

    def __init__(self, jobs: Sequence[Job], report: Callable[[Event], None]) -> None:
        self.waiting = list(jobs)
        self.open = {job.key for job in jobs}
        self.failed: dict[str, str] = {}
        self.deaths: Counter[str] = Counter()
        self.report = report

    def next(self) -> Job | None:
        """The first job that needs nothing unfinished; None if there is none now."""
        for job in list(self.waiting):
            if lost := next((key for key in job.needs if key in self.failed), None):
                self.waiting.remove(job)
                self.finish(job, NEEDED + self.failed[lost].removeprefix(NEEDED))
            elif not self.open.intersection(job.needs):
                self.waiting.remove(job)
                return job
        return None

    def lost(self, job: Job, how: str) -> None:
        """Put the job of a worker that died back in front of all others; after a second death it has failed."""
        self.deaths[job.key] += 1
        if self.deaths[job.key] < MAX_DEATHS:
            self.waiting.insert(0, job)
        else:
            self.finish(job, f"{self.deaths[job.key]} worker processes died on it, the last of {how}")

    def finish(self, job: Job, message: str = "", trace: str = "") -> None:
        """Record a finished job; with a message, it has failed."""
        self.open.discard(job.key)
        if message:
            self.failed[job.key] = message
        self.report(Event("failed" if message else "done", job, message, trace))


def _attempt(work: Work, job: Job) -> tuple[str, str]:
    """Message and traceback of a failure, or two empty strings.

    Raises:
        StorageError: If the result could not be stored; no other job could store its result either.
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
    job: Job | None = None
    heard: float = field(default_factory=time.monotonic)


def _run_workers(queue: _Queue, start: Callable[[], Work], count: int) -> None:
    workers = [_spawn(start) for _ in range(count)]
    try:
        while True:
            _hand_out(queue, workers)
            if all(worker.job is None for worker in workers):
                break
            ready = connection.wait([worker.line for worker in workers], SILENT)
            for n, worker in enumerate(workers):
                if worker.line in ready:
                    workers[n] = _receive(queue, worker, start)
                elif worker.job is not None and time.monotonic() - worker.heard > SILENT:
                    worker.heard = time.monotonic()
                    queue.report(Event("silent", worker.job, _silence(worker.process)))
        for worker in workers:
            with suppress(OSError):
                worker.line.send(None)
            worker.process.join(SHUTDOWN)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(SHUTDOWN)
            worker.process.kill()
            worker.process.join()


def _hand_out(queue: _Queue, workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.job is None and (job := queue.next()):
            worker.job = job
            with suppress(OSError):  # a dead worker is noticed when its line is read
                worker.line.send(job)


def _receive(queue: _Queue, worker: _Worker, start: Callable[[], Work]) -> _Worker:
    """Receive a heartbeat or the result of a job. A worker that has died is replaced.

    Raises:
        StorageError: If the worker could not store a result, or could not be set up.
    """
    try:
        answer = worker.line.recv()
    except (EOFError, OSError):  # it died; OSError if it left something unread
        worker.process.join()
        if worker.job is not None:
            queue.lost(worker.job, _death(worker.process))
        return _spawn(start)
    worker.heard = time.monotonic()
    if answer is not None and worker.job is not None:
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
    return name + (", which the system sends when memory runs out" if name == "SIGKILL" else "")


def _silence(process: SpawnProcess) -> str:
    return (
        f"its worker process {process.pid} has sent no heartbeat for {SILENT:.0f} s; if it was stopped, resume it "
        f"with kill -CONT {process.pid}, or end it with kill -KILL {process.pid} and its task is handed out again"
    )


def _spawn(start: Callable[[], Work]) -> _Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_worker_loop, args=(there, start), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _worker_loop(line: Connection, start: Callable[[], Work]) -> None:
    """The worker loop: receive a job, do it, send the result; None ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    sending = Lock()
    Thread(target=_end_with_parent, daemon=True).start()
    Thread(target=_send_heartbeats, args=(line, sending), daemon=True).start()
    work: Work | None = None
    while True:
        if (job := line.recv()) is None:
            return
        try:
            work = work or start()
            answer = False, *_attempt(work, job)
        except Exception as error:
            answer = True, str(error), traceback.format_exc()
        with sending:
            line.send(answer)


def _send_heartbeats(line: Connection, sending: Lock) -> None:
    """Send heartbeats until nobody receives them."""
    with suppress(OSError):
        while True:
            time.sleep(HEARTBEAT)
            with sending:
                line.send(None)


def _stop(number: int, frame: FrameType | None) -> None:
    """End by an exception, so that a long job can save its state.

    Raises:
        SystemExit: Always.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the whole group gets the signal, and the parent sends it again
    raise SystemExit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
