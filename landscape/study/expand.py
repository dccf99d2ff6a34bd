"""From a study to its tasks, in the order in which they should be run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, groupby, product
from typing import Any

from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.kinds import (
    ON_TEXT,
    PREDICTIONS,
    AnyMeasure,
    Barriers,
    Behaviour,
    Curves,
    Llc,
    Planes,
    Probes,
    Simplices,
    Steps,
)
from landscape.study.sections import Data
from landscape.study.tasks import Checkpoint, Task


def tasks(
    study: Study,
    seeds: Sequence[Checkpoint],
    branches: Sequence[Checkpoint] = (),
    fingerprint: Callable[[Data], str] = lambda data: "",
    digest: Callable[[str | None], str] = lambda file: file or "",
    of_probes: Callable[[Data], str] | None = None,
) -> list[Task]:
    """The tasks of a study, in the order in which they should be run.

    The loss of every checkpoint is a task of its own, so an end is evaluated once however many pairs and tiles
    it is part of. The tiles of one matrix follow one another, so that a tile finds half of its anchors in memory.

    Args:
        study: The study.
        seeds: Its checkpoints.
        branches: The checkpoints of ``checkpoints.branches``.
        fingerprint: Of fixed batches.
        digest: Of a file or folder.
        of_probes: Of fixed batches, for probes; None is ``fingerprint``.

    Returns:
        Tasks; each comes after those it needs.

    Raises:
        InputError: If a measure finds no two checkpoints to pair, or curves are judged on what they are fitted on.
    """
    planned: dict[str, Task] = {}
    data = fingerprint(study.data)
    asked = (of_probes or fingerprint)(study.data)
    for measure in _with_lines(study):
        found = False
        for group in _groups(measure, seeds, branches):
            made = (
                _asked(measure, group, data, asked, digest)
                if isinstance(measure, Probes | Behaviour)
                else _of_group(measure, group, data, fingerprint, study.data)
            )
            for task in made:
                found = True
                planned.setdefault(task.key, task)
        if not found:
            raise InputError(_nothing(measure, len(seeds), len(branches)))
    return list(planned.values())


def _asked(
    measure: Probes | Behaviour,
    group: Sequence[Checkpoint],
    data: str,
    asked: str,
    digest: Callable[[str | None], str],
) -> Iterator[Task]:
    """A task for each checkpoint and probe; for distances then the tiles of pairs, which read their answers."""
    files = {"items": digest(measure.items), "train_text": digest(measure.train_text)}
    answers: dict[tuple[Checkpoint, str], Task] = {}
    if isinstance(measure, Probes) or len(group) > 1:
        for checkpoint in group:
            for name in measure.names:
                if name != PREDICTIONS:
                    settings = {"probe": name, **measure.asked, **files}
                    task = Task("probes", (checkpoint,), (), tuple(settings.items()), asked)
                    answers[checkpoint, name] = task
                    yield task
    if isinstance(measure, Behaviour):
        for anchors, pairs in _tiles(group, measure.tile, measure.between):
            for name in measure.names:
                own = {} if name == PREDICTIONS else {**measure.asked, **files}
                settings = {"probe": name, "between": measure.between, "dtype": measure.dtype, **own}
                needs = tuple(answers[c, name].key for c in anchors) if name != PREDICTIONS else ()
                by = data if name == PREDICTIONS else asked
                yield Task(measure.kind, anchors, pairs, tuple(settings.items()), by, needs)


def _of_group(
    measure: Barriers | Curves | Simplices | Planes | Llc,
    group: Sequence[Checkpoint],
    data: str,
    fingerprint: Callable[[Data], str],
    fixed: Data,
) -> Iterator[Task]:
    """The tasks of a measure on one set of checkpoints, each after those it needs.

    Raises:
        InputError: If a batch is larger than the data.
    """
    settings = measure.settings
    if isinstance(measure, Llc):
        if measure.batch != "all" and measure.batch > fixed.sequences:
            raise InputError(
                f"a batch of {measure.batch} examples is wanted and there are {fixed.sequences}; lower batch or give "
                "more data"
            )
        yield from _llc_tasks(measure, group, data)
        return
    if isinstance(measure, Planes):
        for part in range(measure.parts if len(group) >= (1 if measure.plane == "random" else 3) else 0):
            yield Task(measure.kind, tuple(group), (), tuple({**settings, "part": part}.items()), data)
        return
    if isinstance(measure, Simplices):
        if len(group) > 1:
            yield from _after_ends(Task(measure.kind, tuple(group), (), tuple(settings.items()), data))
        return
    yield from _along(measure, group, data, fingerprint, fixed)


def _along(
    measure: Barriers | Curves, group: Sequence[Checkpoint], data: str, fingerprint: Callable[[Data], str], fixed: Data
) -> Iterator[Task]:
    """The tiles of a group, once for each way to deal with symmetries."""
    settings = measure.settings
    if isinstance(measure, Curves):
        settings["fitted_on"] = fingerprint(measure.fitted_on(fixed))
    for symmetry in measure.symmetry:
        matching, own = _matching(measure, symmetry, group, data, fingerprint, fixed), dict(settings)
        if matching:
            own["matching"] = dict(matching[0].settings)
        for anchors, pairs in _tiles(group, measure.tile, measure.between):
            yield from _after_ends(Task(measure.kind, anchors, pairs, tuple(own.items()), data), *matching)


def _matching(
    measure: Barriers | Curves,
    symmetry: str,
    group: Sequence[Checkpoint],
    data: str,
    fingerprint: Callable[[Data], str],
    fixed: Data,
) -> list[Task]:
    """The task that brings a group into one set of coordinates; none where symmetries are left."""
    if symmetry == "none" or len(group) < 2:
        return []
    settings = {**measure.match.settings(symmetry), "dtype": "float32"}
    if symmetry in ON_TEXT:
        settings["matched_on"] = fingerprint(measure.match.aligned_on(fixed))
    return [Task("match", tuple(group), (), tuple(settings.items()), data)]


def _after_ends(task: Task, *needs: Task) -> Iterator[Task]:
    """The losses of the task's checkpoints, then other tasks that it needs, then the task."""
    wanted = dict(task.settings)["dtype"]
    dtype = ("dtype", "float32" if wanted == "auto" else wanted)  # ends are few, and cancel no error here
    before = [*(Task("losses", (checkpoint,), (), (dtype,), task.data) for checkpoint in task.checkpoints), *needs]
    yield from before
    yield replace(task, needs=tuple(one.key for one in before))


