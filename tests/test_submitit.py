"""Jobs of a scheduler, with the one of submitit that runs them on this machine."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_engine import Errand, Files, alive, start

from landscape.engines.claims import Claims, claimed
from landscape.engines.jobs import Event
from landscape.engines.order import Order
from landscape.engines.settings import EngineSettings
from landscape.errors import InputError, StorageError
from landscape.face.inputs import settings

pytestmark = [
    pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra submitit"), pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def this_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    yield


def run(
    folder: Path, errands: list[Errand], report: object = None, **more: object
) -> tuple[dict[str, str], list[Event]]:
    from landscape.engines import submitit_jobs

    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if callable(report):
            report(event)

    where = EngineSettings.model_validate({"engine": "submitit", "cluster": "local", "jobs": 2, **more})
    left = [errand for errand in errands if not Files(folder).done(errand.key)]
    with Claims(folder / "unused") as claims:
        order = Order(left, partial(start, folder), told, claims, where, ["cpu"], folder, Files(folder), lambda job: 1)
        return submitit_jobs.execute(order), events


def test_jobs_do_their_shares_and_steal(tmp_path: Path) -> None:
    errands = [Errand(f"{n}", does="nap") for n in range(20)]
    failed, events = run(tmp_path, errands)
    assert failed == {} and sorted(int(e.job.key) for e in events) == list(range(20))
    by = {(tmp_path / f"{n}").read_text() for n in range(20)}
    assert len(by) == 2 and not (tmp_path / "jobs" / "open.json").exists()
    deadline = time.monotonic() + 20
    while (tmp_path / "claims").exists():
        assert time.monotonic() < deadline, "the jobs have not ended"
        time.sleep(0.1)


def test_failures_are_told_with_what_needs_them(tmp_path: Path) -> None:
    errands = [Errand("a", does="refuse"), Errand("b", ("a",)), Errand("c", does="break"), Errand("d")]
    failed, events = run(tmp_path, errands, jobs=1)
    assert failed == {
        "a": "bad input", "b": "needs a task that failed: bad input", "c": "ZeroDivisionError: a bug",
    }  # fmt: skip
    assert "Traceback" in (tmp_path / "c.failed").read_text()
    assert [e.job.key for e in events if e.kind == "done"] == ["d"]


def test_a_task_that_kills_its_worker_fails_and_the_others_are_done(tmp_path: Path) -> None:
    errands = [Errand("a", does="die"), Errand("b", does="die once"), Errand("c")]
    failed, events = run(tmp_path, errands, jobs=1)
    assert failed == {
        "a": "2 worker processes died on it, the last of SIGKILL, which the system sends when memory runs out"
    }
    assert [e.job.key for e in events if e.kind == "done"] == ["b", "c"]


def test_jobs_that_are_killed_are_submitted_again(tmp_path: Path) -> None:
    """Both, at work, with all that they have claimed."""

    def kill(event: Event) -> None:
        for owner in {owner.pid for _, owner in claimed(tmp_path / "claims")} if not killed else ():
            killed.append(owner)
            os.kill(owner, signal.SIGKILL)

    killed: list[int] = []
    errands = [Errand(f"{n}", does="long") for n in range(14)]
    failed, events = run(tmp_path, errands, kill)
    assert killed and failed == {} and sorted(int(e.job.key) for e in events) == list(range(14))


def test_jobs_that_end_without_finishing_anything_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the jobs have ended, 1 tasks are left, and none was finished; see"):
        run(tmp_path, [Errand("a", does="full")], jobs=1)


def test_the_command_can_be_ended_and_goes_on_watching(tmp_path: Path) -> None:
    """The jobs outlive it, and nothing is submitted twice."""

    class Ended(BaseException):
        pass

    def end(event: Event) -> None:
        raise Ended("the command is ended")

    errands = [Errand(f"{n}", does="long") for n in range(12)]
    with pytest.raises(Ended, match="the command is ended"):
        run(tmp_path, errands, end)
    about = json.loads((tmp_path / "jobs" / "open.json").read_text())
    assert any(alive(int(job)) for job, _ in about["jobs"])
    failed, _ = run(tmp_path, errands)
    assert failed == {} and all((tmp_path / f"{n}").exists() for n in range(12))
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 2


def test_a_job_whose_time_is_over_saves_what_it_has_and_is_put_into_the_queue_again(tmp_path: Path) -> None:
    """Told by a signal before its time is over, as Slurm does it; the command that watches notices nothing."""

    def hurry(event: Event) -> None:
        (owner,) = [owner for key, owner in claimed(tmp_path / "claims") if key == "b"]
        pids.append(owner.pid)
        os.kill(owner.pid, signal.SIGUSR2)

    pids: list[int] = []
    errands = [Errand("a", does="nap"), Errand("b", ("a",), "save once"), Errand("c", ("b",))]
    begin = time.monotonic()
    failed, events = run(tmp_path, errands, lambda e: hurry(e) if e.job.key == "a" else None, jobs=1)
    assert failed == {} and [e.job.key for e in events] == ["a", "b", "c"] and time.monotonic() - begin < 50
    assert (tmp_path / "b.saved").exists() and (tmp_path / "b").read_text() not in ("", f"{pids[0]}")


SBATCH = """#!{python}
# Starts the jobs of an array at once, as a scheduler with room would.
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
last = re.search(r"--array=0-(\\d+)", text)
for n in range(int(last[1]) + 1 if last else 1):
    env = dict(os.environ, SLURM_JOB_ID=f"{{42 + n}}", SLURM_JOB_NUM_NODES="1", SLURM_NTASKS="1", SLURM_NODEID="0",
               SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_JOB_NODELIST="localhost")
    if last:
        env |= dict(SLURM_ARRAY_JOB_ID="42", SLURM_ARRAY_TASK_ID=f"{{n}}")
    with open("slurm.log", "a") as log:
        job = subprocess.Popen(["bash", sys.argv[1]], env=env, stdout=log, stderr=log, start_new_session=True)
    with open(f"job-42_{{n}}" if last else "job-42", "w") as pid:
        pid.write(str(job.pid))
