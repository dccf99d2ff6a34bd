"""A study that is run, or gone on with."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.engines.forks import Fork
from landscape.engines.settings import EngineSettings
from landscape.errors import InputError, did_you_mean
from landscape.face.forecast import Forecast, forecast, note
from landscape.face.inputs import PACKAGED, settings
from landscape.face.running import SILENT, Watch, execute, unfinished
from landscape.face.where import device_here, share_of
from landscape.rows import TABLES
from landscape.study.file import Study, read_study
from landscape.study.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from landscape.measure.prepare import Prepared

LOG = logging.getLogger("landscape")


@dataclass(frozen=True)
class Run:
    """Results of a study.

    Attributes:
        store: Where they are.
        keys: Keys of its tasks.
        failed: Message of each task that failed, by key.
    """

    store: Store
    keys: tuple[str, ...]
    failed: dict[str, str]

    def rows(self, table: str) -> pd.DataFrame:
        """The rows of a table; ``landscape.rows`` says what its columns are.

        Raises:
            InputError: If there is no such table.
        """
        if table not in TABLES:
            raise InputError(
                f"there is no table {table!r}{did_you_mean(table, TABLES)}; tables are {', '.join(sorted(TABLES))}"
            )
        return self.store.rows(table, self.keys)

    def _repr_html_(self) -> str:
        """How many tasks are done."""
        done = len(self.keys) - len(self.failed)
        return f"<p>{done} of {len(self.keys)} tasks done; results in <code>{self.store.folder}</code></p>"


def run(
    study: str | Path | Study,
    out: str | Path | None = None,
    *,
    device: str = "cpu",
    workers: int | None = None,
    engine: str = "local",
    **options: object,
) -> Run:
    """Run a study, or go on with it: finished tasks are not run again.

    Args:
        study: A study file, or a study.
        out: Folder of the results; left out, that of the file if it is called study.toml, else one of its name.
        device: Device of torch; several with commas between them, or ``cuda:all``, get one worker each.
        workers: Worker processes; None is chosen by timing.
        engine: What hands tasks to workers.
        options: Further settings, those of ``landscape.engines.settings``, such as ``shard="2/8"``.

    Raises:
        InputError: If the study or an option is not as wanted.
        ValueError: If a study in memory has no folder.
    """
    where = settings(EngineSettings, {"device": device, "workers": workers, "engine": engine, **options})
    if isinstance(study, Study):
        if out is None:
            raise ValueError("a study in memory needs a folder for its results: give out")
        return measure(study, Path(out), where)
    file = Path(study)
    return measure(read_study(file), Path(out) if out else default_out(file), where)


def default_out(study: Path) -> Path:
    """The folder beside a study file."""
    return study.parent if study.name == "study.toml" else study.with_suffix("")


def measure(
    study: Study, out: Path, where: EngineSettings, *, watch: Watch = SILENT, forks: list[Fork] | None = None
) -> Run:
    """The same for a study that is read.

    Args:
        study: The study.
        out: Folder of the results.
        where: Where to compute, and by which engine.
        watch: What is told on the way.
        forks: Processes that wait for work; None makes them, where that is safe.
    """
    if study.data.text is None and not study.data.own:
        LOG.info(PACKAGED)
    planned: list[Forecast] = []
    store, begin = Store(out / "results"), time.monotonic()

    def foresee(prepared: Prepared) -> None:
        nonlocal begin
        if left := unfinished(share_of(prepared, where), store):
            checkpoints = dict.fromkeys(checkpoint for task in left for checkpoint in task.checkpoints)
            planned.append(forecast(study, left, checkpoints, device_here(where)))
        begin = time.monotonic()

    ran = execute(study, store, where, watch=watch, require=foresee, forks=forks)
    for one in planned:
        note(store, one, begin, one.tasks - len(ran.failed))
    return Run(ran.store, tuple(ran.prepared.keys), ran.failed)
