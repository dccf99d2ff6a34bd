"""What is done, failed, running and left of a study, how fast it goes, and what an edited study file would redo."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscape.engines.claims import CLAIMS, Owner, claimed
from landscape.errors import InputError
from landscape.study.file import read_study
from landscape.study.record import Record
from landscape.study.store import Store
from landscape.study.tasks import Recorded

STATES = ("done", "failed", "running", "left")
WINDOW = 600.0
"""Seconds of the past from which the rate of a run is taken."""


@dataclass(frozen=True)
class Status:
    """The state of the tasks of a study.

    Attributes:
        tasks: The tasks, in plan order.
        states: ``done``, ``failed``, ``running`` or ``left``, by key.
        failures: Message of each failed task by key, the latest last.
        owners: Who runs each running task, by key.
        rate: Number of tasks a minute over the last ten minutes; None where fewer than two were finished.
    """

    tasks: tuple[Recorded, ...]
    states: Mapping[str, str]
    failures: Mapping[str, str]
    owners: Mapping[str, Owner]
    rate: float | None

    def counts(self, kind: str = "") -> dict[str, int]:
        """Tasks in each state, of a kind or of all kinds."""
        own = [self.states[task["key"]] for task in self.tasks if kind in ("", task["kind"])]
        return {state: own.count(state) for state in STATES}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the tasks, in plan order."""
        return tuple(dict.fromkeys(task["kind"] for task in self.tasks))

    @property
    def open(self) -> int:
        """Number of tasks that are neither done nor failed."""
        counts = self.counts()
        return counts["running"] + counts["left"]

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the open tasks take at this rate; None where nothing runs or no rate is known."""
        return 60 * self.open / self.rate if self.rate and self.owners else None


def status(store: Store, record: Record) -> Status:
    """The state of the tasks of a study, now.

    Args:
        store: Its results.
        record: What they say of the study.
    """
    failures, owners = store.failed(), dict(claimed(store.folder / CLAIMS))
    states = {task["key"]: _state(store, task["key"], failures, owners) for task in record["tasks"]}
    failed = sorted(
        (key for key in states if states[key] == "failed"), key=lambda key: (store.failure(key) or (0, ""))[0]
    )
    running = {key: owner for key, owner in owners.items() if states.get(key) == "running"}
    return Status(tuple(record["tasks"]), states, {key: failures[key] for key in failed}, running, _rate(store, states))


def _state(store: Store, key: str, failures: Mapping[str, str], owners: Mapping[str, Owner]) -> str:
    if store.done(key):
        return "done"
    return "running" if key in owners else "failed" if key in failures else "left"


def _rate(store: Store, states: Mapping[str, str]) -> float | None:
    """Tasks a minute, from the times at which results were stored."""
    now = time.time()
    stored = [finished for key, state in states.items() if state == "done" and (finished := store.finished(key))]
    recent = [then for then in stored if now - then < WINDOW]
    return 60 * (len(recent) - 1) / max(now - min(recent), 1e-9) if len(recent) > 1 else None


@dataclass(frozen=True)
class Edited:
    """What a study file would redo that was edited since the last run.

    Attributes:
        file: The file.
        new: Number of tasks by kind that would be run.
        kept: Number of tasks that are done and stay.
        dropped: Number of tasks of the last run that it does not want any more; their results stay on disk.
    """

    file: Path
    new: Mapping[str, int]
    kept: int
    dropped: int


def edited(folder: Path, store: Store, record: Record) -> Edited | None:
    """What the study file of a folder would redo; None if it is as it was at the last run, or not there.

    Args:
        folder: Of the results; its file is ``study.toml`` within it, or the file of its name beside it.
        store: Its results.
        record: What they say of the study.

    Raises:
        InputError: If the file or its checkpoints are not as wanted.
    """
    file = next(
        (file for file in (folder / "study.toml", folder.resolve().with_suffix(".toml")) if file.exists()), None
    )
    if file is None:
        return None
    study = read_study(file)
    if _is_same(study.model_dump(mode="json"), record["study"], str(file.resolve().parent)):
        return None
    from landscape.measure.prepare import prepare

    try:
        tasks = prepare(study, store).tasks
    except InputError as error:
        raise InputError(f"{file} was edited since the last run, and cannot be run now: {error}") from error
    new = [task.kind for task in tasks if not store.done(task.key)]
    wanted = {task.key for task in tasks}
    dropped = sum(task["key"] not in wanted for task in record["tasks"])
    return Edited(file, {kind: new.count(kind) for kind in dict.fromkeys(new)}, len(tasks) - len(new), dropped)


def _is_same(now: object, before: object, folder: str) -> bool:
    """Whether settings are the same, save that the folder of their file may have been moved.

    Args:
        now: Settings as the file has them.
        before: Settings as they were.
        folder: Of the file.
    """
    if isinstance(now, dict) and isinstance(before, dict):
        return now.keys() == before.keys() and all(_is_same(now[name], before[name], folder) for name in now)
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(_is_same(*both, folder) for both in zip(now, before, strict=True))
    if isinstance(now, str) and isinstance(before, str) and now.startswith(f"{folder}/"):
        return before.endswith(now.removeprefix(folder))
    return now == before
