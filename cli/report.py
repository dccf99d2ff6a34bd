"""``landscape report``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd

from landscape import catalogue
from landscape.cli.drawing import open_page
from landscape.cli.progress import console
from landscape.errors import InputError, StorageError
from landscape.face.chains import chains_of
from landscape.face.joined import joined
from landscape.face.stages import data_sets_of, labels_of, measured_on, of_results
from landscape.figures import paper
from landscape.figures.frames import Frames
from landscape.figures.page import Missing, page
from landscape.files import replacing
from landscape.profile import summary
from landscape.profile.along_run import entered
from landscape.profile.chosen import of_metric
from landscape.profile.metrics import LOSS
from landscape.profile.runs import by_run, telling_apart
from landscape.study.store import Store
from landscape.study.tasks import MAIN

OTHERS = (
    "probe_along",
    "drop",
    "component",
    "trajectory",
    "line",
    "plane",
    "place",
    "mixture",
    "llc",
    "probe",
    "behaviour",
)
"""Tables that a report can be made of without any pair."""


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...",
                type=click.Path(path_type=Path, file_okay=False))  # fmt: skip
@click.option("--definition", default="chord", show_default=True, type=click.Choice(list(catalogue.DEFINITIONS)))
@click.option("--metric", default=LOSS, show_default=True, help="Metric that is shown: loss, accuracy, perplexity, ...")
@click.option("--data", default=MAIN, show_default=True, metavar="NAME", help="Data set whose rows are shown.")
@click.option(
    "--figures",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write each figure to this folder instead, in the size of a paper, with its rows as CSV, its caption, "
    "and the Python that draws it.",
)
@click.option(
    "--format",
    "kind",
    default="pdf",
    show_default=True,
    type=click.Choice(["pdf", "svg", "png"]),
    help="Format of these figures.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Write the page again and again until no task is left, so that a reload shows what is finished.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page when it is written.")
def command(
    folders: tuple[Path, ...], out: Path | None, kind: str, every: float | None, opened: bool, **chosen: str
) -> None:
    """Write FOLDER/report.html from the results in FOLDER: one file, which needs no network.

    Several folders, such as shares of a study or studies of the same data, have one page, in the first of them.

    With another metric than the loss, barriers, profiles and values of checkpoints are those of the metric, and a
    change for the worse is positive.

    While the study runs, the page says in a line for each kind of measure what is missing. Run again, or with --every,
    it is replaced, and a reload shows what is finished by then.
    """
    if out is not None:
        if every is not None:
            raise InputError("figures for a paper are written once: leave out --every, or --figures")
        write_figures(folders, out, kind, **chosen)
        return
    while not _written(folders, chosen, wait=every is not None) and every is not None:
        time.sleep(every)
    if opened:
        open_page(folders[0] / "report.html")


def _written(folders: Sequence[Path], chosen: Mapping[str, str], *, wait: bool) -> bool:
    """Write the page, and say whether no task is left; without a row yet there is nothing to write."""
    try:
        write_report(*folders, **chosen)
    except InputError as error:
        if not wait or "no pair is finished" not in str(error):
            raise
        console.print("Nothing is finished yet; the page is written when something is", markup=False)
    with joined(folders) as store:
        failed = store.failed()
        return all(store.done(task["key"]) or task["key"] in failed for task in store.record()["tasks"])


def write_figures(
    folders: Sequence[Path], out: Path, kind: str, definition: str = "chord", data: str = MAIN, metric: str = LOSS
) -> None:
    """Write the figures of results for a paper.

    Args:
        folders: The folders of results.
        out: Folder of the figures.
        kind: ``pdf``, ``svg`` or ``png``.
        definition: Definition of a barrier.
        data: The data set whose rows are shown.
        metric: The metric that is shown.

    Raises:
        StorageError: If they cannot be written.
    """
    count = 0
    try:
        with joined(folders) as store:
            found = frames(store, definition, data, metric)
        for name, content in paper.files(found, kind):
            with replacing(out / name) as part:
                part.write(content)
            count += name.endswith(f".{kind}")
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror or error}; choose another folder") from error
    console.print(f"{count} figures are in {out}, each with its rows as CSV", markup=False)


def write_report(*folders: Path, definition: str = "chord", data: str = MAIN, metric: str = LOSS) -> None:
    """Make the page of a results folder, or of several in the first.

    Args:
        folders: The folders.
        definition: Definition of a barrier.
        data: The data set whose rows are shown.
        metric: The metric that is shown.

    Raises:
        InputError: If there is nothing to show yet.
        StorageError: If it cannot be written.
    """
    file = folders[0] / "report.html"
    with joined(folders) as store:
        record, failures = store.record(), store.failed()
        missing = [Missing(task["kind"], task["label"], failures.get(task["key"], "").partition("\n")[0])
                   for task in record["tasks"] if not store.done(task["key"])]  # fmt: skip
        made = page(frames(store, definition, data, metric), record, missing)
    try:
        with replacing(file) as part:
            part.write(made.encode())
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from error
    console.print(f"The report is {file}", markup=False)


def frames(store: Store, definition: str = "chord", data: str = MAIN, metric: str = LOSS) -> Frames:
    """The frames of a report.

    Args:
        store: The results.
        definition: Definition of a barrier.
        data: The data set whose rows are shown.
        metric: The metric that is shown.

    Raises:
        InputError: If no pair is finished, or nothing has this metric.
    """
    record = store.record()
    every = by_run(store.tables(task["key"] for task in record["tasks"]), telling_apart(labels_of(record)))
    tables = measured_on(data, every)
    if all(tables.get(name, pd.DataFrame()).empty for name in ("barrier", *OTHERS) if name != "place"):
        raise InputError(f"no pair is finished in {store.folder}; run the study first, or again")
    own = _of_one(of_metric(tables, metric), definition)
    sets = {data: own}
    for name in data_sets_of(every):
        with suppress(InputError):  # one on which the definition or metric is not known is not shown
            sets[name] = own if name == data else _of_one(of_metric(measured_on(name, every), metric), definition)
    found = _stages(store, definition, data, metric)
    return replace(own, traces=chains_of(store, _ends(own.llc)), data_sets=sets if len(sets) > 1 else {}, **found)


def _of_one(tables: Mapping[str, pd.DataFrame], definition: str) -> Frames:
    """The frames of one data set that are made of rows alone.

    Args:
        tables: Its rows.
        definition: Definition of a barrier.

    Raises:
        InputError: If there are barriers, and none of this definition.
    """
    barriers, profiles, losses = (tables.get(table, pd.DataFrame()) for table in ("barrier", "profile", "loss"))
    pictures: dict[str, Any] = {name: tables.get(name, pd.DataFrame()) for name in OTHERS}
    pictures["kl"] = summary.kl_over_training(pictures["behaviour"])
    pictures["phases"] = _phases(pictures["kl"])
    if len(pictures["trajectory"]):
        pictures["entered"] = entered(pictures["trajectory"])
    if barriers.empty:
        return Frames(losses=losses, **pictures)
    barriers = barriers[barriers["definition"] == definition]
    if barriers.empty:
        raise InputError(f"no row has the definition {definition}: the t grid of the study lacks what it needs")
    aligned = summary.alignments(barriers)
    learned, learned_profiles = summary.curves(barriers), summary.curves(profiles)
    barriers, profiles = summary.straight(barriers), summary.straight(profiles)
    return Frames(
        barriers=barriers,
        profiles=profiles,
        losses=losses,
        training=summary.barrier_over_training(barriers),
        branching=summary.barrier_over_branching(barriers),
        curves=summary.mean_profiles(profiles),
        learned=learned,
        aligned=aligned,
        by_symmetry=summary.by_symmetry(aligned),
        alignment=tables.get("align", pd.DataFrame()),
        by_path=summary.by_path(learned),
        learned_profiles=summary.mean_profiles(learned_profiles, by="path"),
        **pictures,
    )


def _phases(means: pd.DataFrame) -> pd.DataFrame:
    """The phases of the KL between seeds, if it was measured."""
    from landscape.stages.phases import phases

    return phases(means[means["subset"] == ""]) if len(means) else means


def _stages(store: Store, definition: str, data: str, metric: str) -> dict[str, Any]:
    """The frames on stages; none where there are no series over training."""
    from landscape.stages.findings.sentences import sentences

    try:
        found = of_results(store, definition, data=data, metric=metric)
    except InputError:
        return {}
    if found.event.empty:
        return {}
    names = ("series", "curve", "event", "stage", "association", "outlier", "boundaries", "unreliable", "notes")
    return {name: getattr(found, name) for name in names} | {"sentences": tuple(sentences(found))}


def _ends(llc: pd.DataFrame) -> pd.DataFrame:
    """The coefficients of the first and the last step of the first seed, by the first measure."""
    if llc.empty:
        return llc
    one = ["sampler", "moved", "mode", "n_beta", "localisation", "chains", "draws", "burn_in"]
    rows = next(part for _, part in llc.groupby(one, sort=False))
    rows = (seeds if len(seeds := rows[rows["branch_step"].isna()]) else rows).sort_values(["seed", "step"])
    rows = rows[rows["seed"] == rows["seed"].iloc[0]] if rows["seed"].notna().any() else rows
    return rows.iloc[sorted({0, len(rows) - 1})]
