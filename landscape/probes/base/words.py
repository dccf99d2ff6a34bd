"""Words and their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from landscape.errors import InputError
from landscape.files import parsed
from landscape.objectives.text import fault, read_file
from landscape.probes.base.model import ProbeModel
from landscape.probes.base.scoring import padded, passes
from landscape.shapes import Float


@dataclass(frozen=True)
class WordTokens:
    """The tokens of a sentence, each with its word.

    Attributes:
        ids: Tokens, special tokens included.
        owner: Number of the word that each token is part of; -1 for special tokens and full stops.
    """

    ids: tuple[int, ...]
    owner: tuple[int, ...]


def tokenize(model: ProbeModel, words: Sequence[str], end: str = "") -> WordTokens:
    """The tokens of a sentence, and the word that each belongs to.

    Args:
        model: The model.
        words: The words; the sentence is the words separated by spaces.
        end: What follows the last word, such as a full stop.

    Raises:
        InputError: If the tokenizer is not fast, or a word has no token.
    """
    if not model.tokenizer.is_fast:
        raise InputError("words are known to fast tokenizers only; save the tokenizer with its tokenizer.json")
    framed = model.kind != "causal"
    encoded = model.tokenizer(
        " ".join(words) + end, add_special_tokens=framed, return_offsets_mapping=True, verbose=False
    )
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    # The last character of a token decides: the first may be the space before the word.
    owner = [
        next((k for k, until in enumerate(ends) if b - 1 < until), -1) if b > a else -1
        for a, b in encoded["offset_mapping"]
    ]
    if lost := [word for k, word in enumerate(words) if k not in owner]:
        raise InputError(f"the tokenizer makes no token of {lost[0]!r}; use other words or another tokenizer")
    start = [] if framed else model.start
    return WordTokens((*start, *encoded["input_ids"]), (*[-1] * len(start), *owner))


@torch.no_grad()
def hidden_states(
    model: ProbeModel, sentences: Sequence[WordTokens], lengths: Sequence[int]
) -> Float[np.ndarray, "layers words width"]:
    """Hidden state of each word after each layer: the mean over its tokens. Layer 0 is the embedding.

    Args:
        model: The model.
        sentences: Sentences as tokens.
        lengths: Number of words of each.

    Raises:
        InputError: If the model returns no hidden states.
    """
    rows = [sentence.ids for sentence in sentences]
    begins = np.concatenate([[0], np.cumsum(lengths)])
    out: Float[np.ndarray, "layers words width"] | None = None
    for batch in passes([len(row) for row in rows]):
        ids, mask = padded([rows[k] for k in batch], model.device)
        inputs = {} if model.kind == "causal" else {"attention_mask": mask}
        try:
            states = torch.stack(tuple(model.network(input_ids=ids, output_hidden_states=True, **inputs).hidden_states))
        except (AttributeError, TypeError) as error:
            raise InputError(
                f"a {type(model.network).__name__} shows no hidden states; leave this probe out"
            ) from error
        if out is None:
            out = np.zeros((len(states), begins[-1], states.shape[-1]))
        for row, k in enumerate(batch):
            owner = torch.tensor(sentences[k].owner)
            member = (torch.arange(lengths[k])[:, None] == owner).double()
            mean_of = member / member.sum(dim=1, keepdim=True)
            own = states[:, row, : len(owner)].double().cpu()
            out[:, begins[k] : begins[k + 1]] = (mean_of @ own).numpy()
    return np.asarray(out)


@dataclass(frozen=True)
class Tagged:
    """The words of a sentence with their tags, or with their heads and relations."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...] = ()
    relations: tuple[str, ...] = ()


def read(file: Path, *wanted: str) -> list[Tagged]:
    """Sentences from JSON lines with ``words`` and other lists of the same length.

    Args:
        file: The file.
        *wanted: Names of the other lists: ``tags``, or ``heads`` and ``relations``. Heads count words from 0; the root
            is its own head, or has -1.

    Raises:
        InputError: If a line has another form, or a head is no word of its sentence.
    """
    out = []
    for number, line in enumerate(read_file(file, "items").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parsed(line)
            lists = {name: tuple(row[name]) for name in ("words", *wanted)}
            texts, tags, relations = (tuple(map(str, lists.get(name, ()))) for name in ("words", "tags", "relations"))
            heads = tuple(k if int(head) < 0 else int(head) for k, head in enumerate(lists.get("heads", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            names = ", ".join(f'"{name}": [...]' for name in ("words", *wanted))
            raise InputError(f"line {number} of {file} is not JSON like {{{names}}} ({fault(error)})") from error
        if not texts or {len(values) for values in lists.values()} != {len(texts)}:
            raise InputError(
                f"line {number} of {file} has lists of several lengths, or empty ones; give one entry a word"
            )
        if any(head >= len(texts) for head in heads):
            raise InputError(f"line {number} of {file} has a head that is no word of it; heads count words from 0")
        out.append(Tagged(texts, tags, heads, relations))
    return out
