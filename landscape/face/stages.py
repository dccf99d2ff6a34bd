"""Dated changes over training, stages, and associations of connectivity with behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import JsonValue, ValidationError

from landscape.errors import InputError, did_you_mean
from landscape.profile.chosen import OF_METRICS, of_metric
from landscape.profile.metrics import LOSS
from landscape.profile.runs import by_run, telling_apart
from landscape.stages.settings import Stages
from landscape.study.checkpoint import USUAL_LABELS
from landscape.study.file import mistakes, read_study
from landscape.study.record import Record
from landscape.study.store import Store
from landscape.study.tasks import MAIN

if TYPE_CHECKING:
    from landscape.stages.analysis import Findings

TABLES = {
    "loss": "losses", "llc": "llc", "probe": "probes", "barrier": "barriers", "behaviour": "behaviour",
    "trajectory": "trajectory",
}  # fmt: skip
"""Tables that series are made of, and the kind of task that each comes from."""


def stages(
    source: str | Path | pd.DataFrame,
    pairs: str | Path | pd.DataFrame | None = None,
    *,
    definition: str = "chord",
    data: str = MAIN,
    metric: str = LOSS,
    **settings: object,
) -> Findings:
    """Events, stages, and whether connectivity is associated with behaviour.

    Args:
        source: A folder of results; or series, a frame or a CSV or Parquet file with the columns ``series, seed, step,
            value`` and perhaps ``error``, where series of connectivity are called ``barrier...``.
        pairs: For series: a frame or a file of pairs, ``series, seed_a, seed_b, step, value``.
        definition: Definition of a barrier.
        data: For a folder of results: the data set whose rows are used.
        metric: For a folder of results: the metric whose barriers and values are used, in the place of the loss.
        **settings: Those of the section ``[stages]`` of a study file.

    Raises:
        InputError: If there is nothing to find stages in, or a setting is not as wanted.
    """
    if isinstance(source, pd.DataFrame):
        return _of_frames(source, pairs, settings)
    folder = Path(source)
    if not folder.exists():
        raise InputError(f"there is no file or folder {folder}")
    if folder.is_file():
        return of_files(folder, Path(str(pairs)) if pairs is not None else None, settings)
    if pairs is not None:
        raise InputError("pairs belong to a file of series, and a folder of results has its own: leave them out")
    return of_results(Store(folder / "results"), definition, settings, data, metric)


def of_results(
    store: Store,
    definition: str = "chord",
    given: Mapping[str, object] | None = None,
    data: str = MAIN,
    metric: str = LOSS,
) -> Findings:
    """Findings of a results folder, by the settings of its study and further ones.

    Args:
        store: The results.
        definition: Definition of a barrier.
        given: Settings in place of those of the study.
        data: The data set whose rows are used.
        metric: The metric whose barriers and values are used, in the place of the loss.

    Raises:
        InputError: If there is nothing to find stages in, or nothing has this metric.
    """
    from landscape.stages.analysis import analyse
    from landscape.stages.association.preregistered import preregistered
    from landscape.stages.series.observed import Observed, from_tables
    from landscape.stages.series.others import wanted, with_others

    record = store.record()
    keys = {kind: [task["key"] for task in record["tasks"] if task["kind"] == kind] for kind in TABLES.values()}
    labels = telling_apart(labels_of(record))
    kinds = {**TABLES, **dict.fromkeys([OF_METRICS["barrier"]] if metric != LOSS else [], TABLES["barrier"])}
    every = by_run({name: store.rows(name, keys[kind]) for name, kind in kinds.items()}, labels)
    settings = _settings({**_own(record), **(given or {})})

    def observe(name: str) -> Observed:
        tables = of_metric(measured_on(name, every), metric)
        if not tables["barrier"].empty:
            tables["barrier"] = tables["barrier"][tables["barrier"]["definition"] == definition]
        return from_tables(tables)

    observed = observe(data)
    if observed.series.empty:
        raise InputError(f"no series over training is finished in {store.folder}; run the study first")
    others = wanted(settings, [name for name in data_sets_of(every) if name != data])
    if others:
        observed = with_others(observed, {name: observe(name) for name in others}, settings)
    findings = analyse(observed, settings, *preregistered(record["preregistered"], settings, definition, data))
    runs = [f"runs differ in {' and '.join(labels)}, and each counts as a seed of its own"] if labels else []
    return replace(findings, notes=(*findings.notes, *runs, *_edited(store.folder.parent / "study.toml", record)))


def labels_of(record: Record) -> list[Mapping[str, JsonValue]]:
    """The labels of the runs of a study's checkpoints, without steps and branches.

    Args:
        record: Of the study.
    """
    every = [checkpoint.get("labels") for task in record["tasks"] for checkpoint in task["checkpoints"]]
    of_steps = set(USUAL_LABELS) - {"seed"}
    return [{name: value for name, value in labels.items() if name not in of_steps}
            for labels in every if isinstance(labels, dict)]  # fmt: skip


def data_sets_of(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The data sets that some rows are measured on, in alphabetical order.

    Args:
        tables: Rows by table.
    """
    return sorted({str(name) for rows in tables.values() if len(rows) for name in rows["data"]})


def measured_on(data: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of one data set.

    Args:
        data: Its name.
        tables: Rows by table.

    Raises:
        InputError: If there are rows, and none is of it.
    """
    known = data_sets_of(tables)
    if known and data not in known:
        said = f"no row is measured on the data set {data}{did_you_mean(data, known)}"
        raise InputError(f"{said}; there are {', '.join(known)}: give data")
    return {name: rows[rows["data"] == data] if len(rows) else rows for name, rows in tables.items()}


def _own(record: Record) -> dict[str, JsonValue]:
    """The settings of stages that a study was run with."""
    own = record["study"].get("stages", {})
    return own if isinstance(own, dict) else {}


def _edited(file: Path, record: Record) -> list[str]:
    """A note if the study file says otherwise than at the last run."""
    try:
        study = read_study(file)
    except InputError:
        return []
    if study.name != record["name"] or study.stages == _settings(_own(record)):
        return []
    return [f"{file} has other [stages] settings than the last run; run the study again to use them"]


def of_files(series: Path, pairs: Path | None, given: Mapping[str, object]) -> Findings:
    """Findings of other people's series.

    Args:
        series: File of series.
        pairs: File of pairs.
        given: Settings.

    Raises:
        InputError: If a file is not what is wanted.
    """
    from landscape.stages.analysis import analyse
    from landscape.stages.series.files import read

    return analyse(read(series, pairs), _settings(given))


def _of_frames(series: pd.DataFrame, pairs: str | Path | pd.DataFrame | None, given: Mapping[str, object]) -> Findings:
    """Findings of frames, which are read as files are."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.csv"
        series.to_csv(file, index=False)
        other = Path(str(pairs)) if pairs is not None and not isinstance(pairs, pd.DataFrame) else None
        if isinstance(pairs, pd.DataFrame):
            other = Path(folder) / "pairs.csv"
            pairs.to_csv(other, index=False)
        return of_files(file, other, given)


def _settings(given: Mapping[str, object]) -> Stages:
    try:
        return Stages.model_validate(dict(given))
    except ValidationError as error:
        raise InputError(f"stages cannot be found by these settings: {mistakes(error, [Stages], whole='')}") from error
