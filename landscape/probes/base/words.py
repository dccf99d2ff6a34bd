"""Words and the tokens that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from landscape.errors import InputError
from landscape.files import parsed
from landscape.objectives.text import fault, read_file
from landscape.probes.base.subject import Subject


@dataclass(frozen=True)
class Aligned:
    """A sentence as tokens.

    Attributes:
        ids: Tokens, special ones included.
        owner: Number of the word that each token is part of; -1 for special ones and full stops.
    """

    ids: tuple[int, ...]
    owner: tuple[int, ...]


def align(subject: Subject, words: Sequence[str], end: str = "") -> Aligned:
    """Tokens of a sentence, and the word that each belongs to.

    Args:
        subject: The model.
        words: The words; the sentence has blanks between them.
        end: What comes after the last word and is none.

    Raises:
        InputError: If the tokenizer does not tell, or a word has no token.
    """
    if not subject.tokenizer.is_fast:
        raise InputError("words are known to fast tokenizers only; save the tokenizer with its tokenizer.json")
    framed = subject.kind != "causal"
    encoded = subject.tokenizer(
        " ".join(words) + end, add_special_tokens=framed, return_offsets_mapping=True, verbose=False
    )
    ends, place = [], -1
    for word in words:
        place += len(word) + 1
        ends.append(place)
    # The last character of a token decides: the first may be the blank before the word.
    owner = [
        next((k for k, until in enumerate(ends) if b - 1 < until), -1) if b > a else -1
        for a, b in encoded["offset_mapping"]
    ]
    if lost := [word for k, word in enumerate(words) if k not in owner]:
        raise InputError(f"the tokenizer makes no token of {lost[0]!r}; use other words or another tokenizer")
    start = [] if framed else subject.start
    return Aligned((*start, *encoded["input_ids"]), (*[-1] * len(start), *owner))


@dataclass(frozen=True)
class Tagged:
    """Words with their tags, and the heads and relations of those that have them."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...] = ()
    relations: tuple[str, ...] = ()


def read(file: Path, *wanted: str) -> list[Tagged]:
    """Sentences from JSON lines with ``words`` and ``tags``, or ``words``, ``heads`` and ``relations``.

    Heads count words from 0; the root is its own head, or has -1.

    Raises:
        InputError: If a line has another form.
    """
    out = []
    for number, line in enumerate(read_file(file, "items").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parsed(line)
            parts = {name: tuple(row[name]) for name in ("words", *wanted)}
            texts, tags, relations = (tuple(map(str, parts.get(name, ()))) for name in ("words", "tags", "relations"))
            heads = tuple(k if int(head) < 0 else int(head) for k, head in enumerate(parts.get("heads", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            names = ", ".join(f'"{name}": [...]' for name in ("words", *wanted))
            raise InputError(f"line {number} of {file} is not JSON like {{{names}}} ({fault(error)})") from error
        if not texts or {len(part) for part in parts.values()} != {len(texts)}:
            raise InputError(
                f"line {number} of {file} has lists of several lengths, or empty ones; give one entry a word"
            )
        if any(head >= len(texts) for head in heads):
            raise InputError(f"line {number} of {file} has a head that is no word of it; heads count words from 0")
        out.append(Tagged(texts, tags, heads, relations))
    return out