open("script", "w").write(text)
print("Submitted batch job 42")
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == *=* || "$1" == --unbuffered ]] && shift || shift 2; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for file in job-*; do
    kill -0 "$(cat "$file")" 2>/dev/null && state=RUNNING || state=FAILED
    echo "${file#job-}|$state|here"
done
"""


def test_an_array_of_a_slurm_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for its commands: what is submitted, and that jobs that fail are submitted again."""
    from landscape.engines import submitit_jobs

    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH.format(python=sys.executable)), ("srun", SRUN), ("sacct", SACCT)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(submitit_jobs, "CHECK", 1.0)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    killed: list[str] = []

    def kill(event: Event) -> None:
        """Both jobs, once."""
        for file in tmp_path.glob("job-42_*") if not killed else ():
            killed.append(file.name)
            os.killpg(int(file.read_text()), signal.SIGKILL)

    errands = [Errand(f"{n}", does="long") for n in range(10)]
    more = {"cluster": "slurm", "partition": "debug", "time": 3, "array_parallelism": 1, "gpus_per_job": 2}
    failed, events = run(tmp_path / "out", errands, kill, **more)
    assert len(killed) == 2 and failed == {} and sorted(int(e.job.key) for e in events) == list(range(10))
    script = (tmp_path / "script").read_text()
    for wanted in ("--partition=debug", "--time=3", "--array=0-1%1", "--gpus-per-node=2", "--signal=USR2@60"):
        assert f"#SBATCH {wanted}" in script, script


def test_a_scheduler_that_is_not_there_and_foreign_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no jobs could be submitted to slurm \(.*\); run this where its"):
        run(tmp_path, [Errand("a")], cluster="slurm")
    with pytest.raises(InputError, match="partition is for engine = submitit, and this one is local: leave it out"):
        settings(EngineSettings, {"partition": "gpu"})
