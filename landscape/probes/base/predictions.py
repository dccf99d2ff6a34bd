"""What a model predicts on fixed examples: next tokens, masked tokens or classes."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from landscape.catalogue import OBJECTIVES
from landscape.objectives.head import wide
from landscape.objectives.objective import Batch, ModelKind
from landscape.objectives.text import require_vocabulary, spread
from landscape.probes.base.model import ProbeInputs, ProbeModel, require_text
from landscape.shapes import Float, Int

MAX_PROBABILITIES = 2**24
"""Probabilities to keep for one checkpoint. Of more predictions, a subset is taken that is spread evenly over them."""
MASK = 0.15
LOGITS = 4 * 2**20
"""Logits of a pass; a pass holds at least one example."""
EXAMPLES = 32
"""Examples of a pass of a classifier."""


@dataclass(frozen=True)
class Targets:
    """Predictions to make, the same for every checkpoint.

    Attributes:
        batch: Examples, in the form that the objective makes.
        example: Number of the example of each prediction.
        position: Position in the example whose output is read; 0 for a classifier.
        target: The right token or class; for a classifier, any of several.
    """

    batch: Batch
    example: Int[np.ndarray, " n"]
    position: Int[np.ndarray, " n"]
    target: Int[np.ndarray, "n right"]


def objective_of(kind: ModelKind) -> ModuleType:
    """The first objective whose models are of this kind."""
    return next(module for module in map(OBJECTIVES.load, OBJECTIVES) if kind == module.MODEL_KIND)


def targets_of(model: ProbeModel, inputs: ProbeInputs) -> Targets:
    """Predictions on the held-out text, cut into examples by the objective of the model's kind.

    Raises:
        InputError: If there is no text, it is too short, or the tokenizer is not the model's.
    """
    require_text(inputs.text)
    objective, config = objective_of(model.kind), model.network.config
    sequences = inputs.count or inputs.sequences
    batch: Batch = objective.encode(
        inputs.text, model.tokenizer, sequences=sequences, length=inputs.length, mask=MASK, seed=0, bos=model.bos
    )
    require_vocabulary(batch["input_ids"], config.vocab_size)
    position, target = objective.targets(batch)
    example = torch.arange(len(position))[:, None].expand_as(position)
    kept = min(position.numel(), max(2, MAX_PROBABILITIES // objective.classes(config)))
    chosen = spread(position.numel(), kept)
    return Targets(
        batch,
        example.flatten().numpy()[chosen],
        position.flatten().numpy()[chosen],
        target.flatten(0, 1).numpy()[chosen],
    )


@torch.no_grad()
def predict(model: ProbeModel, targets: Targets) -> Float[Tensor, "n classes"]:
    """Log-probability of every token or class for each prediction, in nats, on the CPU."""
    if model.kind == "classifier":
        own = {name: tensor.to(model.device) for name, tensor in targets.batch.items() if name != "labels"}
        parts = [model.network(**{name: tensor[k : k + EXAMPLES] for name, tensor in own.items()}).logits
                 for k in range(0, len(targets.batch["labels"]), EXAMPLES)]  # fmt: skip
        return F.log_softmax(wide(torch.cat(parts))[torch.from_numpy(targets.example)], dim=-1).cpu()
    ids = targets.batch["input_ids"]
    rows = max(1, LOGITS // (ids.shape[1] * int(model.network.config.vocab_size)))
    out = []
    for begin in range(0, len(ids), rows):
        own_rows = (targets.example >= begin) & (targets.example < begin + rows)
        logits = model.network(input_ids=ids[begin : begin + rows].to(model.device)).logits
        index = torch.from_numpy(targets.example[own_rows] - begin), torch.from_numpy(targets.position[own_rows])
        out.append(F.log_softmax(wide(logits[index]), dim=-1).cpu())
    return torch.cat(out)
