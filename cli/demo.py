"""``landscape demo``."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import click

from landscape.cli.progress import console, progress
from landscape.cli.report import write_report
from landscape.cli.run import FAILED, run_study
from landscape.demo import HELD_OUT_TEXT, STUDY, TRAINING_TEXT
from landscape.engines import local
from landscape.errors import InputError, StorageError
from landscape.study import read_study


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--steps", default=512, show_default=True, type=click.IntRange(8), help="Training steps of each run.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="Independent runs.")
@click.pass_context
def command(ctx: click.Context, out: Path, steps: int, seeds: int) -> None:
    """Train small seeds on real text, run the whole study and write OUT/report.html.

    Five GPT-2s of 130,000 parameters learn Pride and Prejudice, and pairs of children part from the first of
    them at six steps; barriers are measured on Persuasion. A few minutes on two cores.
    """
    _prepare(out, steps, seeds)
    failed = _train(out, steps, seeds)
    if failed:
        raise InputError(f"training failed: {next(iter(failed.values()))}; run again to go on")
    failed = run_study(read_study(out / "study.toml"), out, device="cpu", workers=None)
    write_report(out)
    if failed:
        ctx.exit(FAILED)


def _prepare(out: Path, steps: int, seeds: int) -> None:
    wanted = {"steps": steps, "seeds": seeds}
    mark = out / "demo.json"
    if mark.exists() and (there := json.loads(mark.read_text())) != wanted:
        raise InputError(f"{out} holds a demo with {there}, and this one has {wanted}; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HELD_OUT_TEXT, out / "heldout.txt")
        shutil.copyfile(TRAINING_TEXT, out / "training.txt")
        shutil.copyfile(STUDY, out / "study.toml")
        mark.write_text(json.dumps(wanted))
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def _train(out: Path, steps: int, seeds: int) -> dict[str, str]:
    from landscape.demo.train import Recipe, folders, hire, runs

    recipe, folder = Recipe(steps=steps), out / "checkpoints"
    jobs = [run for run in runs(recipe, seeds) if not folders(run, recipe, folder)[-1].exists()]
    if not jobs:
        return {}
    console.print(f"Training {seeds} seeds and {len(recipe.partings)} pairs of children in {folder}", markup=False)
    with progress("training", len(jobs)) as advance:
        return local.run(
            jobs, partial(hire, recipe, folder), lambda event: advance(event.job.key),
            workers=len(os.sched_getaffinity(0)),
        )  # fmt: skip
