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

from landscape.cli.run import run_study
from landscape.study.file import read_study
from landscape.study.store import Store


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
    assert run_study(read_study(long_study(runs)), runs, device="cpu", workers=1) == {}


def results(runs: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until there are so many, or the process has done all."""
    deadline = time.monotonic() + 90
    while len(list((runs / "results").glob("rows/*.parquet"))) < count and process.poll() != 0:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)


def long_study(runs: Path) -> Path:
    return cases.study(runs, measure="tile = 1", sequences="150")


def files(runs: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (runs / "results" / "rows").glob("*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "workers"), [(signal.SIGTERM, 75, 2), (signal.SIGINT, 130, 1)])
def test_signals_stop_and_a_second_run_goes_on(runs: Path, number: signal.Signals, code: int, workers: int) -> None:
    process = start("run", long_study(runs), "--workers", workers)
    results(runs, process, 1)
    os.killpg(process.pid, number)  # as a terminal and timeout do
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and "run the same command again to go on" in err and "Traceback" not in err
    done = files(runs)
    assert done
    finish(runs)
    assert done.items() <= files(runs).items()


@pytest.mark.slow
def test_a_group_that_was_killed_goes_on(runs: Path, tmp_path: Path) -> None:
    """A run and its workers end by SIGKILL at once; the rows are those of a calm run, and nothing is done twice."""
    calm = Path(shutil.copytree(runs, tmp_path / "calm"))
    process = start("run", long_study(runs), "--workers", 2)
    results(runs, process, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = files(runs)
    finish(runs)
    finish(calm)
    assert len(done) >= 2 and done.items() <= files(runs).items()
    frames = []
    for folder in (calm, runs):
        store = Store(folder / "results")
        rows = store.rows("barrier", [task["key"] for task in store.record()["tasks"]])
        frames.append(rows[["seed_a", "seed_b", "step_a", "definition", "barrier", "low", "high"]])
    assert frames[0].iloc[:, :4].equals(frames[1].iloc[:, :4])
    np.testing.assert_allclose(frames[0].iloc[:, 4:].astype(float), frames[1].iloc[:, 4:].astype(float), atol=1e-6)


@pytest.mark.slow
def test_a_barrier_imports_what_it_needs(runs: Path) -> None:
    """Of matchers, chains and stages only settings; no probe, figure or scikit-learn, nor SciPy beyond transformers."""
    script = (
        "import sys; from landscape.cli.main import main\n"
        "try: main()\n"
        "finally: print('imported', *sorted(sys.modules), file=sys.stderr)"
    )
    refs = [str(runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    given = ["barriers", *refs, "--sequences", "8", "--length", "8", "--text", str(runs / "text.txt")]
    (runs / "text.txt").write_text(cases.TEXT)
    done = subprocess.run([sys.executable, "-c", script, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.splitlines()[-1].split())
    assert {"landscape.measure.barriers", "torch", "transformers"} <= modules
    parts = [f"landscape.{name}" for name in ("probes", "symmetry", "llc", "stages", "figures")]
    settings = {f"{part}{module}" for part in parts[1:4] for module in ("", ".settings")}
    ours = {name for name in modules for part in parts if name == part or name.startswith(f"{part}.")}
    assert ours <= {*settings, "landscape.figures", "landscape.figures.captions"}
    assert not modules & {"sklearn", "matplotlib", "seaborn", "arviz", "xarray", "scipy.interpolate"}
