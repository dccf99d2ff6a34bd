"""Whole commands on a large finished study: status, export, report, and going on where a run was cut off.

python benchmarks/large_study.py [--seeds 25] [--steps 32]

Three tiny models are trained on nothing and a study over them is run. The files of its tasks are then copied under
other seeds and steps, with other values, until there is a task for each pair of seeds at each step, and one for the
loss of each checkpoint: 25 seeds at 32 steps have 10,400 tasks in 10,400 files. Nothing is measured anew.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from landscape.study.record import Record

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))


def template(folder: Path) -> tuple[Record, dict[str, list[dict[str, Any]]]]:
    """The record of a small study, and the rows of one task of each kind."""
    import cases

    from landscape.cli.run import run_study
    from landscape.study.file import read_study
    from landscape.study.store import Store

    cases.runs(folder)
    file = cases.study(folder)
    file.write_text(file.read_text().split("[[measure]]")[0] + '[[measure]]\nkind = "barriers"\npoints = 17\n')
    assert run_study(read_study(file), folder, device="cpu", workers=1) == {}
    store = Store(folder / "results")
    record = store.record()
    rows: dict[str, list[dict[str, Any]]] = {}
    for kind, task in {task["kind"]: task for task in reversed(record["tasks"])}.items():
        for table, frame in store.tables([task["key"]]).items():
            own = json.loads(frame.to_json(orient="records", double_precision=15))
            first = (row for row in own if row.get("seed_b", 1) == 1 and row.get("seed_a", 0) == 0)
            rows.setdefault(kind, []).extend({"table": table, **row} for row in first)
    return record, rows


def moved(row: dict[str, Any], seeds: tuple[int, ...], step: int, random: np.random.Generator) -> dict[str, Any]:
    """A row of other checkpoints, with other values: barriers fall with the step."""
    ends = dict(zip("ab", seeds, strict=True)) if len(seeds) == 2 else {"": seeds[0]}
    out = dict(row)
    for side, seed in ends.items():
        mark = f"_{side}" if side else ""
        ref = side or "ref"
        out |= {f"seed{mark}": seed, f"step{mark}": step}
        if ref in out:
            out[ref] = f"runs/seed_{seed}/step_{step}"
    if row["table"] == "barrier":
        value = 0.5 / (1 + (step / 3000) ** 2) + 0.02 * random.standard_normal()
        out |= {"barrier": value, "low": value - 0.02, "high": value + 0.02}
    if row["table"] == "loss":
        out["loss"] = 4 + 3 / (1 + step / 500) + 0.02 * random.standard_normal()
    return out


def build(folder: Path, seeds: int, steps: int) -> int:
    """A finished study of so many seeds and steps; returns how many tasks it has."""
    from landscape.study.store import Store

    record, rows = template(folder / "template")
    store, random, tasks = Store(folder / "study" / "results"), np.random.default_rng(0), []
    one = {task["kind"]: task for task in record["tasks"]}
    grid = np.unique(np.round(np.geomspace(1, 100_000, steps)).astype(int))
    wanted = [*(("losses", (seed,)) for seed in range(seeds)),
              *(("barriers", pair) for pair in itertools.combinations(range(seeds), 2))]  # fmt: skip
    store.open({**record, "tasks": []})
    for step in grid.tolist():
        for kind, ends in wanted:
            label = f"{kind} seeds {ends} step {step}"
            key = hashlib.sha256(label.encode()).hexdigest()[:32]
            store.write(key, [moved(row, ends, step, random) for row in rows[kind]])
            tasks.append({**one[kind], "key": key, "label": label, "needs": []})
    store.open({**record, "tasks": tasks})
    return len(tasks)


def timed(*words: object) -> str:
    """Seconds and memory of a command, its start included; its last line if it fails."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [str(Path(sys.executable).with_name("landscape")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    failed = "" if done.returncode == 0 else f"  FAILED: {done.stderr.splitlines()[-1]}"
    return f"{seconds:6.1f} s, {spent:6.1f} s of processor{failed}"


def scan(results: Path) -> float:
    """Seconds until a run knows what is left: which files are there, whole, and as they were written."""
    from landscape.study.store import Store

    begin = time.perf_counter()
    store = Store(results)
    keys = [task["key"] for task in store.record()["tasks"]]
    assert store.damaged(keys, anew=False) == [] and all(store.done(key) for key in keys)
    return time.perf_counter() - begin


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--steps", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        begin = time.perf_counter()
        tasks = build(folder, given.seeds, given.steps)
        study = folder / "study"
        size = sum(file.stat().st_size for file in study.rglob("*")) / 1e6
        print(f"{tasks:,} finished tasks, {size:,.0f} MB, made in {time.perf_counter() - begin:.0f} s")
        print(f"{'what a run looks at before it goes on':44}{scan(study / 'results'):6.1f} s", flush=True)
        for command in ("status", "export", "export", "report"):
            again = ", again" if command == "export" and (study / "export").exists() else ""
            print(f"{command + again:44}{timed(command, study)}", flush=True)
        shutil.rmtree(study / "results" / "compacted", ignore_errors=True)
        print(f"{'report, nothing read before':44}{timed('report', study)}", flush=True)
        report = (study / "report.html").stat().st_size / 1e6
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"the report has {report:.1f} MB; largest memory of a command {peak:.2f} GiB")


if __name__ == "__main__":
    main()
