"""The model that a probe runs, and the inputs that its items are made from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from landscape.catalogue import OBJECTIVES
from landscape.errors import InputError
from landscape.foreign import Pretrained, Tokenizer
from landscape.objectives.causal_lm import MOVED
from landscape.objectives.objective import ModelKind
from landscape.objectives.text import begin, tokens
from landscape.shapes import Float, Int

LONGEST = 1024
"""Longest sequence in tokens, also for models that state no limit."""


@dataclass(frozen=True, eq=False)
class ProbeModel:
    """A model and its tokenizer.

    Attributes:
        network: A model of transformers, or any module with its interface; in evaluation mode.
        tokenizer: Its tokenizer.
        kind: What it predicts.
        bos: Whether a text begins with the start token; ``auto`` does what the tokenizer does by default.
    """

    network: Pretrained
    tokenizer: Tokenizer
    kind: ModelKind
    bos: bool | Literal["auto"] = "auto"

    @classmethod
    def of(cls, network: Pretrained, tokenizer: Tokenizer, kind: ModelKind | None = None) -> ProbeModel:
        """A model and its tokenizer, in evaluation mode.

        Args:
            network: A model of transformers, or any module with its interface.
            tokenizer: Its tokenizer.
            kind: What it predicts; None decides by the name of its class.

        Raises:
            InputError: If the class name does not tell the kind.
        """
        kind = kind or _kind_of(type(network).__name__)
        return cls(network.eval(), tokenizer, kind)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def vocabulary(self) -> int:
        """Number of tokens that both the model and the tokenizer have."""
        return min(int(self.network.config.vocab_size), len(self.tokenizer))

    @property
    def longest(self) -> int:
        """Longest sequence that the model takes, in tokens; at most 1,024."""
        limit = getattr(self.network.config, "max_position_embeddings", None)
        return min(LONGEST, int(limit)) if limit and int(limit) > 0 else LONGEST

    @cached_property
    def start(self) -> list[int]:
        """The start token, if texts begin with it and the model knows it; else nothing."""
        return [first for first in begin(self.tokenizer, self.bos) if first < self.network.config.vocab_size]

    def ids(self, text: str) -> list[int]:
        """Tokens of a text, without special tokens.

        Raises:
            InputError: If the model has no embedding for one of them.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        self._require_known(max(ids, default=0))
        return ids

    def tokens(self, text: str) -> Int[torch.Tensor, " tokens"]:
        """The same of a long text, found once for all that read it.

        Raises:
            InputError: If the model has no embedding for one of them.
        """
        found = tokens(self.tokenizer, text)
        self._require_known(int(found.max()) if len(found) else 0)
        return found

    def _require_known(self, largest: int) -> None:
        if largest >= self.network.config.vocab_size:
            raise InputError(
                f"the tokenizer makes the token id {largest} and the model's vocabulary ends at "
                f"{self.network.config.vocab_size - 1}; give the tokenizer that the model was trained with"
            )

    def knows(self, word: str) -> bool:
        """Whether the tokenizer can spell a word inside a text without the unknown token."""
        ids = self.ids(f" {word}")
        return bool(ids) and self.tokenizer.unk_token_id not in ids


def _kind_of(name: str) -> ModelKind:
    """What models of a class predict, by the name of the class.

    Raises:
        InputError: If the name does not tell.
    """
    for objective in map(OBJECTIVES.load, OBJECTIVES):
        if name.endswith(objective.CLASS_ENDINGS):
            kind: ModelKind = objective.MODEL_KIND
            return kind
    raise InputError(f"a {name} does not say its kind; give kind: {', '.join(get_args(ModelKind))}")


@torch.no_grad()
def require_causal_order(model: ProbeModel) -> None:
    """Refuse a model of kind ``causal`` that sees the tokens that it predicts.

    Raises:
        InputError: If logits at earlier positions change with the last token.
    """
    ids = torch.arange(1, 9, device=model.device)[None] % model.network.config.vocab_size
    other = torch.cat([ids[:, :-1], ids[:, :1]], dim=1)
    one, two = (model.network(input_ids=x).logits[:, :-1].float() for x in (ids, other))
    if (one - two).abs().max() > MOVED * one.abs().max():
        raise InputError(
            f"a {type(model.network).__name__} sees the tokens that it is to predict, so probes of causal models are "
            "not for it; leave them out"
        )


@contextmanager
def eager_attention(model: ProbeModel) -> Generator[None]:
    """Within this context, the model computes its attention eagerly: other implementations do not return it.

    Raises:
        InputError: If the model cannot.
    """
    before = getattr(model.network.config, "_attn_implementation", None)
    change = before not in (None, "eager")
    try:
        if change:
            model.network.set_attn_implementation("eager")
    except (ValueError, AttributeError) as error:
        raise InputError(_no_attention(model)) from error
    try:
        yield
    finally:
        if change:
            model.network.set_attn_implementation(before)


@torch.no_grad()
def attention(model: ProbeModel, **inputs: Tensor) -> Float[Tensor, "layers n heads to from"]:
    """Attention weights of every head; each row sums to 1. Call it within :func:`eager_attention`.

    Raises:
        InputError: If the model has no attention, or its layers have different shapes.
    """
    try:
        maps = model.network(**inputs, output_attentions=True).attentions
    except (AttributeError, TypeError) as error:
        raise InputError(_no_attention(model)) from error
    if not maps or len({getattr(layer, "shape", None) for layer in maps}) > 1 or maps[0] is None:
        raise InputError(_no_attention(model))
    return torch.stack(tuple(maps)).float()


def has_attention(model: ProbeModel) -> bool:
    """Whether the model returns its attention."""
    try:
        with eager_attention(model):
            attention(model, input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device))
    except InputError:
        return False
    return True


def _no_attention(model: ProbeModel) -> str:
    return f"a {type(model.network).__name__} shows no attention of its heads; leave this probe out"


def require_text(text: str) -> None:
    """Refuse an empty text.

    Raises:
        InputError: If there is no text.
    """
    if not text.strip():
        raise InputError("this probe reads a text, and there is none; give text, held-out text of the model's kind")


@dataclass(frozen=True)
class ProbeInputs:
    """What the items of a probe are made from; each probe uses what it needs.

    Attributes:
        count: Number of items to make or to take; None is the probe's default.
        items: Your own items: a file, or a folder of files.
        text: Held-out text.
        train_text: Text that the model was trained on, or text like it.
        sequences: Number of stretches of the held-out text.
        length: Tokens of each.
        labels: Classes of a classifier of sentence pairs, in the order of its outputs.
        pll: Pseudo-log-likelihood that masked models are scored with.
        task: The TASK of ``harness:TASK``.
        ngrams: Counts of ``train_text``, if they are known.
    """

    count: int | None = None
    items: Path | None = None
    text: str = ""
    train_text: str = ""
    sequences: int = 128
    length: int = 64
    labels: tuple[str, ...] | None = None
    pll: Literal["within_word_l2r", "original"] = "within_word_l2r"
    task: str = ""
    ngrams: Any = None
