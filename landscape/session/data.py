"""The fixed batches of a study."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from landscape.catalogue import OBJECTIVES
from landscape.checkpoints import adapters, configs, fetch, models, tokenizers
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.hollow import filled
from landscape.errors import InputError
from landscape.foreign import Pretrained
from landscape.objectives import Batch, Objective
from landscape.objectives.corpus import read_corpus, read_examples
from landscape.objectives.text import begin
from landscape.session import images, own
from landscape.study.checkpoint import NO_CONFIG, Checkpoint
from landscape.study.file import Study
from landscape.study.sections import Data
from landscape.texts import HELD_OUT_TEXT


def build(
    data: Data, checkpoint: Checkpoint, *, untied: bool = False, hollow: torch.dtype | None = None, fits: bool = False
) -> Objective:
    """The objective of a study, on a model of the checkpoint's architecture.

    Args:
        data: The data set.
        checkpoint: Whose architecture, and whose tokenizer if the data set names none.
        untied: As for the skeleton.
        hollow: If given, the model takes no memory, and is tried with weights of this dtype.
        fits: Whether the batches are to be fitted or aligned on.

    Raises:
        InputError: If text, tokenizer and model do not go together.
    """
    if data.own:
        return own.build(data, fits=fits)
    module = OBJECTIVES.load(data.objective)
    model: Pretrained = skeleton(checkpoint, module.AUTO, untied=untied, hollow=hollow is not None)
    classes = module.classes(model.config)
    if "images" in data.reads:
        return images.build(data, checkpoint, model)
    longest = getattr(model.config, "max_position_embeddings", None) or 0
    if 0 < longest < data.length:
        raise InputError(
            f"length is {data.length} and the model takes at most {longest} tokens; give length = {longest} or less"
        )
    tokenizer = tokenizer_of(data, checkpoint)
    with blamed(f"the tokenizer of {checkpoint.ref} fails on the text", "give the model's own tokenizer"):
        batch = module.encode(
            read_text(data), tokenizer, sequences=data.sequences, length=data.length, mask=data.mask, seed=data.seed,
            bos=data.bos,
        )  # fmt: skip
    here = fetch.weights(checkpoint) if fetch.is_here(checkpoint) else None
    weights = nullcontext() if hollow is None else filled(model, hollow, here)
    with weights, blamed(f"the model that {checkpoint.ref} describes cannot be run", configs.OWN):
        objective: Objective = module.build(model, batch)
    begun = takes_bos(data) and bool(begin(tokenizer, data.bos))
    unknown = unknown_share(batch, tokenizer.unk_token_id, skip=int(begun))
    uniform = {"uniform_loss": math.log(classes)} if classes else {}
    return replace(objective, columns={"bos": begun, "unknown": unknown, **uniform})


def takes_bos(data: Data) -> bool:
    """Whether a text may begin with the start token."""
    return "bos" in data.reads


def unknown_share(batch: Batch, unknown: int | None, skip: int) -> float:
    """Share of the tokens that the tokenizer does not know, without padding.

    Args:
        batch: The examples.
        unknown: Id of the token for what is not known; None if there is none.
        skip: First tokens of each example to leave out.
    """
    ids = batch.get("targets", batch["input_ids"])[:, skip:]
    real = batch["attention_mask"][:, skip:].bool() if "attention_mask" in batch else ids >= 0
    return float((ids[real] == unknown).float().mean()) if unknown is not None else 0.0


def tokenizer_of(data: Data, checkpoint: Checkpoint) -> Any:
    """The tokenizer by which all checkpoints of a study are evaluated.

    Raises:
        InputError: If there is none, or it has no vocabulary.
    """
    return tokenizers.shared(_tokenizer_folder(data, checkpoint))


def skeleton(checkpoint: Checkpoint, auto: str, *, untied: bool = False, hollow: bool = False) -> nn.Module:
    """A model of the checkpoint's architecture, compared with its weights where they are on this disk.

    Args:
        checkpoint: The checkpoint.
        auto: Class of transformers that makes the model.
        untied: Whether the head is made a parameter of its own.
        hollow: Whether its parameters take no memory.

    Raises:
        InputError: If config and weights do not go together, or make no such model.
    """
    if checkpoint.adapter == "factors":
        return adapters.factored(fetch.weights(checkpoint).parent, fetch.described(checkpoint), auto)
    here = fetch.weights(checkpoint) if fetch.is_here(checkpoint) else None
    return models.skeleton(fetch.described(checkpoint), auto, untied=untied, weights=here, hollow=hollow)


def read_text(data: Data) -> str:
    """The text that is evaluated on.

    Raises:
        InputError: If it cannot be read.
    """
    read = read_examples if "labels" in data.reads else read_corpus
    return read(Path(data.text) if data.text else HELD_OUT_TEXT, data.where)


def fingerprint(data: Data, checkpoint: Checkpoint) -> str:
    """Hash of all that decides the batches: text, tokenizer and settings; the first token only where there is one.

    Of a function of the user's own: its file, and the file or folder of its text if there is one.
    """
    if data.own:
        return own.fingerprint(data)
    return _fingerprint(data, checkpoint, {"bos": True} if _begun(data, checkpoint, data.bos) else {})


def fingerprint_of_probes(data: Data, checkpoint: Checkpoint) -> str:
    """The same for probes, which begin with a first token that the tokenizer has unless told otherwise."""
    if data.own:
        return fingerprint(data, checkpoint)
    usual = _begun(data, checkpoint, True) == _begun(data, checkpoint, data.bos)
    return _fingerprint(data, checkpoint, {} if usual else {"bos": False})


def _begun(data: Data, checkpoint: Checkpoint, bos: bool | Literal["auto"]) -> bool:
    """Whether a text begins with the start token."""
    if not takes_bos(data):
        return False
    tokenizer = tokenizers.shared(_tokenizer_folder(data, checkpoint))
    return tokenizer.bos_token_id is not None and bool(begin(tokenizer, bos))


def _fingerprint(data: Data, checkpoint: Checkpoint, more: dict[str, bool]) -> str:
    settings = {**data.model_dump(exclude={"text", "tokenizer", "bos", "buffers", "statistics", "where"}), **more}
    if "images" in data.reads:
        return images.fingerprint(data, checkpoint, settings)
    digest = hashlib.sha256(read_text(data).encode())
    weights = fetch.weights(checkpoint) if fetch.is_here(checkpoint) else None
    if models.has_learned_buffers(fetch.described(checkpoint), OBJECTIVES.load(data.objective).AUTO, weights):
        settings["buffers"] = "from the file" if data.buffers == "nearest" else "from the file, interpolated"
    digest.update(json.dumps(settings, sort_keys=True).encode())
    folder = _tokenizer_folder(data, checkpoint)
    for file in tokenizers.files_of(folder):
        if file.name != tokenizers.CONFIG:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def require_other_texts(study: Study) -> None:
    """Refuse measures that would be scored on a text that they are fitted or aligned on.

    Raises:
        InputError: If a further text of a measure is that of a data set it is measured on.
    """
    for measure in study.measure:
        for on in measure.on:
            data = study.data_sets[on]
            for setting, other in measure.other_data(data):
                if _content(data.model_copy(update={"where": None})) == _content(other) != "":
                    raise InputError(
                        f"{setting} {other.text} is the text of [data]; what is fitted or aligned on a text is "
                        "measured on another"
                    )


def _content(data: Data) -> str:
    """What a data set is of, to be compared with another one; empty if there is nothing to compare."""
    if data.own:
        return own.text_of(data) or ""
    return own.digest(data.text) if "images" in data.reads else read_text(data)


def _tokenizer_folder(data: Data, checkpoint: Checkpoint) -> Path:
    """The folder of the tokenizer of a study."""
    return fetch.tokenizer_folder(data.tokenizer) if data.tokenizer else fetch.described(checkpoint)


def require_one_space(objectives: Mapping[str, Objective]) -> None:
    """Refuse data sets that need different model classes: the points of one are not those of the other.

    Args:
        objectives: By data set.

    Raises:
        InputError: If there are such.
    """
    (first, own), *others = objectives.items()
    for on, other in others:
        if (own.space.names, own.space.shapes) != (other.space.names, other.space.shapes):
            classes = f"{type(own.model).__name__} for {first} and {type(other.model).__name__} for {on}"
            raise InputError(f"the data sets need models of two classes, {classes}; give each a study of its own")


def require_one_architecture(checkpoints: list[Checkpoint], objective: Objective) -> None:
    """Refuse checkpoints that are not points of one space, before anything is run.

    Configs are compared, and the names and shapes of those weights that are on this disk.

    Raises:
        InputError: Naming the first parameter or setting that differs.
    """
    require_one_config(checkpoints)
    for checkpoint in checkpoints:
        if fetch.is_here(checkpoint):
            models.require_fit(fetch.weights(checkpoint), objective.model, objective.space)


def require_one_config(checkpoints: list[Checkpoint]) -> None:
    """Refuse checkpoints whose configs are of two architectures.

    Raises:
        InputError: Naming the first setting that differs.
    """
    first = checkpoints[0].ref
    if checkpoints[0].adapter == "factors":
        adapters.require_one_base([fetch.weights(checkpoint).parent for checkpoint in checkpoints])
    described = [checkpoint for checkpoint in checkpoints if checkpoint.config != NO_CONFIG]
    settings = configs.settings(fetch.described(described[0])) if described else {}
    for checkpoint in described:
        other = configs.settings(fetch.described(checkpoint))
        for name in sorted(settings.keys() | other.keys(), key=lambda name: (name != "model_type", name)):
            if (mine := settings.get(name)) != (theirs := other.get(name)):
                hint = ""
                if name == "tie_word_embeddings":
                    hint = " (landscape align writes the other one untied too, to the folder first)"
                elif name not in settings or name not in other:
                    hint = f", or take {name} out of the config.json that has it, if it changes nothing"
                raise InputError(
                    f"two architectures: {name} is {mine!r} in {first} and {theirs!r} in {checkpoint.ref}; "
                    f"give checkpoints of one architecture{hint}"
                )
