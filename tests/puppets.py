"""Models made by hand, whose scores are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from landscape.probes.base import grammar, overlap

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
WORDS = sorted({
    *(form for pair in (*grammar.NOUNS, *grammar.VERBS, *grammar.TRANSITIVE) for form in pair),
    *grammar.PREPOSITIONS, *grammar.SAID, "the", "The", "that", "and", ".",
    *(word for some in overlap.SLOTS.values() for word in some),
    *["When", "If", "Since", "Maybe", "Someone", "No", "one", "was", "by", "if", "since", ",", "maybe", "when"],
    *(word.capitalize() for word in (*overlap.ADJECTIVES, *overlap.PLURALS)),
})  # fmt: skip


TEXT = " ".join(WORDS[(n * n + n // 5) % len(WORDS)] for n in range(1, 2500))


def speaker(words: list[str] = WORDS, **changes: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words."""
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if start := changes.get("bos_token"):  # as Llama's does: a text begins with it
        made.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, vocabulary[start])]
        )
    return PreTrainedTokenizerFast(**{
        "tokenizer_object": made, "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]", **changes,
    })  # fmt: skip


class Puppet(nn.Module):
    """A model whose log-probabilities are what a function of the token ids says."""

    def __init__(self, vocabulary: int, say: Any, *, attend: Any = None, states: Any = None, **config: Any) -> None:
        super().__init__()
        self.config = SimpleNamespace(vocab_size=vocabulary, **config)
        self.say, self.attend, self.states = say, attend, states

    def forward(self, input_ids: Tensor, output_attentions: bool = False, output_hidden_states: bool = False,
                **_: Any) -> Any:  # fmt: skip
        out = SimpleNamespace(logits=self.say(input_ids))
        if output_attentions and self.attend is not None:
            out.attentions = self.attend(input_ids)
        if output_hidden_states and self.states is not None:
            out.hidden_states = self.states(input_ids)
        return out


def table(log_p: Tensor) -> Puppet:
    """What comes next depends on the token before alone."""
    return Puppet(len(log_p), lambda ids: log_p[ids])


def unigram(log_p: Tensor) -> Puppet:
    """What comes next depends on nothing."""
    return Puppet(len(log_p), lambda ids: log_p.expand(*ids.shape, -1))


def copier(vocabulary: int, slip: float, **more: Any) -> Puppet:
    """Says what followed the last earlier copy of a token, all other tokens with probability ``slip`` between them."""

    def say(ids: Tensor) -> Tensor:
        p = torch.full((*ids.shape, vocabulary), 1 / vocabulary)
        for row, sequence in enumerate(ids.tolist()):
            for t, token in enumerate(sequence):
                before = [k for k in range(t) if sequence[k] == token]
                if before:
                    p[row, t] = slip / (vocabulary - 1)
                    p[row, t, sequence[before[-1] + 1]] = 1 - slip
        return p.log()

    return Puppet(vocabulary, say, **more)


def heads_of_induction(ids: Tensor) -> tuple[Tensor, ...]:
    """One layer: a head that attends to what followed the last copy, one to the token before, one to all alike."""
    n, length = ids.shape
    maps = torch.zeros(n, 3, length, length)
    for row, sequence in enumerate(ids.tolist()):
        for q, token in enumerate(sequence):
            before = [k for k in range(1, q + 1) if sequence[k - 1] == token]
            maps[row, 0, q, before[-1] if before else 0] = 1
            maps[row, 1, q, max(q - 1, 0)] = 1
            maps[row, 2, q, : q + 1] = 1 / (q + 1)
    return (maps,)


def random_table(vocabulary: int, seed: int = 0) -> Tensor:
    """Log-probabilities in general position."""
    logits = torch.randn(vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.log_softmax(2 * logits, dim=-1)
