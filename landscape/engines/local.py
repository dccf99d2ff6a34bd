"""Jobs on this machine: in this process, or in a few worker processes.

The queue stays in this process and a worker holds one job at a time. So the order of the plan is kept, and a worker
that dies costs the time of one job, which is handed out once more. A worker ends by itself when this process does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Lock, Thread
from types import FrameType

from landscape.engines.claims import Claims
from landscape.engines.forks import Fork
from landscape.engines.jobs import POLL, Event, Job, Queue, Report, Start, Work, Worker, attempt
from landscape.engines.order import Order
from landscape.engines.shares import orders
from landscape.engines.spawning import without_main
from landscape.errors import StorageError

SHUTDOWN = 5.0
"""Seconds that an idle worker has to end by itself."""
HEARTBEAT, SILENT = 10.0, 60.0
"""Seconds between the heartbeats of a worker, and without any after which it is reported."""


def execute(order: Order) -> dict[str, str]:
    """Run jobs on this machine; see :func:`run`."""
    return run(
        order.jobs, order.start, order.report, devices=order.devices, claims=order.claims, cost=order.cost,
        forks=order.forks,
    )  # fmt: skip


def run(
    jobs: Sequence[Job],
    start: Start,
    report: Report,
    *,
    devices: Sequence[str] = ("cpu",),
    claims: Claims | None = None,
    share: bool = False,
    cost: Callable[[Job], float] | None = lambda job: 1.0,
    forks: Sequence[Fork] = (),
) -> dict[str, str]:
    """Run jobs, each after those it needs: in their order, or with costs, each of several workers in that of its share.

    Args:
        jobs: Jobs; see :class:`Job`.
        start: Makes the function that does the work on a device; pickled if there are several workers.
        report: Called in this process for each finished or failed job, and for one whose worker sends no heartbeat.
        devices: The device of each worker; a single worker is this process itself, unless this is a share.
        claims: What is shared with other runs; None if there are none.
        share: Whether others do the rest, so that a job that kills a single worker has failed, as that is a process of
            its own, and jobs that other runs have begun are not waited for in the end.
        cost: Of a job, in any unit. None is for jobs that have nothing in common: whoever is free takes the next.
        forks: Processes that wait in :func:`wait_for_work`, to be the first workers.

    Returns:
        Message of each failed job by key.

    Raises:
        StorageError: If a job could not store its result, or the work could not be set up.
    """
    count = min(len(devices), len(jobs))
    queue = Queue(jobs, report, claims, orders(jobs, cost, count) if cost and count > 1 else ())
    if jobs and (share or len(devices) > 1):
        _run_workers(queue, start, devices[: len(jobs)], not share, forks)
        return queue.failed
    work: Work | None = None
    while True:
        if job := queue.next():
            work = work or start(devices[0])
            queue.finish(job, *attempt(work, job))
        elif queue.elsewhere and (not share or queue.waiting):
            time.sleep(POLL)
        else:
            return queue.failed


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    device: str
    job: Job | None = None
    heard: float = field(default_factory=time.monotonic)


def _run_workers(queue: Queue, start: Start, devices: Sequence[str], wait: bool, forks: Sequence[Fork]) -> None:
    processes = [(fork.process, fork.line) for fork in forks[: len(devices)]]
    processes += [_spawn() for _ in devices[len(processes) :]]
    workers = [_begin(*process, start, device) for process, device in zip(processes, devices, strict=True)]
    try:
        while True:
            _hand_out(queue, workers)
            elsewhere = bool(queue.elsewhere) and (wait or bool(queue.waiting))
            if not elsewhere and all(worker.job is None for worker in workers):
                break
            ready = connection.wait([worker.line for worker in workers], POLL if queue.elsewhere else SILENT)
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


def _hand_out(queue: Queue, workers: Sequence[_Worker]) -> None:
    for number, worker in enumerate(workers):
        if worker.job is None and (job := queue.next(number)):
            worker.job = job
            with suppress(OSError):  # a dead worker is noticed when its line is read
                worker.line.send(job)


def _receive(queue: Queue, worker: _Worker, start: Start) -> _Worker:
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
        return _begin(*_spawn(), start, worker.device)
    worker.heard = time.monotonic()
    if answer is not None and worker.job is not None:
        job, worker.job = worker.job, None
        stop, message, trace = answer
        if stop:
            raise StorageError(message)
        queue.finish(job, message, trace)
    return worker


def _death(process: BaseProcess) -> str:
    """How a process ended, in words."""
    code = process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name + (", which the system sends when memory runs out" if name == "SIGKILL" else "")


def _silence(process: BaseProcess) -> str:
    return (
        f"its worker process {process.pid} has sent no heartbeat for {SILENT:.0f} s; if it was stopped, resume it "
        f"with kill -CONT {process.pid}, or end it with kill -KILL {process.pid} and its task is handed out again"
    )


def _begin(process: BaseProcess, line: Connection, start: Start, device: str) -> _Worker:
    with suppress(OSError):  # a dead worker is noticed when its line is read
        line.send(Worker(start, device))
    return _Worker(process, line, device)


def _spawn() -> tuple[BaseProcess, Connection]:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=wait_for_work, args=(there,), daemon=True)
    with without_main():
        process.start()
    there.close()
    return process, here


def wait_for_work(line: Connection) -> None:
    """The worker loop: receive what does jobs, then each job, and send its result; None ends it.

    It ends with the run, too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    sending = Lock()
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the process of the run was killed: there is nobody to tell
        worker: Worker = line.recv()
        Thread(target=_send_heartbeats, args=(line, sending), daemon=True).start()
        while (job := line.recv()) is not None:
            answer = worker.answer(job)
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
