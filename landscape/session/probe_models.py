"""The model that probes measure, and the items of each probe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from landscape import catalogue
from landscape.errors import InputError
from landscape.objectives.corpus import read_corpus
from landscape.probes import ProbeInputs, ProbeModel, items_of, module_of
from landscape.probes.base.model import require_causal_order
from landscape.probes.base.result import digest
from landscape.session import data as fixed
from landscape.session.buffers import Buffers, put
from landscape.shapes import Float
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import Study
from landscape.study.kinds.asking import Asking
from landscape.study.sections import Data
from landscape.study.store import Store
from landscape.study.tasks import MAIN, Task


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
    _models: dict[tuple[str, bool], ProbeModel] = field(default_factory=dict)
    _items: dict[str, tuple[object, str]] = field(default_factory=dict)

    def model(self, on: str, *, untied: bool = False) -> ProbeModel:
        """The model for a data set, with the weights that it was given last.

        Args:
            on: Name of the data set.
            untied: Whether its head is a parameter of its own.

        Raises:
            InputError: If there is no such model or tokenizer.
        """
        if (on, untied) not in self._models:
            self._models[on, untied] = _model(self.study.data_sets[on], self.first, self.device, untied=untied)
        return self._models[on, untied]

    def of(
        self, point: Float[torch.Tensor, " P"], checkpoint: Checkpoint, buffers: Buffers, on: str = MAIN
    ) -> ProbeModel:
        """The model with the weights of a point and the learned buffers of a checkpoint.

        Args:
            point: The weights.
            checkpoint: Whose learned buffers it takes.
            buffers: Those of all checkpoints.
            on: Name of the data set.
        """
        return self.at(point, buffers.read(checkpoint), on)

    def at(
        self, point: Float[torch.Tensor, " P"], buffers: dict[str, torch.Tensor], on: str, *, untied: bool = False
    ) -> ProbeModel:
        """The model with the weights of a point and some learned buffers.

        Args:
            point: The weights.
            buffers: The learned buffers by name.
            on: Name of the data set.
            untied: Whether the head is a parameter of its own.
        """
        model = self.model(on, untied=untied)
        params = Space.of(model.network).params(point)
        put(buffers, model.network)
        for name, parameter in model.network.named_parameters():
            parameter.data.copy_(params[name])
        return model

    def begins(self, on: str) -> bool:
        """Whether the texts that probes read begin with the start token."""
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
        prepare = getattr(module_of(spec.name), "prepared", None)
        key = f"{task.on} {spec.deciding()} {task.texts} {keep and prepare is not None}"
        if key not in self._items:
            model = self.model(task.on)
            inputs = self._inputs(spec, self.study.data_sets[task.on])
            if prepare is not None and keep:
                inputs = prepare(model, inputs, self.store.kept, self.store.keep)
            made = items_of(spec.name, model, inputs, seed=spec.seed)
            self._items[key] = made, digest(made)
        return self._items[key]

    def _inputs(self, spec: Asking, data: Data) -> ProbeInputs:
        return ProbeInputs(
            count=spec.count,
            items=Path(spec.items) if spec.items else None,
            text=fixed.read_text(data),
            train_text=read_corpus(Path(spec.train_text)) if spec.train_text else "",
            sequences=data.sequences,
            length=data.length,
            labels=spec.labels,
            pll=spec.pll,
        )


def _model(data: Data, checkpoint: Checkpoint, device: torch.device, *, untied: bool) -> ProbeModel:
    """A model of the checkpoint's architecture and its tokenizer, to be given weights.

    Raises:
        InputError: If the model is the user's own, or reads no text.
    """
    if data.own:
        raise InputError(
            f"probes are for models of transformers, and {data.objective} is your own: return other numbers of each "
            "example beside its loss, as metrics"
        )
    if "images" in data.reads:
        raise InputError(f"probes read texts, and {data.objective} is of images; leave them out")
    objective = catalogue.OBJECTIVES.load(data.objective)
    network = fixed.skeleton(checkpoint, objective.AUTO, untied=untied).requires_grad_(False).to(device)
    found = ProbeModel(network, fixed.tokenizer_of(data, checkpoint), objective.MODEL_KIND, data.bos)
    if found.kind == "causal":
        require_causal_order(found)
    return found
