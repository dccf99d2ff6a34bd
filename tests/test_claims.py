"""Runs that share a folder: who does what, who takes over, and that nothing depends on it."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from threading import Thread, current_thread

import pytest
from test_engine import Errand, start

from landscape.engines import claims, jobs, local
from landscape.engines.claims import Claims, claimed
from landscape.engines.jobs import Event


def test_a_job_is_claimed_once_and_given_back(tmp_path: Path) -> None:
    with Claims(tmp_path / "c") as one, Claims(tmp_path / "c") as two:
        assert one.take("a") and one.take("a") and not two.take("a") and two.take("b")
        assert {key: owner.run for key, owner in claimed(tmp_path / "c")} == {"a": one.run, "b": two.run}
        two.release("a")
        assert not two.take("a")
        one.release("a")
        assert two.take("a") and not one.take("a")
    assert not (tmp_path / "c").exists()


def test_claims_of_a_run_that_was_killed_are_taken(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from landscape.engines.claims import Claims\n"
        "one = Claims(Path(sys.argv[1])); one.__enter__(); assert one.take('a'); print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other, Claims(tmp_path) as two:
        assert other.stdout and other.stdout.readline()
        assert not two.take("a") and next(claimed(tmp_path))[1].pid == other.pid
        other.kill()
        other.wait()
        assert two.take("a")


@pytest.mark.parametrize(("age", "taken"), [(claims.STALE / 2, False), (claims.STALE * 2, True)])
def test_a_run_of_another_machine_lives_while_its_heart_beats(tmp_path: Path, age: float, taken: bool) -> None:
    """By the clock of the file system, which both runs see."""
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        one.take("a")
        owner = json.loads((tmp_path / "a").read_text())
        (tmp_path / "a").write_text(json.dumps({**owner, "machine": "another", "host": "other"}))
        now = (tmp_path / f".{two.run}.alive").stat().st_mtime
        os.utime(tmp_path / f".{one.run}.alive", (now - age, now - age))
        assert two.take("a") is taken


def test_a_claim_that_is_not_written_yet_is_one(tmp_path: Path) -> None:
    with Claims(tmp_path) as one:
        (tmp_path / "a").touch()
        assert not one.take("a")
        old = time.time() - 2 * claims.STALE
        os.utime(tmp_path / "a", (old, old))
        assert one.take("a")


def test_where_nothing_can_be_written_there_are_no_claims(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Claims(tmp_path / "file" / "c") as one, Claims(tmp_path / "file" / "c") as two:
        assert one.take("a") and two.take("a")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_runs_share_the_work_and_both_end_with_all_of_it(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "POLL", 0.05)
    monkeypatch.setattr(local, "POLL", 0.05)
    errands = [Errand(f"{n}", (f"{n - 1}",) if n % 3 else (), "nap") for n in range(12)]
    done: list[list[str]] = [[], []]
    makers: list[str] = []

    def one(n: int) -> None:
        with Claims(tmp_path / "claims") as own:
            begin = partial(counting, tmp_path, marks=makers if workers == 1 else None)
            places = ["cpu"] * workers
            assert local.run(errands, begin, lambda e: done[n].append(e.job.key), devices=places, claims=own) == {}

    threads = [Thread(target=one, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(keys, key=int) for keys in done] == [[f"{n}" for n in range(12)]] * 2
    tried = [file.read_text().split() for file in tmp_path.glob("*.by")]
    assert len(tried) == 12 and all(len(by) == 1 for by in tried), "a job was done twice"
    if workers == 1:
        assert len(set(makers)) == 2, "one of them did all"


def counting(folder: Path, device: str, marks: list[str] | None = None) -> jobs.Work:
    """Work that looks first whether the job is done, as that of studies does, and counts."""

    return partial(count, folder, marks)


def count(folder: Path, marks: list[str] | None, errand: Errand) -> None:
    if not (folder / errand.key).exists():
        with (folder / f"{errand.key}.by").open("a") as file:
            file.write("x ")
        start(folder, "cpu")(errand)
        if marks is not None:
            marks.append(current_thread().name)


def test_a_failure_that_another_run_met_is_not_met_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL", 0.05)
    monkeypatch.setattr(local, "POLL", 0.05)
    failures: dict[str, tuple[int, str]] = {"b": (1, "an old one")}
    with Claims(tmp_path / "claims", failures.get) as one, Claims(tmp_path / "claims", failures.get) as two:
        assert one.take("a") and one.take("b")

        def later() -> None:
            time.sleep(0.3)
            failures["a"] = (2, "no such thing")
            one.release("a")
            one.release("b")

        Thread(target=later).start()
        events: list[Event] = []
        errands = [Errand("a"), Errand("b"), Errand("c", ("a",))]
        failed = local.run(errands, partial(start, tmp_path), events.append, claims=two)
    assert failed == {"a": "no such thing", "c": "needs a task that failed: no such thing"}
    assert [e.job.key for e in events if e.kind == "done"] == ["b"] and (tmp_path / "b").exists()


def test_a_run_that_does_not_wait_leaves_to_others_what_they_have_begun(tmp_path: Path) -> None:
    with Claims(tmp_path / "claims") as one, Claims(tmp_path / "claims") as two:
        assert one.take("a")
        events: list[Event] = []
        local.run([Errand("a"), Errand("b")], partial(start, tmp_path), events.append, claims=two, share=True)
    assert [e.job.key for e in events] == ["b"]
