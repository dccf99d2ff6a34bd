"""The fixed batches of a study."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from torch import nn

from landscape.checkpoints import fetch, models
from landscape.checkpoints.identity import sha256
from landscape.demo import HELD_OUT_TEXT
from landscape.errors import InputError
from landscape.measures import ON_TEXT, Barriers, Curves
from landscape.objectives import KINDS, Objective
from landscape.objectives.text import read_file
from landscape.settings import Data
from landscape.study import Study
from landscape.task import Checkpoint


def build(data: Data, checkpoint: Checkpoint, *, untied: bool = False) -> Objective:
    """The objective of a study, on a model of the checkpoint's architecture; ``untied`` as for its skeleton.

    Raises:
        InputError: If text, tokenizer and model do not go together.
    """
    kind = KINDS[data.objective]
    model = skeleton(checkpoint, kind.AUTO, untied=untied)
    tokenizer = models.tokenizer(_tokenizer_folder(data, checkpoint))
    with models.blamed(f"the tokenizer of {checkpoint.ref} fails on the text", "give the model's own tokenizer"):
        batch = kind.encode(
            read_text(data), tokenizer, sequences=data.sequences, length=data.length,
            **({"mask": data.mask, "seed": data.seed} if data.objective == "masked-lm" else {}),
        )  # fmt: skip
    longest = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if longest is not None and data.length > longest:
        raise InputError(f"length is {data.length} and the model takes at most {longest} tokens; lower length")
    with models.blamed(f"the model that {checkpoint.ref} describes cannot be run", models.OWN):
        objective: Objective = kind.build(model, batch)
    return objective


def skeleton(checkpoint: Checkpoint, auto: str, *, untied: bool = False) -> nn.Module:
    """A model of the checkpoint's architecture, held against its weights where they are on this disk.

    Raises:
        InputError: If config and weights do not go together, or make no such model.
    """
    here = fetch.weights(checkpoint) if fetch.is_here(checkpoint) else None
    return models.skeleton(fetch.described(checkpoint), auto, untied=untied, weights=here)


def read_text(data: Data) -> str:
    """The text that is evaluated on.

    Raises:
        InputError: If it cannot be read.
    """
    return read_file(Path(data.text) if data.text else HELD_OUT_TEXT)


def fingerprint(data: Data, checkpoint: Checkpoint) -> str:
    """Hash of all that decides the batches: text, tokenizer and settings."""
    digest = hashlib.sha256(read_text(data).encode())
    digest.update(json.dumps(data.model_dump(exclude={"text", "tokenizer"}), sort_keys=True).encode())
    folder = _tokenizer_folder(data, checkpoint)
    for file in models.tokenizer_files(folder):
        if file.name != models.TOKENIZER_CONFIG:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


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


def require_other_texts(study: Study) -> None:
    """Refuse curves and matches that would be judged on the text that they are fitted on.

    Raises:
        InputError: If a measure's fitting text is that of the study.
    """
    for measure in study.measure:
        if isinstance(measure, Curves) and read_text(measure.fitted_on(study.data)) == read_text(study.data):
            raise InputError(
                f"fit_text {measure.fit_text} is the text of [data]; a curve must be judged on text "
                "it was not fitted on"
            )
        if not isinstance(measure, Barriers | Curves) or not set(measure.symmetry) & set(ON_TEXT):
            continue
        if read_text(measure.match.matched_on(study.data)) == read_text(study.data):
            raise InputError(
                f"the text to match on, {measure.match.text}, is that of [data]; what is matched on a text must be "
                "judged on another"
            )


def _tokenizer_folder(data: Data, checkpoint: Checkpoint) -> Path:
    return fetch.tokenizer_folder(data.tokenizer) if data.tokenizer else fetch.described(checkpoint)


def require_one_architecture(checkpoints: list[Checkpoint], objective: Objective) -> None:
    """Refuse checkpoints that are not points of one space, before anything is run.

    Configs are compared, and the names and shapes of those weights that are on this disk.

    Raises:
        InputError: Naming the first parameter or setting that differs.
    """
    first = checkpoints[0].ref
    settings = models.settings(fetch.described(checkpoints[0]))
    for checkpoint in checkpoints:
        other = models.settings(fetch.described(checkpoint))
        for name in sorted(settings.keys() | other.keys(), key=lambda name: (name != "model_type", name)):
            if (mine := settings.get(name)) != (theirs := other.get(name)):
                beside = " (landscape match leaves the other one beside, in the folder first)"
                raise InputError(
                    f"two architectures: {name} is {mine!r} in {first} and {theirs!r} in {checkpoint.ref}; "
                    f"give checkpoints of one architecture{beside if name == 'tie_word_embeddings' else ''}"
                )
    for checkpoint in checkpoints:
        if fetch.is_here(checkpoint):
            models.require_fit(fetch.weights(checkpoint), objective.model, objective.space)
