"""Multi-label classification: a yes or no for each label, in nats per label; and accuracy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from landscape.foreign import Config, Json, Tokenizer
from landscape.objectives.head import wide
from landscape.objectives.labelled import MULTI, lines, of_vectors, problem, require_problem, vectors
from landscape.objectives.objective import Batch, ModelKind, Objective, Values

AUTO = "AutoModelForSequenceClassification"
CLASS_ENDINGS = ("SequenceClassification",)
MAPPING = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"
MODEL_KIND: ModelKind = "multi-label"


def suits(config: Config) -> bool:
    """Whether the head of a model says yes or no to each label."""
    return problem(config) == MULTI


def classes(config: Config) -> int:
    """Two: each label is a choice of yes or no.

    Raises:
        InputError: If the head chooses one of several classes, or predicts numbers.
    """
    require_problem(config, MULTI)
    return 2


def encode(text: str, tokenizer: Tokenizer, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``, padded to ``length``.

    Args:
        text: JSON lines; a label is a list of zeros and ones, one for each label of the model.
        tokenizer: The model's tokenizer.
        sequences: Number of examples, spread evenly over the lines.
        length: Tokens of each; longer ones are cut.
        **_: Settings of other objectives.

    Raises:
        InputError: If a line has another form, there are fewer than ``sequences``, or labels differ in length.
    """
    return vectors(lines(text, sequences, _yes_or_no, "[0, 1, 0]"), tokenizer, length)


def _yes_or_no(label: Json) -> list[float]:
    """The label as zeros and ones.

    Raises:
        ValueError: If it is not such a list.
    """
    if not isinstance(label, list) or any(value not in (0, 1) for value in label):
        raise ValueError(f"the label {label} is no list of zeros and ones")
    return [float(value) for value in label]


def build(model: nn.Module, batch: Batch) -> Objective:
    """Cross-entropy of each example, the mean over its labels; the share of its labels that are right; and if all are.

    The mean over examples is the loss that the model of transformers returns itself.

    Args:
        model: A sequence classifier of transformers with a yes or no for each label.
        batch: The inputs of the model, and ``labels``, ``[examples, labels]``, zeros and ones.

    Raises:
        InputError: If a token id is outside the vocabulary, the head is another one, labels have another number of
            values than the head, or the model needs the padding token and its config has none.
    """
    classes(model.config)
    return of_vectors(model, batch, measure, "nats per label")


def measure(model: nn.Module, batch: Batch) -> Values:
    """Loss of each example in nats per label; accuracy, the share of labels that are right; exact, 0 or 1."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = wide(model(**inputs).logits)
    labels = batch["labels"].to(logits.dtype)
    right = ((logits > 0) == (labels > 0)).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=-1)
    return {"loss": loss, "accuracy": right.mean(dim=-1), "exact": right.amin(dim=-1)}
