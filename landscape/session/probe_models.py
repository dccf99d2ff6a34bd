"""The model that probes measure, and the items of each probe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from landscape import catalogue
from landscape.objectives.corpus import read_corpus
from landscape.probes import Given, Subject, items_of, ngrams
from landscape.probes.base.finding import digest
from landscape.probes.base.subject import Kind, require_in_order
from landscape.session import data as fixed
from landscape.session.buffers import Buffers
from landscape.shapes import Float
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import Study
from landscape.study.kinds.asking import Asking
from landscape.study.sections import Data
from landscape.study.store import Store
from landscape.study.tasks import MAIN, Task

ASKED_AS: dict[str, Kind] = {"causal-lm": "causal", "masked-lm": "masked", "classification": "classifier"}
ITEMS = "items"
"""Items of a probe, which it makes and reads itself."""


@dataclass
class ProbeModels:
    """A model of the architecture for each data set, and the items of each probe.

    The weights of an objective's model never move, so probes have a model of their own.

    Attributes:
        store: Where what is costly to make is kept for other sessions.
        study: The study.
        first: Whose architecture and tokenizer are used.
        device: Where the model is.
    """

    store: Store
    study: Study
    first: Checkpoint
    device: torch.device
    _models: dict[str, Subject] = field(default_factory=dict)
    _items: dict[str, tuple[object, str]] = field(default_factory=dict)

    def model(self, on: str) -> Subject:
        """The model for a data set, with the weights that it was given last.

        Raises:
            InputError: If there is no such model or tokenizer.
        """
        if on not in self._models:
            self._models[on] = _model(self.study.data_sets[on], self.first, self.device)
        return self._models[on]

    def of(self, point: Float[torch.Tensor, " P"], checkpoint: Checkpoint, buffers: Buffers, on: str = MAIN) -> Subject:
        """The model with the weights of a point and the learned buffers of a checkpoint.

        Args:
            point: The weights.
            checkpoint: Whose learned buffers it takes.
            buffers: Those of all checkpoints.
            on: Name of the data set.
        """
        model = self.model(on)
        params = Space.of(model.model).params(point)
        buffers.give(checkpoint, model.model)
        for name, parameter in model.model.named_parameters():
            parameter.data.copy_(params[name])
        return model

    def begins(self, on: str) -> bool:
        """Whether the texts that probes read begin with a token for that."""
        return self.model(on).kind == "causal" and bool(self.model(on).start)

    def items(self, task: Task[Asking], *, keep: bool = True) -> tuple[object, str]:
        """The items of a probe, made once, and their hash.

        Args:
            task: A task of the probe.
            keep: Whether to keep what is costly to make for other sessions.

        Raises:
            InputError: If the probe cannot be measured for such a model.
        """
        spec = task.spec
        key = f"{task.on} {spec.deciding()} {task.texts}"
        if key not in self._items:
            given = self._given(spec, self.study.data_sets[task.on])
            model = self.model(task.on)
            if spec.name == "ngrams" and given.train_text and keep:
                given = replace(given, ngrams=self._counted(model, given))
            made = items_of(spec.name, model, given, seed=spec.seed)
            self._items[key] = made, digest(made)
        return self._items[key]

    def _given(self, spec: Asking, data: Data) -> Given:
        return Given(
            count=spec.count,
            items=Path(spec.items) if spec.items else None,
            text=fixed.read_text(data),
            train_text=read_corpus(Path(spec.train_text)) if spec.train_text else "",
            sequences=data.sequences,
            length=data.length,
            labels=spec.labels,
            pll=spec.pll,
        )

    def _counted(self, model: Subject, given: Given) -> ngrams.Ngrams:
        """The n-grams of the training text, counted once and kept by their text."""
        ids = np.array(model.ids(given.train_text))
        vocabulary = int(model.model.config.vocab_size)
        file = f"{digest([vocabulary, ids])}.npz"
        if (known := self.store.kept("ngrams", file)) is not None:
            return ngrams.Ngrams.from_bytes(known)
        counted = ngrams.fit(ids, vocabulary)
        self.store.keep("ngrams", file, counted.to_bytes())
        return counted


def _model(data: Data, checkpoint: Checkpoint, device: torch.device) -> Subject:
    """A model of the checkpoint's architecture and its tokenizer, to be given weights."""
    model = fixed.skeleton(checkpoint, catalogue.OBJECTIVES.load(data.objective).AUTO)
    model = model.requires_grad_(False).to(device)
    found = Subject(model, fixed.tokenizer_of(data, checkpoint), ASKED_AS[data.objective], data.bos)
    if found.kind == "causal":
        require_in_order(found)
    return found
