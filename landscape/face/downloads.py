"""Weights on the hub: fetched ahead while others compute, and deleted after their last use if that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Thread

from landscape.checkpoints import fetch
from landscape.errors import InputError
from landscape.study.checkpoint import Checkpoint
from landscape.study.tasks import Spec, Task

LOG = logging.getLogger("landscape")
PATIENCE = 5.0
"""Seconds that the end of a run waits for a download that nothing needs any more."""


@dataclass(frozen=True)
class Downloads:
    """How checkpoints on the hub are fetched.

    Attributes:
        prefetch: Largest number of checkpoints that are fetched before a task needs them; 0 fetches none ahead.
        keep: Whether they stay in the cache of the hub; else those that a run fetches are deleted after their last use.
    """

    prefetch: int = 1
    keep: bool = True


@dataclass
class _Plan:
    """Checkpoints to fetch, in the order in which tasks need them."""

    wanted: list[Checkpoint]
    waiting: dict[str, set[str]]
    """Keys of the tasks that are not finished, by reference."""
    begun: set[str] = field(default_factory=set)
    """References of checkpoints that a finished task used."""
    ended: bool = False
    changed: Condition = field(default_factory=Condition)


@contextmanager
def fetching(left: Sequence[Task[Spec]], how: Downloads) -> Generator[_Plan]:
    """Within this context, a thread fetches what the tasks need next; :func:`finished` is told of each task.

    Args:
        left: The tasks to do, in plan order.
        how: How many are fetched ahead, and whether they are kept.
    """
    plan = _Plan([], {})
    for task in left:
        for checkpoint in task.checkpoints:
            if checkpoint.ref in plan.waiting:
                plan.waiting[checkpoint.ref].add(task.key)
            elif checkpoint.place is not None and not fetch.is_here(checkpoint):
                plan.wanted.append(checkpoint)
                plan.waiting[checkpoint.ref] = {task.key}
    thread = Thread(target=_fetch_ahead, args=(plan, how.prefetch), daemon=True)
    if plan.wanted and how.prefetch:
        thread.start()
    try:
        yield plan
    finally:
        with plan.changed:
            plan.ended = True
            plan.changed.notify_all()
        if thread.ident is not None:
            thread.join(PATIENCE)


def finished(plan: _Plan, task: Task[Spec], how: Downloads) -> None:
    """Note that a task is finished: more may be fetched, and what no task needs any more may be deleted.

    Args:
        plan: What :func:`fetching` gave.
        task: The task.
        how: Whether downloads are kept.
    """
    with plan.changed:
        for checkpoint in task.checkpoints:
            plan.begun.add(checkpoint.ref)
            keys = plan.waiting.get(checkpoint.ref)
            if keys is None:
                continue
            keys.discard(task.key)
            if not keys and not how.keep:
                del plan.waiting[checkpoint.ref]
                fetch.delete(checkpoint)
        plan.changed.notify_all()


def _fetch_ahead(plan: _Plan, most: int) -> None:
    """Fetch checkpoint after checkpoint, never more than so many that no finished task has used.

    One that cannot be fetched is left to the task that needs it, which says why.
    """
    for number, checkpoint in enumerate(plan.wanted):
        with plan.changed:
            plan.changed.wait_for(
                lambda number=number: (
                    plan.ended  # type: ignore[misc]
                    or number - sum(one.ref in plan.begun for one in plan.wanted[:number]) <= most
                )
            )
            if plan.ended:
                return
        try:
            fetch.weights(checkpoint)
        except InputError as error:
            LOG.debug("%s is not fetched ahead: %s", checkpoint.ref, error)
