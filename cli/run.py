"""``landscape run``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from landscape.cli.options import PACKAGED, trust_options
from landscape.cli.progress import console, listen, progress
from landscape.engines import local
from landscape.errors import InputError
from landscape.study.file import Study, read_study
from landscape.study.kinds import Llc
from landscape.study.store import Store
from landscape.study.tasks import READ, Checkpoint, Task

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared
    from landscape.session.session import Session

FAILED = 3
SENTENCES = 3
"""Measures of which it is said that their steps are too few; a calibration has eighteen."""


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results. [default: that of STUDY if it is called study.toml, else one of its name]",
)
@click.option("--device", default="cpu", show_default=True, help="Device of torch: cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes. [default: chosen by timing]")
@trust_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each task.")
@click.pass_context
def command(ctx: click.Context, study: Path, out: Path | None, device: str, workers: int | None, as_json: bool) -> None:
    """Run STUDY, or go on with it: finished tasks are not run again."""
    wanted = read_study(study)
    failed = run_study(wanted, out or default_out(study), device=device, workers=workers, as_json=as_json)
    if failed:
        ctx.exit(FAILED)


def default_out(study: Path) -> Path:
    """The folder beside the study."""
    return study.parent if study.name == "study.toml" else study.with_suffix("")


def run_study(study: Study, out: Path, *, device: str, workers: int | None, as_json: bool = False) -> dict[str, str]:
    """Run what is not done yet of a study; the messages of the failed tasks by key."""
    from landscape.measure.prepare import prepare

    store = Store(out / "results")
    if study.data.text is None:
        console.print(PACKAGED)
    with console.status("finding checkpoints"):
        prepared = prepare(study, store, device)
        store.open(study.name, prepared.record)
    _warn(prepared)
    failed = run_tasks(prepared, workers=workers, as_json=as_json)
    console.print(f"Results are in {store.folder}; see them with: landscape report {out}", markup=False)
    return failed


def foreseen(study: Study) -> list[str]:
    """Sentences on the steps of chains that are known to be too few, each once."""
    chains = [measure for measure in study.measure if isinstance(measure, Llc)]
    if not chains:  # what follows imports torch
        return []
    from landscape.llc.arithmetic import foreseen as of

    said = [of(measure, study.data.sequences) for measure in chains]
    every = list(dict.fromkeys(one for one in said if one))
    more = len(every) - SENTENCES
    return every if more <= 0 else [*every[:SENTENCES], f"the same of {more} more measures of llc"]


def _warn(prepared: Prepared) -> None:
    for warning in [*prepared.record["warnings"], *foreseen(prepared.study)]:
        console.print(f"warning: {warning}", markup=False)


@contextmanager
def results_of(out: Path | None) -> Generator[Store]:
    """Where a one-shot command puts its results: below a folder, or for as long as it runs."""
    if out:
        yield Store(out / "results")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Store(Path(folder))


def run_now(study: Study, found: list[Checkpoint], device: str, store: Store) -> tuple[Prepared, dict[str, str]]:
    """Run a study of given checkpoints, for the one-shot commands; and the messages of the tasks that failed."""
    from landscape.measure.prepare import prepare

    prepared = prepare(study, store, device, (found, []))
    store.open(study.name, prepared.record)
    _warn(prepared)
    return prepared, run_tasks(prepared, quiet=True)


def run_tasks(
    prepared: Prepared, *, workers: int | None = None, as_json: bool = False, quiet: bool = False
) -> dict[str, str]:
    """Run the tasks of a prepared study that are not done; ``quiet`` leaves out the counts."""
    session = prepared.session
    store = session.store
    _set_aside(prepared.tasks, store)
    left = unfinished(prepared.tasks, store)
    if left:
        count, threads = _workers(session, left, workers)
        if not quiet:
            console.print(
                f"{len(left)} of {len(prepared.tasks)} tasks to do, with {count} "
                f"worker{'s' if count > 1 else ''} of {threads} thread{'s' if threads > 1 else ''} on {session.device}",
                markup=False,
            )
        start = partial(start_worker, store, prepared.study, prepared.tasks, str(session.device), count, threads)
        with progress("measuring", len(left)) as advance:

            def report(event: local.Event) -> None:
                task: Task = event.job
                if event.kind == "failed":
                    store.fail(task.key, "\n".join(part for part in (event.message, event.trace) if part))
                if as_json:
                    fact = {"event": event.kind, "key": task.key, "label": task.label, "message": event.message}
                    click.echo(json.dumps(fact))
                if event.kind == "silent":
                    console.print(f"{task.label}: {event.message}", markup=False)
                else:
                    advance(task.label)

            failed = local.run(left, start, report, workers=count)
    else:
        failed = {}
    for warning in worse_than_guessing(store, [task.key for task in left if task.kind == "losses"]):
        console.print(f"warning: {warning}", markup=False)
    if not quiet:
        console.print(f"{len(prepared.tasks) - len(failed)} tasks done, {len(failed)} failed", markup=False)
    labels = {task.key: task.label for task in prepared.tasks}
    for key, message in list(failed.items())[:10]:
        console.print(f"  failed: {labels[key]}: {message}", markup=False)
    return failed


def worse_than_guessing(store: Store, keys: list[str]) -> list[str]:
    """Checkpoints whose loss is above that of a uniform guess, counted in a sentence."""
    rows = store.rows("loss", keys)
    if rows.empty or "uniform_loss" not in rows:
        return []
    worse = rows[rows["loss"] > rows["uniform_loss"]]
    if worse.empty:
        return []
    first = worse.iloc[0]
    return [
        f"the loss of {len(worse)} of {len(rows)} checkpoints is above that of a uniform guess, "
        f"{first['uniform_loss']:.3f}, such as {first['loss']:.3f} of {first['checkpoint']}: they are untrained, or "
        "the text or the tokenizer is not of the model's kind"
    ]


def _set_aside(tasks: list[Task], store: Store) -> None:
    """Take damaged results out of the way, and say so."""
    for key in store.damaged((task.key for task in tasks), anew=False):
        store.discard(key)
        console.print(f"a file of results is damaged and kept under {store.folder / 'damaged'}: {key}", markup=False)


def unfinished(tasks: list[Task], store: Store) -> list[Task]:
    """Tasks that are not done, and those whose kept losses they need and do not find."""
    new = {task.key for task in tasks if not store.done(task.key)}
    needed = {key for task in tasks if task.key in new for key in task.needs}
    lost = {task.key for task in tasks if task.kind in READ and task.key in needed and not store.has_losses(task.key)}
    return [task for task in tasks if task.key in new | lost]


def _workers(session: Session, left: list[Task], workers: int | None) -> tuple[int, int]:
    try:
        count, threads = session.choose_workers(left)
    except InputError:  # a checkpoint that cannot be loaded is its task's failure, not the run's
        count, threads = 1, 1
    return (workers, 1) if workers and workers > 1 else (workers or count, threads)


def start_worker(store: Store, study: Study, tasks: list[Task], device: str, workers: int, threads: int) -> local.Work:
    """What a worker process does with a task."""
    import torch

    from landscape.measure import perform
    from landscape.session.session import Session

    listen()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # softmax of a broken point is full of them, and each costs a hundred cycles
    session = Session(store, study, tasks, torch.device(device), workers, store.record()["signatures"])
    return partial(perform, session=session)
