"""Runs whose processes are killed at random: nothing may be lost.

python benchmarks/kills.py [--kills 100] [--engine local ray submitit] [--seed 0] [--minutes 60]

A study of tiny GPT-2s of random weights is run by the command, with two workers of each engine; ray's are on two nodes
of a cluster on this machine. At random times, three of four of them after a result, SIGKILL ends the command, a worker
process, or the raylet of a node. The command is started again when it was killed, and the node is replaced; a run that
ends is followed by one in a new folder, until there were so many kills. Tasks that have failed, as their worker died on
them twice, are left to one plain run. Then all rows are held against those of an undisturbed run, and the files of
results that were written are counted, by inotify, against the tasks and what was in flight at the kills. It ends with 1
if anything is lost, done twice without need, or other than undisturbed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pandas as pd

from landscape import catalogue
from landscape.cli.frame import FAILED
from landscape.engines.claims import CLAIMS, claimed
from landscape.study.store import Store

MACHINE = ("seconds", "strategy", "at_once", "threads", "device", "host")
"""Columns that a machine decides."""
ANYWHERE, WORKING = (0.5, 8.0), (0.0, 2.5)
"""Seconds to the next kill, from and to: from the last one, and from the first result after that."""
HANGS = 150.0
"""Seconds without a result or a kill after which a run counts as one that hangs."""
OPTIONS: dict[str, list[str]] = {
    "local": ["--workers", "2"],
    "ray": ["--workers", "2"],
    "submitit": ["--cluster", "local", "--jobs", "2"],
}
HELD = {"local": 1, "ray": 2, "submitit": 1}
"""Tasks that a worker holds at most."""
MOVED_TO = 0x80
"""Of inotify: a file was given its name."""


def make_study(folder: Path, seeds: int, steps: int, sequences: int) -> Path:
    """Tiny models of random weights, and a study of their losses and of barriers between seeds."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from torch import manual_seed
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    words = Tokenizer(models.WordLevel({"[UNK]": 0, **{f"w{n}": n + 1 for n in range(53)}}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")  # type: ignore[no-untyped-call]
    config = GPT2Config(vocab_size=54, n_positions=16, n_embd=24, n_layer=2, n_head=3, initializer_range=0.3,
                        bos_token_id=None, eos_token_id=None)  # fmt: skip
    for seed in range(seeds):
        for step in range(steps):
            manual_seed(1 + seed + 100 * step)
            made = folder / f"seed_{seed}" / f"step_{step}"
            GPT2LMHeadModel(config).save_pretrained(made)
            tokenizer.save_pretrained(made)
    (folder / "text.txt").write_text(" ".join(f"w{n * n % 53}" for n in range(1, 17 * sequences)))
    file = folder / "study.toml"
    file.write_text(
        'version = 1\nname = "kills"\n[checkpoints]\nfolder = "seed_{seed}/step_{step}"\n'
        f'[data]\nobjective = "causal-lm"\ntext = "text.txt"\nsequences = {sequences}\nlength = 16\n'
        '[[measure]]\nkind = "barriers"\nbetween = "seed"\npoints = 11\nresamples = 200\ntile = 1\n'
    )
    return file


def compiled_once(folder: Path) -> None:
    """Have processes keep bytecode in a folder, so that all but the first start fast."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder))


def start(study: Path, out: Path, engine: str, *more: str) -> subprocess.Popen[bytes]:
    """The command, in a session of its own; what it says is added to a file."""
    with (out / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "landscape", "run", study, "--out", out, "--engine", engine, *OPTIONS[engine],
             "--json", *more],
            stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip


class Arrivals:
    """Counts the files that are given their name in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self.file = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.file >= 0 and libc.inotify_add_watch(self.file, os.fsencode(folder), MOVED_TO) >= 0
        self.count: Counter[str] = Counter()

    def read(self) -> bool:
        """Count what has come since the last time; whether anything has."""
        before = self.count.total()
        with suppress(BlockingIOError):
            while content := os.read(self.file, 1 << 16):
                at = 0
                while at < len(content):
                    _, _, _, length = struct.unpack_from("iIII", content, at)
                    self.count[content[at + 16 : at + 16 + length].rstrip(b"\0").decode()] += 1
                    at += 16 + length
        return self.count.total() > before

    def close(self) -> int:
        """End counting; how many files came more than once, each as often."""
        self.read()
        os.close(self.file)
        return sum(number - 1 for number in self.count.values())


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process of this machine."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[int(entry.name)] = parent, line
    return found


def children(parents: Iterable[int], word: str) -> list[int]:
    """Children of some processes whose command line has a word."""
    wanted = set(parents)
    return [pid for pid, (parent, line) in processes().items() if parent in wanted and word in line]


@contextmanager
def ray_cluster(nodes: int) -> Generator[Any]:
    """A cluster on this machine: a head without processors, and nodes with one each."""
    from landscape.engines.ray_environment import ray

    made = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def raylet(node: Any) -> int:
    """The process of a node."""
    return int(node.all_processes["raylet"][0].process.pid)


@dataclass
class Outcome:
    """What became of the runs of an engine.

    Attributes:
        runs: How many.
        kills: How many of drivers, workers and nodes.
        tasks: Of all runs.
        twice: Results that were written once more.
        flying: Tasks that were in flight at the kills, at most.
        failed: Tasks that were left to a plain run.
        differ: Rows that are not those of an undisturbed run.
        rows: All rows.
        faults: What should not have happened.
        seconds: That all took.
    """

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    twice: int = 0
    flying: int = 0
    failed: int = 0
    differ: int = 0
    rows: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Disturbed:
    """A run that is killed at.

    Attributes:
        engine: Its engine.
        study: The file.
        out: Its folder.
        dice: What decides.
        outcome: Where things are counted.
        cluster: Of Ray.
    """

    engine: str
    study: Path
    out: Path
    dice: random.Random
    outcome: Outcome
    cluster: Any = None

    def run(self, more: Callable[[], bool]) -> None:
        """Run to the end, killing while there are to be more kills, and then plainly if anything is left."""
        arrivals = Arrivals(self.out / "results" / "rows")
        self.driver = self._start()
        moved, due, delay = time.monotonic(), *self._draw()
        while self.driver.poll() is None:
            time.sleep(0.02)
            now = time.monotonic()
            if arrivals.read():
                moved, due = now, min(due, now + delay)
            if now >= due and more():
                if self._kill():
                    moved, due, delay = time.monotonic(), *self._draw()
                else:
                    due = now + self.dice.uniform(0.1, 1.0)
            if now - moved > HANGS:
                self._fault(f"hangs with {len(arrivals.count)} results")
                os.killpg(self.driver.pid, signal.SIGKILL)
        self._after(self.driver.wait())
        self.outcome.runs += 1
        self.outcome.twice += arrivals.close()

    def _draw(self) -> tuple[float, float]:
        """When the next kill is due, and how long after a result; a quarter do not wait for one."""
        if self.dice.random() < 1 / 4:
            return time.monotonic() + self.dice.uniform(*ANYWHERE), float("inf")
        return float("inf"), self.dice.uniform(*WORKING)

    def _start(self) -> subprocess.Popen[bytes]:
        address = ["--address", self.cluster.address] if self.cluster is not None else []
        return start(self.study, self.out, self.engine, *address)

    def _after(self, code: int) -> None:
        """Do what is left by one plain run."""
        if code not in (0, FAILED):
            self._fault(f"ended with {code}")
        store = Store(self.out / "results")
        left = [task["key"] for task in store.record()["tasks"] if not store.done(task["key"])]
        self.outcome.failed += len(left)
        if code != 0 and (again := start(self.study, self.out, "local").wait()) != 0:
            self._fault(f"a plain run ended with {again}")

    def _fault(self, what: str) -> None:
        said = [line for line in (self.out / "said.txt").read_text().splitlines() if not line.startswith("{")]
        self.outcome.faults.append(f"{self.engine}, run {self.outcome.runs + 1}: {what}; it said last: {said[-3:]}")

    def _victims(self) -> dict[str, list[int]]:
        """What could be killed now."""
        claims = self.out / "results" / CLAIMS
        if self.engine == "local":
            workers = children([self.driver.pid], "spawn_main")
        elif self.engine == "submitit":
            jobs = {owner.pid for _, owner in claimed(claims)} - {self.driver.pid}
            workers = [*jobs, *children(jobs, "spawn_main")]
        else:
            workers = children(map(raylet, self.cluster.worker_nodes), "ray::Actor")
        nodes = list(map(raylet, self.cluster.worker_nodes)) if self.engine == "ray" else []
        return {"driver": [self.driver.pid], "worker": workers, "node": nodes}

    def _kill(self) -> bool:
        """Kill something of a kind that is drawn; whether anything of it was there."""
        victims = self._victims()
        kind = self.dice.choice([kind for kind in victims if kind != "node" or self.engine == "ray"])
        if not victims[kind]:
            return False
        pid = self.dice.choice(victims[kind])
        held = HELD[self.engine]
        if kind == "driver":  # jobs of submitit outlive it
            held = 0 if self.engine == "submitit" else len([1 for _ in claimed(self.out / "results" / CLAIMS)])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.outcome.kills[kind] += 1
            self.outcome.flying += held
        if kind == "driver":
            self.driver.wait()
            self.driver = self._start()
        if kind == "node":
            (node,) = [node for node in self.cluster.worker_nodes if raylet(node) == pid]
            self.cluster.remove_node(node, allow_graceful=False)
            self.cluster.add_node(num_cpus=1)
        return True


def tables(out: Path) -> dict[str, pd.DataFrame]:
    """All rows, without what a machine decides."""
    store = Store(out / "results")
    found = store.tables(task["key"] for task in store.record()["tasks"])
    return {name: frame.drop(columns=[c for c in frame if c in MACHINE]) for name, frame in found.items()}


def rows_that_differ(one: pd.DataFrame | None, two: pd.DataFrame) -> int:
    """How many rows of two tables differ by more than rounding; all, if the tables are not of one shape."""
    if one is None or len(one) != len(two) or list(one) != list(two):
        return max(len(two), 0 if one is None else len(one))
    differ = np.zeros(len(two), bool)
    for name in two:
        if two[name].dtype.kind == "f":
            differ |= ~np.isclose(one[name].astype(float), two[name], rtol=1e-4, atol=1e-5, equal_nan=True)
        else:
            differ |= ~((one[name] == two[name]) | (one[name].isna() & two[name].isna())).to_numpy(bool)
    return int(differ.sum())


def check(out: Path, calm: dict[str, pd.DataFrame], outcome: Outcome) -> None:
    """Hold the rows of a run against those of an undisturbed one."""
    store = Store(out / "results")
    tasks = store.record()["tasks"]
    lost = [task["label"] for task in tasks if not store.done(task["key"])]
    if lost:
        outcome.faults.append(f"{len(lost)} tasks are not done, such as {lost[0]}")
    found = tables(out)
    outcome.tasks += len(tasks)
    outcome.rows += sum(map(len, calm.values()))
    outcome.differ += sum(rows_that_differ(found.get(name), frame) for name, frame in calm.items())


def disturb(engine: str, study: Path, folder: Path, kills: int, given: argparse.Namespace, calm: Any) -> Outcome:
    """Runs of one engine, until there were so many kills or they have taken so long."""
    outcome, begin, dice = Outcome(), time.monotonic(), random.Random(f"{given.seed} {engine}")

    def more() -> bool:
        return outcome.kills.total() < kills and time.monotonic() - begin < given.minutes * 60

    def go(cluster: Any = None) -> None:
        while more():
            out = folder / f"{engine}_{outcome.runs}"
            out.mkdir()
            Disturbed(engine, study, out, dice, outcome, cluster).run(more)
            check(out, calm, outcome)
            print(
                f"  {engine}, run {outcome.runs}: {dict(outcome.kills)}, {time.monotonic() - begin:.0f} s", flush=True
            )

    if engine == "ray":
        with ray_cluster(2) as cluster:
            go(cluster)
    else:
        go()
    outcome.seconds = time.monotonic() - begin
    return outcome


def measured(given: argparse.Namespace) -> dict[str, Outcome]:
    """What became of the runs of each engine."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        compiled_once(folder / "bytecode")
        study = make_study(folder, given.seeds, given.steps, given.sequences)
        (folder / "calm").mkdir()
        begin = time.monotonic()
        assert start(study, folder / "calm", "local").wait() == 0, (folder / "calm" / "said.txt").read_text()
        calm = tables(folder / "calm")
        print(f"undisturbed: {time.monotonic() - begin:.0f} s, {sum(map(len, calm.values()))} rows", flush=True)
        outcomes = {}
        for n, engine in enumerate(given.engine):
            share = given.kills * (n + 1) // len(given.engine) - given.kills * n // len(given.engine)
            outcomes[engine] = disturb(engine, study, folder, share, given, calm)
    return outcomes


def main() -> int:
    """Print a line for each engine, and what should not have happened; 1 if anything has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--engine", nargs="*", choices=list(catalogue.ENGINES), default=list(catalogue.ENGINES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="After which nothing is killed any more, by engine.")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--sequences", type=int, default=16)
    outcomes = measured(parser.parse_args())
    print("| engine | runs | kills of drivers | workers | nodes | tasks | done twice | in flight at kills, at most "
          "| left to a plain run | rows | rows that differ | s |")  # fmt: skip
    for engine, o in outcomes.items():
        cells = (engine, o.runs, *(o.kills[kind] for kind in ("driver", "worker", "node")), o.tasks, o.twice, o.flying,
                 o.failed, o.rows, o.differ, round(o.seconds))  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |")
        if o.twice > o.flying or o.differ:
            o.faults.append(f"{engine}: more was done than was in flight, or rows differ")
    faults = [fault for outcome in outcomes.values() for fault in outcome.faults]
    for fault in faults:
        print("FAULT:", fault)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
