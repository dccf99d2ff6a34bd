"""``landscape report``: figures for papers, and a page that follows a study while it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from landscape.cli import report
from landscape.cli.main import cli
from landscape.errors import InputError, StorageError
from landscape.figures import loss
from landscape.study.store import Store


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished study where it may be written to, with one section alone."""
    for where in ("landscape.figures.page", "landscape.figures.paper"):
        monkeypatch.setattr(f"{where}.sections", lambda given: [made for made in [loss.section(given)] if made])
    monkeypatch.setattr(report, "_stages", lambda *_: {})
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["report", *(str(word) for word in words)], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_each_figure_is_written_with_its_rows(copy: Path, kind: str, start: bytes) -> None:
    assert run(copy, "--figures", copy / "paper", "--format", kind).exit_code == 0
    written = {file.name: file for file in (copy / "paper").iterdir()}
    assert set(written) == {f"loss_over_training.{one}" for one in (kind, "csv", "txt", "py")}
    assert written[f"loss_over_training.{kind}"].read_bytes().startswith(start)
    keys = [task["key"] for task in Store(copy / "results").record()["tasks"]]
    every = Store(copy / "results").rows("loss", keys)
    rows = pd.read_csv(written["loss_over_training.csv"])
    assert len(rows) == len(every) > 0 and rows["loss"].sum() == pytest.approx(every["loss"].sum())
    assert not (copy / "report.html").exists()


def test_what_cannot_be_written_is_said(copy: Path) -> None:
    with pytest.raises(InputError, match="figures for a paper are written once: leave out --every, or --figures"):
        run(copy, "--figures", copy / "paper", "--every", 5)
    (copy / "file").touch()
    with pytest.raises(StorageError, match="cannot write to .*file/paper: .*; choose another folder"):
        run(copy, "--figures", copy / "file" / "paper")


@pytest.mark.slow
def test_a_page_follows_a_running_study(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing in a line for each kind, waits as long as told, and ends with the last task."""
    rows, away = copy / "results" / "rows", copy / "away"
    away.mkdir()
    record = Store(copy / "results").record()
    tasks = [task for task in record["tasks"] if task["kind"] == "behaviour"]
    for file in rows.iterdir():
        shutil.move(file, away / file.name)
    pages: list[str] = []

    def wait(seconds: float) -> None:
        assert seconds == 7
        pages.append((copy / "report.html").read_text() if (copy / "report.html").exists() else "")
        last = {f"{task['key']}.parquet" for task in tasks}
        for file in list(away.iterdir()):
            if len(pages) > 1 or file.name not in last:
                shutil.move(file, rows / file.name)

    monkeypatch.setattr("landscape.cli.report.time.sleep", wait)
    result = run(copy, "--every", 7)
    assert result.exit_code == 0 and len(pages) == 2 and pages[0] == ""
    assert f"<b>{len(tasks)} of {len(record['tasks'])} tasks have no result</b>" in pages[1]
    assert f"<summary>behaviour: {len(tasks)} not run yet, of {len(tasks)}</summary>" in pages[1]
    assert "have no result" not in (copy / "report.html").read_text()


def test_a_page_does_not_wait_for_what_has_failed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = next(task["key"] for task in Store(copy / "results").record()["tasks"] if task["kind"] == "behaviour")
    (copy / "results" / "rows" / f"{key}.parquet").unlink()
    monkeypatch.setattr(Store, "failed", lambda self: {key: "out of <memory>"})

    def never(seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr("landscape.cli.report.time.sleep", never)
    assert run(copy, "--every", 7).exit_code == 0
    assert "behaviour: 1 failed, of " in (page := (copy / "report.html").read_text())
    assert "out of &lt;memory&gt;" in page
