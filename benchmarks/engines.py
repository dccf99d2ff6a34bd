"""What an engine costs for each task, and what two workers or two shares gain.

python benchmarks/engines.py [--jobs 300] [--engine local ray submitit] [--work 40]

Overhead: jobs that do nothing but write their file, so that a second of it is a second of the engine; the start of
workers is told apart, as the time until the first result. Gain: the same matrix products, each on one thread, by one
worker, by two, and by two runs that have a share each; all in turn, twice, and the better of the two is taken. On a
machine with other work the cores are the limit: jobs that wait as long as a GPU would take show the engine's own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

import numpy as np

from landscape import catalogue
from landscape.engines import load, local
from landscape.engines.claims import Claims, Failure
from landscape.engines.jobs import Event
from landscape.engines.order import Order
from landscape.engines.settings import EngineSettings
from landscape.engines.shares import shares


@dataclass(frozen=True)
class Job:
    """A job that needs nothing.

    Attributes:
        key: Its name.
        rounds: Matrix products that it takes; a negative number is that of milliseconds that it waits.
    """

    key: str
    rounds: int = 0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """Results of jobs: a job is done when its file is there.

    Attributes:
        folder: Of the files.
    """

    folder: Path

    def done(self, key: str) -> bool:
        """Whether the file is there."""
        return (self.folder / key).exists()

    def fail(self, key: str, message: str) -> None:
        """No job fails."""
        raise AssertionError(message)

    def failure(self, key: str) -> Failure | None:
        """No job fails."""
        return None


def start(folder: Path, device: str) -> Callable[[Job], None]:
    """The work of a job."""
    return partial(work, folder)


def work(folder: Path, job: Job) -> None:
    """Multiply matrices, and write a file."""
    a = np.full((400, 400), 1e-3)
    time.sleep(max(0, -job.rounds) / 1e3)
    for _ in range(job.rounds):
        a = a @ a / np.linalg.norm(a)
    (folder / job.key).touch()


def overhead(name: str, count: int, workers: int) -> tuple[float, float]:
    """Seconds until the first result, and seconds of each further one."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        jobs = [Job(f"{n}") for n in range(count)]
        seen: list[float] = []

        def report(event: Event) -> None:
            seen.append(time.perf_counter())

        options = {"engine": name, **({"cluster": "local", "jobs": workers} if name == "submitit" else {})}
        where = EngineSettings.model_validate({**options, "workers": workers if name != "submitit" else None})
        begin = time.perf_counter()
        with Claims(folder / "claims") as claims:
            order = Order(jobs, partial(start, folder), report, claims, where, ["cpu"] * workers, folder,
                          Files(folder), lambda job: 1.0)  # fmt: skip
            assert load(name).execute(order) == {}
        if name == "submitit":  # it looks at the folder now and then: the files say when they were written
            stamps = sorted((folder / job.key).stat().st_mtime for job in jobs)
            waited = time.time() - time.perf_counter() + begin
            return stamps[0] - waited, (stamps[-1] - stamps[0]) / (count - 1)
        return seen[0] - begin, (seen[-1] - seen[0]) / (count - 1)


def by_workers(jobs: list[Job], workers: int) -> float:
    """Seconds that some workers take, from the first result to the last, starts left out."""
    with tempfile.TemporaryDirectory() as made:
        folder, seen = Path(made), list[float]()
        warm = [Job(f"warm {n}") for n in range(workers)]
        local.run([*warm, *jobs], partial(start, folder), lambda event: seen.append(time.perf_counter()),
                  devices=["cpu"] * workers, share=True)  # fmt: skip
        return seen[-1] - seen[workers - 1]


def by_shares(jobs: list[Job], count: int) -> float:
    """Seconds that runs of a share each take, from when all are ready to the end of the last."""
    with tempfile.TemporaryDirectory() as folder:
        parts = shares(jobs, lambda job: 1.0, count)
        script = (
            "import sys, time, engines as e; from pathlib import Path\n"
            "folder, rounds, *keys = sys.argv[1:]; e.work(Path(folder), e.Job('warm', 1))\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "e.local.run([e.Job(k, int(rounds)) for k in keys], e.partial(e.start, Path(folder)), lambda event: None)\n"
        )
        command = [sys.executable, "-c", script, folder, str(jobs[0].rounds)]
        runs = [
            subprocess.Popen([*command, *(job.key for job in part)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for part in parts
        ]
        for run in runs:
            assert run.stdout is not None
            run.stdout.readline()
        begin = time.perf_counter()
        for run in runs:
            assert run.stdin is not None
            run.stdin.write(b"\n")
            run.stdin.flush()
        assert [run.wait() for run in runs] == [0] * count
        took = time.perf_counter() - begin
        for run in runs:
            run.communicate()
        return took


def main() -> None:
    """Print overheads and gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--engine", nargs="*", choices=list(catalogue.ENGINES), default=list(catalogue.ENGINES))
    parser.add_argument("--work", type=int, default=40, help="Jobs of about half a second each for the gain.")
    given = parser.parse_args()
    for name in given.engine:
        for workers in (1, 2):
            first, each = overhead(name, given.jobs, workers)
            print(f"{name:9} {workers} worker{'s' * (workers > 1)}: first result after {first:5.2f} s, "
                  f"then {1e3 * each:6.2f} ms a task")  # fmt: skip
    for what, rounds in (("matrix products", 100), ("waiting", -300)):
        gains(what, [Job(f"{n}", rounds) for n in range(given.work)])


def gains(what: str, jobs: list[Job]) -> None:
    """Print what two workers and two shares gain."""
    took: dict[str, float] = {}
    for _ in range(2):
        for name, way in (
            ("one worker", partial(by_workers, jobs, 1)), ("two workers", partial(by_workers, jobs, 2)),
            ("one share", partial(by_shares, jobs, 1)), ("two shares", partial(by_shares, jobs, 2)),
        ):  # fmt: skip
            took[name] = min(took.get(name, float("inf")), way())
    for name, seconds in took.items():
        alone = took[f"one {name.split()[1].removesuffix('s')}"]
        print(f"{what}: {name:12} {seconds:6.2f} s, {alone / seconds:.2f} times as fast as one")


if __name__ == "__main__":  # other processes find what is pickled in a module, and not in this script
    import engines

    engines.main()
