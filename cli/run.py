"""``landscape run``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from landscape.cli.frame import FAILED, WATCH, say
from landscape.cli.progress import console
from landscape.cli.trust import trust_options
from landscape.engines import local
from landscape.face.run import default_out, measure
from landscape.study.file import Study, read_study


@trust_options
@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results. [default: that of STUDY if it is called study.toml, else one of its name]",
)
@click.option("--device", default="cpu", show_default=True, help="Device of torch: cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes. [default: chosen by timing]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
@click.pass_context
def command(ctx: click.Context, study: Path, out: Path | None, device: str, workers: int | None, as_json: bool) -> None:
    """Run STUDY, or go on with it: finished tasks are not run again."""
    wanted = read_study(study)
    failed = run_study(wanted, out or default_out(study), device=device, workers=workers, as_json=as_json)
    if failed:
        ctx.exit(FAILED)


def run_study(study: Study, out: Path, *, device: str, workers: int | None, as_json: bool = False) -> dict[str, str]:
    """Run what is not done yet of a study, and say how it goes.

    Args:
        study: The study.
        out: Folder of the results.
        device: Device of torch.
        workers: Worker processes; None is chosen by timing.
        as_json: Whether to print a JSON object for each task.

    Returns:
        Message of each failed task by key.
    """
    watch = replace(WATCH, counts=True, event=_tell if as_json else WATCH.event)
    with console.status("finding checkpoints"):
        ran = measure(study, out, device=device, workers=workers, watch=watch)
    say(f"Results are in {ran.store.folder}; see them with: landscape report {out}")
    return ran.failed


def _tell(event: local.Event) -> None:
    """Print an event as JSON."""
    task = event.job
    click.echo(json.dumps({"event": event.kind, "key": task.key, "label": task.label, "message": event.message}))
