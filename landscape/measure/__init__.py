"""The one place where the parts meet: one file per kind of task, tasks to rows."""

from collections.abc import Callable

from landscape.measure import barriers, losses
from landscape.measure.session import Result, Session
from landscape.task import Task

KINDS: dict[str, Callable[[Task, Session], Result]] = {"losses": losses.run, "barriers": barriers.run}


def perform(task: Task, session: Session) -> Result:
    """Run one task and commit its rows."""
    result = KINDS[task.kind](task, session)
    session.store.write(task.key, result.rows, result.losses)
    return result
