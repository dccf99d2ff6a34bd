"""What worker processes are given, and what they do with a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from landscape.engines import local
from landscape.study.file import Study
from landscape.study.store import Record, Store
from landscape.study.tasks import Spec, Task

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared
    from landscape.session.session import Session


@dataclass(frozen=True)
class Work:
    """What a worker process is given."""

    store: Store
    study: Study
    tasks: list[Task[Spec]]
    device: str
    on_disk: bool


def work_of(prepared: Prepared) -> Work:
    """What the workers of a prepared study are given."""
    session = prepared.session
    return Work(session.store, prepared.study, prepared.tasks, str(session.device), session.on_disk)


def worker(work: Work, workers: int, threads: int, setup: Callable[[], None]) -> local.Work:
    """What a worker does with a task, in a process of its own.

    Args:
        work: The study.
        workers: How many there are.
        threads: Threads of each.
        setup: Called first.
    """
    import torch

    setup()

    from landscape.session.session import Session

    record: Record = work.store.record()
    device = torch.device(work.device)
    session = Session(work.store, work.study, work.tasks, device, workers, record["signatures"], on_disk=work.on_disk)
    return in_process(session, threads)


def in_process(session: Session, threads: int) -> local.Work:
    """What does tasks in a session."""
    import torch

    from landscape.measure import perform

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # softmax of a broken point is full of them, and each costs a hundred cycles
    return partial(perform, session=session)
