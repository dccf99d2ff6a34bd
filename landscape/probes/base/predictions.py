"""What a model predicts on fixed examples: next tokens, masked tokens or classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from landscape.objectives import KINDS
from landscape.objectives.head import wide
from landscape.objectives.objective import Batch
from landscape.objectives.text import require_vocabulary, spread
from landscape.probes.base.subject import Given, Subject, require_text
from landscape.shapes import Float, Int

OBJECTIVES = {"causal": "causal-lm", "masked": "masked-lm", "classifier": "classification"}
MOST = 2**24
"""Probabilities to keep for one checkpoint; of more predictions, so many are spread evenly over them."""
MASK = 0.15
LOGITS = 4 * 2**20
"""Logits at a time, but for one example's."""


@dataclass(frozen=True)
class Asked:
    """Fixed predictions to make.

    Attributes:
        batch: As the objective makes it.
        example: Example of each prediction.
        place: Position in it whose output is wanted; 0 for a classifier.
        target: What is right; for a classifier any of several.
    """

    batch: Batch
    example: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]
    target: Int[np.ndarray, "n right"]


def ask(subject: Subject, given: Given) -> Asked:
    """Predictions on the held-out text, as the objective of the model's kind cuts it."""
    require_text(given.text)
    objective = KINDS[OBJECTIVES[subject.kind]]
    sequences = given.count or given.sequences
    batch: Batch = objective.encode(
        given.text, subject.tokenizer, sequences=sequences, length=given.length, mask=MASK, seed=0, bos=subject.bos
    )
    ids = batch["input_ids"]
    require_vocabulary(ids, subject.model.config.vocab_size)
    if subject.kind == "classifier":
        n = len(ids)
        return Asked(batch, np.arange(n), np.zeros(n, dtype=np.int64), batch["labels"].numpy())
    if subject.kind == "causal":
        place, target = torch.arange(ids.shape[1] - 1).expand(len(ids), -1), ids[:, 1:]
    else:
        place, target = batch["positions"], batch["targets"]
    example = torch.arange(len(ids))[:, None].expand_as(place)
    flat = (part.flatten().numpy() for part in (example, place, target))
    chosen = spread(place.numel(), min(place.numel(), max(2, MOST // int(subject.model.config.vocab_size))))
    example_, place_, target_ = (part[chosen] for part in flat)
    return Asked(batch, example_, place_, target_[:, None])


@torch.no_grad()
def predict(subject: Subject, asked: Asked) -> Float[Tensor, "n classes"]:
    """``ln p`` of every token or class, on the CPU."""
    if subject.kind == "classifier":
        inputs = {name: part.to(subject.device) for name, part in asked.batch.items() if name != "labels"}
        parts = [subject.model(**{name: part[k : k + 32] for name, part in inputs.items()}).logits
                 for k in range(0, len(asked.example), 32)]  # fmt: skip
        return F.log_softmax(wide(torch.cat(parts)), dim=-1).cpu()
    ids = asked.batch["input_ids"]
    rows = max(1, LOGITS // (ids.shape[1] * int(subject.model.config.vocab_size)))
    out = []
    for begin in range(0, len(ids), rows):
        mine = (asked.example >= begin) & (asked.example < begin + rows)
        logits = subject.model(input_ids=ids[begin : begin + rows].to(subject.device)).logits
        here = torch.from_numpy(asked.example[mine] - begin), torch.from_numpy(asked.place[mine])
        out.append(F.log_softmax(wide(logits[here]), dim=-1).cpu())
    return torch.cat(out)
