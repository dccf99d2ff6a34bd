"""Whether the points of a study fit into memory, stay on disk, or are too large for this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import prod
from pathlib import Path

import torch

from landscape import memory
from landscape.catalogue import OBJECTIVES
from landscape.checkpoints import fetch, formats, models
from landscape.checkpoints.formats.tensors import FLOATS
from landscape.errors import InputError
from landscape.memory import gigabytes
from landscape.study.checkpoint import Checkpoint
from landscape.study.need import BFLOAT16, SHARE, Need, bytes_of, need
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task

LOG = logging.getLogger("landscape")


def stays_on_disk(
    tasks: Sequence[Task[Spec]], data: Data, device: torch.device, workers: int = 1, spread: bool = False
) -> bool:
    """Whether the points of some tasks stay in their files, since they would fill memory or are spread over devices.

    Args:
        tasks: The tasks.
        data: The data set of the first.
        device: Where points are evaluated.
        workers: How many workers share its memory.
        spread: Whether points are spread over devices.

    Raises:
        InputError: If the tasks need more memory than is free, with both numbers, or their points cannot be spread.
    """
    if spread:
        _require_spread(tasks, data)
    if spread or data.own:
        return spread
    first, free = tasks[0].checkpoints[0], free_on(device) // workers
    if (
        not need(tasks, _stored(first)).in_memory > SHARE * free
    ):  # no model has more parameters than its files have values
        return False
    parameters, convertible = _measured(first, data)
    wanted = need(tasks, parameters)
    if not convertible:
        wanted = Need(wanted.in_memory, None)
    if (least := wanted.peak(free)) > free:
        raise InputError(_too_large(wanted, least, free, tasks, device) + _by_each(workers))
    if not wanted.stays_on_disk(free):
        return False
    LOG.info(
        "%.3g billion parameters: %s are needed, and %s are free; in memory, checkpoints would need %s, so they stay "
        "in their files", parameters / 1e9, gigabytes(least), gigabytes(free), gigabytes(wanted.in_memory),
    )  # fmt: skip
    return True


def _require_spread(tasks: Sequence[Task[Spec]], data: Data) -> None:
    """Refuse tasks whose points cannot be spread over devices.

    Args:
        tasks: The tasks.
        data: The data set of the first.

    Raises:
        InputError: If one needs whole points in the memory of one device.
    """
    if data.own:
        raise InputError("device_map = auto is for models of transformers, and the objective is your own; leave it out")
    for task in tasks:
        if not task.spec.combines:
            raise InputError(
                f"{task.label}: device_map = auto is for tasks that only combine checkpoints, such as barriers that "
                "are not aligned; leave it out for this one"
            )
        if getattr(task.spec, "dtype", None) in ("auto", "tf32"):
            raise InputError("dtypes are not timed where device_map = auto; give dtype = float32 or bfloat16")
    if not _measured(tasks[0].checkpoints[0], data)[1]:
        raise InputError("the tensors of these checkpoints are split or merged when they are loaded, which "
                         "device_map = auto cannot do; leave it out")  # fmt: skip


def _measured(checkpoint: Checkpoint, data: Data) -> tuple[int, bool]:
    """Parameters of a checkpoint's model, and whether its tensors are parameters as they are stored."""
    weights = fetch.weights(checkpoint) if fetch.is_here(checkpoint) else None
    return models.measured(fetch.described(checkpoint), OBJECTIVES.load(data.objective).AUTO, weights)


def most_workers(tasks: Sequence[Task[Spec]], parameters: int, device: torch.device) -> int:
    """Workers that fit into the memory of a device with their points, at least one.

    Args:
        tasks: The tasks.
        parameters: Coordinates of a point.
        device: Where points are evaluated.
    """
    return max(1, free_on(device) // need(tasks, parameters).in_memory)


def _by_each(workers: int) -> str:
    return "" if workers == 1 else f"; this is for each of {workers} workers, so that fewer need less (--workers)"


def free_on(device: torch.device) -> int:
    """Free bytes where points are evaluated."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else memory.free()


def _stored(checkpoint: Checkpoint) -> int:
    """Number of values in the weights of a checkpoint; of one that is not fetched, the largest that it may be."""
    if not fetch.is_here(checkpoint):
        return fetch.size(checkpoint) // BFLOAT16
    stored = formats.index(Path(fetch.weights(checkpoint))).values()
    return sum(prod(tensor.shape) for tensor in stored if tensor.dtype in FLOATS)


def _too_large(wanted: Need, least: int, free: int, tasks: Sequence[Task[Spec]], device: torch.device) -> str:
    """What is needed, what is free, and what to do."""
    hints = []
    if wanted.on_disk is not None and max(bytes_of(task.spec) for task in tasks) > BFLOAT16:
        hints.append("use --dtype bfloat16, or dtype in the study file, which needs half as much")
    if wanted.on_disk is None and max(len(task.checkpoints) for task in tasks) > 1:
        hints.append("take fewer checkpoints at once (tile = 1)")
    if device.type == "cuda" and wanted.on_disk is not None:
        hints.append("spread it over all GPUs and the CPU (--device-map auto)")
    if device.type == "cuda":
        hints.append("compute on the CPU (--device cpu), if its memory is larger")
    hints.append("take a machine with more memory")
    what = "a point and its activations" if wanted.on_disk is not None else "the points that a task holds at once"
    return f"{what}: needs {gigabytes(least)}, {gigabytes(free)} are free; {' or '.join(hints)}"
