"""From a study to tasks with content keys; everything that can be refused before running is refused here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from landscape.checkpoints import fetch, formats, identity
from landscape.checkpoints.grid import incomplete, listed, warnings
from landscape.checkpoints.sources import place
from landscape.errors import InputError
from landscape.session import agree
from landscape.session import data as fixed
from landscape.session.session import Session
from landscape.study.expand import tasks
from landscape.study.file import Study
from landscape.study.kinds import Llc
from landscape.study.store import LOCK, Store
from landscape.study.tasks import Checkpoint, Task


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
    tasks: list[Task]
    session: Session
    record: dict[str, Any]


def prepare(
    study: Study, store: Store, device: str = "cpu", found: tuple[list[Checkpoint], list[Checkpoint]] | None = None
) -> Prepared:
    """Find and fingerprint the checkpoints, fix the batches, and expand the tasks.

    Args:
        study: The study.
        store: Where its results are or will be.
        device: Where to compute.
        found: Checkpoints and branches, if they are already known.

    Raises:
        InputError: If anything about checkpoints, text or device does not fit.
    """
    record = store.record() if (store.folder / LOCK).exists() else {}
    known = record.get("signatures", {})
    commits = {c["ref"]: c.get("commit", "") for c in record.get("checkpoints", [])}
    seeds, branches = found or listed(study.checkpoints)
    signatures: dict[str, tuple[str, str]] = {}

    def identify(checkpoint: Checkpoint) -> Checkpoint:
        if place(checkpoint.ref) is not None:
            checkpoint = fetch.pinned(replace(checkpoint, commit=checkpoint.commit or commits.get(checkpoint.ref, "")))
            return replace(checkpoint, content=fetch.content(checkpoint))
        path = Path(checkpoint.ref)
        formats.index(path)
        here = identity.signature(path, fetch.described(checkpoint))
        where = str(path.resolve())
        old, content = known.get(where, ("", ""))
        if old != here:
            content = fetch.content(checkpoint)
            identity.require_unchanged(path, fetch.described(checkpoint), here, content)
        signatures[where] = (here, content)
        return replace(checkpoint, content=signatures[where][1])

    seeds, branches = [identify(c) for c in seeds], [identify(c) for c in branches]
    fixed.require_other_texts(study)
    of_probes = partial(fixed.fingerprint_of_probes, checkpoint=seeds[0])
    planned = tasks(study, seeds, branches, partial(fixed.fingerprint, checkpoint=seeds[0]), fixed.digest, of_probes)
    session = Session(store, study, planned, on(device), signatures=signatures)
    _require_dtype(study, session.device)
    fixed.require_one_architecture([*seeds, *branches], session.objective)
    _require_parameters(study, session)
    _require_matches(planned, session)
    for task in _first_of_each_probe(planned):
        session.asked(task, keep=False)  # the store is not claimed yet
    record = {
        "study": study.model_dump(mode="json"),
        "preregistered": record.get("preregistered") if record else study.stages.model_dump(mode="json"),
        "tasks": [task.as_json() for task in planned],
        "checkpoints": [asdict(c) for c in [*seeds, *branches]],
        "warnings": [
            *([] if found else incomplete(seeds)),
            *warnings([*seeds, *branches]),
            *agree.warnings(study.data, [*seeds, *branches], session.objective),
        ],
        "parameters": session.objective.space.size,
        "signatures": signatures,
        "versions": {name: version(name) for name in ("torch", "transformers", "landscape-toolkit")},
    }
    return Prepared(study, planned, session, record)


def _require_dtype(study: Study, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        InputError: If TensorFloat-32 is wanted without an NVIDIA GPU.
    """
    if device.type != "cuda" and any(getattr(m, "dtype", None) == "tf32" for m in study.measure):
        raise InputError(f"tf32 is a precision of NVIDIA GPUs, and {device} is none; give float32, bfloat16 or auto")


def _require_parameters(study: Study, session: Session) -> None:
    """Refuse names of parameters that chains cannot move."""
    for measure in study.measure:
        if isinstance(measure, Llc):
            from landscape.llc.parameters import chosen

            chosen(session.objective.model, session.objective.space, measure.parameters)


def _require_matches(planned: list[Task], session: Session) -> None:
    """Refuse ways to match that the architecture does not have."""
    for settings in _ways_to_match(planned):
        from landscape.measure import match

        match.require(session, settings)


def _ways_to_match(planned: list[Task]) -> list[dict[str, Any]]:
    """Settings of matching, each once."""
    every = {json.dumps(dict(task.settings)): dict(task.settings) for task in planned if task.kind == "match"}
    return list(every.values())


def _first_of_each_probe(planned: list[Task]) -> list[Task]:
    """One task of every probe and its settings, to find out now what cannot be asked."""
    return list({task.settings: task for task in planned if task.kind == "probes"}.values())


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
