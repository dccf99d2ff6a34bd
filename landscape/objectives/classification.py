"""Sequence classification: nats per example, and accuracy."""

from __future__ import annotations

import json
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from landscape.errors import InputError
from landscape.objectives.head import wide
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import require_vocabulary

AUTO = "AutoModelForSequenceClassification"


def encode(text: str, tokenizer: Any, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``, padded to ``length``.

    Raises:
        InputError: If a line has another form, or there are fewer than ``sequences``.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    rows = []
    for number, line in enumerate(lines[:sequences], start=1):
        try:
            row = json.loads(line)
            rows.append((str(row["text"]), row.get("text_pair"), int(row["label"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f'line {number} of the data is not JSON like {{"text": "...", "label": 0}} ({error})'
            ) from error
    if len(rows) < sequences:
        raise InputError(f"the data has {len(rows)} of the {sequences} examples wanted; lower sequences or give more")
    pairs = [second for _, second, _ in rows]
    if any((second is None) != (pairs[0] is None) for second in pairs):
        raise InputError("some lines of the data have a text_pair and some have none; give it to all or to none")
    if tokenizer.pad_token_id is None:
        raise InputError("the tokenizer has no padding token; set one in the checkpoint's tokenizer files")
    encoded = tokenizer(
        [first for first, _, _ in rows],
        *([pairs] if pairs[0] is not None else []),
        padding="max_length", truncation=True, max_length=length, return_tensors="pt",
    )  # fmt: skip
    return {**encoded, "labels": torch.tensor([label for _, _, label in rows])}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss ``-ln p(label | text)`` and accuracy of each example.

    Args:
        model: A sequence classifier of transformers, or any module with its interface.
        batch: The inputs of the model, and ``labels``.

    Raises:
        InputError: If a token id is outside the vocabulary, or a label outside the classes.
    """
    config: Any = model.config
    require_vocabulary(batch["input_ids"], config.vocab_size)
    labels = batch["labels"]
    if not 0 <= int(labels.min()) <= int(labels.max()) < config.num_labels:
        raise InputError(
            f"the labels run from {int(labels.min())} to {int(labels.max())} and the model has "
            f"{config.num_labels} classes; give labels 0 to {config.num_labels - 1}"
        )
    return Objective(model, batch, measure, "nats per example")


def measure(model: nn.Module, batch: Batch) -> Values:
    """Loss and accuracy of each example."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = wide(model(**inputs).logits)
    right = logits.argmax(dim=-1) == batch["labels"]
    return {"loss": F.cross_entropy(logits, batch["labels"], reduction="none"), "accuracy": right.float()}
