"""What all engines share: jobs, what becomes of them, and the queue that hands them out in plan order."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from landscape.engines.claims import Claims
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


MAX_DEATHS = 2
"""Number of workers that may die on a job before the job counts as failed."""
NEEDED = "needs a task that failed: "
POLL = 2.0
"""Seconds between two questions about a job that another run has begun."""

Work = Callable[[Any], object]
"""Does one job. An exception is the failure of the job; a ``StorageError`` ends the run."""
Start = Callable[[str], Work]
"""Makes, on a device, the function that does the work; called once in each worker, and pickled for other processes."""


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


Report = Callable[[Event], None]
"""Called in the process of the run for each finished or failed job, and for one whose worker sends no heartbeat."""


class Queue:
    """Jobs still to do, in plan order, or in an order for each worker, so that it goes on with what it has loaded.

    A job that another run has begun is set aside while that run lives. When it is free again it is handed out: the
    work looks first whether the job is done.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        report: Report,
        claims: Claims | None = None,
        orders: Sequence[Sequence[Job]] = (),
    ) -> None:
        """A queue of all jobs.

        Args:
            jobs: The jobs, in plan order.
            report: Called for each finished or failed job.
            claims: What is shared with other runs.
            orders: All jobs in the order of each worker; left out, every worker has plan order.
        """
        self.waiting = {job.key: job for job in jobs}
        self.open = set(self.waiting)
        self.returned: list[Job] = []
        self.orders = [list(reversed(order)) for order in orders or [jobs]]
        self.elsewhere: list[Job] = []
        self.failed: dict[str, str] = {}
        self.deaths: Counter[str] = Counter()
        self.report = report
        self.claims = claims
        self.polled = time.monotonic()

    def next(self, worker: int = 0) -> Job | None:
        """The next job of a worker that needs nothing unfinished and that no other run has begun.

        Args:
            worker: Number of the worker, from 0.

        Returns:
            None if there is no such job now.
        """
        self._take_back()
        for job in self._in_order(worker):
            if lost := next((key for key in job.needs if key in self.failed), None):
                del self.waiting[job.key]
                self.finish(job, NEEDED + self.failed[lost].removeprefix(NEEDED))
            elif not self.open.intersection(job.needs):
                del self.waiting[job.key]
                if self.claims is None or self.claims.take(job.key):
                    return job
                self.elsewhere.append(job)
        return None

    def _in_order(self, worker: int) -> Iterator[Job]:
        """What waits, in the order of a worker, and first what was handed out before."""
        self.returned = [job for job in self.returned if job.key in self.waiting]
        yield from [job for job in reversed(self.returned) if job.key in self.waiting]
        order = self.orders[worker % len(self.orders)]
        while order and order[-1].key not in self.waiting:
            order.pop()
        again = {job.key for job in self.returned}
        yield from (job for job in reversed(order) if job.key in self.waiting and job.key not in again)

    def lost(self, job: Job, how: str) -> None:
        """Put the job of a worker that died back in front of all others; after a second death it has failed."""
        self.deaths[job.key] += 1
        if self.deaths[job.key] < MAX_DEATHS:
            self.back(job)
        else:
            self.finish(job, f"{self.deaths[job.key]} worker processes died on it, the last of {how}")

    def back(self, job: Job) -> None:
        """Put a job that was not begun back in front of all others."""
        self.waiting[job.key] = job
        self.returned.append(job)

    def finish(self, job: Job, message: str = "", trace: str = "") -> None:
        """Record a finished job.

        Args:
            job: The job.
            message: Of its failure; empty if it is done.
            trace: Traceback of a failure that is not the user's.
        """
        self.open.discard(job.key)
        if message:
            self.failed[job.key] = message
        self.report(Event("failed" if message else "done", job, message, trace))
        if self.claims is not None:
            self.claims.release(job.key)

    def _take_back(self) -> None:
        """Ask about the jobs that other runs had begun."""
        if not self.elsewhere or self.claims is None or time.monotonic() - self.polled < POLL:
            return
        for job in list(self.elsewhere):
            if self.claims.take(job.key):
                self.elsewhere.remove(job)
                if message := self.claims.failed_meanwhile(job.key):
                    self.finish(job, message)
                else:
                    self.back(job)
        self.polled = time.monotonic()


def attempt(work: Work, job: Job) -> tuple[str, str]:
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
class Worker:
    """Does jobs on a device, in a process of its own.

    Attributes:
        start: Makes the function that does the work, at the first job.
        device: Where.
    """

    start: Start
    device: str
    _work: Work | None = None

    def answer(self, job: Job) -> tuple[bool, str, str]:
        """Do a job: whether the whole run must end, message and traceback of a failure."""
        try:
            self._work = self._work or self.start(self.device)
            return False, *attempt(self._work, job)
        except Exception as error:
            return True, str(error), traceback.format_exc()
