"""Encoder-decoders: the loss of a target given an input, in nats per token of the target."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from landscape.errors import InputError
from landscape.files import parsed
from landscape.foreign import Config, Json, Tokenizer
from landscape.objectives.head import wide
from landscape.objectives.labelled import padded
from landscape.objectives.objective import Batch, ModelKind, Objective, Values
from landscape.objectives.text import fault, require_vocabulary, spread

AUTO = "AutoModelForSeq2SeqLM"
CLASS_ENDINGS: tuple[str, ...] = ()
MAPPING = "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"
MODEL_KIND: ModelKind = "seq2seq"
LEFT_OUT = -100
"""What transformers takes for no target."""


def suits(config: Config) -> bool:
    """Whether a model reads one text and writes another."""
    return bool(config.is_encoder_decoder)


def classes(config: Config) -> int:
    """Number of tokens in the vocabulary."""
    return int(config.vocab_size)


def encode(text: str, tokenizer: Tokenizer, *, sequences: int, length: int, **_: object) -> Batch:
    """Examples from JSON lines with ``input`` and ``target``.

    Args:
        text: JSON lines.
        tokenizer: The model's tokenizer.
        sequences: Number of examples, spread evenly over the lines.
        length: Tokens of each input and each target; longer ones are cut.
        **_: Settings of other objectives.

    Raises:
        InputError: If a line has another form, there are fewer than ``sequences``, a target is empty, or the tokenizer
            cannot pad.
    """
    every = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(every) < sequences:
        raise InputError(f"the data has {len(every)} of the {sequences} examples wanted; lower sequences or give more")
    rows = [_row(*every[n]) for n in spread(len(every), sequences)]
    inputs = padded([first for first, _ in rows], tokenizer, length)
    targets = padded([second for _, second in rows], tokenizer, length)
    labels = targets["input_ids"].masked_fill(targets["attention_mask"] == 0, LEFT_OUT)
    if (empty := (labels == LEFT_OUT).all(dim=1)).any():
        raise InputError(f"{int(empty.sum())} targets of the data have no token; give targets with words")
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}


def _row(number: int, line: str) -> tuple[str, str]:
    """Input and target of a line.

    Raises:
        InputError: If the line has another form.
    """
    try:
        row: Json = parsed(line)
        return str(row["input"]), str(row["target"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'line {number} of the data is not JSON like {{"input": "...", "target": "..."}} ({fault(error)})'
        ) from error


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each example: the mean of ``-ln p(token | input, tokens before it)`` over the tokens of its target.

    For one example this is the loss that the model of transformers returns itself; of several, transformers averages
    over all tokens, so that long targets have more weight.

    Args:
        model: An encoder-decoder of transformers.
        batch: ``input_ids``, ``attention_mask`` and ``labels``, in which -100 is no target.

    Raises:
        InputError: If a token id is outside the model's vocabulary.
    """
    config: Config = model.config
    for ids in (batch["input_ids"], batch["labels"]):
        require_vocabulary(ids, config.vocab_size)
    return Objective(model, batch, measure, "nats per token")


def measure(model: nn.Module, batch: Batch) -> Values:
    """Loss of each target in nats per token, and accuracy, the share of its tokens that are the most likely."""
    logits = wide(model(**batch, use_cache=False).logits)
    labels = batch["labels"]
    there = (labels != LEFT_OUT).to(logits.dtype)
    losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=LEFT_OUT)
    right = (logits.argmax(dim=-1) == labels).to(logits.dtype)
    count = there.sum(dim=1)
    return {"loss": losses.sum(dim=1) / count, "accuracy": (right * there).sum(dim=1) / count}
