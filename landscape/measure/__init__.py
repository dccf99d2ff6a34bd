"""The one place where the parts meet: one file per kind of task, tasks to rows."""

from collections.abc import Callable

from landscape.measure import (
    barriers,
    behaviour,
    chains,
    curvature,
    curves,
    llc,
    losses,
    match,
    planes,
    probes,
    simplices,
)
from landscape.measure.session import Result, Session
from landscape.task import READ, Task

KINDS: dict[str, Callable[[Task, Session], Result]] = {
    "losses": losses.run,
    "match": match.run,
    "barriers": barriers.run,
    "curves": curves.run,
    "planes": planes.run,
    "simplices": simplices.run,
    "curvature": curvature.run,
    "chains": chains.run,
    "llc": llc.run,
    "probes": probes.run,
    "behaviour": behaviour.run,
}


def perform(task: Task, session: Session) -> None:
    """Run one task and commit its rows, unless another process has done so meanwhile."""
    store = session.store
    if store.done(task.key) and (task.kind not in READ or store.has_losses(task.key)):
        return
    result = KINDS[task.kind](task, session)
    store.write(task.key, result.rows, result.losses)
