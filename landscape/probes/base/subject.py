"""Whom a probe asks: a model with its tokenizer; and what it is asked with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives.causal_lm import MOVED
from landscape.objectives.text import begin
from landscape.shapes import Float

Kind = Literal["causal", "masked", "classifier"]
LONGEST = 1024
"""Tokens of a sequence for models that set no limit."""
OF_CLASS = {
    "CausalLM": "causal", "LMHeadModel": "causal", "MaskedLM": "masked", "PreTraining": "masked",
    "SequenceClassification": "classifier",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and its tokenizer.

    Attributes:
        model: A model of transformers, or any module with its interface; in evaluation mode.
        tokenizer: Its tokenizer.
        kind: What it was trained for.
        bos: Whether a text begins with the token for that; ``auto`` is as the tokenizer does by default.
    """

    model: Any
    tokenizer: Any
    kind: Kind
    bos: bool | Literal["auto"] = "auto"

    @classmethod
    def of(cls, model: Any, tokenizer: Any, kind: Kind | None = None) -> Subject:
        """The subject; its kind by the name of the model's class, if it is not given.

        Raises:
            InputError: If the name does not say.
        """
        ending = next((end for end in OF_CLASS if type(model).__name__.endswith(end)), None)
        if kind is None and ending is None:
            raise InputError(f"a {type(model).__name__} does not say its kind; give kind: {', '.join(get_args(Kind))}")
        return cls(model.eval(), tokenizer, kind or OF_CLASS[str(ending)])  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows and the tokenizer makes."""
        return min(int(self.model.config.vocab_size), len(self.tokenizer))

    @property
    def longest(self) -> int:
        """Tokens that the model takes; at most 1,024."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return min(LONGEST, int(limit)) if limit and int(limit) > 0 else LONGEST

    @cached_property
    def start(self) -> list[int]:
        """What a text begins with: the token for that, if it is wanted and the model knows it."""
        return [first for first in begin(self.tokenizer, self.bos) if first < self.model.config.vocab_size]

    def ids(self, text: str) -> list[int]:
        """Tokens of a text, without special ones.

        Raises:
            InputError: If the model has no embedding for one.
        """
        found: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if found and max(found) >= self.model.config.vocab_size:
            raise InputError(
                f"the tokenizer makes the token id {max(found)} and the model's vocabulary ends at "
                f"{self.model.config.vocab_size - 1}; give the tokenizer that the model was trained with"
            )
        return found

    def knows(self, word: str) -> bool:
        """Whether the tokenizer has what a word, inside of a text, is made of."""
        ids = self.ids(f" {word}")
        return bool(ids) and self.tokenizer.unk_token_id not in ids


@torch.no_grad()
def require_in_order(subject: Subject) -> None:
    """Refuse a model that is asked as a causal one and sees the tokens that it predicts.

    Raises:
        InputError: If earlier logits move with the last token.
    """
    ids = torch.arange(1, 9, device=subject.device)[None] % subject.model.config.vocab_size
    other = torch.cat([ids[:, :-1], ids[:, :1]], dim=1)
    one, two = (subject.model(input_ids=x).logits[:, :-1].float() for x in (ids, other))
    if (one - two).abs().max() > MOVED * one.abs().max():
        raise InputError(
            f"a {type(subject.model).__name__} sees the tokens that it is to predict, so probes of causal models are "
            "not for it; leave them out"
        )


@contextmanager
def watching(subject: Subject) -> Generator[None]:
    """Within this, the model computes its attention in the plain way, the only one that shows it.

    Raises:
        InputError: If it cannot.
    """
    before = getattr(subject.model.config, "_attn_implementation", None)
    change = before not in (None, "eager")
    try:
        if change:
            subject.model.set_attn_implementation("eager")
    except (ValueError, AttributeError) as error:
        raise InputError(_blind(subject)) from error
    try:
        yield
    finally:
        if change:
            subject.model.set_attn_implementation(before)


@torch.no_grad()
def attention(subject: Subject, **inputs: Tensor) -> Float[Tensor, "layers n heads to from"]:
    """Attention of every head, each row summing to one; within :func:`watching`.

    Raises:
        InputError: If the model has none, or layers of several shapes.
    """
    try:
        maps = subject.model(**inputs, output_attentions=True).attentions
    except (AttributeError, TypeError) as error:
        raise InputError(_blind(subject)) from error
    if not maps or len({getattr(layer, "shape", None) for layer in maps}) > 1 or maps[0] is None:
        raise InputError(_blind(subject))
    return torch.stack(tuple(maps)).float()


def has_attention(subject: Subject) -> bool:
    """Whether the model shows its attention."""
    try:
        with watching(subject):
            attention(subject, input_ids=torch.zeros(1, 2, dtype=torch.long, device=subject.device))
    except InputError:
        return False
    return True


def _blind(subject: Subject) -> str:
    return f"a {type(subject.model).__name__} shows no attention of its heads; leave this probe out"


def require_text(text: str) -> None:
    """Refuse to ask without a text.

    Raises:
        InputError: If there is none.
    """
    if not text.strip():
        raise InputError(
            "this probe asks about a text, and there is none; give text, held-out text of the model's kind"
        )


@dataclass(frozen=True)
class Given:
    """What a probe is asked with; each takes of it what it needs.

    Attributes:
        count: Items to make, or to take; None is as many as the probe finds right.
        items: The user's own items: a file, or a folder of them.
        text: Held-out text.
        train_text: Text like that the model was trained on.
        sequences: Stretches of the held-out text.
        length: Tokens of each.
        labels: Classes of a classifier of sentence pairs, in the order of its outputs.
        pll: Which pseudo-log-likelihood a masked model is scored with.
        task: For ``harness:TASK``, the task.
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
