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
from landscape.face.downloads import Downloads
from landscape.face.run import default_out, measure
from landscape.face.running import Watch
from landscape.study.file import Study, read_study

COUNTING = replace(WATCH, counts=True)


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
@click.option("--prefetch", type=click.IntRange(0), default=1, show_default=True,
              help="Checkpoints on the hub that are fetched ahead while others are measured, at most.")  # fmt: skip
@click.option("--keep-downloads", type=click.Choice(["yes", "no"]), default="yes", show_default=True,
              help="Whether what is fetched stays on this disk, or is deleted after its last use.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
@click.pass_context
def command(
    ctx: click.Context,
    study: Path,
    out: Path | None,
    device: str,
    workers: int | None,
    prefetch: int,
    keep_downloads: str,
    as_json: bool,
) -> None:
    """Run STUDY, or go on with it: finished tasks are not run again."""
    wanted = read_study(study)
    watch = replace(WATCH, counts=True, event=_tell if as_json else WATCH.event,
                    downloads=Downloads(prefetch, keep_downloads == "yes"))  # fmt: skip
    failed = run_study(wanted, out or default_out(study), device=device, workers=workers, watch=watch)
    if failed:
        ctx.exit(FAILED)


def run_study(study: Study, out: Path, *, device: str, workers: int | None, watch: Watch = COUNTING) -> dict[str, str]:
    """Run what is not done yet of a study, and say how it goes.

    Args:
        study: The study.
        out: Folder of the results.
        device: Device of torch.
        workers: Worker processes; None is chosen by timing.
        watch: What is told on the way, and how checkpoints are fetched.

    Returns:
        Message of each failed task by key.
    """
    with console.status("finding checkpoints"):
        ran = measure(study, out, device=device, workers=workers, watch=watch)
    say(f"Results are in {ran.store.folder}; see them with: landscape report {out}")
    return ran.failed


def _tell(event: local.Event) -> None:
    """Print an event as JSON."""
    task = event.job
    click.echo(json.dumps({"event": event.kind, "key": task.key, "label": task.label, "message": event.message}))
