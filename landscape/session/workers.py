"""How many workers finish a study soonest, and with how many threads each."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush

import torch

from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy, affordable, least_seconds
from landscape.session.evaluator import evaluations
from landscape.session.room import most_workers
from landscape.session.session import Session
from landscape.study.tasks import Spec, Task

SPAWN_SECONDS, FORK_SECONDS = 10.0, 3.0
"""What a second process costs before its first result, and what one does that was forked and waits."""
WORTH = 0.9
"""More workers are worth it where all tasks would be done in less than this share of the time of the fewest, threads
left out: timings of threads are disturbed by what else the machine does, and this is not."""
MIN_EXAMPLES, MAX_EXAMPLES, TRIAL_SHARE = 8, 32, 0.01
"""Examples of a pass that only times numbers of threads, and the share of the work at which there are more than the
fewest. A small model takes longer for each of few examples than for each of many."""
ROUNDS = 2
"""How often numbers of threads are timed, in turn: other work on the machine may slow one timing down, not all."""
ONE_THREAD = 1_000_000
"""Parameters below which one thread is taken without timing."""


def workers_for(
    session: Session, left: Sequence[Task[Spec]], asked: int | None = None, ready: int = 0
) -> tuple[int, int]:
    """Workers and threads of each that finish the tasks soonest, by timing one thread against all of its share.

    Small models often run slower on many threads than on one, and then a process a core is best, if no task takes so
    long that the others wait for it. Where timing would be a large part of the work, one worker takes one thread for a
    small model and all for a large one.

    Args:
        session: A session of this process.
        left: The tasks to do.
        asked: The number of workers, if that is given.
        ready: Processes that wait for work; more are spawned.

    Returns:
        Number of workers, and threads of each.
    """
    cores, fewest = len(os.sched_getaffinity(0)), asked or 1
    most_threads = max(1, cores // fewest)
    if session.device.type != "cpu" or most_threads == 1 or session.on_disk:
        return fewest, most_threads
    objective = session.batches.objective(left[0].on)
    costs = [evaluations([task], objective.examples) for task in left]
    counts = {asked or min(cores, len(left), most_workers(left, objective.space.size, session.device)), fewest}
    timed = sorted({1, *(max(1, cores // count) for count in counts)})
    trials = 2 * ROUNDS * len(timed) + 1
    examples = min(objective.examples, MAX_EXAMPLES, max(MIN_EXAMPLES, int(TRIAL_SHARE * sum(costs) / trials)))
    if not affordable(trials * examples, sum(costs)):
        return fewest, 1 if objective.space.size < ONE_THREAD else most_threads
    anchors, few = session.anchors.of(left[0])[:1], objective.take(torch.arange(examples))
    each = dict.fromkeys(timed, math.inf)
    losses(few, anchors, torch.ones(1, 1), strategy=Strategy())  # touches memory for the first time
    for threads in ROUNDS * timed:
        torch.set_num_threads(threads)
        seconds = least_seconds(partial(losses, few, anchors, torch.ones(1, 1), strategy=Strategy()))
        each[threads] = min(each[threads], seconds / examples)
    whole = {count: makespan(left, costs, count) for count in counts}
    counts = {count for count in counts if count == fewest or whole[count] < WORTH * whole[fewest]}
    ways = [(count, threads) for count in sorted(counts) for threads in timed if threads <= max(1, cores // count)]
    begin = {count: 0.0 if count == 1 else FORK_SECONDS if count <= ready else SPAWN_SECONDS for count in counts}
    return min(ways, key=lambda way: whole[way[0]] * each[way[1]] + begin[way[0]])


def makespan(tasks: Sequence[Task[Spec]], costs: Sequence[int], workers: int) -> int:
    """Cost after which all tasks are done, if a free worker takes the next one whose needs are done.

    List scheduling (Graham 1966, Bounds for certain multiprocessing anomalies).

    Args:
        tasks: Tasks in the order of the plan.
        costs: Of each task, in any unit.
        workers: Number of workers.

    Returns:
        The end of the last task, in the unit of the costs.
    """
    place = {task.key: n for n, task in enumerate(tasks)}
    needs = [{place[key] for key in task.needs if key in place} for task in tasks]
    users: dict[int, list[int]] = {}
    for n, those in enumerate(needs):
        for need in those:
            users.setdefault(need, []).append(n)
    now, running, ready = 0, list[tuple[int, int]](), [n for n, those in enumerate(needs) if not those]
    while ready or running:
        if ready and len(running) < workers:
            n = heappop(ready)
            heappush(running, (now + costs[n], n))
        else:
            now, done = heappop(running)
            for n in users.get(done, ()):
                needs[n].discard(done)
                if not needs[n]:
                    heappush(ready, n)
    return now
