"""A language with planted stages: a small model learns its four parts one after the other.

Each line of words is from one part:

1. *frequency*: words drawn independently, by Zipf's law;
2. *succession*: a Markov chain, in which each word has one likely successor;
3. *repetition*: a stretch of words drawn evenly, and the same stretch again;
4. *agreement*: ``the``, a noun in the singular or plural, sometimes another noun in between, and a verb that agrees.

When a part is learned depends on what it needs (counts, pairs, two layers of attention, one long-distance relation) and
on its share of the text. The shares are such that the times are clearly separated. Minimal pairs of sentences of each
part show when it was learned. They are counterbalanced: a model that knows only the other parts is right half of the
time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

PARTS = ("frequency", "succession", "repetition", "agreement")
"""In the order in which they are learned."""
SHARES = (0.2, 0.22, 0.5, 0.08)
"""Share of the words of each part."""
WORDS = tuple(a + b for a, b in product("bdfgklmnprst", "aeio"))
NOUNS = ("cat", "dog", "bird", "fish", "goat", "bear"), ("cats", "dogs", "birds", "fishes", "goats", "bears")
VERBS = ("sings", "runs", "sleeps", "jumps"), ("sing", "run", "sleep", "jump")
LINE = 12
"""Number of words in a line of the first three parts."""
LIKELY = 0.9
"""Probability of the likely successor of a word; else the next word is drawn by its frequency."""
COMMON, RARE = 8, 24
"""Number of common words, and the rank at which the rarer half begins."""
ZIPF = (weights := 1 / np.arange(1, len(WORDS) + 1)) / weights.sum()
SUCCESSOR = np.random.RandomState(0).permutation(len(WORDS))
Sentence = list[str]


def corpus(words: int, seed: int) -> str:
    """Lines with this many words or a few more; each part has its share of them."""
    random = np.random.RandomState(seed)
    lengths = np.array([LINE, LINE, LINE, 5])
    chances = np.array(SHARES) / lengths
    lines, count = [], 0
    while count < words:
        line = _line(PARTS[random.choice(len(PARTS), p=chances / chances.sum())], random)
        lines.append(" ".join(line))
        count += len(line)
    return "\n".join(lines) + "\n"


def write(out: Path, words: int, seed: int, items: int) -> None:
    """Write the training text, a held-out text, and for each part a file of minimal pairs.

    Args:
        out: Folder of ``training.txt``, ``heldout.txt`` and ``pairs/``.
        words: Number of words of the training text; the held-out text has a tenth.
        seed: Of the random numbers.
        items: Number of pairs of each part; there may be one more.
    """
    (out / "pairs").mkdir(parents=True, exist_ok=True)
    (out / "training.txt").write_text(corpus(words, seed), "utf-8")
    (out / "heldout.txt").write_text(corpus(words // 10, seed + 1), "utf-8")
    for part in PARTS:
        random = np.random.RandomState(seed + 2)
        lines: list[str] = []
        while len(lines) < items:
            lines += [
                json.dumps({"sentence_good": " ".join(good), "sentence_bad": " ".join(bad), "UID": part})
                for good, bad in _pairs(part, random)
            ]
        (out / "pairs" / f"{part}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def _line(part: str, random: np.random.RandomState) -> Sentence:
    match part:
        case "frequency":
            return [WORDS[k] for k in random.choice(len(WORDS), LINE, p=ZIPF)]
        case "succession":
            chain = [random.choice(len(WORDS), p=ZIPF)]
            while len(chain) < LINE:
                chain.append(SUCCESSOR[chain[-1]] if random.rand() < LIKELY else random.choice(len(WORDS), p=ZIPF))
            return [WORDS[k] for k in chain]
        case "repetition":
            return [WORDS[k] for k in random.randint(len(WORDS), size=LINE // 2)] * 2
        case _:
            number = random.randint(2)
            between = ["near", "the", _one(NOUNS[random.randint(2)], random)] if random.rand() < 0.5 else []
            return ["the", _one(NOUNS[number], random), *between, _one(VERBS[number], random)]


def _pairs(part: str, random: np.random.RandomState) -> Iterator[tuple[Sentence, Sentence]]:
    """A minimal pair and its counterpart with right and wrong exchanged, where that is possible.

    Each sentence begins with a line break, like every line of the text but the first.
    """
    start = "\n"
    match part:
        case "frequency":
            yield [start, WORDS[random.randint(COMMON)]], [start, WORDS[random.randint(RARE, len(WORDS))]]
        case "succession":
            one, two = random.choice(len(WORDS), 2, replace=False)
            for a, b in ((one, two), (two, one)):
                yield [start, WORDS[a], WORDS[SUCCESSOR[a]]], [start, WORDS[a], WORDS[SUCCESSOR[b]]]
        case "repetition":
            words = [WORDS[k] for k in random.choice(len(WORDS), LINE // 2 + 1, replace=False)]
            index, (other, *stretch) = LINE // 4, words
            changed = [*stretch[:index], other, *stretch[index + 1 :]]
            for a, b in ((stretch, changed), (changed, stretch)):
                yield [start, *a, *a[: index + 1]], [start, *a, *b[: index + 1]]
        case _:
            verb, noun, other = random.randint(len(VERBS[0])), random.randint(len(NOUNS[0])), NOUNS[random.randint(2)]
            between = ["near", "the", _one(other, random)]
            for number in (0, 1):
                begin = [start, "the", NOUNS[number][noun], *between]
                yield [*begin, VERBS[number][verb]], [*begin, VERBS[1 - number][verb]]


def _one(words: tuple[str, ...], random: np.random.RandomState) -> str:
    return words[random.randint(len(words))]
