"""A study that is cut off at any operation on files goes on to the rows of one that is not."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cases
import crashes
import numpy as np
import pandas as pd
import pytest
from crashes import MODES, Mode
from matplotlib.figure import Figure

from landscape.cli.drawing import save_figure
from landscape.cli.report import write_report
from landscape.cli.run import run_study
from landscape.errors import StorageError
from landscape.files import replacing_folder
from landscape.study.file import read_study
from landscape.study.record import Record
from landscape.study.store import EMPTY, Store

KEYS = ("one",)
RECORD: Record = {**EMPTY, "name": "short"}


def losses_of(key: str) -> np.ndarray:
    return cases.examples(KEYS.index(key), 3, 40)


def work(folder: Path) -> None:
    """What a run does with the store: claim it, and commit each task that is not done; say so after."""
    store = Store(folder / "results")
    store.open(RECORD)
    for key in KEYS:
        if not store.done(key):
            store.fail(key, "an earlier try")
            store.write(key, [{"table": "loss", "key": key, "loss": 0.3}], losses_of(key))
            with (folder / "reported").open("a") as report:
                report.write(f"{key}\n")
    store.keep("items", "last.json", b"{}")  # so that there is something to end at after the last report


def held(folder: Path) -> None:
    """What holds after any crash: what was reported is there, and whatever is done is there with its losses."""
    store = Store(folder / "results")
    reported = (folder / "reported").read_text().split() if (folder / "reported").exists() else []
    assert [key for key in reported if not store.done(key)] == []
    for key in filter(store.done, KEYS):
        np.testing.assert_array_equal(store.losses(key), losses_of(key))


def undisturbed(folder: Path) -> list[str]:
    (folder / "calm").mkdir()
    cut, begun = crashes.run(partial(work, folder / "calm"), folder / "calm" / "results")
    held(folder / "calm")
    assert not cut
    return begun


def test_every_kind_of_operation_is_among_them(tmp_path: Path) -> None:
    begun = undisturbed(tmp_path)
    assert set(begun) == {"write", "fsync", "rename", "fsync of the folder", "unlink"}
    assert len(begun) >= 5 * 4  # study.json, the failure, the losses and the rows
    assert (tmp_path / "calm" / "reported").read_text().split() == list(KEYS)


@pytest.mark.parametrize("mode", [pytest.param(m, marks=[pytest.mark.slow] if m != "lost" else []) for m in MODES])
def test_the_store_survives_a_crash_at_every_operation(tmp_path: Path, mode: Mode) -> None:
    for n in range(1, len(undisturbed(tmp_path)) + 1):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        cut, _ = crashes.run(partial(work, folder), folder / "results", end_at=n, mode=mode)
        assert cut
        held(folder)
        work(folder)
        held(folder)
        store = Store(folder / "results")
        assert store.rows("loss", KEYS)["key"].tolist() == list(KEYS) and store.record() == RECORD
        assert store.failed() == {}


def test_a_crash_is_a_crash(tmp_path: Path) -> None:
    """What is not fsynced is lost or torn, what is fsynced stays: else nothing above could fail."""

    def careless(names: bool, contents: bool) -> None:
        import os

        folder = tmp_path / "files"
        with (folder / ".a.tmp").open("wb") as stream:
            stream.write(b"12345678")
            stream.flush()
            if contents:
                os.fsync(stream.fileno())
        (folder / ".a.tmp").rename(folder / "a")
        if names:
            there = os.open(folder, os.O_RDONLY)
            os.fsync(there)
            os.close(there)
        (folder / "b").unlink(missing_ok=True)

    def left(mode: Mode, *, names: bool, contents: bool) -> bytes | None:
        (tmp_path / "files").mkdir()
        steps = 3 + names + contents
        cut, begun = crashes.run(partial(careless, names, contents), tmp_path / "files", end_at=steps, mode=mode)
        assert cut and begun[-1] == "unlink"
        found = (tmp_path / "files" / "a").read_bytes() if (tmp_path / "files" / "a").exists() else None
        shutil.rmtree(tmp_path / "files")
        return found

    assert left("kept", names=False, contents=False) == b"12345678"
    assert left("torn", names=False, contents=False) == b"1234"
    assert left("torn", names=False, contents=True) == b"12345678"
    assert left("lost", names=False, contents=True) is None
    assert left("lost", names=True, contents=True) == b"12345678"


def rows(folder: Path) -> pd.DataFrame:
    store = Store(folder / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    return store.rows("barrier", keys)[["a", "b", "definition", "barrier", "low", "high", "loss_a", "loss_b"]]


@pytest.mark.slow
def test_a_study_survives_a_crash_at_every_operation(few_runs: Path, tmp_path: Path) -> None:
    """Checkpoints, ends and pairs, through the command's own way; with the disk that keeps least."""

    def study(folder: Path) -> Any:
        folder.mkdir()
        for seed in (0, 1):
            (folder / f"seed_{seed}").mkdir()
            (folder / f"seed_{seed}" / "step_10").symlink_to(few_runs / f"seed_{seed}" / "step_10")
        return partial(go, folder, read_study(cases.study(folder, sequences="6", length="5")))

    def go(folder: Path, wanted: Any) -> None:
        assert run_study(wanted, folder, device="cpu", workers=1) == {}

    calm = tmp_path / "calm"
    cut, begun = crashes.run(study(calm), calm / "results")
    assert not cut and len(begun) > 30
    wanted = rows(calm).replace(str(calm), "", regex=True)
    for n in range(1, len(begun) + 1):
        folder = tmp_path / f"{n}"
        again = study(folder)
        cut, _ = crashes.run(again, folder / "results", end_at=n, mode="lost")
        assert cut
        again()
        pd.testing.assert_frame_equal(rows(folder).replace(str(folder), "", regex=True), wanted)
        shutil.rmtree(folder)


