"""From a study to tasks with content keys; everything that can be refused before running is refused here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import torch

from landscape import measure
from landscape.checkpoints import fetch, formats, identity
from landscape.checkpoints.grid import incomplete, listed, warnings
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.fastest import is_emulated
from landscape.session import agree, own
from landscape.session import data as fixed
from landscape.session.room import stays_on_disk
from landscape.session.session import InMemory, Session
from landscape.study.checkpoint import FACTORS, Checkpoint
from landscape.study.expand import tasks
from landscape.study.file import Study
from landscape.study.measure import Grid, Hashes
from landscape.study.record import Record
from landscape.study.store import LOCK, Store
from landscape.study.tasks import Spec, Task, recorded

LOG = logging.getLogger("landscape")
VERSIONS = ("torch", "transformers", "landscape-toolkit")
"""Distributions whose versions the record has."""


@dataclass(frozen=True)
class Prepared:
    """A study ready to run.

    Attributes:
        study: The study.
        tasks: All its tasks, in plan order.
        session: A session of this process over all of them.
        record: What the store keeps about it.
    """

    study: Study
    tasks: list[Task[Spec]]
    session: Session
    record: Record

    @property
    def keys(self) -> list[str]:
        """Keys of the tasks."""
        return [task.key for task in self.tasks]


def prepare(
    study: Study,
    store: Store,
    device: str = "cpu",
    grid: Grid | None = None,
    memory: InMemory | None = None,
    *,
    workers: int = 1,
    spread: bool = False,
) -> Prepared:
    """Find and fingerprint the checkpoints, fix the batches, and expand the tasks.

    Args:
        study: The study.
        store: Where its results are or will be.
        device: Where to compute.
        grid: Its checkpoints, if they are already known.
        memory: Models in memory, which the checkpoints of the grid stand for.
        workers: How many workers share the memory of the device.
        spread: Whether points are spread over devices.

    Raises:
        InputError: If anything about checkpoints, text or device does not fit.
    """
    before = store.record() if (store.folder / LOCK).exists() else None
    found = own.without_configs(study, grid or listed(study.checkpoints))
    signatures: dict[str, tuple[str, str]] = {}
    if memory is None:
        known = before["signatures"] if before else {}
        commits = {str(c["ref"]): str(c["commit"]) for c in before["checkpoints"]} if before else {}
        runs, branches = (
            tuple(_identified(c, known, commits, signatures) for c in part) for part in (found.runs, found.branches)
        )
        found = Grid(runs, branches)
        fixed.require_other_texts(study)
    every, first = found.every, found.every[0]
    planned = tasks(study, found, _hashes(study, first, memory))
    where = on(device)
    _require_dtype(study, where)
    on_disk = memory is None and stays_on_disk(planned, study.data_sets[planned[0].on], where, workers, spread)
    session = Session(store, study, planned, where, workers, signatures, memory, on_disk, spread)
    objectives = {on: session.batches.objective(on) for on in dict.fromkeys(task.on for task in planned)}
    objective = objectives[planned[0].on]
    if memory is None:
        _require_alike(objectives, every, spread)
    measure.require(planned, session)
    stages = study.stages.model_dump(mode="json")
    record: Record = {
        "name": study.name,
        "study": study.model_dump(mode="json"),
        "preregistered": before["preregistered"] if before else stages,
        "tasks": [task.as_json() for task in planned],
        "checkpoints": [recorded(c) for c in every],
        "warnings": [
            *([] if grid else incomplete(found.runs)),
            *warnings(every),
            *([] if memory else agree.warnings(study.data_sets, objectives, every)),
        ],
        "parameters": objective.space.size,
        "signatures": {where: list(pair) for where, pair in signatures.items()},
        "versions": {name: version(name) for name in VERSIONS} | own.files(study),
    }
    return Prepared(study, planned, session, record)


def _require_alike(objectives: Mapping[str, Objective], every: Sequence[Checkpoint], spread: bool) -> None:
    """Refuse checkpoints of several architectures or spaces, and statistics of a pass that is spread over devices.

    Raises:
        InputError: If they do not fit.
    """
    first = next(iter(objectives.values()))
    if spread and first.statistics:
        raise InputError("device_map = auto is for models without BatchNorm, whose statistics are of a whole pass")
    fixed.require_one_space(objectives)
    fixed.require_one_architecture(list(every), first)


def _hashes(study: Study, first: Checkpoint, memory: InMemory | None) -> Hashes:
    """Hashes of what tasks read; for models in memory their batches and loss, which are not those of another call."""
    if memory is not None:
        return Hashes(study.data_sets, lambda data: memory.key)
    return Hashes(
        study.data_sets,
        cache(partial(fixed.fingerprint, checkpoint=first)),
        cache(partial(fixed.fingerprint_of_probes, checkpoint=first)),
        cache(own.digest),
    )


def _identified(
    checkpoint: Checkpoint,
    known: Mapping[str, list[str]],
    commits: Mapping[str, str],
    signatures: dict[str, tuple[str, str]],
) -> Checkpoint:
    """The checkpoint with its commit and content.

    Args:
        checkpoint: The checkpoint.
        known: Signatures and contents by path, from the last time.
        commits: Commits by reference, from the last time.
        signatures: Where its own is noted.

    Raises:
        InputError: If its files are missing, or change meanwhile.
    """
    if checkpoint.place is not None:
        pinned = fetch.pinned(replace(checkpoint, commit=checkpoint.commit or commits.get(checkpoint.ref, "")))
        return replace(pinned, content=fetch.content(pinned))
    path = Path(checkpoint.ref)
    formats.index(fetch.weights(checkpoint))
    here = identity.signature(path, fetch.config_of(checkpoint))
    where = str(path.resolve())
    old, content = known.get(where, ["", ""])
    if old != here or content.endswith(FACTORS) != (checkpoint.adapter == "factors"):
        content = fetch.content(checkpoint)
        identity.require_unchanged(path, fetch.config_of(checkpoint), here, content.removesuffix(FACTORS))
    signatures[where] = here, content
    return replace(checkpoint, content=content)


def _require_dtype(study: Study, device: torch.device) -> None:
    """Refuse a dtype that the device does not have, and warn of one that it emulates.

    Raises:
        InputError: If TensorFloat-32 is wanted without an NVIDIA GPU.
    """
    if device.type != "cuda" and any(getattr(m, "dtype", None) == "tf32" for m in study.measure):
        raise InputError(f"tf32 needs an NVIDIA GPU, and {device} is none; give float32, bfloat16 or auto")
    asked = any(getattr(m, "dtype", None) == "bfloat16" for m in study.measure)
    if device.type == "cpu" and asked and is_emulated():
        LOG.warning("warning: this processor emulates bfloat16, which takes it many times as long as float32; give "
                    "float32 or auto")  # fmt: skip


def on(name: str) -> torch.device:
    """A device by its name.

    Raises:
        InputError: If it is not there.
    """
    try:
        torch.empty(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"cannot compute on {name!r} ({str(error).splitlines()[0]}); give another --device") from error