def _llc_tasks(measure: Llc, group: Sequence[Checkpoint], data: str) -> Iterator[Task]:
    """Curvatures; chains, cut by checkpoints and by their numbers; then the coefficients."""
    settings = measure.settings
    extrapolate, chains = settings.pop("extrapolate"), settings.pop("chains")
    moving = tuple({name: settings[name] for name in ("parameters", "seed", "dtype")}.items())
    curvatures = [Task("curvature", (c,), (), moving, data) for c in group]
    cut = [range(chains)[part :: measure.parts] for part in range(min(measure.parts, chains))]
    parts = [
        Task("chains", tuple(group), (), tuple({**settings, "chains": list(some), "halved": halved}.items()), data,
             tuple(task.key for task in curvatures if measure.step_size == "auto"))
        for halved in ((False, True) if extrapolate else (False,)) for some in cut
    ]  # fmt: skip
    for checkpoint in group:
        wanted = Task(measure.kind, (checkpoint,), (), tuple(measure.settings.items()), data)
        yield from _after_ends(wanted, *curvatures, *parts)


def _nothing(measure: AnyMeasure, seeds: int, branches: int) -> str:
    if isinstance(measure, Llc | Probes):
        return (
            f"a measure of {measure.kind} finds no checkpoint: there are {seeds} of seeds and {branches} of branches; "
            "change at_steps or among"
        )
    if isinstance(measure, Planes):
        return (
            f'a measure of planes with plane = "{measure.plane}" finds no three checkpoints that belong together among '
            f"{seeds}: three seeds at one step make a plane through them, three steps of one seed a trajectory"
        )
    return (
        f"a measure of {measure.kind} has nothing to pair between {measure.between}: {seeds} checkpoints"
        f"{f' and {branches} branches' if branches else ''} share no step; give at least two at one step"
    )


