"""A Ray cluster of three nodes on this machine that loses one: all is done, and few checkpoints are loaded again.

python benchmarks/lost_node.py [--tasks 200] [--cache 8] [--rounds 3]

The plan is one of barriers; a node is killed in the middle, with all its processes. Tasks and loads of checkpoints only
wait. A worker counts its loads, with the order of the plan and the cache that sessions have; so they are those of a
study whose points fit in so many places. Then jobs that wait 0.3 s, on one node and on two.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import engines
from cluster import plan, price
from kills import children, ray_cluster, raylet

from landscape.engines.claims import Claims, process_start
from landscape.engines.jobs import Event
from landscape.engines.order import Order
from landscape.engines.settings import EngineSettings
from landscape.session.cache import Cache


@dataclass
class Waiting:
    """What a worker does: it waits as long as its task takes, and as long as its loads take.

    Attributes:
        folder: Of the files that say what is done, and of those that count loads.
        uses: Where in the plan each checkpoint is needed.
        position: Of each task in the plan.
        seconds: That each task takes.
        load: Seconds of a load.
        cache: What is held.
    """

    folder: Path
    uses: dict[str, list[int]]
    position: dict[str, int]
    seconds: dict[str, float]
    load: float
    cache: Cache[int]

    def __call__(self, task: Any) -> None:
        """Wait, and say that the task is done."""
        for checkpoint in task.checkpoints:
            self.cache.get(checkpoint.content, self.position[task.key], self._load)
        time.sleep(self.seconds[task.key])
        (self.folder / task.key).write_text(f"{os.getpid()}")

    def _load(self, old: int | None) -> int:
        time.sleep(self.load)
        with (self.folder / "loads" / f"{os.getpid()}").open("a") as file:
            file.write("1\n")
        return 0


def waiting(make: Callable[[], Waiting], device: str) -> Callable[[Any], None]:
    """The work of a worker."""
    return make()


def waits(folder: Path, device: str) -> Callable[[engines.Job], None]:
    """The work of a worker whose jobs only wait."""
    return partial(wait, folder)


def wait(folder: Path, job: engines.Job) -> None:
    """Wait, and say by whom it was done."""
    time.sleep(-job.rounds / 1e3)
    (folder / job.key).write_text(f"{os.getpid()}")


def on_cluster(
    made: Any, folder: Path, jobs: Sequence[Any], work: Any, report: Callable[[Event], None], cost: Any
) -> float:
    """Run jobs on a cluster; how many seconds they took."""
    from landscape.engines import ray_actors

    where, begin = EngineSettings(engine="ray", address=made.address), time.monotonic()
    with Claims(folder / "claims") as claims:
        order = Order(jobs, work, report, claims, where, ["cpu"], folder, engines.Files(folder), cost)
        assert ray_actors.execute(order) == {}
    return time.monotonic() - begin


def loads(nodes: int, tasks: int, cache: int, kill: bool) -> tuple[int, float, int]:
    """Loads of a plan on some nodes, seconds, and how many tasks it has; one node may be killed in the middle."""
    _, planned = plan(10, 16)
    planned = planned[:tasks]
    uses: dict[str, list[int]] = {}
    for n, task in enumerate(planned):
        for checkpoint in task.checkpoints:
            uses.setdefault(checkpoint.content, []).append(n)
    mean = sum(map(price, planned)) / len(planned)
    seconds = {task.key: 0.2 * price(task) / mean for task in planned}
    position = {task.key: n for n, task in enumerate(planned)}
    with tempfile.TemporaryDirectory() as made, ray_cluster(nodes) as cluster:
        folder, done, ended = Path(made), Counter[str](), list[int]()
        (folder / "loads").mkdir()

        def report(event: Event) -> None:
            assert event.kind == "done"
            done[event.job.key] += 1
            if kill and done.total() == len(planned) // 2:
                node = next(raylet(node) for node in cluster.worker_nodes if children([raylet(node)], "ray::Actor"))
                ended.extend(children([node], "ray::Actor"))
                for pid in [node, *children([node], "")]:  # as when a machine is gone
                    os.kill(pid, signal.SIGKILL)

        make = partial(Waiting, folder, uses, position, seconds, 0.05, Cache(cache, uses))
        took = on_cluster(cluster, folder, planned, partial(waiting, make), report, price)
        assert bool(ended) == kill and not any(map(process_start, ended))
        assert set(done) == {task.key for task in planned} and set(done.values()) == {1}
        assert all((folder / task.key).exists() for task in planned)
        count = sum(len(file.read_text().splitlines()) for file in (folder / "loads").iterdir())
    return count, took, len(planned)


def rate(nodes: int, count: int) -> float:
    """Jobs that wait 0.3 s which so many nodes do in a second, from when all of them work."""
    with tempfile.TemporaryDirectory() as made, ray_cluster(nodes) as cluster:
        folder, seen = Path(made), list[tuple[float, str]]()

        def report(event: Event) -> None:
            seen.append((time.monotonic(), (folder / event.job.key).read_text()))

        jobs = [engines.Job(f"{n}", -300) for n in range(count)]
        on_cluster(cluster, folder, jobs, partial(waits, folder), report, lambda job: 1.0)
    first = {pid: when for when, pid in reversed(seen)}
    assert len(first) == nodes
    begin = max(first.values())
    return sum(when > begin for when, _ in seen) / (seen[-1][0] - begin)


def main() -> None:
    """Print loads with and without the loss of a node, and what a second node gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--cache", type=int, default=8, help="Checkpoints that a worker keeps.")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for _ in range(given.rounds):
        calm, calmly, count = loads(3, given.tasks, given.cache, kill=False)
        killed, took, _ = loads(3, given.tasks, given.cache, kill=True)
        print(f"{count} tasks on 3 nodes: {calm} loads in {calmly:.0f} s; one node killed in the middle: all done, "
              f"{killed} loads in {took:.0f} s, {killed / calm:.2f} times as many", flush=True)  # fmt: skip
    one, two = rate(1, 40), rate(2, 80)
    print(f"jobs that wait 0.3 s: {one:.2f} a second on one node, {two:.2f} on two: {two / one:.2f} times")


if __name__ == "__main__":  # other processes find what is pickled in a module, and not in this script
    import lost_node

    lost_node.main()
