"""The objectives of a study: a model with the fixed batches of each data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.session import data
from landscape.session.buffers import Buffers
from landscape.study.checkpoint import Checkpoint
from landscape.study.sections import Data


@dataclass
class Batches:
    """Objectives by data set.

    Attributes:
        data: The data sets of the study by name.
        first: Whose architecture and tokenizer are used.
        device: Where they are.
        given: An objective in place of that of the study, for models in memory.
        fitted: The same on the batches that curves are fitted on and models are aligned on.
        held: The learned buffers of models in memory, by content and name.
        hollow: Dtype in which models without memory are tried, if points stay on disk; None for usual models.
    """

    data: Mapping[str, Data]
    first: Checkpoint
    device: torch.device
    given: Objective | None = None
    fitted: Objective | None = None
    held: Mapping[str, dict[str, Tensor]] = field(default_factory=dict)
    hollow: torch.dtype | None = None
    _built: dict[str, Objective] = field(default_factory=dict)
    _buffers: dict[str, Buffers] = field(default_factory=dict)

    def objective(self, on: str, *, untied: bool = False) -> Objective:
        """The objective of a data set; ``untied`` makes its head a parameter of its own.

        Raises:
            InputError: If text, tokenizer and model do not go together.
        """
        return self.given if self.given is not None else self._made(self.data[on], untied=untied)

    def of(self, wanted: Data, *, untied: bool = False) -> Objective:
        """The objective on other batches, such as those that curves are fitted on.

        Raises:
            InputError: If text, tokenizer and model do not go together, or models in memory have no other batches.
        """
        if self.given is not None:
            if self.fitted is None:
                raise InputError("models in memory have no other batches to align on: align = weights or random")
            return self.fitted
        return self._made(wanted, untied=untied, fits=True)

    def _made(self, wanted: Data, *, untied: bool, fits: bool = False) -> Objective:
        key = f"{wanted.model_dump_json()} {untied}{' fits' if fits and wanted.own else ''}"
        if key not in self._built:
            made = data.build(wanted, self.first, untied=untied, hollow=self.hollow, fits=fits)
            self._built[key] = made.to(self.device)
        return self._built[key]

    def buffers(self, on: str) -> Buffers:
        """The learned buffers of the checkpoints, for the model of a data set."""
        if on not in self._buffers:
            self._buffers[on] = Buffers.of(self.objective(on).model, self.data[on].buffers)
            self._buffers[on].known.update(self.held)
        return self._buffers[on]
