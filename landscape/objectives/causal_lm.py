"""Causal language modelling: the loss of the next token, in nats per token."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.foreign import Config, Pretrained, Tokenizer
from landscape.objectives.head import head_is_plain, hidden, token_losses, wide
from landscape.objectives.objective import Batch, ModelKind, Objective, Values
from landscape.objectives.text import begin, blocks, require_vocabulary, tokens
from landscape.shapes import Int

AUTO = "AutoModelForCausalLM"
CLASS_ENDINGS = ("CausalLM", "LMHeadModel")
MAPPING = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
MODEL_KIND: ModelKind = "causal"
MOVED = 1e-5
"""Largest change of the logits of earlier tokens that rounding explains, as a share of the largest logit."""


def suits(config: Config) -> bool:
    """Whether the head of a model is of this kind; all of its class are."""
    return True


def classes(config: Config) -> int:
    """Number of tokens in the vocabulary."""
    return int(config.vocab_size)


def encode(
    text: str, tokenizer: Tokenizer, *, sequences: int, length: int, bos: bool | Literal["auto"] = "auto", **_: object
) -> Batch:
    """Stretches of the text, each after the start token if there is to be one.

    Args:
        text: The text.
        tokenizer: The model's tokenizer.
        sequences: Number of stretches, spread evenly over the text.
        length: Tokens of each, the start token included.
        bos: Whether a stretch begins with the start token; ``auto`` does what the tokenizer does by default.
        **_: Settings of other objectives.

    Raises:
        InputError: If the text is too short, or the start token is wanted and there is none.
    """
    start = torch.tensor(begin(tokenizer, bos), dtype=torch.long)
    ids = tokens(tokenizer, text)
    body = blocks(ids, sequences, length - len(start))
    return {"input_ids": torch.cat([start.expand(sequences, -1), body], dim=1)}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each sequence: the mean of ``-ln p(token | tokens before it)`` over all its tokens but the first.

    The mean over sequences is the loss that the model of transformers returns itself.

    Args:
        model: A causal language model of transformers, or any module with its interface.
        batch: ``input_ids``, all of one length.

    Raises:
        InputError: If a token id is outside the model's vocabulary, or the model sees the tokens that it predicts.
    """
    config: Config = model.config
    require_vocabulary(batch["input_ids"], config.vocab_size)
    require_causal(model.eval(), batch["input_ids"][:1])
    plain = head_is_plain(model, inputs_of(model, batch["input_ids"][:1]))
    return Objective(model, batch, partial(measure, plain=plain), "nats per token")


def targets(batch: Batch) -> tuple[Int[Tensor, "examples predictions"], Int[Tensor, "examples predictions right"]]:
    """Positions whose outputs the loss reads, and the token that is right at each."""
    ids = batch["input_ids"]
    return torch.arange(ids.shape[1] - 1).expand(len(ids), -1), ids[:, 1:, None]


def inputs_of(model: nn.Module, ids: Int[Tensor, "examples length"]) -> dict[str, Tensor]:
    """Inputs for which the model predicts each token but the first from the tokens before it.

    XLNet can predict in any order. Its inputs state the order, and that all tokens but the first are predicted.
    """
    config: Config = model.config
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
    """Refuse a model whose logits at earlier tokens change with the last token.

    Raises:
        InputError: If they change.
    """
    config: Config = model.config
    other = ids.clone()
    other[:, -1] = (ids[:, -1] + 1) % config.vocab_size
    one, two = (wide(model(**inputs_of(model, x)).logits[:, : ids.shape[1] - 1]) for x in (ids, other))
    if (one - two).abs().max() > MOVED * one.abs().max():
        raise InputError(
            f"a {type(model).__name__} of this config sees the tokens that it is to predict: earlier logits move with "
            "the last token; give --objective masked-lm, or is_decoder true in config.json if it was trained so"
        )


def measure(model: nn.Module, batch: Batch, *, plain: bool) -> Values:
    """Loss of each sequence, in nats per token.

    Args:
        model: The model.
        batch: Some of the examples.
        plain: Whether the head may be applied to pieces of the hidden states.
    """
    ids: Int[Tensor, "examples length"] = batch["input_ids"]
    inputs: dict[str, Any] = {**inputs_of(model, ids), "use_cache": False}
    count = ids.shape[1] - 1
    if plain:
        head: Pretrained = model.get_output_embeddings()  # type: ignore[operator]
        states = hidden(model, inputs)[:, :count]
        losses = token_losses(states, head, ids[:, 1:], head.weight.shape[-2])
    else:
        logits = wide(model(**inputs).logits[:, :count])
        losses = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return {"loss": losses.mean(dim=1)}
