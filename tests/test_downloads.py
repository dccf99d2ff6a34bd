"""Weights are fetched while others compute, never far ahead, and are deleted after their last use if that is wanted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from threading import Event

import cases
import public
import pytest
from click.testing import CliRunner, Result
from hub_mirror import HubMirror

from landscape.checkpoints import fetch
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.face.downloads import Downloads, fetching, finished
from landscape.study.checkpoint import Checkpoint, Place
from landscape.study.kinds.losses import Losses
from landscape.study.tasks import Task

STUDY = """
version = 1
name = "fetched"
[checkpoints]
folder = "hf://EleutherAI/pythia-14m-seed{seed}@step{step}"
seeds = [1, 2]
steps = [1000, 2000]
[data]
objective = "causal-lm"
text = "text.txt"
sequences = 8
length = 12
tokenizer = "hf://EleutherAI/pythia-14m-seed2@step1000"
[[measure]]
kind = "barriers"
points = 3
resamples = 100
"""
PATIENT = 20.0
"""Seconds within which another thread gets to work."""


def checkpoints(count: int) -> list[Checkpoint]:
    return [Checkpoint(f"r{n}", place=Place(f"o/r{n}"), content=str(n), commit="c") for n in range(count)]


class Hub:
    """Stands in for the hub: what is fetched and deleted, and a checkpoint that is not there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: str = "") -> None:
        self.fetched: list[str] = []
        self.deleted: list[str] = []
        self.broken = broken
        monkeypatch.setattr(fetch, "is_here", lambda c: c.place is None)
        monkeypatch.setattr(fetch, "weights", self.weights)
        monkeypatch.setattr(fetch, "delete", lambda c: self.deleted.append(c.ref))

    def weights(self, checkpoint: Checkpoint) -> Path:
        self.fetched.append(checkpoint.ref)
        if checkpoint.ref == self.broken:
            raise InputError("gone")
        return Path()

    def settled(self, wanted: list[str]) -> bool:
        """Whether these are fetched soon, and no more."""
        until = time.monotonic() + PATIENT
        while self.fetched != wanted and time.monotonic() < until:
            time.sleep(0.01)
        Event().wait(0.05)
        return self.fetched == wanted


def test_never_more_than_so_many_are_fetched_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is computed on and two are ahead of it."""
    hub, how = Hub(monkeypatch, broken="r1"), Downloads(prefetch=2)
    here = Checkpoint("here", content="x")
    tasks = [Task(Losses(), (c, here)) for c in checkpoints(5)]
    with fetching(tasks, how) as plan:
        assert hub.settled(["r0", "r1", "r2"])
        finished(plan, tasks[0], how)
        assert hub.settled(["r0", "r1", "r2", "r3"])
        finished(plan, tasks[1], how)
        assert hub.settled(["r0", "r1", "r2", "r3", "r4"])
    assert hub.deleted == []


def test_nothing_is_fetched_ahead_if_that_is_not_wanted_or_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    tasks = [Task(Losses(), (c,)) for c in checkpoints(3)]
    with fetching(tasks, Downloads(prefetch=0)):
        assert hub.settled([])
    with fetching(tasks, Downloads(prefetch=1)):
        assert hub.settled(["r0", "r1"])
    assert hub.settled(["r0", "r1"])


def test_what_was_fetched_is_deleted_after_its_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, how = Hub(monkeypatch), Downloads(keep=False)
    a, b, c = checkpoints(3)
    here = Checkpoint("here", content="x")
    tasks = [Task(Losses(), part) for part in ((a, here), (b, a), (c, b), (c,))]
    seen = []
    with fetching(tasks, how) as plan:
        for task in tasks:
            finished(plan, task, how)
            seen.append(list(hub.deleted))
    assert seen == [[], ["r0"], ["r0", "r1"], ["r0", "r1", "r2"]]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def study(hub: HubMirror, tmp_path: Path) -> Path:
    """A study of four checkpoints on the hub, two of which are the same files."""
    for seed in (1, 2):
        for step in (1000, 2000):
            folder = public.pythia(tmp_path / f"{seed}-{step}", 1 if seed == 1 else step)
            hub.repo(f"EleutherAI/pythia-14m-seed{seed}").commit(f"step{step}", folder)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "text.txt").write_text(cases.TEXT)
    file = tmp_path / "s" / "study.toml"
    file.write_text(STUDY)
    return file


def weights_in(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.suffix in (".bin", ".safetensors") and "snapshots" in file.parts]


@pytest.mark.slow
def test_each_file_is_fetched_once_and_none_is_left(study: Path, hub: HubMirror, tmp_path: Path) -> None:
    planned = run("plan", study, "--json")
    assert "of disk for downloads, or" in planned.stderr and "--keep-downloads no" in planned.stderr
    totals = json.loads(planned.stdout.splitlines()[-1])
    assert 0 < totals["disk_bytes"] <= totals["bytes_on_hub"]
    ended = run("run", study, "--workers", 1, "--keep-downloads", "no", "--prefetch", 2)
    assert ended.exit_code == 0, ended.stderr
    assert weights_in(tmp_path / "hf") == []
    blobs = sum(file.stat().st_size for file in (tmp_path / "hf").rglob("blobs/*"))
    assert blobs < totals["bytes_on_hub"] / 8
    assert 0 < sum(hub.sent.values()) <= totals["bytes_on_hub"]
    assert weights_in(tmp_path / "hf") == [] and run("status", study.parent).stderr.count("6 done") == 1


@pytest.mark.slow
def test_downloads_are_kept_unless_told_otherwise(study: Path, hub: HubMirror, tmp_path: Path) -> None:
    assert run("run", study, "--workers", 1).exit_code == 0
    assert len(weights_in(tmp_path / "hf")) == 4
    again = run("run", study, "--workers", 1, "--keep-downloads", "no", "--out", tmp_path / "other")
    assert again.exit_code == 0
    assert len(weights_in(tmp_path / "hf")) == 4, "what another run fetched is not deleted"


@pytest.mark.slow
def test_what_a_run_took_stands_beside_what_was_planned(study: Path, tmp_path: Path) -> None:
    assert run("run", study, "--workers", 1).exit_code == 0
    (took,) = json.loads((study.parent / "results" / "took.json").read_text())
    assert took["done"] == took["planned"]["tasks"] == 6
    assert 0 < took["seconds"] < 600 and took["peak_bytes"] > 5e7
    assert took["planned"]["device"] == "cpu" and took["planned"]["peak_bytes"] > 0
    said = run("status", study.parent).stderr
    assert "6 tasks took " in said and "; planned were " in said and "on cpu" in said
    assert run("run", study, "--workers", 1).exit_code == 0
    assert len(json.loads((study.parent / "results" / "took.json").read_text())) == 1, "nothing was left to do"
    (study.parent / "results" / "took.json").write_text("[{]")
    assert "took" not in run("status", study.parent).stderr


def test_a_file_that_another_commit_has_too_stays(hub: HubMirror, tmp_path: Path) -> None:
    folder = public.pythia(tmp_path / "a", 1)
    repo = hub.repo("o/r")
    commits = [repo.commit(name, folder) for name in ("one", "two")]
    one, two = (Checkpoint(name, place=Place("o/r", name), commit=c) for name, c in zip("ab", commits, strict=True))
    for checkpoint in (one, two):
        fetch.weights(checkpoint)
    fetch.delete(one)
    assert not fetch.is_here(one) and fetch.is_here(two)
    assert all(file.resolve().is_file() for file in weights_in(tmp_path / "hf"))
    fetch.delete(two)
    assert weights_in(tmp_path / "hf") == []
