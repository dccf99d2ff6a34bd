"""Sequence classification: the loss of the label, in nats per example, and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.foreign import Config, Json, Tokenizer
from landscape.objectives.head import wide
from landscape.objectives.labelled import SINGLE, lines, problem, require_padding, require_problem, tokens
from landscape.objectives.objective import Batch, ModelKind, Objective, Values
from landscape.objectives.text import require_vocabulary
from landscape.shapes import Int

AUTO = "AutoModelForSequenceClassification"
CLASS_ENDINGS = ("SequenceClassification",)
MAPPING = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"
MODEL_KIND: ModelKind = "classifier"


def suits(config: Config) -> bool:
    """Whether the head of a model chooses one of several classes."""
    return problem(config) == SINGLE


def classes(config: Config) -> int:
    """Number of classes.

    Raises:
        InputError: If the head does not choose one of several classes: its outputs are numbers, or each of them is a
            separate yes or no.
    """
    require_problem(config, SINGLE)
    return int(config.num_labels)


def encode(text: str, tokenizer: Tokenizer, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``, padded to ``length``.

    The examples are spread evenly over the lines, since files are often sorted. A label may be a list of classes, any
    of which is right: HANS' *non-entailment* is ``[0, 2]`` for a model whose classes are contradiction, entailment and
    neutral.

    Args:
        text: JSON lines.
        tokenizer: The model's tokenizer.
        sequences: Number of examples.
        length: Tokens of each; longer ones are cut.
        **_: Settings of other objectives.

    Raises:
        InputError: If a line has another form, there are fewer than ``sequences``, or the tokenizer cannot pad.
    """
    rows = lines(text, sequences, _classes, "0")
    most = max(len(row.label) for row in rows)
    labels = [[*row.label, *row.label[:1] * (most - len(row.label))] for row in rows]
    return {**tokens(rows, tokenizer, length), "labels": torch.tensor(labels, dtype=torch.long)}


def _classes(label: Json) -> list[int]:
    """The classes that a label names; any of them is right.

    Raises:
        ValueError: If a class is not a whole number, or is named twice, as in a row of zeros and ones.
    """
    named = label if isinstance(label, list) else [label]
    whole = [int(named[0]), *map(int, named[1:])]
    if fractions := [one for one, number in zip(named, whole, strict=True) if float(one) != number]:
        raise ValueError(f"the label {fractions[0]} is no class: classes are whole numbers")
    if len(set(whole)) < len(whole):
        raise ValueError(f"the label {label} names a class twice; a list names the classes of which any is right")
    return whole


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss ``-ln p(label | text)`` and accuracy of each example.

    Where several classes are right, ``p`` is the sum of their probabilities. The prediction is the single class of
    largest probability, and is right if it is one of them, as Juneja et al. (2023) do on HANS.

    Args:
        model: A sequence classifier of transformers, or any module with its interface.
        batch: The inputs of the model, and ``labels``, ``[examples, right classes]``; rows with fewer right classes
            repeat one.

    Raises:
        InputError: If a token id is outside the vocabulary, a label is outside the classes, the head is no softmax over
            classes, or the model needs the padding token and its config has none.
    """
    config: Config = model.config
    count = classes(config)
    require_vocabulary(batch["input_ids"], config.vocab_size)
    require_labels(batch["labels"], count)
    require_padding(model, batch, measure)
    return Objective(model, batch, measure, "nats per example")


def require_labels(labels: Int[Tensor, "*examples"], count: int) -> None:
    """Refuse labels outside the classes of the model.

    Raises:
        InputError: If there are such.
    """
    if not 0 <= int(labels.min()) <= int(labels.max()) < count:
        raise InputError(
            f"the labels run from {int(labels.min())} to {int(labels.max())} and the model has "
            f"{count} classes; give labels 0 to {count - 1}"
        )


def targets(batch: Batch) -> tuple[Int[Tensor, "examples predictions"], Int[Tensor, "examples predictions right"]]:
    """One prediction an example, at position 0, and the classes that are right."""
    labels = batch["labels"]
    return torch.zeros(len(labels), 1, dtype=torch.long), labels[:, None]


def measure(model: nn.Module, batch: Batch) -> Values:
    """Loss of each example in nats, accuracy, 0 or 1, and for two classes the counts of F1."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = wide(model(**inputs).logits)
    labels = batch["labels"]
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(-1, labels, value=False)
    loss = logits.logsumexp(dim=-1) - logits.masked_fill(wrong, -torch.inf).logsumexp(dim=-1)
    predicted = logits.argmax(dim=-1)
    right = (predicted[..., None] == labels).any(dim=-1)
    values = {"loss": loss, "accuracy": right.float()}
    if logits.shape[-1] == 2:
        second = predicted == 1
        values |= {
            "true_positive": (second & right).float(), "false_positive": (second & ~right).float(),
            "false_negative": (~second & ~right).float(),
        }  # fmt: skip
    return values
