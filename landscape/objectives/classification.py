"""Sequence classification: nats per example, and accuracy."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from landscape.errors import InputError
from landscape.files import parsed
from landscape.objectives.head import wide
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import require_vocabulary, spread

AUTO = "AutoModelForSequenceClassification"
CLASSES = ("SequenceClassification",)
"""Endings of the names of the classes that are trained with this objective."""


def encode(text: str, tokenizer: Any, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``, padded to ``length``.

    They are spread evenly over the lines, which are often sorted. A label may be a list of classes, any of which is
    right: HANS' *non-entailment* is ``[0, 2]`` for a model whose classes are contradiction, entailment and neutral.

    Raises:
        InputError: If a line has another form, or there are fewer than ``sequences``.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) < sequences:
        raise InputError(f"the data has {len(lines)} of the {sequences} examples wanted; lower sequences or give more")
    rows = [_row(*lines[n]) for n in spread(len(lines), sequences)]
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
    most = max(len(label) for _, _, label in rows)
    labels = [[*label, *label[:1] * (most - len(label))] for _, _, label in rows]
    return {**encoded, "labels": torch.tensor(labels, dtype=torch.long)}


def _row(number: int, line: str) -> tuple[str, Any, list[int]]:
    """Text, second text and classes of a line.

    Raises:
        InputError: If it has another form.
    """
    try:
        row = parsed(line)
        return str(row["text"]), row.get("text_pair"), _classes(row["label"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f'line {number} of the data is not JSON like {{"text": "...", "label": 0}} ({error})'
        ) from error


def _classes(label: Any) -> list[int]:
    """The classes that a label names, any of which is right.

    Raises:
        ValueError: If one has a fraction, or one is named twice, as in a row of zeros and ones.
    """
    named = label if isinstance(label, list) else [label]
    classes = [int(named[0]), *map(int, named[1:])]
    if fractions := [one for one, number in zip(named, classes, strict=True) if float(one) != number]:
        raise ValueError(f"the label {fractions[0]} is no class: classes are whole numbers")
    if len(set(classes)) < len(classes):
        raise ValueError(f"the label {label} names a class twice; a list names the classes of which any is right")
    return classes


def require_classes(config: Any) -> None:
    """Refuse a head that is not trained to choose one of several classes.

    Raises:
        InputError: If its outputs are numbers, or each a yes or no of its own.
    """
    problem = getattr(config, "problem_type", None) or ("regression" if config.num_labels == 1 else None)
    said = {"regression": "predicts numbers (regression)", "multi_label_classification": "says yes or no to each label"}
    if problem in said:
        raise InputError(
            f"the model {said[problem]}: problem_type is {problem} with {config.num_labels} outputs, and the objective "
            "classification is the softmax over several classes; for another loss use objectives.module from Python"
        )


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss ``-ln p(label | text)`` and accuracy of each example.

    Where several classes are right, ``p`` is the sum over them, and the prediction, the class of largest probability,
    is right if it is one of them (Juneja et al. 2023 do so on HANS); it is not the class group of largest sum.

    Args:
        model: A sequence classifier of transformers, or any module with its interface.
        batch: The inputs of the model, and ``labels``, ``[examples, classes that are right]``, some perhaps twice.

    Raises:
        InputError: If a token id is outside the vocabulary, a label outside the classes, the head no softmax, or the
            model looks for the end of a text and is not told which token pads it.
    """
    config: Any = model.config
    require_classes(config)
    require_vocabulary(batch["input_ids"], config.vocab_size)
    labels = batch["labels"]
    if not 0 <= int(labels.min()) <= int(labels.max()) < config.num_labels:
        raise InputError(
            f"the labels run from {int(labels.min())} to {int(labels.max())} and the model has "
            f"{config.num_labels} classes; give labels 0 to {config.num_labels - 1}"
        )
    if config.pad_token_id is None:
        try:
            with torch.no_grad():
                measure(model.eval(), {name: tensor[:2] for name, tensor in batch.items()})
        except ValueError as error:
            raise InputError(
                f"the model cannot tell text from padding ({error}); set pad_token_id in the config.json of every "
                "checkpoint to the tokenizer's padding token"
            ) from error
    return Objective(model, batch, measure, "nats per example")


def measure(model: nn.Module, batch: Batch) -> Values:
    """Loss and accuracy of each example."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = wide(model(**inputs).logits)
    labels = batch["labels"]
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(-1, labels, value=False)
    loss = logits.logsumexp(dim=-1) - logits.masked_fill(wrong, -torch.inf).logsumexp(dim=-1)
    right = (logits.argmax(dim=-1)[..., None] == labels).any(dim=-1)
    return {"loss": loss, "accuracy": right.float()}
