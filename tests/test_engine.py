import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from threading import Event as Flag
from threading import Thread

import pytest

from landscape.engines import local
from landscape.engines.jobs import NEEDED, Event
from landscape.errors import InputError, StorageError


@dataclass(frozen=True)
class Errand:
    key: str
    needs: tuple[str, ...] = ()
    does: str = "write"


def start(folder: Path, device: str) -> Callable[[Errand], None]:
    return partial(work, folder, f"{os.getpid()}")


def work(folder: Path, who: str, errand: Errand) -> None:  # noqa: C901
    assert all(need == "before" or (folder / need).exists() for need in errand.needs)
    match errand.does:
        case "write":
            (folder / errand.key).write_text(who)
        case "nap":
            time.sleep(0.1)
            (folder / errand.key).write_text(who)
        case "long":
            time.sleep(0.7)
            (folder / errand.key).write_text(who)
        case "refuse":
            raise InputError("bad input")
        case "break":
            raise ZeroDivisionError("a bug")
        case "full":
            raise StorageError("disk full")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once":
            once(folder / f"{errand.key}.died", signal.SIGKILL)
            (folder / errand.key).write_text(who)
        case "stop":
            once(folder / f"{errand.key}.stopped", signal.SIGSTOP)
            (folder / errand.key).write_text(who)
        case "exit":
            os._exit(3)
        case "save":
            try:
                (folder / f"{errand.key}.begun").write_text(who)
                time.sleep(60)
            except BaseException:
                (folder / errand.key).write_text("saved")
                raise
        case "save once":
            if not (folder / f"{errand.key}.saved").exists():
                try:
                    time.sleep(60)
                except BaseException:
                    (folder / f"{errand.key}.saved").write_text(who)
                    raise
            (folder / errand.key).write_text(who)
        case "until d":
            wait_for(folder / "d")
        case "until a":
            wait_for(folder / "a")
            time.sleep(0.5)
            (folder / errand.key).write_text(who)
        case "wait":
            (folder / errand.key).write_text(who)
            time.sleep(60)


@dataclass(frozen=True)
class Files:
    """Errands are done when their file exists."""

    folder: Path

    def done(self, key: str) -> bool:
        return (self.folder / key).exists()

    def fail(self, key: str, message: str) -> None:
        (self.folder / f"{key}.failed").write_text(message)

    def failure(self, key: str) -> tuple[int, str] | None:
        file = self.folder / f"{key}.failed"
        return (file.stat().st_mtime_ns, file.read_text().splitlines()[0]) if file.exists() else None


def once(mark: Path, number: signal.Signals) -> None:
    """Signal this process, the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), number)


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(folder: Path, errands: list[Errand], workers: int) -> tuple[dict[str, str], list[tuple[str, str]]]:
    events: list[tuple[str, str]] = []
    failed = local.run(
        errands, partial(start, folder), lambda e: events.append((e.job.key, e.kind)), devices=["cpu"] * workers
    )
    return failed, events


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_jobs_run_once_each_after_those_they_need(tmp_path: Path, workers: int) -> None:
    errands = [Errand("c", ("a", "b")), Errand("a", ("before",)), Errand("b"), Errand("d", ("c",))]
    failed, events = run(tmp_path, errands, workers)
    assert failed == {} and sorted(events) == [(k, "done") for k in "abcd"]
    order = [key for key, _ in events]
    assert order.index("c") > max(order.index("a"), order.index("b")) and order.index("d") > order.index("c")
    assert len({(tmp_path / k).read_text() for k in "abcd"} - {str(os.getpid())}) == (0 if workers == 1 else 2)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_failure_costs_its_job_and_those_that_need_it(tmp_path: Path, workers: int) -> None:
    errands = [
        Errand("a", does="refuse"),
        Errand("b", ("a",)),
        Errand("c", ("b",)),
        Errand("d", does="break"),
        Errand("e"),
    ]
    failed, events = run(tmp_path, errands, workers)
    assert failed["a"] == "bad input"
    assert failed["b"] == "needs a task that failed: bad input"
    assert failed["c"] == "needs a task that failed: bad input"
    assert failed["d"] == "ZeroDivisionError: a bug"
    assert (tmp_path / "e").exists() and len(events) == 5


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_run(tmp_path: Path, workers: int) -> None:
    with pytest.raises(StorageError, match="disk full"):
        run(tmp_path, [Errand("a"), Errand("b", ("a",), "full"), Errand("c", ("b",))], workers)
    assert (tmp_path / "a").exists() and not (tmp_path / "c").exists()


def test_a_worker_that_dies_costs_its_job_and_is_replaced(tmp_path: Path) -> None:
    """The other one is kept busy, so that what is left is done by the one in its place."""
    errands = [Errand("a", does="die"), Errand("b", does="until d"), Errand("c", does="break"), Errand("d", ("x",))]
    failed, events = run(tmp_path, [*errands, Errand("e", ("c",)), Errand("x")], 2)
    assert failed["a"] == (
        "2 worker processes died on it, the last of SIGKILL, which the system sends when memory runs out"
    )
    assert failed["c"] == "ZeroDivisionError: a bug" and failed["e"] == f"needs a task that failed: {failed['c']}"
    assert set(failed) == set("ace") and {key for key, kind in events if kind == "done"} == set("bdx")


def test_a_job_whose_worker_died_is_handed_out_once_more(tmp_path: Path) -> None:
    """Before all others, and whatever killed it; one that ends its worker each time fails by the name of the end."""
    errands = [Errand("a", does="die once"), Errand("b", ("a",)), Errand("c", does="exit"), Errand("d", ("b",))]
    failed, events = run(tmp_path, errands, 2)
    assert failed == {"c": "2 worker processes died on it, the last of exit code 3"}
    assert sorted(events) == [("a", "done"), ("b", "done"), ("c", "failed"), ("d", "done")]


def test_idle_workers_that_are_killed_cost_nothing(tmp_path: Path) -> None:
    """One waits for the other's job; what comes after it is done."""

    def report(event: Event) -> None:
        done.append(event.job.key)
        if event.job.key == "a":
            os.kill(int((tmp_path / "a").read_text()), signal.SIGKILL)

    done: list[str] = []
    errands = [Errand("a"), Errand("b", does="until a"), Errand("c", ("b",)), Errand("d", ("b",))]
    assert local.run(errands, partial(start, tmp_path), report, devices=["cpu"] * 2) == {} and sorted(done) == [*"abcd"]


