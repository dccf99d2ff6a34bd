"""Regression: the squared error of numbers that a head predicts, and its absolute error."""

from __future__ import annotations

from torch import nn

from landscape.foreign import Config, Json, Tokenizer
from landscape.objectives.head import wide
from landscape.objectives.labelled import NUMBERS, lines, of_vectors, problem, require_problem, vectors
from landscape.objectives.objective import Batch, ModelKind, Objective, Values

AUTO = "AutoModelForSequenceClassification"
CLASS_ENDINGS = ("SequenceClassification",)
MAPPING = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"
MODEL_KIND: ModelKind = "regression"


def suits(config: Config) -> bool:
    """Whether the head of a model predicts numbers."""
    return problem(config) == NUMBERS


def classes(config: Config) -> int:
    """None: a prediction is a number.

    Raises:
        InputError: If the head chooses classes.
    """
    require_problem(config, NUMBERS)
    return 0


def encode(text: str, tokenizer: Tokenizer, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``, padded to ``length``.

    Args:
        text: JSON lines; a label is a number, or a list of numbers, one for each output.
        tokenizer: The model's tokenizer.
        sequences: Number of examples, spread evenly over the lines.
        length: Tokens of each; longer ones are cut.
        **_: Settings of other objectives.

    Raises:
        InputError: If a line has another form, there are fewer than ``sequences``, or labels differ in length.
    """
    return vectors(lines(text, sequences, _numbers, "0.5"), tokenizer, length)


def _numbers(label: Json) -> list[float]:
    return [float(value) for value in (label if isinstance(label, list) else [label])]


def build(model: nn.Module, batch: Batch) -> Objective:
    """Squared error of each example, the mean over the outputs, and the absolute error.

    The mean over examples is the loss that the model of transformers returns itself.

    Args:
        model: A sequence classifier of transformers that predicts numbers.
        batch: The inputs of the model, and ``labels``, ``[examples, outputs]``.

    Raises:
        InputError: If a token id is outside the vocabulary, the head is for classes, labels have another number of
            values than the head, or the model needs the padding token and its config has none.
    """
    classes(model.config)
    return of_vectors(model, batch, measure, "squared error per example")


def measure(model: nn.Module, batch: Batch) -> Values:
    """Squared and absolute error of each example, in the squared unit and the unit of the label."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    error = wide(model(**inputs).logits) - batch["labels"]
    return {"loss": error.square().mean(dim=-1), "absolute_error": error.abs().mean(dim=-1)}
