"""Masked language modelling: the loss of masked tokens, in nats per masked token; the masks never change."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.foreign import Config, Tokenizer
from landscape.objectives.head import head_is_positionwise, positions, wide
from landscape.objectives.objective import Batch, ModelKind, Objective, Values
from landscape.objectives.text import blocks, require_vocabulary, tokens
from landscape.shapes import Int

AUTO = "AutoModelForMaskedLM"
CLASS_ENDINGS = ("MaskedLM", "PreTraining")
MAPPING = "MODEL_FOR_MASKED_LM_MAPPING_NAMES"
MODEL_KIND: ModelKind = "masked"
REPLACED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens that become the mask token, and a random token."""


def suits(config: Config) -> bool:
    """Whether the head of a model is of this kind: transformers has classes of encoder-decoders (BART) here, too."""
    return not config.is_encoder_decoder


def classes(config: Config) -> int:
    """Number of tokens in the vocabulary."""
    return int(config.vocab_size)


def encode(
    text: str, tokenizer: Tokenizer, *, sequences: int, length: int, mask: float, seed: int, **_: object
) -> Batch:
    """Stretches of the text between ``[CLS]`` and ``[SEP]``, with the same number of masks in each.

    As in BERT's training (Devlin et al. 2019), 80 % of the chosen tokens become ``[MASK]``, 10 % become a random token
    and 10 % stay. Unlike there, the masks are drawn once from ``seed``, and every sequence has the same number of them:
    every example has equal weight, and the noise of the masks cancels in differences.

    Args:
        text: The text.
        tokenizer: The model's tokenizer.
        sequences: Number of stretches, spread evenly over the text.
        length: Tokens of each, ``[CLS]`` and ``[SEP]`` included.
        mask: Share of the tokens to predict, in (0, 1).
        seed: Seed of the masks.
        **_: Settings of other objectives.

    Raises:
        InputError: If the tokenizer has no mask token, or the text is too short.
    """
    if tokenizer.mask_token_id is None:
        raise InputError("the tokenizer has no mask token; a masked-lm objective needs the model's own tokenizer")
    framed = tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None
    body = blocks(tokens(tokenizer, text), sequences, length - 2 * framed)
    random = torch.Generator().manual_seed(seed)
    count = max(1, round(mask * body.shape[1]))
    chosen = torch.rand(body.shape, generator=random).argsort(dim=1)[:, :count].sort(dim=1).values
    hidden = body.gather(1, chosen)
    draw = torch.rand(hidden.shape, generator=random)
    anything = torch.randint(len(tokenizer), hidden.shape, generator=random)
    shown = torch.where(draw < REPLACED + RANDOM, anything, hidden)
    shown = torch.where(draw < REPLACED, tokenizer.mask_token_id, shown)
    ids = body.scatter(1, chosen, shown)
    if framed:
        edge = torch.ones(sequences, 1, dtype=torch.long)
        ids = torch.cat([edge * tokenizer.cls_token_id, ids, edge * tokenizer.sep_token_id], dim=1)
    return {"input_ids": ids, "positions": chosen + framed, "targets": hidden}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each sequence: the mean of ``-ln p(token | the masked sequence)`` over its masks.

    This is not the pseudo-log-likelihood, which masks one token at a time.

    Args:
        model: A masked language model of transformers, or any module with its interface.
        batch: ``input_ids``, in which tokens are masked; ``positions`` and ``targets`` of the masks.

    Raises:
        InputError: If a token id is outside the model's vocabulary.
    """
    config: Config = model.config
    for ids in (batch["input_ids"], batch["targets"]):
        require_vocabulary(ids, config.vocab_size)
    positionwise = head_is_positionwise(model.eval(), {"input_ids": batch["input_ids"][:1]}, batch["positions"][:1])
    return Objective(model, batch, partial(measure, positionwise=positionwise), "nats per masked token")


def targets(batch: Batch) -> tuple[Int[Tensor, "examples predictions"], Int[Tensor, "examples predictions right"]]:
    """Positions whose outputs the loss reads, and the token that is right at each."""
    return batch["positions"], batch["targets"][..., None]


def measure(model: nn.Module, batch: Batch, *, positionwise: bool) -> Values:
    """Loss of each sequence, in nats per masked token.

    Args:
        model: The model.
        batch: Some of the examples.
        positionwise: Whether the head may be given the masked positions only.
    """
    chosen: Int[Tensor, "examples masks"] = batch["positions"]
    if positionwise:
        with positions(model, chosen):
            logits = model(input_ids=batch["input_ids"]).logits
    else:
        logits = model(input_ids=batch["input_ids"]).logits
        logits = logits.gather(1, chosen[..., None].expand(*chosen.shape, logits.shape[-1]))
    losses = F.cross_entropy(wide(logits).transpose(1, 2), batch["targets"], reduction="none")
    return {"loss": losses.mean(dim=1)}
