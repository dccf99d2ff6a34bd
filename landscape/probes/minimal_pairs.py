"""Minimal pairs: whether the model gives the acceptable sentence the larger probability (BLiMP, Warstadt et al. 2020).

The log-probability of a sentence is the sum over its tokens, not the mean. Ties count one half.
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
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.result import ProbeResult

TAKES = ("causal", "masked")
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = False
MAX_ALIKE = 0.1
"""Share of pairs with the same tokens above which the scores are unreliable."""


@dataclass(frozen=True)
class Items:
    """Pairs of sentences with their paradigm, and the pseudo-log-likelihood for masked models."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    paradigm: tuple[str, ...]
    pll: str


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """The pairs of a file of JSON lines in the form of BLiMP, or of all such files of a folder.

    Args:
        model: The model.
        inputs: ``items``; ``count`` pairs of each file, spread evenly over it; ``pll``.
        random: Not used.

    Raises:
        InputError: If there is no file, a line has another form, or both sentences of every pair are the same tokens.
    """
    if inputs.items is None:
        raise InputError(
            'minimal-pairs needs pairs: give items, a file of JSON lines like {"sentence_good": "...", '
            '"sentence_bad": "..."}, or a folder of them, such as BLiMP\'s data'
        )
    rows = []
    for file in files(inputs.items):
        lines = [(n, line) for n, line in enumerate(read_file(file, "items").split("\n"), start=1) if line.strip()]
        wanted = spread(len(lines), min(inputs.count, len(lines))) if inputs.count else range(len(lines))
        rows += [_pair(file, *lines[k]) for k in wanted]
    if not rows:
        raise InputError(f"{inputs.items} has no pairs; give files of JSON lines with sentence_good and sentence_bad")
    good, bad, paradigm = zip(*rows, strict=True)
    sentences = [*good, *bad]
    framed = model.kind == "masked"
    tokens = model.tokenizer(sentences, add_special_tokens=framed, verbose=False)["input_ids"]
    scoring.require_length(model, [ids if framed else [*model.start, *ids] for ids in tokens], sentences)
    if _alike(model, good, bad) == len(good):
        raise InputError(
            f"the tokenizer makes the same tokens of both sentences of every pair of {inputs.items}; its vocabulary "
            "lacks their words: use other pairs, or a model with a larger vocabulary"
        )
    return Items(good, bad, paradigm, inputs.pll)


def _alike(model: ProbeModel, good: Sequence[str], bad: Sequence[str]) -> int:
    """Number of pairs whose sentences are the same tokens, because the vocabulary lacks their words."""
    one, other = (model.tokenizer(list(side), verbose=False)["input_ids"] for side in (good, bad))
    return sum(a == b for a, b in zip(one, other, strict=True))


def files(path: Path) -> list[Path]:
    """The file, or all files of JSON lines of a folder, sorted by name.

    Raises:
        InputError: If there is no such file.
    """
    there = sorted([*path.glob("*.jsonl"), *path.glob("*.json")]) if path.is_dir() else [path]
    if not there or not all(file.is_file() for file in there):
        raise InputError(f"{path} is neither a file of JSON lines nor a folder with .jsonl files; check the path")
    return there


def _pair(file: Path, number: int, line: str) -> tuple[str, str, str]:
    """Acceptable and unacceptable sentence of a line, and its paradigm.

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


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Accuracy in [0, 1] and margin in nats by paradigm, and their means; equal pairs form one cluster."""
    n = len(items.good)
    values = scoring.texts(model, [*items.good, *items.bad], items.pll)
    frame = pairs.outcomes(values[:n], values[n:])
    frame.insert(0, "item", range(n))
    frame.insert(1, "paradigm", list(items.paradigm))
    frame.insert(2, "pair", pd.factorize(pd.Series(list(zip(items.good, items.bad, strict=True))))[0])
    if model.kind == "masked":
        about = f"pseudo-log-likelihood, {items.pll}"
    else:
        about = "begun with the start token" if model.start else "no start token: first token not scored"
    paradigms = len(pd.unique(frame["paradigm"]))
    alike = _alike(model, items.good, items.bad)
    said = f"{alike} of {n} pairs are the same tokens and tie"
    return ProbeResult(
        tuple(pairs.scores(frame, "paradigm", "pair")), frame,
        f"pairs: {n}, paradigms: {paradigms}; {about}" + (f"; {said}" if alike else ""), "pair",
        said if alike > MAX_ALIKE * n else "",
    )  # fmt: skip
