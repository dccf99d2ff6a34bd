"""``landscape status``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import click

from landscape.cli.progress import console
from landscape.engines.claims import CLAIMS, Owner, claimed
from landscape.face.forecast import noted
from landscape.memory import gigabytes
from landscape.study.record import Record
from landscape.study.store import Store

STATES = ("done", "failed", "running", "left")
WATCH = 5.0
"""Seconds between two lines of ``--watch``."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Read every file of results, and take damaged ones out of the way.")
@click.option("--watch", is_flag=True, help="Say it again every few seconds, until no task is left.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
def command(folder: Path, check: bool, watch: bool, as_json: bool) -> None:
    """What is done, failed, running and left in FOLDER; of what is running, where and since when."""
    store = Store(folder / "results")
    record = store.record()
    damaged = set(store.damaged(task["key"] for task in record["tasks"])) if check else set()
    for key in damaged:
        store.discard(key)
    if check:
        kept = f", kept under {store.folder / 'damaged'}; landscape run does them again" if damaged else ""
        console.print(f"{len(damaged)} damaged{kept}", markup=False)
    for took in noted(store):
        planned = took["planned"]
        console.print(
            f"  {took['done']} tasks took {took['seconds']:.0f} s and {gigabytes(took['peak_bytes'])} of memory, the "
            f"program included; planned were {planned['seconds']:.0f} s and {gigabytes(float(planned['peak_bytes']))} "
            f"besides the program, on {planned['device']}",
            markup=False,
        )
    for task in record["tasks"]:
        if task["key"] in damaged:
            console.print(f"  damaged: {task['label']}", markup=False)
    while _say(store, record, as_json) and watch:
        time.sleep(WATCH)


def _say(store: Store, record: Record, as_json: bool) -> bool:
    """Print the state of all tasks; whether any is neither done nor failed."""
    failures, owners = store.failed(), dict(claimed(store.folder / CLAIMS))
    states = {task["key"]: _state(store, task["key"], failures, owners) for task in record["tasks"]}
    if as_json:
        for task in record["tasks"]:
            click.echo(json.dumps(_about(task["key"], task["label"], states[task["key"]], failures, owners)))
    counts = {state: list(states.values()).count(state) for state in STATES}
    said = ", ".join(f"{n} {state}" for state, n in counts.items() if n or state != "running")
    console.print(f"{record['name']}: {said}", markup=False)
    for task in record["tasks"]:
        if states[task["key"]] == "failed":
            console.print(f"  failed: {task['label']}: {failures[task['key']].splitlines()[0]}", markup=False)
        if states[task["key"]] == "running":
            owner = owners[task["key"]]
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.since))
            console.print(
                f"  running: {task['label']}: on {owner.host}, process {owner.pid}, since {when}", markup=False
            )
    return counts["running"] + counts["left"] > 0


def _state(store: Store, key: str, failures: Mapping[str, str], owners: Mapping[str, Owner]) -> str:
    if store.done(key):
        return "done"
    return "running" if key in owners else "failed" if key in failures else "left"


def _about(
    key: str, label: str, state: str, failures: Mapping[str, str], owners: Mapping[str, Owner]
) -> dict[str, object]:
    """A task as JSON has it."""
    about: dict[str, object] = {"key": key, "label": label, "state": state, "message": ""}
    if state == "failed":
        about["message"] = failures[key]
    if state == "running":
        owner = owners[key]
        about |= {"host": owner.host, "pid": owner.pid, "since": owner.since}
    return about
