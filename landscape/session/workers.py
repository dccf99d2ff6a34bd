"""How many workers finish a study soonest, and with how many threads each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import torch

from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy, affordable, least_seconds
from landscape.session.evaluator import evaluations
from landscape.session.room import most_workers
from landscape.session.session import Session
from landscape.study.tasks import Spec, Task

SPAWN_SECONDS = 10.0
"""What a second process costs before its first result."""
TRIAL_EXAMPLES = 8
"""Examples of a pass that only times numbers of threads."""
ONE_THREAD = 1_000_000
"""Parameters below which one thread is taken without timing."""


def workers_for(session: Session, left: Sequence[Task[Spec]]) -> tuple[int, int]:
    """Workers and threads of each that finish the tasks soonest, by timing one thread against all.

    Small models often run slower on many threads than on one, and then a process a core is best. Where timing would
    be a large part of the work, one worker takes one thread for a small model and all for a large one.

    Args:
        session: A session of this process.
        left: The tasks to do.

    Returns:
        Number of workers, and threads of each.
    """
    cores = len(os.sched_getaffinity(0))
    if session.device.type != "cpu" or cores == 1 or session.on_disk:
        return 1, cores
    objective = session.batches.objective(left[0].on)
    wanted, examples = evaluations(left, objective.examples), min(TRIAL_EXAMPLES, objective.examples)
    if not affordable(2 * 2 * examples, wanted):
        return 1, 1 if objective.space.size < ONE_THREAD else cores
    anchors, few = session.anchors.of(left[0])[:1], objective.take(torch.arange(examples))
    seconds = {}
    for threads in {1, cores}:
        torch.set_num_threads(threads)
        once = least_seconds(partial(losses, few, anchors, torch.ones(1, 1), strategy=Strategy()))
        seconds[threads] = once * wanted / examples
    most = min(cores, len(left), most_workers(left, objective.space.size, session.device))
    apart = seconds[1] / most + SPAWN_SECONDS
    threads = min(seconds, key=lambda n: seconds[n])
    return (most, 1) if apart < seconds[threads] else (1, threads)
