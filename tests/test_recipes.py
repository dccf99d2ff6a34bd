"""The recipes of the documentation run, with stand-ins for the commands of Slurm."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cases
import pytest

from landscape.study.store import Store

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "docs" / "recipes"
SBATCH = """#!{python}
# Runs the jobs of an array one after another, as the scheduler would, and again if they ask for it.
import os, re, signal, subprocess, sys
own = [a for a in sys.argv[1:] if a.startswith("--")]
script, *arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
options = dict(a.lstrip("-").split("=") for a in own)
first, _, last = options.get("array", "1-1").partition("-")
nodes = options.get("nodes", "1")
for n in range(int(first), int(last) + 1):
    env = dict(os.environ, SLURM_ARRAY_TASK_ID=str(n), SLURM_ARRAY_TASK_COUNT=last, SLURM_ARRAY_JOB_ID="7",
               SLURM_JOB_ID=str(70 + n), SLURM_JOB_NUM_NODES=nodes, SLURM_JOB_NODELIST="127.0.0.1")
    while True:
        with open("job.log", "a") as log:
            job = subprocess.Popen(["bash", script, *arguments], env=env, stdout=log, stderr=log)
        with open("pids", "a") as pids:
            pids.write(f"{{job.pid}}\\n")
        code = job.wait()
        if not os.path.exists(f"requeue-7_{{n}}"):
            break
        os.remove(f"requeue-7_{{n}}")
    if code:
        sys.exit(code)
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
case $1 in
requeue) touch "requeue-$2"; echo "requeued $2" >> requeued ;;
show) echo "$3" ;;
esac
"""
LANDSCAPE = """#!/bin/bash
exec {python} -c 'from landscape.cli.main import main; main()' "$@"
"""


@pytest.fixture
def place(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study, in which the stand-ins come first on the path."""
    folder = Path(shutil.copytree(few_runs, tmp_path / "runs"))
    cases.study(folder, measure="tile = 1", sequences="150")
    stands = tmp_path / "bin"
    stands.mkdir()
    scripts = {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL, "landscape": LANDSCAPE}
    for name, text in scripts.items():
        (stands / name).write_text(text.format(python=sys.executable) if "{python}" in text else text)
        (stands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{stands}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.chdir(folder)
    return folder


def require_done(folder: Path) -> None:
    store = Store(folder / "results")
    tasks = store.record()["tasks"]
    assert tasks and all(store.done(task["key"]) for task in tasks), (folder / "job.log").read_text()[-3000:]


@pytest.mark.parametrize("script", sorted(RECIPES.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_well_formed(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.slow
def test_an_array_of_shares(place: Path) -> None:
    subprocess.run(["sbatch", "--array=1-2", RECIPES / "sbatch_array.sh", "study.toml"], check=True)
    require_done(place)
    log = (place / "job.log").read_text()
    assert log.count("tasks to do, with") == 2 and not (place / "requeued").exists()


@pytest.mark.slow
def test_a_job_whose_time_is_over_goes_on_later(place: Path) -> None:
    """The script gets the signal; the run stops with 75, the job is put into the queue again and ends the study."""
    command = ["sbatch", "--array=1-1", RECIPES / "sbatch_array.sh", "study.toml"]
    with subprocess.Popen(command) as batch:
        while not list(place.glob("results/rows/*.parquet")):
            assert batch.poll() is None, (place / "job.log").read_text()
            time.sleep(0.05)
        os.kill(int((place / "pids").read_text().split()[-1]), signal.SIGTERM)
        assert batch.wait(240) == 0
    require_done(place)
    assert (place / "requeued").read_text() == "requeued 7_1\n"
    assert "Stopped; run the same command again to go on." in (place / "job.log").read_text()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
def test_a_ray_cluster_in_a_job(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """symmetric-run ends by stopping Ray on the machine, so a stand-in runs what comes after it, on a new cluster."""
    (place.parent / "bin" / "ray").write_text(
        "#!/bin/bash\n"
        "echo \"$@\" > symmetric\n"
        "[ ${#RAY_AUTH_TOKEN} -eq 64 ] && [ $RAY_AUTH_MODE = token ] || exit 9\n"
        "while [[ $1 != -- ]]; do shift; done; shift\n"
        "given=(\"$@\"); for n in ${!given[@]}; do\n"
        "[[ ${given[n]} == --address ]] && unset 'given[n]' 'given[n+1]'; done\n"
        "exec \"${given[@]}\"\n"
    )  # fmt: skip
    (place.parent / "bin" / "ray").chmod(0o755)
    subprocess.run(["sbatch", "--nodes=1", RECIPES / "sbatch_ray_symmetric_run.sh", "study.toml"], check=True)
    require_done(place)
    said = (place / "symmetric").read_text()
    assert said.startswith("symmetric-run --address 127.0.0.1:6379 --min-nodes 1 -- landscape run study.toml")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra submitit")
def test_jobs_that_the_command_submits(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "local")
    monkeypatch.setenv("JOBS", "2")
    subprocess.run(["bash", RECIPES / "submitit.sh", "study.toml"], check=True)
    assert len(list((place / "results" / "jobs").glob("*_submitted.pkl"))) == 2
    require_done(place)


def test_the_job_of_kubernetes_gives_every_pod_the_token_and_the_volume() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((RECIPES / "kuberay_rayjob.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert cluster["authOptions"] == {"mode": "token"} and job["kind"] == "RayJob"
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
        assert group["template"]["spec"]["volumes"][0]["name"] == "data"
    words = job["spec"]["entrypoint"].split()
    from click.testing import CliRunner

    from landscape.cli.main import cli

    said = CliRunner().invoke(cli, ["run", "--help"]).output
    assert all(word in said for word in words if word.startswith("--"))
