"""Data sets of images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from landscape.catalogue import OBJECTIVES
from landscape.checkpoints import configs, fetch, processors
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.identity import sha256
from landscape.errors import InputError
from landscape.foreign import Pretrained
from landscape.objectives import Batch, Objective
from landscape.objectives.images import read_images
from landscape.objectives.objective import norms
from landscape.session.own import digest
from landscape.study.checkpoint import Checkpoint
from landscape.study.sections import Data

STATISTICS, AT_ONCE = 512, 128
"""Most images that statistics of norms are estimated on, and in batches of how many."""


def build(data: Data, checkpoint: Checkpoint, model: Pretrained) -> Objective:
    """The objective of images on a model.

    Args:
        data: The data set.
        checkpoint: Whose image processor is used.
        model: The model.

    Raises:
        InputError: If images and model do not go together, or the model has norms and there are no statistics.
    """
    module = OBJECTIVES.load(data.objective)
    classes = module.classes(model.config)
    batch = _encoded(data, data.text, checkpoint, model, data.sequences)
    statistics: tuple[Batch, ...] = ()
    if found := norms(model):
        if data.statistics is None:
            raise InputError(
                f"{next(iter(found))} of the model is a BatchNorm, whose running statistics belong to one checkpoint "
                'and not to the points between; give statistics = "..." in [data], or --statistics: images of the '
                "training data to estimate them on"
            )
        whole = _encoded(data, data.statistics, checkpoint, model, None)
        count = len(whole["labels"])
        batches = -(-count // AT_ONCE)  # of equal size, since each has equal weight
        split = {name: tensor.tensor_split(batches) for name, tensor in whole.items()}
        statistics = tuple({name: parts[n] for name, parts in split.items()} for n in range(batches))
    with blamed(f"the model that {checkpoint.ref} describes cannot be run", configs.OWN):
        objective: Objective = module.build(model, batch, statistics=statistics)
    return replace(objective, columns={"uniform_loss": math.log(classes)})


def fingerprint(data: Data, checkpoint: Checkpoint, settings: Mapping[str, object]) -> str:
    """Hash of all that decides the batches: the images, the processor and settings.

    Args:
        data: The data set.
        checkpoint: Whose image processor is used.
        settings: Settings of the data set.
    """
    file = fetch.described(checkpoint) / processors.NAME
    processor = sha256(file) if file.is_file() else ""
    deciding = {name: value for name, value in settings.items() if name in ("objective", "sequences")}
    what = [digest(data.text), digest(data.statistics), processor, deciding]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _encoded(data: Data, path: str | None, checkpoint: Checkpoint, model: Pretrained, count: int | None) -> Batch:
    """The images of a path as the model takes them.

    Args:
        data: The data set.
        path: The images.
        checkpoint: Whose image processor is used.
        model: The model, whose config numbers the classes.
        count: Number of images; None takes as many as statistics need.
    """
    assert path is not None
    found = read_images(Path(path), model.config.label2id)
    processor = processors.load(fetch.described(checkpoint)) if found.pixels is None else None
    with blamed(f"the image processor of {checkpoint.ref} fails on {path}", "give images of the model's kind"):
        batch: Batch = OBJECTIVES.load(data.objective).encode(
            found, processor, sequences=min(STATISTICS, len(found)) if count is None else count
        )
    return batch
