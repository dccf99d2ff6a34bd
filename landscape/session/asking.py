"""The models and inputs of the probes of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape.catalogue import OBJECTIVES
from landscape.objectives.corpus import read_corpus
from landscape.probes import ProbeInputs, ProbeModel, items_of, ngrams
from landscape.probes.base.model import require_causal_order
from landscape.probes.base.result import digest
from landscape.session import data as fixed
from landscape.study.file import Study
from landscape.study.kinds import Behaviour, Probes
from landscape.study.sections import Data
from landscape.study.store import Store
from landscape.study.tasks import Checkpoint


def subject(data: Data, checkpoint: Checkpoint, device: torch.device) -> ProbeModel:
    """A model of the checkpoint's architecture and its tokenizer, to be given weights.

    Raises:
        InputError: If there is no such model or tokenizer.
    """
    objective = OBJECTIVES.load(data.objective)
    model = fixed.skeleton(checkpoint, objective.AUTO).requires_grad_(False).to(device)
    asked = ProbeModel(model, fixed.tokenizer_of(data, checkpoint), objective.MODEL_KIND, data.bos)
    if asked.kind == "causal":
        require_causal_order(asked)
    return asked


def given(study: Study, settings: dict[str, Any]) -> ProbeInputs:
    """What the probe of a task is asked with; its files are those of the measure that has the same contents."""
    asked = next(
        m
        for m in study.measure
        if isinstance(m, Probes | Behaviour)
        and settings["probe"] in m.names
        and (fixed.digest(m.items), fixed.digest(m.train_text)) == (settings["items"], settings["train_text"])
    )
    return ProbeInputs(
        count=settings["count"],
        items=Path(asked.items) if asked.items else None,
        text=fixed.read_text(study.data),
        train_text=read_corpus(Path(asked.train_text)) if asked.train_text else "",
        sequences=study.data.sequences,
        length=study.data.length,
        labels=settings["labels"] and tuple(settings["labels"]),
        pll=settings["pll"],
    )


def items(name: str, asked: ProbeModel, given: ProbeInputs, seed: int, store: Store | None) -> tuple[Any, str]:
    """The items of a probe and their hash; n-grams are counted once and kept by their text, given a place.

    Raises:
        InputError: If the probe cannot be asked of such a model.
    """
    if name == "ngrams" and given.train_text and store is not None:
        given = replace(given, ngrams=_counted(asked, given, store))
    made = items_of(name, asked, given, seed=seed)
    return made, digest(made)


def _counted(asked: ProbeModel, given: ProbeInputs, store: Store) -> ngrams.Ngrams:
    ids = np.array(asked.ids(given.train_text))
    vocabulary = int(asked.network.config.vocab_size)
    file = f"{digest([vocabulary, ids])}.npz"
    if (known := store.kept("ngrams", file)) is not None:
        return ngrams.Ngrams.from_bytes(known)
    counted = ngrams.fit(ids, vocabulary)
    store.keep("ngrams", file, counted.to_bytes())
    return counted
