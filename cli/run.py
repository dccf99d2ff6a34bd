"""``landscape run``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from landscape.cli.frame import FAILED, WATCH, say
from landscape.cli.settings import with_settings
from landscape.cli.trust import trust_options
from landscape.engines.forks import Fork
from landscape.engines.jobs import Event
from landscape.engines.settings import EngineSettings
from landscape.face.inputs import settings
from landscape.face.run import default_out, measure
from landscape.study.file import Study, read_study


@trust_options
@with_settings(EngineSettings, "where")
@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results. [default: that of STUDY if it is called study.toml, else one of its name]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
@click.pass_context
def command(ctx: click.Context, study: Path, out: Path | None, as_json: bool, where: EngineSettings) -> None:
    """Run STUDY, or go on with it: finished tasks are not run again.

    Several runs may share a folder of results: a task that one has begun is left to it while it lives.
    """
    if _run(read_study(study), out or default_out(study), where, as_json):
        ctx.exit(FAILED)


def run_study(
    study: Study, out: Path, *, as_json: bool = False, forks: list[Fork] | None = None, **where: object
) -> dict[str, str]:
    """Run what is not done yet of a study, and say how it goes.

    Args:
        study: The study.
        out: Folder of the results.
        as_json: Whether to print a JSON object for each task.
        forks: Processes that wait for work; None makes them, where that is safe.
        where: Settings of the engine.

    Returns:
        Message of each failed task by key.
    """
    return _run(study, out, settings(EngineSettings, where), as_json, forks)


def _run(
    study: Study, out: Path, where: EngineSettings, as_json: bool, forks: list[Fork] | None = None
) -> dict[str, str]:
    watch = replace(WATCH, counts=True, event=_tell if as_json else WATCH.event)
    ran = measure(study, out, where, watch=watch, forks=forks)
    say(f"Results are in {ran.store.folder}; see them with: landscape report {out}")
    return ran.failed


def _tell(event: Event) -> None:
    """Print an event as JSON."""
    task = event.job
    click.echo(json.dumps({"event": event.kind, "key": task.key, "label": task.label, "message": event.message}))
