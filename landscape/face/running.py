"""Studies that are run: prepared, done by workers, and what is said on the way."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landscape import engines
from landscape.engines.claims import CLAIMS, Claims
from landscape.engines.forks import Fork, end, waiting
from landscape.engines.jobs import Event, Start
from landscape.engines.local import wait_for_work
from landscape.engines.order import Order
from landscape.engines.settings import EngineSettings
from landscape.face import cautions, notebook
from landscape.face.downloads import Downloads, fetching, finished
from landscape.face.inputs import Models
from landscape.face.where import (
    cost,
    device_here,
    devices_of,
    most_on_processor,
    share_of,
    workers_of,
    workers_on_a_device,
)
from landscape.face.work import InProcess, start_of
from landscape.lazy import much_imported
from landscape.study.file import Study
from landscape.study.measure import Grid, Measure
from landscape.study.sections import Checkpoints
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task

if TYPE_CHECKING:
    import pandas as pd

    from landscape.measure.prepare import Prepared
    from landscape.session.session import InMemory

LOG = logging.getLogger("landscape")
LISTED = 10
"""Failed tasks that are named."""

Advance = Callable[[str], None]
"""Called once for each finished piece of work, with what it was."""


def _no_setup() -> None:
    """Prepare nothing; workers are handed it, so it must have a name."""


@dataclass(frozen=True)
class Watch:
    """What is told while tasks run.

    Attributes:
        progress: Makes, for a title and a number of pieces, what shows progress over them.
        status: Makes, for what is being done, what shows that it is, where the number of pieces is not known.
        event: Called with each event.
        counts: Whether numbers of tasks and workers are said.
        setup: Called first in each worker process; a function of a module.
        only: Only tasks of this kind are run; empty is all.
    """

    progress: Callable[[str, int], AbstractContextManager[Advance]] = notebook.progress
    status: Callable[[str], AbstractContextManager[object]] = nullcontext
    event: Callable[[Event], None] = lambda event: None
    counts: bool = False
    setup: Callable[[], None] = _no_setup
    only: str = ""


SILENT = Watch()


@dataclass(frozen=True)
class Ran:
    """A study that was run.

    Attributes:
        prepared: It, as it was prepared.
        store: Where its results are.
        failed: Message of each failed task by key.
    """

    prepared: Prepared
    store: Store
    failed: dict[str, str]

    def rows(self, *names: str) -> dict[str, pd.DataFrame]:
        """The rows of some tables; a table without rows is an empty frame."""
        import pandas as pd

        found = self.store.tables(self.prepared.keys, names)
        return {name: found.get(name, pd.DataFrame()) for name in names}


@contextmanager
def one_shot(
    name: str,
    models: Models,
    measures: Sequence[Measure],
    out: Path | None = None,
    watch: Watch = SILENT,
    require: Callable[[Prepared], None] = lambda prepared: None,
) -> Generator[Ran]:
    """Run measures of given checkpoints; results are kept below a folder, or for as long as the context.

    Args:
        name: Of the study.
        models: Checkpoints, data and device.
        measures: What is measured.
        out: Folder; None keeps nothing.
        watch: What is told on the way.
        require: Called before anything runs; refuses what cannot be run.
    """
    study = Study(
        version=1, name=name, checkpoints=Checkpoints(folder=models.checkpoints[0].ref), data=models.data,
        measure=tuple(measures),
    )  # fmt: skip
    with _results(out) as store:
        where = EngineSettings(device=models.device, device_map=models.device_map)
        yield execute(study, store, where, grid=models.grid, memory=models.memory, watch=watch, require=require)


@contextmanager
def _results(out: Path | None) -> Generator[Store]:
    if out:
        yield Store(out / "results")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Store(Path(folder))


def execute(
    study: Study,
    store: Store,
    where: EngineSettings,
    *,
    grid: Grid | None = None,
    memory: InMemory | None = None,
    watch: Watch = SILENT,
    require: Callable[[Prepared], None] = lambda prepared: None,
    forks: list[Fork] | None = None,
) -> Ran:
    """Run what is not done yet of a study.

    Args:
        study: The study.
        store: Where its results are or will be.
        where: Where to compute, and by which engine.
        grid: Its checkpoints, if they are already known.
        memory: Models in memory, which the checkpoints stand for.
        watch: What is told on the way.
        require: Called before anything runs; refuses what cannot be run.
        forks: Processes that wait for work; None makes them here, where that is safe.
    """
    from landscape.measure.prepare import on, prepare

    imported(study)
    engines.load(where.engine)
    made = waiting(0 if memory else most_on_processor(where), wait_for_work) if forks is None else nullcontext(forks)
    with made as forks:
        with watch.status("finding checkpoints"):  # a thread may show it, so not before the forks
            prepared = prepare(
                study, store, device_here(where), grid, memory,
                workers=workers_on_a_device(where), spread=where.device_map is not None,
            )  # fmt: skip
        for device in devices_of(where)[1:] if where.engine == "local" else ():
            on(device)
        require(prepared)
        store.open(prepared.record)
        for warning in [*prepared.record["warnings"], *cautions.foreseen(study)]:
            LOG.warning("warning: %s", warning)
        return Ran(prepared, store, run_tasks(prepared, where, watch, forks))


def imported(study: Study) -> None:
    """Import what the measures of a study need, so that processes that are forked then have it."""
    with much_imported():
        from landscape import measure

        for one in study.measure:
            measure.module_of(one.kind)


def run_tasks(prepared: Prepared, where: EngineSettings, watch: Watch, forks: list[Fork]) -> dict[str, str]:
    """Run the tasks of a prepared study that are not done.

    Args:
        prepared: The study.
        where: Where to compute, and by which engine.
        watch: What is told on the way.
        forks: Processes that wait for work; the list is emptied where none is needed.

    Returns:
        Message of each failed task by key.
    """
    session = prepared.session
    store = session.store
    _set_aside(prepared.tasks, store)
    wanted = share_of(prepared, where)
    left = [task for task in unfinished(wanted, store) if watch.only in ("", task.kind)]
    failed = _run_left(prepared, left, where, watch, forks) if left else {}
    for warning in cautions.found(store, [task.key for task in left if task.kind in cautions.MEASURED]):
        LOG.warning("warning: %s", warning)
    if watch.counts:
        LOG.info("%d tasks done, %d failed", len(wanted) - len(failed), len(failed))
    labels = {task.key: task.label for task in prepared.tasks}
    for key, message in list(failed.items())[:LISTED]:
        LOG.warning("  failed: %s: %s", labels[key], message)
    return failed


def _run_left(
    prepared: Prepared, left: list[Task[Spec]], where: EngineSettings, watch: Watch, forks: list[Fork]
) -> dict[str, str]:
    """Run the tasks that are left."""
    import torch
    from threadpoolctl import threadpool_limits

    store = prepared.session.store
    places, each = workers_of(prepared.session, left, where, len(forks))
    if watch.counts:
        workers = f"{len(places)} worker{'s' * (len(places) > 1)} of {each} thread{'s' * (each > 1)}"
        at = f"{workers} on {', '.join(dict.fromkeys(places))}" if where.engine == "local" else where.engine
        LOG.info("%d of %d tasks to do, with %s", len(left), len(prepared.tasks), at)
    start: Start
    if where.engine == "local" and len(places) == 1:
        end(forks)
        start = InProcess(prepared.session, each)
    else:
        prepared.session.release()
        start = start_of(prepared, len(places), each, watch.setup)
    before = torch.get_num_threads()
    downloads = Downloads(where.prefetch, where.keep_downloads == "yes")
    with (
        watch.progress("measuring", len(left)) as advance,
        fetching(left, downloads) as plan,
        Claims(store.folder / CLAIMS, store.failure) as claims,
        threadpool_limits(each, user_api="blas"),
    ):

        def report(event: Event) -> None:
            task: Task[Spec] = event.job
            if event.kind == "failed" and not _is_recorded(store, task.key, event.message):
                store.fail(task.key, "\n".join(part for part in (event.message, event.trace) if part))
            watch.event(event)
            if event.kind == "silent":
                LOG.warning("%s: %s", task.label, event.message)
            else:
                finished(plan, task, downloads)
                advance(task.label)

        results, price = Store(store.folder.resolve()), partial(cost, prepared.study)
        order = Order(left, start, report, claims, where, places, results.folder, results, price, forks)
        run: Callable[[Order], dict[str, str]] = engines.load(where.engine).execute
        try:
            return run(order)
        finally:
            torch.set_num_threads(before)


def _is_recorded(store: Store, key: str, message: str) -> bool:
    """Whether another process has recorded a failure already, perhaps with more to say of it."""
    known = store.failure(key)
    return known is not None and known[1] == message


def _set_aside(tasks: Sequence[Task[Spec]], store: Store) -> None:
    """Move damaged results out of the way, and say so."""
    for key in store.damaged((task.key for task in tasks), anew=False):
        store.discard(key)
        LOG.warning("a file of results is damaged and kept under %s: %s", store.folder / "damaged", key)


def unfinished(tasks: Sequence[Task[Spec]], store: Store) -> list[Task[Spec]]:
    """Tasks that are not done, and those whose kept losses they need and do not find."""
    new = {task.key for task in tasks if not store.done(task.key)}
    needed = {key for task in tasks if task.key in new for key in task.needs}
    lost = {t.key for t in tasks if t.spec.KEEPS_LOSSES and t.key in needed and not store.has_losses(t.key)}
    return [task for task in tasks if task.key in new | lost]
