"""Causal language modelling: nats per token of the next token."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.objectives.head import head_is_plain, hidden, token_losses, wide
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import blocks, require_vocabulary
from landscape.shapes import Int

AUTO = "AutoModelForCausalLM"


def encode(text: str, tokenizer: Any, *, sequences: int, length: int, **_: object) -> Batch:
    """Stretches of the text, without special tokens."""
    ids = torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    return {"input_ids": blocks(ids, sequences, length)}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each sequence: the mean over its tokens but the first, of ``-ln p(token | those before)``.

    Equal to the loss that transformers' own model returns, as the mean over sequences.

    Args:
        model: A causal language model of transformers, or any module with its interface.
        batch: ``input_ids``, all of one length.

    Raises:
        InputError: If a token id is outside the model's vocabulary.
    """
    config: Any = model.config
    require_vocabulary(batch["input_ids"], config.vocab_size)
    plain = head_is_plain(model.eval(), {"input_ids": batch["input_ids"][:1]})
    return Objective(model, batch, partial(measure, plain=plain), "nats per token")


def measure(model: nn.Module, batch: Batch, *, plain: bool) -> Values:
    """Loss of each sequence; ``plain`` says that the head may be applied to pieces of the hidden states."""
    ids: Int[Tensor, "examples length"] = batch["input_ids"]
    inputs = {"input_ids": ids, "use_cache": False}
    if plain:
        head: Any = model.get_output_embeddings()  # type: ignore[operator]
        states = hidden(model, inputs)[:, :-1]  # type: ignore[arg-type]
        losses = token_losses(states, head, ids[:, 1:], head.weight.shape[-2])
    else:
        logits = wide(model(**inputs).logits[:, :-1])
        losses = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return {"loss": losses.mean(dim=1)}
