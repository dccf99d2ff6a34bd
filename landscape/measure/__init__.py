"""The one place where the parts meet: one file for each kind of task, from a task to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType

from landscape import rows
from landscape.points.memory import return_freed_memory
from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.checkpoint import USUAL_LABELS
from landscape.study.tasks import Spec, Task


def module_of(kind: str) -> ModuleType:
    """The module that does tasks of a kind; it has ``run(task, session)``, and perhaps ``require(task, session)``."""
    return import_module(f"{__name__}.{kind}")


def perform(task: Task[Spec], session: Session) -> None:
    """Run one task and commit its rows, unless another process has done so meanwhile."""
    store = session.store
    if store.done(task.key) and (not task.spec.KEEPS_LOSSES or store.has_losses(task.key)):
        return
    run: Callable[[Task[Spec], Session], Result] = module_of(task.kind).run
    result = run(task, session)
    return_freed_memory()
    rows.require(result.rows, further_labels(session.tasks))
    store.write(task.key, result.rows, result.losses)


def require(tasks: Iterable[Task[Spec]], session: Session) -> None:
    """Refuse before anything is run what could not be: each kind looks at one task of each of its settings."""
    seen = set[tuple[str, str, tuple[tuple[str, str], ...], str]]()
    for task in tasks:
        key = task.kind, str(task.spec.deciding()), task.texts, task.on
        if key not in seen:
            seen.add(key)
            refuse: Callable[[Task[Spec], Session], None] | None = getattr(module_of(task.kind), "require", None)
            if refuse is not None:
                refuse(task, session)


def further_labels(tasks: Iterable[Task[Spec]]) -> list[str]:
    """Labels of checkpoints beside the usual ones."""
    names = dict.fromkeys(name for task in tasks for c in task.checkpoints for name, _ in c.labels)
    return [name for name in names if name not in USUAL_LABELS]
