"""``landscape status``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from landscape.cli.progress import console
from landscape.face.forecast import noted
from landscape.memory import gigabytes
from landscape.study.store import Store


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Read every file of results, and take damaged ones out of the way.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
def command(folder: Path, check: bool, as_json: bool) -> None:
    """What is done, failed and left in FOLDER."""
    store = Store(folder / "results")
    record = store.record()
    damaged = set(store.damaged(task["key"] for task in record["tasks"])) if check else set()
    for key in damaged:
        store.discard(key)
    if check:
        kept = f", kept under {store.folder / 'damaged'}; landscape run does them again" if damaged else ""
        console.print(f"{len(damaged)} damaged{kept}", markup=False)
    failures = store.failed()
    states = {}
    for task in record["tasks"]:
        states[task["key"]] = "done" if store.done(task["key"]) else "failed" if task["key"] in failures else "left"
        if as_json:
            message = failures.get(task["key"], "") if states[task["key"]] == "failed" else ""
            click.echo(
                json.dumps({
                    "key": task["key"],
                    "label": task["label"],
                    "state": states[task["key"]],
                    "message": message,
                })
            )
    counts = {state: list(states.values()).count(state) for state in ("done", "failed", "left")}
    console.print(f"{record['name']}: " + ", ".join(f"{n} {state}" for state, n in counts.items()), markup=False)
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
        if states[task["key"]] == "failed":
            console.print(f"  failed: {task['label']}: {failures[task['key']].splitlines()[0]}", markup=False)
