"""``landscape plan``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from landscape.checkpoints.grid import incomplete, listed, warnings
from landscape.cli.progress import console
from landscape.cli.trust import trust_options
from landscape.face.cautions import foreseen
from landscape.face.forecast import Forecast, forecast
from landscape.memory import gigabytes
from landscape.study.expand import tasks
from landscape.study.file import Study, read_study
from landscape.study.tasks import Spec, Task

WORDS = 1e9
DOWNLOAD = 1e8


@trust_options
@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--limit", default=10, show_default=True, help="Tasks to list.")
@click.option("--device", default="cpu", show_default=True, help="Device of torch that the estimate is for.")
@click.option("--tflops", type=click.FloatRange(0, min_open=True),
              help="Estimate for a machine of so many TFLOP/s. [default: a matrix product, timed here]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task, and the totals.")
def command(study: Path, limit: int, device: str, tflops: float | None, as_json: bool) -> None:
    """What STUDY would take: tasks, loads, bytes, memory, FLOPs and time. Nothing is run."""
    wanted = read_study(study)
    grid = listed(wanted.checkpoints)
    planned = tasks(wanted, grid)
    found = forecast(wanted, planned, grid.every, device, tflops * 1e12 if tflops else None)
    for task in planned[:limit]:
        pairs = f", {len(task.pairs)} pair{'s' if len(task.pairs) > 1 else ''}" if task.pairs else ""
        console.print(f"  {task.label}{pairs}", markup=False)
    if len(planned) > limit:
        console.print(f"  and {len(planned) - limit} more")
    console.print(_sentences(wanted, planned, found, tflops), markup=False)
    for warning in [*incomplete(grid.runs), *warnings(grid.every), *foreseen(wanted)]:
        console.print(f"  warning: {warning}", markup=False)
    if as_json:
        for task in planned:
            click.echo(json.dumps({"task": task.label, "kind": task.kind, "pairs": len(task.pairs)}))
        click.echo(json.dumps(asdict(found)))


def _sentences(study: Study, planned: list[Task[Spec]], found: Forecast, tflops: float | None) -> str:
    """What a study would take, in words."""
    fetch, read, data = found.bytes_on_hub, found.bytes, study.data
    where = "on the hub" if fetch == read else f"of which {fetch / WORDS:.2f} GB on the hub" if fetch else "on disk"
    machine = "this machine" if found.device == "cpu" else found.device
    at = f"the {found.flops_per_second / 1e9:.0f} GFLOP/s of a matrix product on {machine} now"
    lines = [
        f"{study.name}: {found.tasks} tasks over {found.checkpoints} checkpoints of {found.parameters:,} parameters",
        f"{found.loads} checkpoint loads at least, {read / WORDS:,.2f} GB {where}",
        f"{found.points:,} points of {data.sequences} x {data.length} tokens{_fits(planned, data.sequences)}: "
        f"{found.flops / 1e15:,.4g} PFLOP",
        f"{_time(found.seconds)} at {f'{tflops:g} TFLOP/s' if tflops else at}"
        f"{f', and {_time(fetch / DOWNLOAD)} to download at 100 MB/s' if fetch else ''}; "
        "models under ten million parameters take several times that",
        f"{gigabytes(found.peak_bytes)} of memory in each worker at its peak, on {found.device}"
        f"{'; checkpoints stay in their files' if found.on_disk else ''}",
    ]
    if fetch:
        lines.append(
            f"{gigabytes(fetch)} of disk for downloads, or {gigabytes(found.disk_bytes)} at a time with: landscape run "
            "--prefetch 1 --keep-downloads no"
        )
    return "\n  ".join(lines)


def _fits(planned: list[Task[Spec]], examples: int) -> str:
    gradients = sum(task.gradients(examples) for task in planned)
    return f" and {gradients:,} gradients of an example" if gradients else ""


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
