"""``landscape status``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import click

from landscape.cli.progress import console
from landscape.errors import InputError
from landscape.face.forecast import noted
from landscape.face.status import Status, edited, status
from landscape.memory import gigabytes
from landscape.study.record import Record
from landscape.study.store import Store

WATCH = 5.0
"""Seconds between two looks of ``--watch``."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Read every file of results, and take damaged ones out of the way.")
@click.option("--watch", is_flag=True, help="Say it again every few seconds, until no task is left.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
def command(folder: Path, check: bool, watch: bool, as_json: bool) -> None:
    """What is done, failed, running and left in FOLDER; where, how fast, and what an edited study file would redo."""
    store = Store(folder / "results")
    record = store.record()
    if check:
        _check(store, record)
    _say_took(store)
    while _say(status(store, record), record["name"], as_json) and watch:
        time.sleep(WATCH)
    _say_edited(folder, store, record)


def _check(store: Store, record: Record) -> None:
    """Move damaged results out of the way, and say which."""
    damaged = set(store.damaged(task["key"] for task in record["tasks"]))
    for key in damaged:
        store.discard(key)
    kept = f", kept under {store.folder / 'damaged'}; landscape run does them again" if damaged else ""
    _print(f"{len(damaged)} damaged{kept}")
    for task in record["tasks"]:
        if task["key"] in damaged:
            _print(f"  damaged: {task['label']}")


def _say_took(store: Store) -> None:
    """Print what runs took beside what was planned."""
    for took in noted(store):
        planned = took["planned"]
        _print(
            f"  {took['done']} tasks took {took['seconds']:.0f} s and {gigabytes(took['peak_bytes'])} of memory, the "
            f"program included; planned were {planned['seconds']:.0f} s and {gigabytes(float(planned['peak_bytes']))} "
            f"besides the program, on {planned['device']}"
        )


def _say(now: Status, name: str, as_json: bool) -> bool:
    """Print the state of all tasks; whether any is neither done nor failed."""
    labels = {task["key"]: task["label"] for task in now.tasks}
    if as_json:
        for key in labels:
            click.echo(json.dumps(_about(now, key, labels[key])))
    _print(f"{name}: {_counted(now.counts())}{_pace(now)}")
    for kind in now.kinds:
        _print(f"  {kind}: {_counted(now.counts(kind))}")
    for key, message in now.failures.items():
        _print(f"  failed: {labels[key]}: {message.splitlines()[0]}")
    for key, owner in now.owners.items():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.since))
        _print(f"  running: {labels[key]}: on {owner.host}, process {owner.pid}, since {when}")
    return now.open > 0


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n or state != "running")


def _pace(now: Status) -> str:
    """How fast it goes, and how long it takes still at this rate."""
    if now.seconds_left is None or now.rate is None:
        return ""
    left = now.seconds_left
    said = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min" if left < 7200 else f"{left / 3600:.1f} h"
    return f"; {now.rate:.3g} tasks a minute, {said} left at this rate"


def _say_edited(folder: Path, store: Store, record: Record) -> None:
    """Print what an edited study file would redo."""
    try:
        change = edited(folder, store, record)
    except InputError as error:
        _print(f"  {error}")
        return
    if change is None:
        return
    new = ", ".join(f"{n} of {kind}" for kind, n in change.new.items()) or "nothing new"
    _print(
        f"  {change.file} was edited since the last run: landscape run would do {new}; {change.kept} tasks stay done, "
        f"and {change.dropped} of the last run are not wanted any more"
    )


def _print(line: str) -> None:
    console.print(line, markup=False)


def _about(now: Status, key: str, label: str) -> dict[str, object]:
    """A task as JSON has it."""
    about: dict[str, object] = {"key": key, "label": label, "state": now.states[key], "message": ""}
    if key in now.failures:
        about["message"] = now.failures[key]
    if key in now.owners:
        owner = now.owners[key]
        about |= {"host": owner.host, "pid": owner.pid, "since": owner.since}
    return about
