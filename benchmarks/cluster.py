"""A cluster on paper: 25 seeds at 29 steps of BERT-base on 64 GPUs, by every way to hand tasks out.

python benchmarks/cluster.py [--seeds 25] [--steps 29] [--workers 64]

Nothing is computed. The plan is the real one, with the real needs, and so are the shares and the cache with its planned
eviction; the seconds of a task are its floating-point operations over a rate, and those of its checkpoint loads.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

from landscape.engines.shares import orders, shares
from landscape.face.where import GRADIENT, cost
from landscape.session.cache import Cache
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.expand import tasks
from landscape.study.file import Study
from landscape.study.measure import Grid
from landscape.study.tasks import Spec, Task

FLOPS = 2 * 110e6 * 128
"""Of a forward pass of BERT-base over an example of 128 tokens."""
RATE, LOAD, OVERHEAD = 50e12, 0.44, 0.02
"""Floating-point operations a second; seconds of a load of 440 MB; seconds of a task beside."""
CACHE = 45
"""Models that a worker keeps: a quarter of 80 GB, as landscape.session.anchors has it."""
EXAMPLES = 256


def plan(seeds: int, steps: int) -> tuple[Study, list[Task[Spec]]]:
    """Barriers between seeds at every step, unchanged and aligned by weights, and each step with the last."""
    barriers: dict[str, object] = {"kind": "barriers", "between": "seed"}
    study = Study.model_validate({
        "version": 1, "name": "on paper", "checkpoints": {"folder": "x"},
        "data": {"objective": "masked-lm", "text": "text.txt", "sequences": EXAMPLES},
        "measure": [{**barriers, "align": ["none", "weights"]}, {**barriers, "between": "last"}],
    })  # fmt: skip
    found = [
        Checkpoint(f"{seed} {step}", labels({"seed": seed, "step": step}), content=f"{seed} {step}")
        for seed, step in product(range(seeds), range(steps))
    ]
    return study, tasks(study, Grid(tuple(found)))


def price(task: Task[Spec]) -> float:
    """Forward passes of an example that a task takes, without loads."""
    return max(task.passes, 1) * EXAMPLES + GRADIENT * task.gradients(EXAMPLES)


@dataclass
class Worker:
    """A GPU: what it would do, in its order, and what it holds.

    Attributes:
        order: Its tasks.
        cache: The checkpoints that it holds.
        position: Of each task in the plan.
        loads: Checkpoints that it has loaded.
        busy: Seconds that it has worked.
    """

    order: list[Task[Spec]]
    cache: Cache[int]
    position: dict[str, int]
    loads: int = 0
    busy: float = 0.0
    left: list[Task[Spec]] = field(default_factory=list)

    def seconds(self, task: Task[Spec]) -> float:
        """What a task takes here, in seconds."""
        before = self.loads
        for checkpoint in task.checkpoints:
            self.cache.get(checkpoint.content, self.position[task.key], self._load)
        return OVERHEAD + LOAD * (self.loads - before) + price(task) * FLOPS / RATE

    def _load(self, old: int | None) -> int:
        self.loads += 1
        return 0


def simulate(
    planned: Sequence[Task[Spec]], orders: Sequence[list[Task[Spec]]], shared: bool
) -> tuple[float, list[Worker]]:
    """The seconds until all is done, and the workers.

    Args:
        planned: All tasks.
        orders: What each worker would do, in its order.
        shared: Whether a task that one has begun is left to it by the others.
    """
    position = {task.key: n for n, task in enumerate(planned)}
    uses: dict[str, list[int]] = {}
    for task in planned:
        for checkpoint in task.checkpoints:
            uses.setdefault(checkpoint.content, []).append(position[task.key])
    workers = [Worker(order, Cache(CACHE, uses), position, left=list(order)) for order in orders]
    everywhere: dict[str, float] = {}  # when a task is done
    done = [everywhere if shared else dict[str, float]() for _ in workers]
    events = [(0.0, n) for n in range(len(workers))]
    end = 0.0
    while events:
        now, n = heapq.heappop(events)
        worker = workers[n]
        if shared:
            worker.left = [task for task in worker.left if task.key not in everywhere]
        ready = (t for t in worker.left if all(done[n].get(need, float("inf")) <= now for need in t.needs))
        if (task := next(ready, None)) is not None:
            worker.left.remove(task)
            took = worker.seconds(task)
            worker.busy += took
            done[n][task.key] = now + took
            end = max(end, now + took)
            heapq.heappush(events, (now + took, n))
        elif worker.left:  # what it needs is being done by another
            later = [when for when in everywhere.values() if when > now]
            if later:
                heapq.heappush(events, (min(later), n))
    return end, workers


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--steps", type=int, default=29)
    parser.add_argument("--workers", type=int, default=64)
    given = parser.parse_args()
    study, planned = plan(given.seeds, given.steps)
    shared = shares(planned, partial(cost, study), given.workers)
    ways = {
        "shares, folders of their own": (shared, False),
        "shares, one folder": (shared, True),
        "shares, then the tails of others": (orders(planned, partial(cost, study), given.workers), True),
        "one queue in plan order": ([list(planned)] * given.workers, True),
    }
    loads = len({c.content for task in planned for c in task.checkpoints})
    work = sum(price(task) for task in planned) * FLOPS / RATE + OVERHEAD * len(planned)
    bound = (work + LOAD * loads) / given.workers
    print(f"{len(planned)} tasks, {loads} checkpoints, {work / 3600:.2f} GPU hours without loads, {given.workers} GPUs")
    print(f"lower bound: {bound:.0f} s, every checkpoint loaded once and all GPUs busy to the end")
    for name, (each, folder) in ways.items():
        end, workers = simulate(planned, each, folder)
        idle = 1 - sum(worker.busy for worker in workers) / (end * len(workers))
        count = sum(worker.loads for worker in workers)
        print(f"{name:33} {end:6.0f} s, {end / bound:.2f} of the bound; {count:6} loads; idle {idle:.1%}")


if __name__ == "__main__":
    main()
