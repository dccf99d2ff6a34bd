"""Causal language modelling: nats per token of the next token."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives.head import head_is_plain, hidden, token_losses, wide
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import begin, blocks, require_vocabulary
from landscape.shapes import Int

AUTO = "AutoModelForCausalLM"
CLASSES = ("CausalLM", "LMHeadModel")
"""Endings of the names of the classes that are trained with this objective."""
MOVED = 1e-5
"""Largest share by which rounding moves the logits of earlier tokens, of the largest logit."""


def encode(
    text: str, tokenizer: Any, *, sequences: int, length: int, bos: bool | Literal["auto"] = "auto", **_: object
) -> Batch:
    """Stretches of the text, each after the token that begins a text, if ``bos`` or the tokenizer wants it."""
    start = torch.tensor(begin(tokenizer, bos), dtype=torch.long)
    ids = torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    body = blocks(ids, sequences, length - len(start))
    return {"input_ids": torch.cat([start.expand(sequences, -1), body], dim=1)}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each sequence: the mean over its tokens but the first, of ``-ln p(token | those before)``.

    Equal to the loss that transformers' own model returns, as the mean over sequences.

    Args:
        model: A causal language model of transformers, or any module with its interface.
        batch: ``input_ids``, all of one length.

    Raises:
        InputError: If a token id is outside the model's vocabulary, or the model sees the tokens that it predicts.
    """
    config: Any = model.config
    require_vocabulary(batch["input_ids"], config.vocab_size)
    require_causal(model.eval(), batch["input_ids"][:1])
    plain = head_is_plain(model, inputs_of(model, batch["input_ids"][:1]))
    return Objective(model, batch, partial(measure, plain=plain), "nats per token")


def inputs_of(model: nn.Module, ids: Int[Tensor, "examples length"]) -> dict[str, Tensor]:
    """What makes the model predict each token but the first from those before it.

    XLNet has no direction of its own: it is told the order, and that every token but the first is asked for.
    """
    config: Any = model.config
    if getattr(config, "model_type", None) != "xlnet":
        return {"input_ids": ids}
    every = torch.ones(ids.shape[1], ids.shape[1], device=ids.device)
    shape = (len(ids), -1, -1)
    return {
        "input_ids": ids,
        "perm_mask": every.triu().expand(shape),
        "target_mapping": torch.eye(ids.shape[1], device=ids.device)[1:].expand(shape),
    }


@torch.no_grad()
def require_causal(model: nn.Module, ids: Int[Tensor, "1 length"]) -> None:
    """Refuse a model whose logits for earlier tokens move when the last one is another.

    Raises:
        InputError: If they do.
    """
    config: Any = model.config
    other = ids.clone()
    other[:, -1] = (ids[:, -1] + 1) % config.vocab_size
    one, two = (wide(model(**inputs_of(model, x)).logits[:, : ids.shape[1] - 1]) for x in (ids, other))
    if (one - two).abs().max() > MOVED * one.abs().max():
        raise InputError(
            f"a {type(model).__name__} of this config sees the tokens that it is to predict: earlier logits move with "
            "the last token; give --objective masked-lm, or is_decoder true in config.json if it was trained so"
        )


def measure(model: nn.Module, batch: Batch, *, plain: bool) -> Values:
    """Loss of each sequence; ``plain`` says that the head may be applied to pieces of the hidden states."""
    ids: Int[Tensor, "examples length"] = batch["input_ids"]
    inputs: dict[str, Any] = {**inputs_of(model, ids), "use_cache": False}
    count = ids.shape[1] - 1
    if plain:
        head: Any = model.get_output_embeddings()  # type: ignore[operator]
        states = hidden(model, inputs)[:, :count]
        losses = token_losses(states, head, ids[:, 1:], head.weight.shape[-2])
    else:
        logits = wide(model(**inputs).logits[:, :count])
        losses = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return {"loss": losses.mean(dim=1)}
