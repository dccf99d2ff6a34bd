"""Data sets whose model, batches and loss are those of a function of the user's own file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from landscape import own
from landscape.checkpoints.identity import sha256
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.objectives import own as functions
from landscape.study.checkpoint import NO_CONFIG
from landscape.study.file import Study
from landscape.study.measure import Grid
from landscape.study.sections import Data
from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT


def build(data: Data, *, fits: bool) -> Objective:
    """The objective of such a data set.

    Args:
        data: The data set.
        fits: Whether the batches are to be fitted or aligned on.
    """
    return functions.build(data.objective, text_of(data), fits=fits, sequences=_most(data))


def fingerprint(data: Data) -> str:
    """Hash of all that decides the batches: the file, the function, and the file or folder of its text."""
    text = text_of(data)
    content = digest(text) if text is not None and Path(text).exists() else text
    what = [own.digest(data.objective), own.parts(data.objective)[1], content, _most(data), data.buffers]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def without_configs(study: Study, grid: Grid) -> Grid:
    """The checkpoints as the objectives of a study read them: a function of the user's own needs no config.

    Raises:
        InputError: If only some of the data sets are of such a function.
    """
    every = study.data_sets
    if not any(data.own for data in every.values()):
        return grid
    if other := [on for on, data in every.items() if not data.own]:
        raise InputError(
            f"the data set {other[0]} is for models of transformers, and another one is for a model of your own; give "
            "each a study of its own"
        )
    runs, branches = (tuple(replace(c, config=NO_CONFIG) for c in part) for part in (grid.runs, grid.branches))
    return Grid(runs, branches)


def files(study: Study) -> dict[str, str]:
    """Functions of the user's own that a study calls, each with the SHA-256 of its file."""
    tables = filter(None, (measure.own_table for measure in study.measure))
    named = [*(data.objective for data in study.data_sets.values() if data.own), *tables]
    return {name: own.digest(name) for name in named}


def digest(place: str | None) -> str:
    """Hash of a file, or of all files of a folder with their names; empty for None.

    Raises:
        InputError: If it is not there, or cannot be read.
    """
    if place is None:
        return ""
    root = Path(place)
    if not root.exists():
        raise InputError(f"there is no file or folder {root}; check the path")
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    running = hashlib.sha256()
    try:
        for file in files:
            if not file.is_dir():
                running.update(f"{file.relative_to(root).as_posix()}\n{sha256(file)}\n".encode())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; check the path") from error
    return running.hexdigest()


def text_of(data: Data) -> str | None:
    """The text that the function is called with; the packaged novels are nobody's own."""
    return None if data.text in (str(HELD_OUT_TEXT), str(TRAINING_TEXT)) else data.text


def _most(data: Data) -> int | None:
    """Most examples of those that the function returns; None for all."""
    return data.sequences if "sequences" in data.model_fields_set else None
