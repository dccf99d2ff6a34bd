"""Reports of several folders: shares of a study are the whole; what cannot stand side by side is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.face.joined import joined
from landscape.study.store import Store


@pytest.fixture
def shares(finished: Path, tmp_path: Path) -> list[Path]:
    """A study of which each of two folders has half of the tasks, and its record no others."""
    made = []
    for n in range(2):
        folder = tmp_path / f"share_{n}"
        shutil.copytree(finished / "results", folder / "results")
        file = folder / "results" / "study.json"
        record = json.loads(file.read_text())
        mine = [task for k, task in enumerate(record["tasks"]) if k % 2 == n]
        for k, task in enumerate(record["tasks"]):
            for part in ("rows", "losses") if k % 2 != n else ():
                (folder / "results" / part / f"{task['key']}.parquet").unlink(missing_ok=True)
        file.write_text(json.dumps({**record, "tasks": mine}))
        made.append(folder)
    return made


def test_shares_are_the_whole(finished: Path, shares: list[Path]) -> None:
    whole = Store(finished / "results")
    keys = [task["key"] for task in whole.record()["tasks"]]
    before = sorted(path for folder in shares for path in folder.rglob("*"))
    with joined(shares) as store:
        assert {task["key"] for task in store.record()["tasks"]} == set(keys)
        for table in ("barrier", "loss", "probe"):
            pd.testing.assert_frame_equal(store.rows(table, keys), whole.rows(table, keys))
        losses = next(key for key in keys if whole.has_losses(key))
        assert (store.losses(losses) == whole.losses(losses)).all()
        place = store.folder
    assert not place.exists() and sorted(path for folder in shares for path in folder.rglob("*")) == before
    with joined(shares[:1]) as alone:
        assert alone.folder == shares[0] / "results"


@pytest.mark.slow
def test_a_report_of_two_folders_stands_in_the_first(shares: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr("landscape.cli.report.open_page", opened.append)
    monkeypatch.setattr(
        "landscape.cli.report.page", lambda frames, record, missing: f"{len(record['tasks'])} {missing}"
    )
    done = CliRunner().invoke(cli, ["report", *map(str, shares), "--open"], catch_exceptions=False)
    both = sum(len(Store(folder / "results").record()["tasks"]) for folder in shares)
    assert done.exit_code == 0 and (shares[0] / "report.html").read_text() == f"{both} []"
    assert opened == [shares[0] / "report.html"] and not (shares[1] / "report.html").exists()


def other_text(record: dict[str, Any]) -> None:
    for task in record["tasks"]:
        task["key"] = "0" * len(task["key"]) if task["kind"] == "losses" else task["key"]


def other_length(record: dict[str, Any]) -> None:
    record["study"]["data"]["length"] += 1


def other_models(record: dict[str, Any]) -> None:
    record["parameters"] += 1


@pytest.mark.parametrize(("change", "said"), [
    (other_text, "are measured on other data or settings of them: make a report of each"),
    (other_length, "are measured on other data or settings of them: make a report of each"),
    (other_models, r"the models of .*one have [\d,]+ parameters and those of .*two [\d,]+: make a report of each"),
])  # fmt: skip
def test_what_cannot_stand_side_by_side_is_refused(
    finished: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "results").mkdir(parents=True)
        record = json.loads((finished / "results" / "study.json").read_text())
        if name == "two":
            change(record)
        (tmp_path / name / "results" / "study.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=said), joined([tmp_path / "one", tmp_path / "two"]):
        pass


def test_folders_on_other_machines_may_have_other_paths(finished: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "results").mkdir(parents=True)
        text = (finished / "results" / "study.json").read_text()
        record = json.loads(text)
        record["study"]["data"]["text"] = f"/{name}/text.txt"
        (tmp_path / name / "results" / "study.json").write_text(json.dumps(record))
    with joined([tmp_path / "one", tmp_path / "two"]) as store:
        assert len(store.record()["tasks"]) == len(json.loads(text)["tasks"])
