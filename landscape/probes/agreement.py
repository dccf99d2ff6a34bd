"""Subject-verb agreement over nouns that stand between (Linzen et al. 2016; Marvin & Linzen 2018, arXiv:1808.09031).

At the place of the verb, ``ln p(right form) - ln p(wrong form)``: after the words before it for a causal model, with
the verb masked for a masked one. Each frame comes in all combinations of numbers, so a model that knows only how
frequent the forms are scores one half, exactly. The attraction cost is the mean margin where all nouns have the number
of the subject, minus where they have not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.probes.base import pairs
from landscape.probes.base.finding import Found, Score, average, mean
from landscape.probes.base.grammar import AUXILIARIES, NOUNS, TRANSITIVE, VERBS, Lexicon, Sentence, capital, sentences
from landscape.probes.base.scoring import choices, require_masked
from landscape.probes.base.subject import Given, Subject

TAKES = ("causal", "masked")
FRAMES = 36
LEAST_NOUNS, FEW = 3, 6
"""Nouns that sentences need, and verbs below which the scores are those of single words."""


@dataclass(frozen=True)
class Items:
    """Sentences, as tokens up to or around the verb, and the right and the wrong form."""

    sentences: tuple[Sentence, ...]
    ids: tuple[tuple[int, ...], ...]
    where: tuple[int, ...]
    forms: tuple[tuple[int, int], ...]
    lexicon: Lexicon


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """``count`` frames of each template, from the words that the tokenizer has.

    Raises:
        InputError: If it has too few, or the user's own items are given.
    """
    if given.items is not None:
        raise InputError("agreement makes its own sentences; score yours as minimal-pairs, with both forms of the verb")
    if subject.kind == "masked":
        require_masked(subject)
    lexicon = survivors(subject)
    made = sentences(given.count or FRAMES, random, lexicon)
    rows = [_prompt(subject, sentence) for sentence in made]
    ids, where = zip(*rows, strict=True)
    forms = []
    for sentence in made:
        both = [_form(subject, form) for form in sentence.verb]
        right, wrong = (both[k] for k in (sentence.numbers[0], 1 - sentence.numbers[0]))
        assert right is not None and wrong is not None
        forms.append((right, wrong))
    return Items(tuple(made), ids, where, tuple(forms), lexicon)


def survivors(subject: Subject, *, one_token: bool = True) -> Lexicon:
    """The words of the templates that the tokenizer has, both forms of each.

    Args:
        subject: The model.
        one_token: Whether each form of a verb must be a single token, and another one.

    Raises:
        InputError: If too few are left.
    """
    nouns, transitive, verbs = (
        tuple(pair for pair in words if all(subject.knows(word) for word in pair))
        for words in (NOUNS, TRANSITIVE, VERBS)
    )
    if one_token:
        forms = {pair: [_form(subject, form) for form in pair] for pair in verbs}
        verbs = tuple(
            pair for pair, (one, many) in forms.items() if one is not None and many is not None and one != many
        )
    if len(nouns) < LEAST_NOUNS or not verbs or not transitive:
        raise InputError(
            f"the tokenizer has {len(nouns)} of {len(NOUNS)} nouns, {len(verbs)} of {len(VERBS)} verbs"
            f"{' as one token in both forms' if one_token else ''} and {len(transitive)} of {len(TRANSITIVE)} "
            "transitive verbs, too few for sentences; use a model with a larger vocabulary"
        )
    return Lexicon(nouns, verbs, transitive, (len(NOUNS), len(VERBS)))


def _form(subject: Subject, form: str) -> int | None:
    """The one token that a verb is after a word; None if it is not one."""
    before, both = subject.ids("The girl"), subject.ids(f"The girl {form}")
    whole = len(both) == len(before) + 1 and both[:-1] == before and both[-1] != subject.tokenizer.unk_token_id
    return both[-1] if whole else None


def _prompt(subject: Subject, sentence: Sentence) -> tuple[tuple[int, ...], int]:
    """Tokens, and the position whose output is about the verb."""
    before = capital(sentence.words[:-1])
    if subject.kind == "causal":
        ids = [*subject.start, *subject.ids(before)]
        return tuple(ids), len(ids) - 1
    mask = subject.tokenizer.mask_token
    ids = subject.tokenizer(f"{before} {mask} .", verbose=False)["input_ids"]
    return tuple(ids), ids.index(subject.tokenizer.mask_token_id)


def measure(subject: Subject, items: Items) -> Found:
    """Accuracy and margin by template, attraction cost; the sentences of a frame share words and count as one."""
    values = choices(subject, items.ids, items.where, items.forms)
    frame = pairs.outcomes(values[:, 0], values[:, 1])
    about: dict[str, Any] = {
        "item": range(len(frame)),
        "template": [s.template for s in items.sentences],
        "frame": [f"{s.template} {s.frame}" for s in items.sentences],
        "sentence": [s.text for s in items.sentences],
        "verb": [s.verb[0] for s in items.sentences],
        "number": [s.numbers[0] for s in items.sentences],
        "matches": [s.matches for s in items.sentences],
    }
    frame = pd.concat([pd.DataFrame(about), frame], axis=1)
    lexicon = items.lexicon
    said = (
        f"{len(lexicon.nouns)} of {lexicon.of[0]} nouns and {len(lexicon.verbs)} of {lexicon.of[1]} verbs are in the "
        "vocabulary"
    )
    few = len(lexicon.verbs) < FEW
    warning = f"all rests on {len(lexicon.verbs)} of {lexicon.of[1]} verbs: {', '.join(map('/'.join, lexicon.verbs))}"
    scores = (*pairs.scores(frame, "template", "frame"), *_attraction(frame), *_verbs(frame))
    return Found(scores, frame, said, "frame", warning if few else "")


def _attraction(frame: pd.DataFrame) -> list[Score]:
    """Margin where numbers match minus where they do not, for each template with nouns between, and the mean."""
    more: dict[str, Any] = {"better": "lower", "chance": 0.0}
    parts = []
    for template, part in frame.groupby("template", sort=False):
        if part["matches"].all():
            continue
        # Within a frame, matching and other sentences are made of the same words.
        cells = part.pivot_table(index="frame", columns="matches", values="margin")
        parts.append(mean("attraction", (cells[True] - cells[False]).to_numpy(), subset=str(template), **more))
    return [average("attraction", parts, **more), *parts]


def _verbs(frame: pd.DataFrame) -> list[Score]:
    """Accuracy of auxiliaries and of other verbs."""
    auxiliary = frame["verb"].isin(AUXILIARIES)
    parts = {"auxiliaries": frame[auxiliary], "other verbs": frame[~auxiliary]}
    more: dict[str, Any] = {"share": True, "better": "higher", "chance": 0.5}
    return [mean("accuracy", part["correct"].to_numpy(), part["frame"], subset=name, **more)
            for name, part in parts.items() if len(part)]  # fmt: skip
