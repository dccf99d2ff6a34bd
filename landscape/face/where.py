"""Where a study is computed: devices, workers, and the share of the tasks."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from landscape.engines.devices import assigned, devices, threads
from landscape.engines.settings import EngineSettings
from landscape.engines.shares import shares
from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.tasks import Spec, Task

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared
    from landscape.session.session import Session

GRADIENT, LOADING = 3, 1
"""Forward passes that a gradient costs, and passes over all examples that a checkpoint costs that is loaded, about."""


def devices_of(where: EngineSettings) -> tuple[str, ...]:
    """The devices that are wanted.

    Raises:
        InputError: If there is none.
    """
    available = 0
    if ":all" in where.device:
        import torch

        available = torch.cuda.device_count()
    return devices(where.device, available)


def device_here(where: EngineSettings) -> str:
    """The device of this process: the first that is wanted, unless only other machines have it."""
    first = devices_of(where)[0]
    if where.engine == "local" or first == "cpu":
        return first
    import torch

    return first if torch.cuda.is_available() else "cpu"


def workers_on_a_device(where: EngineSettings) -> int:
    """How many workers of this machine share the memory of a device, as far as that is given."""
    return -(-(where.workers or 1) // len(devices_of(where))) if where.engine == "local" else 1


def most_on_processor(where: EngineSettings) -> int:
    """How many workers of this machine there may be that compute on its processor."""
    if where.engine != "local" or {*devices_of(where)} != {"cpu"}:
        return 0
    return where.workers or len(os.sched_getaffinity(0))


def workers_of(
    session: Session, left: list[Task[Spec]], where: EngineSettings, ready: int = 0
) -> tuple[tuple[str, ...], int]:
    """The device of each worker, and threads of each.

    Args:
        session: A session of this process.
        left: The tasks to do.
        where: Settings of the engine.
        ready: Processes of this machine that wait for work.
    """
    from landscape.session.workers import workers_for

    wanted, cores = devices_of(where), len(os.sched_getaffinity(0))
    workers = 1 if session.memory is not None else where.workers
    if where.engine != "local":  # workers of other machines, of which this one may be typical
        return assigned(wanted[:1], workers or (cores if wanted[0] == "cpu" and where.engine == "ray" else 1)), 1
    if session.memory is not None:
        wanted = wanted[:1]
    if len(wanted) > 1:
        places = assigned(wanted, workers)
        return places, threads(len(places), cores)
    try:
        count, each = workers_for(session, left, workers, ready)
    except InputError:  # a checkpoint that cannot be loaded is its task's failure, not the run's
        count, each = workers or 1, 1
    return assigned(wanted, count), each


def share_of(prepared: Prepared, where: EngineSettings) -> list[Task[Spec]]:
    """The tasks of a share, or all."""
    if where.share is None:
        return prepared.tasks
    number, count = where.share
    return shares(prepared.tasks, partial(cost, prepared.study), count)[number]


def cost(study: Study, task: Task[Spec]) -> float:
    """Forward passes of one example that a task takes, about, with what loads of checkpoints and gradients count."""
    examples = study.data_sets[task.on].sequences
    passes = max(task.passes, 1) + LOADING * len(task.checkpoints)
    return float(passes * examples + GRADIENT * task.gradients(examples))