@pytest.mark.slow
def test_without_costs_whoever_is_free_takes_the_next_job(tmp_path: Path) -> None:
    """Shares would give the second worker c and d before b."""
    done: list[str] = []
    errands = [Errand("a", does="until d"), Errand("b"), Errand("c"), Errand("d")]
    work = partial(start, tmp_path)
    assert local.run(errands, work, lambda e: done.append(e.job.key), devices=["cpu"] * 2, cost=None) == {}
    assert done == [*"bcda"]


@pytest.mark.slow
def test_a_worker_that_gives_no_sign_of_life_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped from outside; ended as the message says, its job is done by another."""
    monkeypatch.setattr(local, "SILENT", 1.0)
    said: list[str] = []

    def report(event: Event) -> None:
        if event.kind == "silent" and event.job.key == "a" and not said and (tmp_path / "a.stopped").exists():
            said.append(event.message)
            os.kill(int(event.message.split("process ")[1].split()[0]), signal.SIGKILL)

    assert (
        local.run([Errand("a", does="stop"), Errand("b")], partial(start, tmp_path), report, devices=["cpu"] * 2) == {}
    )
    assert "has sent no heartbeat for 1 s; if it was stopped, resume it with kill -CONT " in said[0]
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_that_nobody_listens_to_ends_in_silence(
    tmp_path: Path, busy: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """As after the process of the run was killed, whether the worker waits for a job or has done one."""
    worker = local._begin(*local._spawn(), partial(start, tmp_path), "cpu")
    if busy:
        worker.line.send(Errand("a", does="nap"))
    worker.line.close()
    worker.process.join(60)
    assert worker.process.exitcode == 0 and capfd.readouterr().err == ""


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from functools import partial; from pathlib import Path; import test_engine as t\n"
        "if __name__ == '__main__':\n"
        f"    t.run(Path({str(tmp_path)!r}), [t.Errand('a', does='wait'), t.Errand('b', does='wait')], 2)\n"
    )
    (tmp_path / "script.py").write_text(script)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    deadline = time.monotonic() + 60
    while not all((tmp_path / k).exists() and (tmp_path / k).read_text() for k in "ab"):
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    workers = [int((tmp_path / k).read_text()) for k in "ab"]
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.slow
def test_workers_save_what_they_have_when_the_run_is_stopped(tmp_path: Path) -> None:
    script = (
        f"import signal, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; import test_engine as t\n"
        "def stop(*_): raise SystemExit(75)\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGTERM, stop)\n"
        f"    t.run(Path({str(tmp_path)!r}), [t.Errand('a', does='save'), t.Errand('b', does='save')], 2)\n"
    )
    (tmp_path / "script.py").write_text(script)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"{k}.begun").exists() for k in "ab"):
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    parent.terminate()
    assert parent.wait(30) == 75
    assert [(tmp_path / k).read_text() for k in "ab"] == ["saved", "saved"]


@pytest.mark.slow
def test_a_hundred_killed_workers_lose_no_run(tmp_path: Path) -> None:
    """Whoever is killed, at work or idle: every run ends by itself, and what failed is done by the next."""
    random, kills, runs = Random(0), 0, 0
    while kills < 100:
        folder = tmp_path / f"{runs}"
        folder.mkdir()
        errands = [Errand(f"{n}", (f"{n - 1}",) if n % 5 else (), "nap") for n in range(40)]
        over = Flag()
        killed: list[int] = []
        killer = Thread(target=kill_children, args=(over, random, killed))
        killer.start()
        failed, events = run(folder, errands, 2)
        over.set()
        killer.join()
        kills, runs = kills + len(killed), runs + 1
        causes = {why.removeprefix(NEEDED) for why in failed.values()}
        died = "2 worker processes died on it, the last of SIGKILL, which the system sends when memory runs out"
        assert causes <= {died}
        assert sorted(key for key, _ in events) == sorted(errand.key for errand in errands)
        again = run(folder, [errand for errand in errands if errand.key in failed], 2)
        assert again[0] == {} and {path.name for path in folder.iterdir()} == {errand.key for errand in errands}
    assert runs < 100


def kill_children(over: Flag, random: Random, killed: list[int]) -> None:
    """Kill one of the worker processes now and then."""
    while not over.wait(random.uniform(0.1, 0.6)):
        if children := [child for child in multiprocessing.active_children() if child.pid]:
            victim = random.choice(children)
            victim.kill()
            killed.append(victim.pid or 0)
