"""Jobs on a Ray cluster: actors that keep what they have loaded, and a queue that stays in this process.

Ray would reorder a queue of its own, and would send the jobs of a dead actor to an actor that may never be placed. So
an actor holds two jobs at most, none is ever restarted, and a new one takes the place of one that has died.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from landscape.engines.jobs import POLL, Job, Queue, Start, Worker
from landscape.engines.order import Order
from landscape.engines.ray_environment import authenticate, exceptions, ray
from landscape.engines.shares import orders
from landscape.errors import InputError, StorageError

LOG = logging.getLogger("landscape")
IN_FLIGHT = 2
"""Jobs that an actor holds at most: the one that it does, and the next."""
GROW = 5.0
"""Seconds between two questions how large the cluster is."""
WAITING = 60.0
"""Seconds without any actor after which it is said."""
MAX_STILLBORN = 3
"""Actors in a row that may die before they are ready."""


def execute(order: Order) -> dict[str, str]:
    """Run jobs on the actors of a cluster.

    Args:
        order: What is to be run.

    Returns:
        Message of each failed job by key.

    Raises:
        StorageError: If a job could not store its result, or the work could not be set up.
    """
    device = order.devices[0].partition(":")[0]
    with _cluster(order.where.address):
        workers = max(1, min(_room(device, order.where.workers), len(order.jobs)))
        queue = Queue(order.jobs, order.report, order.claims, orders(order.jobs, order.cost, workers))
        start = ray.put(order.start)
        pool = _Pool(queue, order, start, device)
        try:
            while queue.open:
                pool.grow()
                pool.hand_out()
                pool.receive()
        finally:
            pool.end()
    return queue.failed


@contextmanager
def _cluster(address: str) -> Generator[None]:
    """A connection to a cluster, or a cluster of this machine; with tokens, and without statistics of usage.

    Raises:
        InputError: If there is no such cluster.
    """
    authenticate(address)
    own = not ray.is_initialized()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if own:
        try:
            if address:
                ray.init(address=address, **quiet)
            else:  # "local" is a new one; nothing at all would be any that was left on this machine
                ray.init(address="local", include_dashboard=False, **quiet)
        except (ConnectionError, RuntimeError, ValueError, exceptions.RayError) as error:
            raise InputError(
                f"no Ray cluster could be reached at {address or 'this machine'} "
                f"({str(error).strip().splitlines()[0]}); start one with: ray start --head, and give its --address"
            ) from error
    try:
        yield
    finally:
        if own:
            ray.shutdown()


def _room(device: str, workers: int | None) -> int:
    """How many actors the cluster has processors or GPUs for, or so many as are wanted if that is less."""
    room = int(ray.cluster_resources().get("CPU" if device == "cpu" else "GPU", 0))
    return min(room, workers or room)


class Actor:
    """A worker in a process of the cluster."""

    def __init__(self, start: Start, device: str, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)
        self.worker = Worker(start, device)

    def ready(self) -> bool:
        """Whether it can be given jobs."""
        return True

    def answer(self, job: Job) -> tuple[bool, str, str]:
        """Do a job; see :class:`Worker`."""
        return self.worker.answer(job)


@dataclass
class _Held:
    """An actor as this process sees it.

    Attributes:
        handle: Its handle.
        awaited: Its first sign of life; None once that has come.
        number: Its number from 0, which decides in which order it is given jobs.
        calls: The jobs that it has, in the order in which it does them.
    """

    handle: Any
    awaited: Any
    number: int
    calls: dict[Any, Job] = field(default_factory=dict)


class _Pool:
    """The actors, and what they do."""

    def __init__(self, queue: Queue, order: Order, start: Any, device: str) -> None:
        self.queue, self.start, self.device, self.workers = queue, start, device, order.where.workers
        self.results = order.results
        self.done_before = {job.key for job in order.jobs if self.results.done(job.key)}
        self.actors: list[_Held] = []
        self.asked = self.alive = -float("inf")
        self.stillborn = 0
        gpus = 0 if device == "cpu" else 1
        options = {"num_cpus": 1 - gpus, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0}
        self.remote = ray.remote(**options)(Actor)

    def grow(self) -> None:
        """Have as many actors as the cluster has processors or GPUs, nodes that join included."""
        if time.monotonic() - self.asked < GROW:
            return
        self.asked = time.monotonic()
        wanted = min(_room(self.device, self.workers), len(self.queue.open))
        while len(self.actors) < wanted:
            handle = self.remote.remote(self.start, self.device, str(Path.cwd()))
            number = next(n for n in count() if all(n != actor.number for actor in self.actors))
            self.actors.append(_Held(handle, handle.ready.remote(), number))
        if self.alive < 0 or any(actor.awaited is None for actor in self.actors):
            self.alive = time.monotonic()
        elif time.monotonic() - self.alive > WAITING:
            self.alive = time.monotonic()
            LOG.warning("the Ray cluster has had no %s for a worker for %.0f s; waiting", self.device, WAITING)

    def hand_out(self) -> None:
        """Give every actor that is ready a job, and then a second one while there are more than actors."""
        ready = [actor for actor in self.actors if actor.awaited is None]
        for depth in range(1, IN_FLIGHT + 1):
            for actor in ready:
                if len(actor.calls) >= depth or (depth > 1 and len(self.queue.waiting) <= len(self.actors)):
                    continue
                if (job := self.queue.next(actor.number)) is None:
                    return
                actor.calls[actor.handle.answer.remote(job)] = job

    def receive(self) -> None:
        """Wait for an actor's sign of life or result."""
        refs = {ref: actor for actor in self.actors for ref in (actor.awaited, *actor.calls) if ref is not None}
        if not refs:
            time.sleep(POLL)
            return
        for ref in ray.wait(list(refs), timeout=POLL)[0]:
            actor = refs[ref]
            try:
                answer = ray.get(ref)
            except exceptions.RayError as error:
                self._lost(actor, error)
            else:
                self.stillborn = 0
                if ref == actor.awaited:
                    actor.awaited = None
                else:
                    self._finish(actor.calls.pop(ref), *answer)

    def _finish(self, job: Job, stop: bool, message: str, trace: str) -> None:
        if stop:
            raise StorageError(message)
        self.queue.finish(job, message, trace)

    def _lost(self, actor: _Held, error: Exception) -> None:
        """Hand out the jobs of a dead actor again; only the one that it was doing may have killed it.

        Raises:
            StorageError: If the actor could not be set up, or actors die as they start.
        """
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, exceptions.RayTaskError):
            raise StorageError(reason)
        if actor.awaited is not None:
            self.stillborn += 1
            if self.stillborn >= MAX_STILLBORN:
                raise StorageError(f"{self.stillborn} workers of the Ray cluster died as they started: {reason}")
        with suppress(exceptions.RayError):
            ray.kill(actor.handle)
        self.actors.remove(actor)
        unfinished = [job for job in actor.calls.values() if not self._is_done(job)]
        for job in unfinished[:1]:
            self.queue.lost(job, type(error).__name__)
        for job in unfinished[1:]:
            self.queue.back(job)
        self.asked = -float("inf")

    def _is_done(self, job: Job) -> bool:
        """Finish a job whose result is stored: an actor may die after that, and before it has said so."""
        if job.key in self.done_before or not self.results.done(job.key):
            return False
        self.queue.finish(job)
        return True

    def end(self) -> None:
        """End all actors."""
        for actor in self.actors:
            with suppress(exceptions.RayError):
                ray.kill(actor.handle)