def _with_lines(study: Study) -> Iterator[AnyMeasure]:
    """The measures, and for curves between pairs whose straight lines are not wanted anyway, also these."""
    lines = {
        (m.between, symmetry) for m in study.measure if isinstance(m, Barriers) and m.path == "linear"
        for symmetry in m.symmetry
    }  # fmt: skip
    for measure in study.measure:
        if isinstance(measure, Curves):
            for symmetry in measure.symmetry:
                if (measure.between, symmetry) not in lines:
                    lines.add((measure.between, symmetry))
                    yield measure.line.model_copy(update={"symmetry": (symmetry,)})
        yield measure


def _groups(
    measure: AnyMeasure, seeds: Sequence[Checkpoint], branches: Sequence[Checkpoint]
) -> Iterator[list[Checkpoint]]:
    """The sets of checkpoints of which all pairs are wanted."""
    seeds, branches = (_at(measure.at_steps, checkpoints) for checkpoints in (seeds, branches))
    if isinstance(measure, Llc | Probes):
        every = [*(seeds if measure.among != "branches" else []), *(branches if measure.among != "seeds" else [])]
        size = measure.tile if isinstance(measure, Llc) else 1
        yield from (every[i : i + size] for i in range(0, len(every), size))
        return
    if isinstance(measure, Planes):
        yield from _plane_groups(measure, seeds)
        return
    match measure.between:
        case "all":
            yield list(seeds)
        case "seeds":
            yield from _by(seeds, lambda c: (c.step is None, c.step or 0))
        case "neighbours" | "last":
            runs = _by(seeds, lambda c: (c.seed is None, c.seed or 0))
            yield from (sorted(run, key=lambda c: (c.step is None, c.step or 0)) for run in runs)
        case "branches":
            yield from _by(branches, lambda c: (c.seed or 0, c.branch_step or 0, c.step is None, c.step or 0))


def _plane_groups(measure: Planes, seeds: Sequence[Checkpoint]) -> Iterator[list[Checkpoint]]:
    if measure.plane == "random":
        yield from ([checkpoint] for checkpoint in seeds)
    elif measure.among == "all":
        yield list(seeds)
    elif measure.plane == "through":
        yield from (group[:3] for group in _by(seeds, lambda c: (c.step is None, c.step or 0)))
    else:
        yield from _by(seeds, lambda c: (c.seed is None, c.seed or 0))


def _at(steps: Steps, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The checkpoints of some training steps."""
    if steps == "last":
        steps = (max((c.step for c in checkpoints if c.step is not None), default=0),)
    return [c for c in checkpoints if steps == "all" or c.step in steps]


def _by(checkpoints: Sequence[Checkpoint], key: Callable[[Checkpoint], Any]) -> Iterator[list[Checkpoint]]:
    for _, group in groupby(sorted(checkpoints, key=key), key=key):
        yield list(group)


Tile = tuple[tuple[Checkpoint, ...], tuple[tuple[int, int], ...]]


def _tiles(group: Sequence[Checkpoint], size: int, between: str) -> Iterator[Tile]:
    """The wanted pairs of a group in blocks."""
    count = len(group)
    match between:
        case "neighbours":
            for i in range(0, count - 1, size):
                block = tuple(group[i : i + size + 1])
                yield block, tuple((k, k + 1) for k in range(len(block) - 1))
        case "last":
            for i in range(0, count - 1, size):
                block = tuple(group[i : min(i + size, count - 1)])
                yield (*block, group[-1]), tuple((k, len(block)) for k in range(len(block)))
        case _:
            yield from _blocks(group, size)


def _blocks(group: Sequence[Checkpoint], size: int) -> Iterator[Tile]:
    """Blocks of all pairs, in snake order, so that neighbours share a side."""
    blocks = [range(i, min(i + size, len(group))) for i in range(0, len(group), size)]
    for row, block in enumerate(blocks):
        columns = blocks[row:]
        if row % 2:
            columns = [*columns[:1:-1], columns[0], *columns[1:2]]
        for other in columns:
            pairs: Iterable[tuple[int, int]] = combinations(block, 2) if other is block else product(block, other)
            wanted = sorted(pairs)
            if wanted:
                used = sorted({i for pair in wanted for i in pair})
                place = {i: n for n, i in enumerate(used)}
                yield tuple(group[i] for i in used), tuple((place[i], place[j]) for i, j in wanted)
