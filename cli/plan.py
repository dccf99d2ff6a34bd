"""``landscape plan``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np

from landscape.checkpoints.grid import incomplete, listed, warnings
from landscape.checkpoints.size import weights
from landscape.cli.progress import console
from landscape.cli.trust import trust_options
from landscape.face.running import foreseen
from landscape.study.expand import tasks
from landscape.study.file import Study, read_study
from landscape.study.tasks import Spec, Task

WORDS = 1e9
DOWNLOAD = 1e8
FORWARD_AND_BACKWARD = 3
"""Forward passes that a gradient costs."""


@trust_options
@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--limit", default=10, show_default=True, help="Tasks to list.")
@click.option("--tflops", type=click.FloatRange(0, min_open=True),
              help="Estimate for a machine of so many TFLOP/s. [default: a matrix product, timed here]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task, and the totals.")
def command(study: Path, limit: int, tflops: float | None, as_json: bool) -> None:
    """What STUDY would take: tasks, loads, bytes, FLOPs and time. Nothing is run."""
    wanted = read_study(study)
    grid = listed(wanted.checkpoints)
    planned = tasks(wanted, grid)
    sizes = {c.ref: weights(c) for c in grid.every}
    read = sum(size.bytes for size in sizes.values())
    fetch = sum(size.bytes for size in sizes.values() if size.remote)
    parameters = max(size.parameters for size in sizes.values())
    points = sum(task.passes for task in planned)
    flops = 2 * parameters * sum(_tokens(task, wanted) for task in planned)
    rate = tflops * 1e12 if tflops else _rate()
    at = f"{tflops:g} TFLOP/s" if tflops else f"the {rate / 1e9:.0f} GFLOP/s of a matrix product on this machine now"
    totals = {
        "tasks": len(planned), "checkpoints": len(sizes), "loads": loads(planned), "bytes": read, "bytes_on_hub": fetch,
        "parameters": parameters, "points": points, "flops": flops, "flops_per_second": rate, "seconds": flops / rate,
    }  # fmt: skip
    for task in planned[:limit]:
        pairs = f", {len(task.pairs)} pair{'s' if len(task.pairs) > 1 else ''}" if task.pairs else ""
        console.print(f"  {task.label}{pairs}", markup=False)
    if len(planned) > limit:
        console.print(f"  and {len(planned) - limit} more")
    fits = _fits(planned, wanted.data.sequences)
    where = "on the hub" if fetch == read else f"of which {fetch / WORDS:.2f} GB on the hub" if fetch else "on disk"
    console.print(
        f"{wanted.name}: {len(planned)} tasks over {len(sizes)} checkpoints of {parameters:,} parameters\n"
        f"  {totals['loads']} checkpoint loads at least, {read / WORDS:,.2f} GB {where}\n"
        f"  {points:,} points of {wanted.data.sequences} x {wanted.data.length} tokens{fits}: "
        f"{flops / 1e15:,.4g} PFLOP\n"
        f"  {_time(flops / rate)} at {at}"
        f"{f', and {_time(fetch / DOWNLOAD)} to download at 100 MB/s' if fetch else ''}; "
        "models under ten million parameters take several times that",
        markup=False,
    )
    for warning in [*incomplete(grid.runs), *warnings(grid.every), *foreseen(wanted)]:
        console.print(f"  warning: {warning}", markup=False)
    if as_json:
        for task in planned:
            click.echo(json.dumps({"task": task.label, "kind": task.kind, "pairs": len(task.pairs)}))
        click.echo(json.dumps(totals))


def _tokens(task: Task[Spec], study: Study) -> int:
    """Tokens of all forward passes of a task; a gradient costs three."""
    data = study.data_sets[task.on]
    gradients = FORWARD_AND_BACKWARD * task.gradients(data.sequences)
    return (task.passes * data.sequences + gradients) * data.length


def loads(planned: list[Task[Spec]]) -> int:
    """Checkpoints read by one worker that keeps the anchors of one tile."""
    count, held = 0, set[str]()
    for task in planned:
        here = {c.ref for c in task.checkpoints}
        count += len(here - held)
        held = here if task.pairs else held | here
    return count


def _fits(planned: list[Task[Spec]], examples: int) -> str:
    gradients = sum(task.gradients(examples) for task in planned)
    return f" and {gradients:,} gradients of an example" if gradients else ""


def _rate() -> float:
    """Floating-point operations a second of a float32 matrix product."""
    a = np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)
    a @ a
    begin = time.perf_counter()
    for _ in range(3):
        a @ a
    return float(3 * 2 * 1024**3 / (time.perf_counter() - begin))


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
