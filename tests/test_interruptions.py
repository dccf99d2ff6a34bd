import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cases
import numpy as np
import pytest

from landscape.store import Store


@pytest.fixture
def runs(few_runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(few_runs, tmp_path / "runs"))


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command as a process that heeds SIGINT, which a shell's background jobs do not."""
    return subprocess.Popen(
        [sys.executable, "-c", "from landscape.cli.main import main; main()", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(runs: Path) -> None:
    process = start("run", long_study(runs))
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err


def results(runs: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until there are so many, or the process has done all."""
    deadline = time.monotonic() + 90
    while len(list((runs / "results").glob("rows/*.parquet"))) < count and process.poll() != 0:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)


def long_study(runs: Path) -> Path:
    return cases.study(runs, measure="tile = 1", sequences="150")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", [1, 2])
def test_signals_stop_and_a_second_run_goes_on(runs: Path, number: signal.Signals, code: int, workers: int) -> None:
    process = start("run", long_study(runs), "--workers", workers)
    results(runs, process, 1)
    if workers == 1:
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)  # as a terminal and timeout do
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and "run the same command again to go on" in err and "Traceback" not in err
    done = {file.name: file.stat().st_mtime_ns for file in (runs / "results" / "rows").iterdir()}
    finish(runs)
    assert done.items() <= {f.name: f.stat().st_mtime_ns for f in (runs / "results" / "rows").iterdir()}.items()


@pytest.mark.slow
def test_kill_at_any_time_and_run_again(runs: Path, tmp_path: Path) -> None:
    """The rows of a study that was killed many times are those of one that was not; nothing is done twice."""
    calm = Path(shutil.copytree(runs, tmp_path / "calm"))
    finish(calm)
    done: dict[str, int] = {}
    kills = 0
    for attempt in range(12):
        process = start("run", long_study(runs), "--workers", 1 + attempt % 2)
        results(runs, process, len(done) + 1)
        time.sleep(0.01 * attempt)
        if process.poll() is None:
            kills += 1
            process.kill()
        process.communicate()
        for file in (runs / "results").glob("rows/*.parquet"):
            assert done.setdefault(file.name, file.stat().st_mtime_ns) == file.stat().st_mtime_ns
        if process.returncode != -signal.SIGKILL:
            break
    assert kills > 1
    finish(runs)
    assert done.items() <= {f.name: f.stat().st_mtime_ns for f in (runs / "results" / "rows").iterdir()}.items()
    frames = []
    for folder in (calm, runs):
        store = Store(folder / "results")
        rows = store.rows("barrier", [task["key"] for task in store.record()["tasks"]])
        frames.append(rows[["seed_a", "seed_b", "step_a", "definition", "barrier", "low", "high"]])
    assert frames[0].iloc[:, :4].equals(frames[1].iloc[:, :4])
    np.testing.assert_allclose(frames[0].iloc[:, 4:].astype(float), frames[1].iloc[:, 4:].astype(float), atol=1e-6)
