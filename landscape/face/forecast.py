"""What a study would take, before it is run, and what it took."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TypedDict

import numpy as np

from landscape import memory
from landscape.checkpoints.size import weights
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import Study
from landscape.study.need import Need, need
from landscape.study.store import Store
from landscape.study.tasks import Spec, Task

FORWARD_AND_BACKWARD = 3
"""Forward passes that a gradient costs."""
PRODUCT = 1024
"""Rows of the matrices whose product is timed."""
WORKERS = -1
"""What ``getrusage`` calls processes that were started here and have ended."""
TOOK = "took.json"
"""File of results with what was planned and measured, beside the record of the study."""


@dataclass(frozen=True)
class Forecast:
    """What tasks would take.

    Attributes:
        tasks: Number of tasks.
        checkpoints: Number of checkpoints.
        loads: Checkpoints read by one worker that keeps the anchors of one tile.
        bytes: Size of all weights in bytes.
        bytes_on_hub: Size of those on the hub, which its cache grows by if nothing is deleted.
        disk_bytes: Size of those on the hub that are needed at once, and of one more, if each is deleted after its last
            use.
        parameters: Number of parameters of the largest checkpoint.
        points: Points on all examples.
        flops: Floating-point operations.
        flops_per_second: Of the device.
        seconds: Time of these operations.
        peak_bytes: Memory of one worker at its peak, besides the program itself.
        on_disk: Whether points stay in their files, as they do where memory is short.
        device: The device.
    """

    tasks: int
    checkpoints: int
    loads: int
    bytes: int
    bytes_on_hub: int
    disk_bytes: int
    parameters: int
    points: int
    flops: int
    flops_per_second: float
    seconds: float
    peak_bytes: int
    on_disk: bool
    device: str


def forecast(
    study: Study,
    planned: Sequence[Task[Spec]],
    checkpoints: Iterable[Checkpoint],
    device: str = "cpu",
    flops_per_second: float | None = None,
) -> Forecast:
    """What some tasks of a study would take.

    Args:
        study: The study.
        planned: The tasks, in plan order.
        checkpoints: Their checkpoints.
        device: Device of torch.
        flops_per_second: Floating-point operations a second; None times a matrix product on the device.

    Raises:
        InputError: If a checkpoint is missing, or the device is not there.
    """
    sizes = {checkpoint.ref: weights(checkpoint) for checkpoint in checkpoints}
    planned = [replace(task, tensors=sizes[task.checkpoints[0].ref].tensors) for task in planned]
    parameters = max((size.parameters for size in sizes.values()), default=0)
    flops = 2 * parameters * sum(_tokens(task, study) for task in planned)
    rate = flops_per_second or speed(device)
    free, wanted = free_on(device), need(planned, parameters) if planned else Need(0, None)
    return Forecast(
        tasks=len(planned),
        checkpoints=len(sizes),
        loads=loads(planned),
        bytes=sum(size.bytes for size in sizes.values()),
        bytes_on_hub=sum(size.bytes for size in sizes.values() if size.remote),
        disk_bytes=_held(planned, {ref: size.bytes for ref, size in sizes.items() if size.remote}),
        parameters=parameters,
        points=sum(task.passes for task in planned),
        flops=flops,
        flops_per_second=rate,
        seconds=flops / rate,
        peak_bytes=wanted.peak(free),
        on_disk=wanted.stays_on_disk(free),
        device=device,
    )


def _held(planned: Sequence[Task[Spec]], sizes: Mapping[str, int]) -> int:
    """Bytes of the checkpoints that are between their first and last use at once, and of the largest one more."""
    first, last = dict[str, int](), dict[str, int]()
    for position, task in enumerate(planned):
        for ref in (c.ref for c in task.checkpoints if c.ref in sizes):
            first.setdefault(ref, position)
            last[ref] = position
    most = now = 0
    ends = sorted([(position, 0, ref) for ref, position in first.items()] + [(p, 1, ref) for ref, p in last.items()])
    for _, ended, ref in ends:
        now += -sizes[ref] if ended else sizes[ref]
        most = max(most, now)
    return min(most + max(sizes.values(), default=0), sum(sizes[ref] for ref in first))


def _tokens(task: Task[Spec], study: Study) -> int:
    """Tokens of all forward passes of a task; a gradient costs three."""
    data = study.data_sets[task.on]
    gradients = FORWARD_AND_BACKWARD * task.gradients(data.sequences)
    return (task.passes * data.sequences + gradients) * data.length


def loads(planned: Iterable[Task[Spec]]) -> int:
    """Checkpoints read by one worker that keeps the anchors of one tile."""
    count, held = 0, set[str]()
    for task in planned:
        here = {c.ref for c in task.checkpoints}
        count += len(here - held)
        held = here if task.pairs else held | here
    return count


@cache
def speed(device: str = "cpu") -> float:
    """Floating-point operations a second of a float32 matrix product on a device.

    Raises:
        InputError: If the device is not there.
    """
    operations = 3 * 2 * PRODUCT**3
    if device == "cpu":
        a = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), dtype=np.float32)
        a @ a
        begin = time.perf_counter()
        for _ in range(3):
            a @ a
        return float(operations / (time.perf_counter() - begin))
    import torch

    from landscape.measure.prepare import on

    b = torch.randn(PRODUCT, PRODUCT, device=on(device))
    float((b @ b).sum())
    begin = time.perf_counter()
    for _ in range(3):
        b = b @ b / PRODUCT
    float(b.sum())
    return float(operations / (time.perf_counter() - begin))


def free_on(device: str) -> int:
    """Bytes that are free on a device.

    Raises:
        InputError: If the device is not there.
    """
    if device == "cpu":
        return memory.free()
    from landscape.measure.prepare import on
    from landscape.session.room import free_on as of

    return of(on(device))


class Took(TypedDict):
    """What one run of a study was planned to take, and what it took.

    Attributes:
        planned: A :class:`Forecast` of the tasks that were left.
        seconds: Time that they took.
        peak_bytes: Largest memory of one process, the program and files that it mapped included.
        done: Number of tasks that were done.
    """

    planned: dict[str, float | int | str | bool]
    seconds: float
    peak_bytes: int
    done: int


def note(store: Store, planned: Forecast, begin: float, done: int) -> None:
    """Keep what a run took beside what was planned, after those of earlier runs.

    Args:
        store: Results of the study.
        planned: What was planned.
        begin: Start of the run, in seconds of the monotonic clock.
        done: Number of tasks that were done.
    """
    uses = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, WORKERS))
    took = Took(planned=asdict(planned), seconds=time.monotonic() - begin, peak_bytes=1024 * max(uses), done=done)
    store.keep("", TOOK, json.dumps([*noted(store), took], indent=1).encode())


def noted(store: Store) -> list[Took]:
    """What the runs of a study took, in order; nothing where the file is lost or damaged."""
    try:
        found: list[Took] = json.loads(store.kept("", TOOK) or b"[]")
        return [Took(**one) for one in found]
    except (ValueError, TypeError):
        return []
