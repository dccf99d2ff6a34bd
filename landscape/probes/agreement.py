"""Subject-verb agreement across intervening nouns (Linzen et al. 2016; Marvin & Linzen 2018, arXiv:1808.09031).

The margin is ``ln p(right form) - ln p(wrong form)`` of the verb: given the words before it for a causal model, and
with the verb masked for a masked model. Each frame comes in all combinations of singular and plural, so a model that
knows only the frequency of the forms scores exactly one half. The attraction cost is the mean margin of sentences whose
nouns all have the number of the subject, minus that of the other sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.probes.base import pairs
from landscape.probes.base.grammar import AUXILIARIES, NOUNS, TRANSITIVE, VERBS, Lexicon, Sentence, capital, sentences
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.result import ProbeResult, Score, average, mean
from landscape.probes.base.scoring import choices, require_masked

TAKES = ("causal", "masked")
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = True
FRAMES = 36
MIN_NOUNS, FEW_VERBS = 3, 6
"""Nouns that the templates need; number of verbs below which the scores depend on single words."""


@dataclass(frozen=True)
class Items:
    """Sentences, as tokens up to or around the verb, with the right and the wrong form of the verb."""

    sentences: tuple[Sentence, ...]
    ids: tuple[tuple[int, ...], ...]
    where: tuple[int, ...]
    forms: tuple[tuple[int, int], ...]
    lexicon: Lexicon


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """``count`` frames of each template, made of words that the tokenizer knows.

    Args:
        model: The model.
        inputs: ``count``.
        random: Draws the words.

    Raises:
        InputError: If the tokenizer knows too few words, or ``items`` are given.
    """
    if inputs.items is not None:
        raise InputError("agreement makes its own sentences; score yours as minimal-pairs, with both forms of the verb")
    if model.kind == "masked":
        require_masked(model)
    lexicon = survivors(model)
    made = sentences(inputs.count or FRAMES, random, lexicon)
    rows = [_prompt(model, sentence) for sentence in made]
    ids, where = zip(*rows, strict=True)
    forms = []
    for sentence in made:
        both = [_form(model, form) for form in sentence.verb]
        right, wrong = (both[k] for k in (sentence.numbers[0], 1 - sentence.numbers[0]))
        assert right is not None and wrong is not None
        forms.append((right, wrong))
    return Items(tuple(made), ids, where, tuple(forms), lexicon)


def survivors(model: ProbeModel, *, one_token: bool = True) -> Lexicon:
    """The words of the templates that the tokenizer knows in both forms.

    Args:
        model: The model.
        one_token: Whether both forms of a verb must be single tokens, and different ones.

    Raises:
        InputError: If too few words are left.
    """
    nouns, transitive, verbs = (
        tuple(pair for pair in words if all(model.knows(word) for word in pair)) for words in (NOUNS, TRANSITIVE, VERBS)
    )
    if one_token:
        forms = {pair: [_form(model, form) for form in pair] for pair in verbs}
        verbs = tuple(
            pair for pair, (one, many) in forms.items() if one is not None and many is not None and one != many
        )
    if len(nouns) < MIN_NOUNS or not verbs or not transitive:
        raise InputError(
            f"the tokenizer has {len(nouns)} of {len(NOUNS)} nouns, {len(verbs)} of {len(VERBS)} verbs"
            f"{' as one token in both forms' if one_token else ''} and {len(transitive)} of {len(TRANSITIVE)} "
            "transitive verbs, too few for sentences; use a model with a larger vocabulary"
        )
    return Lexicon(nouns, verbs, transitive, (len(NOUNS), len(VERBS)))


def _form(model: ProbeModel, form: str) -> int | None:
    """The token of a verb form inside a sentence; None if the form is not a single token."""
    before, both = model.ids("The girl"), model.ids(f"The girl {form}")
    whole = len(both) == len(before) + 1 and both[:-1] == before and both[-1] != model.tokenizer.unk_token_id
    return both[-1] if whole else None


def _prompt(model: ProbeModel, sentence: Sentence) -> tuple[tuple[int, ...], int]:
    """Tokens, and the position whose output predicts the verb."""
    before = capital(sentence.words[:-1])
    if model.kind == "causal":
        ids = [*model.start, *model.ids(before)]
        return tuple(ids), len(ids) - 1
    mask = model.tokenizer.mask_token
    ids = model.tokenizer(f"{before} {mask} .", verbose=False)["input_ids"]
    return tuple(ids), ids.index(model.tokenizer.mask_token_id)


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Accuracy in [0, 1] and margin in nats by template, and the attraction cost in nats.

    The sentences of a frame share their words, and form one cluster.
    """
    values = choices(model, items.ids, items.where, items.forms)
    frame = pairs.outcomes(values[:, 0], values[:, 1])
    about: dict[str, Any] = {
        "item": range(len(frame)),
        "template": [s.template for s in items.sentences],
        "frame": [f"{s.template} {s.frame}" for s in items.sentences],
        "sentence": [s.text for s in items.sentences],
        "verb": [s.verb[0] for s in items.sentences],
        "number": [s.numbers[0] for s in items.sentences],
        "agree": [s.agree for s in items.sentences],
    }
    frame = pd.concat([pd.DataFrame(about), frame], axis=1)
    lexicon = items.lexicon
    said = (
        f"{len(lexicon.nouns)} of {lexicon.of[0]} nouns and {len(lexicon.verbs)} of {lexicon.of[1]} verbs are in the "
        "vocabulary"
    )
    few = len(lexicon.verbs) < FEW_VERBS
    warning = f"all rests on {len(lexicon.verbs)} of {lexicon.of[1]} verbs: {', '.join(map('/'.join, lexicon.verbs))}"
    scores = (*pairs.scores(frame, "template", "frame"), *_attraction(frame), *_verbs(frame))
    return ProbeResult(scores, frame, said, "frame", warning if few else "")


def _attraction(frame: pd.DataFrame) -> list[Score]:
    """Margin where all nouns agree in number, minus where they do not: of templates with other nouns, and the mean."""
    more: dict[str, Any] = {"better": "lower", "chance": 0.0}
    parts = []
    for template, part in frame.groupby("template", sort=False):
        if part["agree"].all():
            continue
        # Within a frame, both groups of sentences are made of the same words.
        cells = part.pivot_table(index="frame", columns="agree", values="margin")
        parts.append(mean("attraction", (cells[True] - cells[False]).to_numpy(), subset=str(template), **more))
    return [average("attraction", parts, **more), *parts]


def _verbs(frame: pd.DataFrame) -> list[Score]:
    """Accuracy in [0, 1] of auxiliaries and of other verbs."""
    auxiliary = frame["verb"].isin(AUXILIARIES)
    parts = {"auxiliaries": frame[auxiliary], "other verbs": frame[~auxiliary]}
    more: dict[str, Any] = {"share": True, "better": "higher", "chance": 0.5}
    return [mean("accuracy", part["correct"].to_numpy(), part["frame"], subset=name, **more)
            for name, part in parts.items() if len(part)]  # fmt: skip
