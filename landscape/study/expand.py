"""From a study to its tasks, in the order in which they should be run."""

from __future__ import annotations

from collections.abc import Iterator

from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.measure import Grid, Hashes, Measure
from landscape.study.tasks import Spec, Task


def tasks(study: Study, grid: Grid, hashes: Hashes | None = None) -> list[Task[Spec]]:
    """The tasks of a study, in the order in which they should be run.

    The loss of every checkpoint is a task of its own, so an end is evaluated once however many pairs and tiles
    it is part of. The tiles of one matrix follow one another, so that a tile finds half of its anchors in memory.

    Args:
        study: The study.
        grid: Its checkpoints.
        hashes: Of what is read beside them; None is for a plan that nothing is run of.

    Returns:
        Tasks; each comes after those it needs.

    Raises:
        InputError: If a measure finds nothing to measure, or needs a data set that the study does not have.
    """
    hashes = hashes or Hashes(study.data_sets)
    planned: dict[str, Task[Spec]] = {}
    for measure in _all(study):
        found = [
            task for on in measure.on for group in measure.groups(grid) for task in measure.tasks(group, hashes, on)
        ]
        if not found:
            raise InputError(measure.nothing(grid))
        planned |= {task.key: task for task in found if task.key not in planned}
    return list(planned.values())


def _all(study: Study) -> Iterator[Measure]:
    """The measures of a study, each after those that it is compared with."""
    wanted = list(study.measure)
    for measure in study.measure:
        for other in measure.before(wanted):
            wanted.append(other)
            yield other
        yield measure
