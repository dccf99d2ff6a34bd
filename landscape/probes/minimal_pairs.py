"""Minimal pairs: does the model find the acceptable sentence more probable (Warstadt et al. 2020, BLiMP)?

Probability of a whole sentence, a sum over its tokens and no mean; ties count half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.files import parsed
from landscape.objectives.text import fault, read_file, spread
from landscape.probes.base import pairs, scoring
from landscape.probes.base.finding import Found
from landscape.probes.base.subject import Given, Subject

TAKES = ("causal", "masked")
MOST_ALIKE = 0.1
"""Share of pairs that are the same tokens from which on the scores are unreliable."""


@dataclass(frozen=True)
class Items:
    """Pairs of sentences by paradigm, and how masked models score them."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    paradigm: tuple[str, ...]
    pll: str


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """The pairs of a file of JSON lines in BLiMP's form, or of all such files of a folder.

    Args:
        subject: The model.
        given: ``items``, and ``count`` for only so many of each file, spread evenly.
        random: Not needed.

    Raises:
        InputError: If there is no file, or a line has another form.
    """
    if given.items is None:
        raise InputError(
            'minimal-pairs needs pairs: give items, a file of JSON lines like {"sentence_good": "...", '
            '"sentence_bad": "..."}, or a folder of them, such as BLiMP\'s data'
        )
    rows = []
    for file in files(given.items):
        lines = [(n, line) for n, line in enumerate(read_file(file, "items").split("\n"), start=1) if line.strip()]
        wanted = spread(len(lines), min(given.count, len(lines))) if given.count else range(len(lines))
        rows += [_pair(file, *lines[k]) for k in wanted]
    if not rows:
        raise InputError(f"{given.items} has no pairs; give files of JSON lines with sentence_good and sentence_bad")
    good, bad, paradigm = zip(*rows, strict=True)
    sentences = [*good, *bad]
    framed = subject.kind == "masked"
    tokens = subject.tokenizer(sentences, add_special_tokens=framed, verbose=False)["input_ids"]
    scoring.require_length(subject, [ids if framed else [*subject.start, *ids] for ids in tokens], sentences)
    if _alike(subject, good, bad) == len(good):
        raise InputError(
            f"the tokenizer makes the same tokens of both sentences of every pair of {given.items}; its vocabulary "
            "lacks their words: use other pairs, or a model with a larger vocabulary"
        )
    return Items(good, bad, paradigm, given.pll)


def _alike(subject: Subject, good: Sequence[str], bad: Sequence[str]) -> int:
    """How many pairs are the same tokens, for lack of words in the vocabulary."""
    one, other = (subject.tokenizer(list(side), verbose=False)["input_ids"] for side in (good, bad))
    return sum(a == b for a, b in zip(one, other, strict=True))


def files(place: Path) -> list[Path]:
    """The file, or the files of JSON lines of a folder by name.

    Raises:
        InputError: If there is none.
    """
    found = sorted([*place.glob("*.jsonl"), *place.glob("*.json")]) if place.is_dir() else [place]
    if not found or not all(file.is_file() for file in found):
        raise InputError(f"{place} is neither a file of JSON lines nor a folder with .jsonl files; check the path")
    return found


def _pair(file: Path, number: int, line: str) -> tuple[str, str, str]:
    """Good and bad sentence, and paradigm.

    Raises:
        InputError: If the line has another form.
    """
    try:
        row = parsed(line)
        good, bad = row["sentence_good"], row["sentence_bad"]
        empty = not (good.strip() and bad.strip())
        paradigm = str(row.get("UID", file.stem))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'line {number} of {file} is not JSON like {{"sentence_good": "...", "sentence_bad": "..."}} '
            f"({fault(error)})"
        ) from error
    if empty:
        raise InputError(f"line {number} of {file} has an empty sentence; every sentence needs at least one word")
    return good, bad, paradigm


def measure(subject: Subject, items: Items) -> Found:
    """Accuracy and margin by paradigm, and their mean over paradigms."""
    n = len(items.good)
    values = scoring.texts(subject, [*items.good, *items.bad], items.pll)
    frame = pairs.outcomes(values[:n], values[n:])
    frame.insert(0, "item", range(n))
    frame.insert(1, "paradigm", list(items.paradigm))
    frame.insert(2, "pair", pd.factorize(pd.Series(list(zip(items.good, items.bad, strict=True))))[0])
    if subject.kind == "masked":
        about = f"pseudo-log-likelihood, {items.pll}"
    else:
        about = "begun with the start token" if subject.start else "no start token: first token not scored"
    kinds = len(pd.unique(frame["paradigm"]))
    alike = _alike(subject, items.good, items.bad)
    said = f"{alike} of {n} pairs are the same tokens and tie"
    return Found(
        tuple(pairs.scores(frame, "paradigm", "pair")), frame,
        f"pairs: {n}, paradigms: {kinds}; {about}" + (f"; {said}" if alike else ""), "pair",
        said if alike > MOST_ALIKE * n else "",
    )  # fmt: skip
