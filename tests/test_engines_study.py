"""Studies run by every engine, by shares, and by several runs at once: their rows are those of an undisturbed run."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import landscape as ls
from landscape.cli.main import cli
from landscape.engines.claims import CLAIMS, Claims
from landscape.errors import InputError
from landscape.face.status import status
from landscape.study.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
MACHINE = ("seconds", "strategy", "at_once", "threads", "device", "host")
ALONE = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
"""On one core a worker has one thread, as each of several has, so that all runs round alike."""
MEASURE = """tile = 1
align = ["none", "weights"]
[[measure]]
kind = "llc"
chains = 2
draws = 10
burn_in = 5
batch = 4
"""


def study(runs: Path) -> Path:
    return cases.study(runs, measure=MEASURE, sequences="60")


def tables(*folders: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """Rows of each task and table from the first folder of results that has them, without what a machine decides."""
    stores = [Store(folder) for folder in folders]
    out = {}
    for task in stores[0].record()["tasks"]:
        store = next(store for store in stores if store.done(task["key"]))
        for name, frame in store.tables([task["key"]]).items():
            out[task["label"], name] = frame.drop(columns=[c for c in frame if c in MACHINE])
    return out


def require_equal(found: dict[tuple[str, str], pd.DataFrame], wanted: dict[tuple[str, str], pd.DataFrame]) -> None:
    assert found.keys() == wanted.keys() and len(wanted) > 20
    for name, frame in wanted.items():
        assert len(found[name]) == len(frame) > 0, name
        for column in frame:
            one, two = found[name][column], frame[column]
            if column == "per_chain":
                one, two = (pd.Series(json.loads(f"[{','.join(each)}]")).explode().astype(float) for each in (one, two))
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5, err_msg=f"{name} {column}")
            else:
                assert one.equals(two), (name, column)


@pytest.fixture(scope="module")
def calm(few_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = Path(shutil.copytree(few_runs, tmp_path_factory.mktemp("calm") / "runs"))
    finish(start("run", study(folder), "--out", folder / "out", "--workers", 1))
    return folder


def start(*arguments: object, prepare: str = ALONE, **more: str) -> subprocess.Popen[str]:
    program = f"import os; {prepare}from landscape.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **more}, start_new_session=True,
    )  # fmt: skip


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [err for _, err in said]


@pytest.mark.slow
def test_two_runs_share_a_folder(calm: Path, tmp_path: Path) -> None:
    """And do no task twice; status says what runs where."""
    runs = [start("run", calm / "study.toml", "--out", tmp_path, "--workers", 1, "--json") for _ in range(2)]
    seen = ""
    while any(run.poll() is None for run in runs):
        said = CliRunner().invoke(cli, ["status", str(tmp_path)]).output
        seen = said if "running" in said else seen
        time.sleep(0.2)
    finish(*runs)
    assert f"on {os.uname().nodename}, process " in seen
    assert any(f"process {run.pid}, since 2" in seen for run in runs)
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))
    assert not (tmp_path / "results" / "claims").exists()
    told = [
        tmp_path / "results" / name for name in ("written.jsonl", "verified.json")
    ]  # where a late run moves lines to
    keys = [key for file in told if file.exists() for line in file.read_text().splitlines() for key in json.loads(line)]
    assert len(keys) == len(set(keys)) == len(Store(tmp_path / "results").record()["tasks"])


@pytest.mark.slow
def test_runs_that_are_killed_lose_nothing(calm: Path, tmp_path: Path) -> None:
    """One of two is killed at work, with its workers; the other takes over what it had begun."""
    runs = [start("run", calm / "study.toml", "--out", tmp_path, "--workers", 2, prepare="") for _ in range(2)]
    while len(list(tmp_path.glob("results/rows/*.parquet"))) < 5:
        assert runs[0].poll() is None
        time.sleep(0.05)
    os.killpg(runs[0].pid, signal.SIGKILL)
    runs[0].communicate()
    finish(runs[1])
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux")
def test_the_workers_of_a_study_are_forked(calm: Path, tmp_path: Path) -> None:
    """With what its chains need imported, while a spinner or a bar turns, and gradients and all are the same."""
    prepare = (
        "import rich.progress; from landscape.cli import progress; progress.console._force_terminal = True; "
        "from landscape.engines import local; local._spawn = None; "
    )
    err = finish(start("run", calm / "study.toml", "--out", tmp_path, "--workers", 2, prepare=prepare))[0]
    assert "with 2 workers" in err
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))


@pytest.mark.slow
def test_shares_in_folders_of_their_own(calm: Path, tmp_path: Path) -> None:
    for n in (1, 2, 3):
        finish(start("run", calm / "study.toml", "--out", tmp_path / f"{n}", "--workers", 1, "--shard", f"{n}/3"))
    found = tables(*(tmp_path / f"{n}" / "results" for n in (1, 2, 3)))
    require_equal(found, tables(calm / "out" / "results"))
    counts = [len(list((tmp_path / f"{n}" / "results" / "rows").iterdir())) for n in (1, 2, 3)]
    assert max(counts) < len(list((calm / "out" / "results" / "rows").iterdir()))


@pytest.mark.slow
def test_two_devices_have_a_worker_each(calm: Path, tmp_path: Path) -> None:
    """Two names of the processor stand for two GPUs."""
    err = finish(start("run", calm / "study.toml", "--out", tmp_path, "--device", "cpu,cpu:0", prepare=""))[0]
    assert "with 2 workers of 1 thread on cpu, cpu:0" in err
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
def test_ray_on_this_machine(calm: Path, tmp_path: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    finish(start("run", calm / "study.toml", "--out", tmp_path, "--engine", "ray", "--workers", 2, prepare="",
                 **token))  # fmt: skip
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra submitit")
def test_submitit_on_this_machine(calm: Path, tmp_path: Path) -> None:
    finish(start("run", calm / "study.toml", "--out", tmp_path, "--engine", "submitit", "--cluster", "local",
                 "--jobs", 2, prepare=""))  # fmt: skip
    require_equal(tables(tmp_path / "results"), tables(calm / "out" / "results"))


def test_an_engine_whose_package_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from landscape import engines

    for name in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
        for module in [m for m in sys.modules if m.startswith(("landscape.engines.ray", "landscape.engines.submitit"))]:
            monkeypatch.delitem(sys.modules, module)
        with pytest.raises(InputError, match=rf"the engine '{name}' needs the package {name}, which is not installed; "
                           rf"install it with: pip install 'landscape-toolkit\[{name}\]'"):  # fmt: skip
            engines.load(name)


def test_status_says_what_runs(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    tasks = Store(tmp_path / "results").record()["tasks"]
    key = tasks[-1]["key"]
    (tmp_path / "results" / "rows" / f"{key}.parquet").unlink()
    with Claims(tmp_path / "results" / CLAIMS) as claims:
        claims.take(key)
        claims.take(tasks[0]["key"])  # of a task that is done nothing is said
        done = CliRunner().invoke(cli, ["status", str(tmp_path), "--json"])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["state"] for row in rows] == ["done"] * (len(rows) - 1) + ["running"]
    assert rows[-1]["pid"] == os.getpid() and rows[-1]["host"] == os.uname().nodename
    assert abs(rows[-1]["since"] - time.time()) < 60
    assert f"tiny: {len(rows) - 1} done, 0 failed, 1 running, 0 left" in done.stderr
    again = CliRunner().invoke(cli, ["status", str(tmp_path)])
    assert f"{len(rows) - 1} done, 0 failed, 1 left" in again.output


def test_status_watches_until_nothing_is_left(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    key = Store(tmp_path / "results").record()["tasks"][-1]["key"]
    file = tmp_path / "results" / "rows" / f"{key}.parquet"
    aside = file.rename(tmp_path / "aside")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        aside.rename(file)

    monkeypatch.setattr("landscape.cli.status.time.sleep", sleep)
    done = CliRunner().invoke(cli, ["status", str(tmp_path), "--watch"])
    assert done.exit_code == 0 and len(slept) == 1 and done.output.count("tiny: ") == 2


def test_status_says_how_fast_it_goes(finished: Path, tmp_path: Path) -> None:
    """Six tasks were stored in the last minute, 12 s apart, and the others long ago."""
    shutil.copytree(finished / "results", tmp_path / "results")
    store = Store(tmp_path / "results")
    record = store.record()
    keys = [task["key"] for task in record["tasks"]]
    for number, key in enumerate(keys):
        then = time.time() - (12 * (number + 1) if number < 6 else 7200)
        os.utime(tmp_path / "results" / "rows" / f"{key}.parquet", (then, then))
    for key in keys[-10:]:
        (tmp_path / "results" / "rows" / f"{key}.parquet").unlink()
    idle = status(store, record)
    assert idle.counts()["left"] == 10 and idle.rate == pytest.approx(5 / 1.2, rel=0.02) and idle.seconds_left is None
    with Claims(tmp_path / "results" / CLAIMS) as claims:
        claims.take(keys[-1])
        now = status(store, record)
        said = CliRunner().invoke(cli, ["status", str(tmp_path)]).output
    assert now.seconds_left == pytest.approx(10 * 14.4, rel=0.02)
    assert re.search(
        r"tiny: \d+ done, 0 failed, 1 running, 9 left; 4\.\d+ tasks a minute, 2 min left at this rate", said
    )
    assert f"  {now.tasks[-1]['kind']}: " in said
    assert {kind: sum(now.counts(kind).values()) for kind in now.kinds} == Counter(t["kind"] for t in record["tasks"])


@pytest.mark.slow
def test_status_says_what_an_edited_study_would_redo(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "moved"))
    assert "was edited" not in CliRunner().invoke(cli, ["status", str(folder)]).output, "it was only moved"
    file = folder / "study.toml"
    text = file.read_text()
    file.write_text(f'{text}\n[[measure]]\nkind = "behaviour"\nbetween = "neighbours"\n')
    before = {task["key"] for task in Store(folder / "results").record()["tasks"]}
    said = CliRunner().invoke(cli, ["status", str(folder)]).output
    ran = ls.run(file, workers=1)
    new = len(set(ran.keys) - before)
    assert (
        f"{file} was edited since the last run: landscape run would do {new} of behaviour; {len(before)} tasks stay"
        in said
    )
    file.write_text(text.replace("version = 1", "version = 1\nnmae = 3"))
    assert "nmae" in CliRunner().invoke(cli, ["status", str(folder)]).output
