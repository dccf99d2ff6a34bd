"""Labelled examples of text: JSON lines, spread evenly and padded; and what a head of transformers makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

from landscape.errors import InputError
from landscape.files import parsed
from landscape.foreign import Config, Json, Tokenizer
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import require_vocabulary, spread

SINGLE, MULTI, NUMBERS = "single_label_classification", "multi_label_classification", "regression"
PROBLEMS = {
    SINGLE: ("classification", "chooses one of several classes"),
    MULTI: ("multi-label", "says yes or no to each label"),
    NUMBERS: ("regression", "predicts numbers (regression)"),
}
"""Of each type of problem of transformers: the objective, and what a head does."""
L = TypeVar("L")


@dataclass(frozen=True)
class Line(Generic[L]):
    """A labelled example.

    Attributes:
        text: The text.
        pair: A second text; None if there is none.
        label: What is right.
    """

    text: str
    pair: str | None
    label: L


def problem(config: Config) -> str:
    """The type of problem that the head of a model solves, as transformers decides it from a config."""
    named = getattr(config, "problem_type", None)
    return str(named or (NUMBERS if config.num_labels == 1 else SINGLE))


def require_problem(config: Config, wanted: str) -> None:
    """Refuse a head for another type of problem.

    Raises:
        InputError: If it is for another one.
    """
    found = problem(config)
    if found != wanted:
        objective, does = PROBLEMS.get(found, ("", f"solves a problem of type {found}"))
        instead = f"give --objective {objective}" if objective else "set problem_type in its config.json"
        raise InputError(
            f"the model {does}: problem_type is {found} with {config.num_labels} outputs, and the objective is for "
            f"{wanted}; {instead}"
        )


def lines(text: str, sequences: int, label: Callable[[Json], L], example: str) -> list[Line[L]]:
    """Examples from JSON lines with ``text``, ``label`` and optionally ``text_pair``.

    They are spread evenly over the lines, since files are often sorted.

    Args:
        text: JSON lines.
        sequences: Number of examples.
        label: Reads a label; a ``ValueError`` or ``TypeError`` refuses it.
        example: A label as it should be, for messages.

    Raises:
        InputError: If a line has another form, or there are fewer than ``sequences``.
    """
    every = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(every) < sequences:
        raise InputError(f"the data has {len(every)} of the {sequences} examples wanted; lower sequences or give more")
    found = []
    for n in spread(len(every), sequences):
        number, line = every[n]
        try:
            row = parsed(line)
            found.append(Line(str(row["text"]), row.get("text_pair"), label(row["label"])))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(
                f'line {number} of the data is not JSON like {{"text": "...", "label": {example}}} ({error})'
            ) from error
    return found


def tokens(rows: Sequence[Line[L]], tokenizer: Tokenizer, length: int) -> Batch:
    """The texts as the model's inputs, padded to ``length``; longer ones are cut.

    Args:
        rows: The examples.
        tokenizer: The model's tokenizer.
        length: Tokens of each.

    Raises:
        InputError: If only some have a second text, or the tokenizer cannot pad.
    """
    pairs = [row.pair for row in rows]
    if any((second is None) != (pairs[0] is None) for second in pairs):
        raise InputError("some lines of the data have a text_pair and some have none; give it to all or to none")
    return padded([row.text for row in rows], tokenizer, length, pairs if pairs[0] is not None else None)


def vectors(rows: Sequence[Line[list[float]]], tokenizer: Tokenizer, length: int) -> Batch:
    """Examples whose labels are several numbers each: the model's inputs, and ``labels``, ``[examples, outputs]``.

    Args:
        rows: The examples.
        tokenizer: The model's tokenizer.
        length: Tokens of each.

    Raises:
        InputError: If labels differ in their number of values, or as for :func:`tokens`.
    """
    if len({len(row.label) for row in rows}) > 1:
        raise InputError("the labels of the data differ in their number of values; give one for each output")
    return {**tokens(rows, tokenizer, length), "labels": torch.tensor([row.label for row in rows])}


def of_vectors(model: nn.Module, batch: Batch, measure: Callable[[nn.Module, Batch], Values], unit: str) -> Objective:
    """The objective on examples of :func:`vectors`.

    Args:
        model: A model with an output for each value of a label.
        batch: The examples.
        measure: What is measured on them.
        unit: Unit of the loss.

    Raises:
        InputError: If a token id is outside the vocabulary, labels have another number of values than the head, or the
            model needs the padding token and its config has none.
    """
    config: Config = model.config
    require_vocabulary(batch["input_ids"], config.vocab_size)
    if (given := batch["labels"].shape[1]) != config.num_labels:
        raise InputError(f"a label has {given} values and the model has {config.num_labels} outputs; give one for each")
    require_padding(model, batch, measure)
    return Objective(model, batch, measure, unit)


def padded(texts: list[str], tokenizer: Tokenizer, length: int, pairs: Sequence[str | None] | None = None) -> Batch:
    """Texts, or pairs of them, as the model's inputs.

    Args:
        texts: The texts.
        tokenizer: The model's tokenizer.
        length: Tokens of each; longer ones are cut.
        pairs: Second texts.

    Raises:
        InputError: If the tokenizer cannot pad.
    """
    if tokenizer.pad_token_id is None:
        raise InputError("the tokenizer has no padding token; set one in the checkpoint's tokenizer files")
    how = {"padding": "max_length", "truncation": True, "max_length": length, "return_tensors": "pt"}
    return dict(tokenizer(texts, *([pairs] if pairs else []), **how))


def require_padding(model: nn.Module, batch: Batch, measure: Callable[[nn.Module, Batch], Values]) -> None:
    """Refuse a model that must tell padding from text, and whose config has no padding token.

    Args:
        model: The model.
        batch: Some examples.
        measure: What is measured on them.

    Raises:
        InputError: If it is such a model.
    """
    config: Config = model.config
    if config.pad_token_id is not None:
        return
    try:
        with torch.no_grad():
            measure(model.eval(), {name: tensor[:2] for name, tensor in batch.items()})
    except ValueError as error:
        raise InputError(
            f"the model cannot tell text from padding ({error}); set pad_token_id in the config.json of every "
            "checkpoint to the tokenizer's padding token"
        ) from error
