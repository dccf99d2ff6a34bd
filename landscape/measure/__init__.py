"""The one place where the parts meet: one file per kind of task, tasks to rows."""

from collections.abc import Callable
from importlib import import_module

from landscape.session.session import Result, Session
from landscape.study.tasks import READ, Task

KINDS = (
    "losses", "match", "barriers", "curves", "planes", "simplices", "curvature", "chains", "llc", "probes", "behaviour",
)  # fmt: skip
"""Kinds of task, each a module of this name; it is imported when a task of its kind is run."""


def of_kind(kind: str) -> Callable[[Task, Session], Result]:
    """What does a task of a kind."""
    assert kind in KINDS
    run: Callable[[Task, Session], Result] = import_module(f"{__name__}.{kind}").run
    return run


def perform(task: Task, session: Session) -> None:
    """Run one task and commit its rows, unless another process has done so meanwhile."""
    store = session.store
    if store.done(task.key) and (task.kind not in READ or store.has_losses(task.key)):
        return
    result = of_kind(task.kind)(task, session)
    store.write(task.key, result.rows, result.losses)