OLD, NEW = {"match.json": b"old", "weights": b"1" * 50}, {"match.json": b"new", "weights": b"2" * 70, "first/a": b"3"}


def put(folder: Path, content: dict[str, bytes]) -> None:
    with replacing_folder(folder) as part:
        for name, written in content.items():
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_bytes(written)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["kept", "torn"])
def test_a_folder_that_is_replaced_survives_a_crash_at_every_operation(tmp_path: Path, mode: Mode) -> None:
    """It is the old one, the new one, or away with the old one whole beside it; and it can be written again."""
    put(tmp_path / "calm" / "out", OLD)
    cut, begun = crashes.run(partial(put, tmp_path / "calm" / "out", NEW), tmp_path / "calm")
    assert not cut and begun.count("rename") == 2 and content(tmp_path / "calm" / "out") == NEW
    assert [path.name for path in (tmp_path / "calm").iterdir()] == ["out"]
    seen = set()
    for n in range(1, len(begun) + 1):
        out = tmp_path / f"{n}" / "out"
        put(out, OLD)
        assert crashes.run(partial(put, out, NEW), out.parent, end_at=n, mode=mode)[0]
        beside = [content(path) for path in out.parent.iterdir()]
        assert content(out) in (OLD, NEW) if out.exists() else OLD in beside
        seen.add(out.exists() and content(out)["match.json"])
        put(out, NEW)
        assert content(out) == NEW
    assert seen == {False, b"old", b"new"}


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "out", OLD)
    with pytest.raises(ZeroDivisionError, match="no room"), replacing_folder(tmp_path / "out") as part:
        (part / "match.json").write_bytes(b"new")
        raise ZeroDivisionError("no room")
    rename = os.rename

    def refused(part: Path, to: Path) -> None:
        if Path(to) == tmp_path / "out" and (Path(part) / "first").exists():
            raise OSError(28, "No space left on device")
        rename(part, to)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(OSError, match="No space left"):
        put(tmp_path / "out", NEW)
    assert content(tmp_path / "out") == OLD and [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_reports_and_figures_are_replaced_whole(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    (tmp_path / "report.html").write_text("the old one")
    (tmp_path / "plane.svg").write_text("the old one")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("landscape.cli.report.page", lambda *_: "the new one")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"cannot write .*report.html: No space left"):
            write_report(tmp_path)
        with pytest.raises(StorageError, match=r"cannot write to .*: No space left"):
            save_figure(Figure(), tmp_path, "plane")
    assert {path.name for path in tmp_path.iterdir()} == {"results", "report.html", "plane.svg"}
    assert (tmp_path / "report.html").read_text() == (tmp_path / "plane.svg").read_text() == "the old one"
    write_report(tmp_path)
    save_figure(Figure(), tmp_path, "plane")
    assert (tmp_path / "report.html").read_text() == "the new one" and (tmp_path / "plane.png").stat().st_size > 100
    assert (tmp_path / "plane.svg").read_text().startswith("<?xml")
