"""What workers do: the tasks of a study, in a session of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from landscape.engines.jobs import Work
from landscape.study.file import Study
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared
    from landscape.session.session import Session


@dataclass(frozen=True)
class Start:
    """Makes what does tasks on a device; pickled for workers.

    Attributes:
        store: Where results are.
        study: The study.
        tasks: All its tasks, in plan order.
        workers: How many workers share the memory of a machine.
        threads: Threads of each.
        on_disk: Whether points stay in their files.
        spread: Whether they are spread over devices.
        setup: Called first.
    """

    store: Store
    study: Study
    tasks: list[Task[Spec]]
    workers: int
    threads: int
    on_disk: bool
    spread: bool
    setup: Callable[[], None]

    def __call__(self, device: str) -> Work:
        """A session of this process on a device."""
        import torch
        from threadpoolctl import threadpool_limits

        threadpool_limits(self.threads, user_api="blas")  # threads of two workers wait for each other: tenfold the time
        self.setup()

        from landscape.session.session import Session

        on, signatures = torch.device(device), self.store.record()["signatures"]
        session = Session(
            self.store, self.study, self.tasks, on, self.workers, signatures, on_disk=self.on_disk, spread=self.spread
        )  # fmt: skip
        return in_session(session, self.threads)


@dataclass(frozen=True)
class InProcess:
    """The same with the session that this process already has: nothing is read or built twice.

    Attributes:
        session: The session.
        threads: Threads of torch.
    """

    session: Session
    threads: int

    def __call__(self, device: str) -> Work:
        """The work."""
        return in_session(self.session, self.threads)


def start_of(prepared: Prepared, workers: int, threads: int, setup: Callable[[], None]) -> Start:
    """What the workers of a prepared study are given.

    Args:
        prepared: The study.
        workers: How many workers share the memory of a machine.
        threads: Threads of each.
        setup: Called first in each process.
    """
    session = prepared.session
    store = replace(session.store, folder=session.store.folder.resolve())
    return Start(store, prepared.study, prepared.tasks, workers, threads, session.on_disk, session.spread, setup)


def in_session(session: Session, threads: int) -> Work:
    """What does tasks in a session."""
    import torch

    from landscape.measure import perform

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # softmax of a broken point is full of them, and each costs a hundred cycles
    return partial(perform, session=session)
