"""Several folders of results as one: shares of a study, or studies of the same data."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from landscape.errors import InputError
from landscape.study.record import Record
from landscape.study.store import LOCK, Store

PLACES = frozenset({"text", "tokenizer", "statistics"})
"""Settings of a data set that are paths, which differ between machines."""
OF_ONE = frozenset({"claims", "damaged", "jobs", LOCK})
"""What is not taken from a folder of results."""
T = TypeVar("T")


@contextmanager
def joined(folders: Sequence[Path]) -> Generator[Store]:
    """The results of one folder, or of several as one, for as long as the context.

    Args:
        folders: The folders; settings of stages are those of the first.

    Raises:
        InputError: If one holds no results, or their models or data differ.
    """
    stores = [Store(folder / "results") for folder in folders]
    if len(stores) == 1:
        yield stores[0]
        return
    records = [store.record() for store in stores]
    for folder, record in zip(folders[1:], records[1:], strict=True):
        _require_same(folders[0], records[0], folder, record)
    with tempfile.TemporaryDirectory() as made:
        for store in stores:
            for part in store.folder.iterdir():
                if part.is_dir() and part.name not in OF_ONE:
                    shutil.copytree(part, Path(made) / part.name, copy_function=_linked, dirs_exist_ok=True)
        store = Store(Path(made))
        store.open(_record(records))
        yield store


def _record(records: Sequence[Record]) -> Record:
    """The record of all studies: that of the first, with the tasks and checkpoints of all."""
    first = records[0]
    return {
        **first,
        "tasks": list({task["key"]: task for record in records for task in record["tasks"]}.values()),
        "checkpoints": list({str(one["ref"]): one for record in records for one in record["checkpoints"]}.values()),
        "warnings": list(dict.fromkeys(warning for record in records for warning in record["warnings"])),
    }


def _require_same(one: Path, first: Record, other: Path, record: Record) -> None:
    """Refuse folders whose rows cannot stand beside one another.

    Args:
        one: The first folder.
        first: Its record.
        other: Another folder.
        record: Its record.

    Raises:
        InputError: If models or data differ.
    """
    if first["parameters"] != record["parameters"]:
        raise InputError(
            f"the models of {one} have {first['parameters']:,} parameters and those of {other} "
            f"{record['parameters']:,}: make a report of each"
        )
    data, others = _data(first), _data(record)
    keys = {_what(task): task["key"] for task in first["tasks"] if task["kind"] == "losses"}
    again = [task for task in record["tasks"] if keys.get(_what(task), task["key"]) != task["key"]]
    differ = [name for name in data.keys() & others.keys() if data[name] != others[name]]
    if differ or again:
        raise InputError(f"{one} and {other} are measured on other data or settings of them: make a report of each")


def _what(task: Mapping[str, object]) -> str:
    """Of what a task is, whatever its data."""
    checkpoints = task["checkpoints"]
    assert isinstance(checkpoints, list)
    return f"{task['label']} {[one['content'] for one in checkpoints]}"


def _data(record: Record) -> dict[str, object]:
    """The settings of each data set that are no paths."""
    study = record["study"]
    sets = {"main": study.get("data"), **(_mapping(study.get("other_data")))}
    return {name: {k: v for k, v in _mapping(own).items() if k not in PLACES} for name, own in sets.items()}


def _mapping(value: object) -> dict[str, object]:
    return {str(name): inner for name, inner in value.items()} if isinstance(value, Mapping) else {}


def _linked(source: str, target: str) -> None:
    """Link a file, or copy it where it cannot be linked; one that is there already has the same key, and stays."""
    if Path(target).exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
