"""Masked language modelling: nats per masked token, on masks that never change."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives.head import head_is_positionwise, positions, wide
from landscape.objectives.objective import Batch, Objective, Values
from landscape.objectives.text import blocks, require_vocabulary
from landscape.shapes import Int

AUTO = "AutoModelForMaskedLM"
CLASSES = ("MaskedLM", "PreTraining")
"""Endings of the names of the classes that are trained with this objective."""
REPLACED, RANDOM = 0.8, 0.1


def encode(text: str, tokenizer: Any, *, sequences: int, length: int, mask: float, seed: int, **_: object) -> Batch:
    """Stretches of the text between ``[CLS]`` and ``[SEP]``, with the same number of masks in each.

    As in BERT's training (Devlin et al. 2019), 80 % of the chosen tokens become ``[MASK]``, 10 % a random
    token and 10 % stay; but chosen once, from ``seed``, and as many in each sequence, so that every example
    has equal weight and the noise of the masks cancels in differences.

    Raises:
        InputError: If the tokenizer has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise InputError("the tokenizer has no mask token; a masked-lm objective needs the model's own tokenizer")
    framed = tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None
    plain = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    body = blocks(torch.tensor(plain), sequences, length - 2 * framed)
    random = torch.Generator().manual_seed(seed)
    count = max(1, round(mask * body.shape[1]))
    chosen = torch.rand(body.shape, generator=random).argsort(dim=1)[:, :count].sort(dim=1).values
    targets = body.gather(1, chosen)
    kind = torch.rand(targets.shape, generator=random)
    anything = torch.randint(len(tokenizer), targets.shape, generator=random)
    shown = torch.where(kind < REPLACED + RANDOM, anything, targets)
    shown = torch.where(kind < REPLACED, tokenizer.mask_token_id, shown)
    ids = body.scatter(1, chosen, shown)
    if framed:
        edge = torch.ones(sequences, 1, dtype=torch.long)
        ids = torch.cat([edge * tokenizer.cls_token_id, ids, edge * tokenizer.sep_token_id], dim=1)
    return {"input_ids": ids, "positions": chosen + framed, "targets": targets}


def build(model: nn.Module, batch: Batch) -> Objective:
    """Loss of each sequence: the mean of ``-ln p(token | the masked sequence)`` over its masks.

    The pseudo-log-likelihood masks one token at a time; this is not it.

    Args:
        model: A masked language model of transformers, or any module with its interface.
        batch: ``input_ids`` with the masks in; ``positions`` and ``targets`` of the masks.

    Raises:
        InputError: If a token id is outside the model's vocabulary.
    """
    config: Any = model.config
    for ids in (batch["input_ids"], batch["targets"]):
        require_vocabulary(ids, config.vocab_size)
    positionwise = head_is_positionwise(model.eval(), {"input_ids": batch["input_ids"][:1]}, batch["positions"][:1])
    return Objective(model, batch, partial(measure, positionwise=positionwise), "nats per masked token")


def measure(model: nn.Module, batch: Batch, *, positionwise: bool) -> Values:
    """Loss of each sequence; ``positionwise`` says that the head may see the masked positions only."""
    chosen: Int[Tensor, "examples masks"] = batch["positions"]
    if positionwise:
        with positions(model, chosen):
            logits = model(input_ids=batch["input_ids"]).logits
    else:
        logits = model(input_ids=batch["input_ids"]).logits
        logits = logits.gather(1, chosen[..., None].expand(*chosen.shape, logits.shape[-1]))
    losses = F.cross_entropy(wide(logits).transpose(1, 2), batch["targets"], reduction="none")
    return {"loss": losses.mean(dim=1)}
