"""What reads a finished study of every kind of measure: status, export, report, stages, summaries and figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from threadpoolctl import threadpool_info, threadpool_limits

import landscape as ls
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.errors import InputError
from landscape.face.work import start_of
from landscape.figures.sections import sections
from landscape.figures.svg import Drawing
from landscape.measure import perform
from landscape.measure.prepare import prepare
from landscape.profile import summary
from landscape.session.session import Session
from landscape.study.file import read_study
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task

KINDS = {"losses", "barriers", "align", "curves", "curvature", "chains", "llc", "probes", "behaviour"}


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def copy(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study where it may be written to."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("copy") / "finished"))


def test_status_counts_every_kind(copy: Path) -> None:
    result = run("status", copy, "--json")
    tasks = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = {task["key"]: task["kind"] for task in Store(copy / "results").record()["tasks"]}
    assert result.exit_code == 0 and {kinds[task["key"]] for task in tasks} == KINDS
    assert {task["state"] for task in tasks} == {"done"} and f"{len(tasks)} done, 0 failed, 0 left" in result.stderr


def test_a_call_goes_on_with_what_a_command_ran(copy: Path) -> None:
    """The weights are the same under another path, so nothing is run again; one task that is gone is."""
    files = {file: file.stat().st_mtime_ns for file in (copy / "results" / "rows").glob("*.parquet")}
    store = Store(copy / "results")
    gone = next(task["key"] for task in store.record()["tasks"] if task["kind"] == "behaviour")
    before = store.rows("behaviour", [gone]).drop(columns="seconds", errors="ignore")
    (copy / "results" / "rows" / f"{gone}.parquet").unlink()
    threads = torch.get_num_threads()
    ran = ls.run(copy / "study.toml", workers=1)
    assert ran.failed == {} and len(ran.keys) == len(files) and torch.get_num_threads() == threads
    assert {f for f, time in files.items() if f.stat().st_mtime_ns != time} == {copy / f"results/rows/{gone}.parquet"}
    again = store.rows("behaviour", [gone])[list(before.columns)]
    paths = [name for name in ("a", "b") if name in again]
    pd.testing.assert_frame_equal(again.drop(columns=paths), before.drop(columns=paths))
    assert len(ran.rows("barrier")) == len(store.rows("barrier", ran.keys)) > 0
    assert f"{len(files)} of {len(files)} tasks done" in ran._repr_html_()


def test_products_of_matrices_take_as_many_threads_as_a_worker_has(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of NumPy, too: two workers of one thread each would run four, which wait for each other."""
    store, seen = Store(copy / "results"), list[set[int]]()

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def recorded(task: Task[Spec], session: Session) -> None:
        seen.append(threads())
        perform(task, session)

    gone = next(task["key"] for task in store.record()["tasks"] if task["kind"] == "behaviour")
    (copy / "results" / "rows" / f"{gone}.parquet").unlink()
    monkeypatch.setattr("landscape.measure.perform", recorded)
    with threadpool_limits(2, user_api="blas"):
        assert ls.run(copy / "study.toml", workers=1).failed == {} and threads() == {2}
        start_of(prepare(read_study(copy / "study.toml"), store), 2, 1, lambda: None)("cpu")
        assert seen == [{1}] and threads() == {1}


@pytest.mark.slow
def test_every_table_is_exported_whole(copy: Path) -> None:
    assert run("export", copy, "--definition", "rows").exit_code == 0
    store = Store(copy / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    written = {file.stem: pd.read_csv(file) for file in (copy / "export").glob("*.csv")}
    assert written.keys() >= {"barrier", "profile", "loss", "align", "llc", "probe", "behaviour"}
    for name, table in written.items():
        rows = store.rows(name, keys)
        assert len(table) == len(rows) > 0 and sorted(table.columns) == sorted(rows.columns)
    assert len(written["align"]) == 3 * 2 * 2


def test_the_report_has_a_section_for_every_kind(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.figures.page.drawing", lambda section: Drawing("", (1.0, 1.0), ()))
    assert run("report", copy).exit_code == 0
    page = (copy / "report.html").read_text()
    for title in ("Barrier matrices", "Barriers before and after alignment", "Chains", "What is learned, and when"):
        assert page.count(f"<h2>{title}</h2>") == 1, title
    assert (
        "The raw mean barrier is" in page
        and "; after alignment it is" in page
        and "(weights)" in page
        and "(random)" in page
    )


@pytest.mark.slow
def test_sections_are_drawn_from_the_rows(finished: Path) -> None:
    """The means that figures show are those of the summaries of the stored rows."""
    store = Store(finished / "results")
    made = frames(store)
    keys = [task["key"] for task in store.record()["tasks"] if task["kind"] == "barriers"]
    rows = store.rows("barrier", keys)
    chord = rows[(rows["definition"] == "chord") & (rows["align"] == "none")]
    means = chord.groupby("step_a")["barrier"].mean()
    shown = summary.barrier_over_training(chord).set_index("step")
    assert len(shown) == 2 and shown["barrier"].to_numpy() == pytest.approx(means.to_numpy())
    assert shown[["low", "high"]].isna().all(axis=None)  # three seeds
    assert len({section.title for section in sections(made)}) >= 6


def test_stages_are_found_or_what_is_missing_is_said(copy: Path) -> None:
    with pytest.raises(InputError, match="barrier:seed is known at 2 steps in some seed, and a curve needs 5"):
        run("stages", copy)
