import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from landscape.engines import local
from landscape.errors import InputError, StorageError


@dataclass(frozen=True)
class Errand:
    key: str
    needs: tuple[str, ...] = ()
    does: str = "write"


def hire(folder: Path) -> Callable[[Errand], None]:
    return partial(work, folder, f"{os.getpid()}")


def work(folder: Path, who: str, errand: Errand) -> None:
    assert all(need == "before" or (folder / need).exists() for need in errand.needs)
    match errand.does:
        case "write":
            (folder / errand.key).write_text(who)
        case "refuse":
            raise InputError("bad input")
        case "break":
            raise ZeroDivisionError("a bug")
        case "full":
            raise StorageError("disk full")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "save":
            try:
                (folder / f"{errand.key}.begun").write_text(who)
                time.sleep(60)
            except BaseException:
                (folder / errand.key).write_text("saved")
                raise
        case "until d":
            wait_for(folder / "d")
        case "wait":
            (folder / errand.key).write_text(who)
            time.sleep(60)


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(folder: Path, errands: list[Errand], workers: int) -> tuple[dict[str, str], list[tuple[str, str]]]:
    events: list[tuple[str, str]] = []
    failed = local.run(errands, partial(hire, folder), lambda e: events.append((e.job.key, e.kind)), workers=workers)
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
    assert failed["c"].endswith("bad input")
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
    assert failed["a"] == "its worker process ended with exit code -9"
    assert failed["c"] == "ZeroDivisionError: a bug" and failed["e"] == f"needs a task that failed: {failed['c']}"
    assert set(failed) == set("ace") and {key for key, kind in events if kind == "done"} == set("bdx")


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
