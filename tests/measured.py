"""Studies of the few runs, measured in this process."""

from __future__ import annotations

from pathlib import Path

from landscape.engines import local
from landscape.measure import perform
from landscape.measure.prepare import prepare
from landscape.study.file import Study
from landscape.study.measure import Grid
from landscape.study.store import Store


def linked(few_runs: Path, folder: Path) -> Path:
    """The few runs, by links, in a folder that may be written to."""
    for seed in few_runs.iterdir():
        if seed.is_dir():
            (folder / seed.name).symlink_to(seed)
    return folder


def run(study: Study, folder: Path, grid: Grid | None = None) -> tuple[Store, list[str], dict[str, str]]:
    prepared = prepare(study, Store(folder / "results"), grid=grid)
    store = prepared.session.store
    store.open(prepared.record)
    failed = local.run(prepared.tasks, lambda device: lambda task: perform(task, prepared.session), lambda event: None)
    return store, [task.key for task in prepared.tasks], failed
