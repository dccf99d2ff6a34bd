"""Linear probes: what a logistic regression can predict from the hidden states of each layer.

The labels are part of speech and number of the words of template sentences, or your own tags. Training and test words
differ in lemma and in sentence, or the probe could memorise the list of words. Singular and plural of a noun are on the
same side of the split: with "author" in training and "authors" in the test, the shared stem points to the wrong number,
and accuracies fall far below chance. Classes of a single lemma, such as the determiner, are left out.

Selectivity (Hewitt & Liang 2019, arXiv:1909.03368) is the accuracy minus that of a control task, in which each word
type has a random label, drawn by the frequency of the labels. Both are split by sentence only, since the control cannot
be learned for unseen types. Compression is ``n log2 K / L``, with the online code length ``L`` of Voita & Titov (2020,
arXiv:2003.12298).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from landscape.errors import InputError
from landscape.probes.agreement import survivors
from landscape.probes.base import words
from landscape.probes.base.grammar import LEMMAS, NUMBERS, sentences
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.result import ProbeResult, Score, bootstrapped, mean
from landscape.probes.base.scoring import require_length
from landscape.shapes import Bool, Float, Int

TAKES = ("causal", "masked")
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = True
FRAMES = 12
MAX_WORDS, MIN_WORDS = 2000, 20
"""Words of a labelling; of more words, 2000 are drawn."""
HELD_OUT = 0.4
"""Share of the lemmas, and of the sentences, that are tested."""
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Ends of the blocks of the online code, as shares of the words."""
UNSEEN = 1e-3
"""Weight of the uniform distribution that is mixed in, so that a label not seen yet has a finite code length."""


@dataclass(frozen=True)
class Question:
    """One labelling of words.

    Attributes:
        name: Name of the labelling.
        word: Numbers of the words that have a label.
        label: Label of each of these words, as a number.
        names: Names of the labels.
        type: Number of the type of each word.
        lemma: Number of the lemma of each word; of words that are not of the templates, of the type.
        sentence: Number of the sentence, or of the frame of sentences made of the same words.
        control: A random label for each type.
        test_lemma: Whether the lemma is held out.
        test_sentence: Whether the sentence is held out.
        order: Words sorted by sentence, the sentences in random order, for the online code.
    """

    name: str
    word: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    type: Int[np.ndarray, " n"]
    lemma: Int[np.ndarray, " n"]
    sentence: Int[np.ndarray, " n"]
    control: Int[np.ndarray, " n"]
    test_lemma: Bool[np.ndarray, " n"]
    test_sentence: Bool[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Items:
    """Sentences as tokens, their numbers of words, and the labellings of the words."""

    tokens: tuple[words.WordTokens, ...]
    lengths: tuple[int, ...]
    questions: tuple[Question, ...]


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Template sentences, or your own tagged sentences; and all splits.

    Args:
        model: The model.
        inputs: ``count`` frames of each template, or ``items``, a file of tagged sentences.
        random: Draws words and splits.

    Raises:
        InputError: If there are too few words, sentences or classes.
    """
    if inputs.items:
        tagged = words.read(inputs.items, "tags")
        texts = [sentence.words for sentence in tagged]
        labels = {"tags": [list(sentence.tags) for sentence in tagged]}
        groups = pd.factorize(pd.Series([" ".join(text) for text in texts]))[0].tolist()  # equal sentences are one
    else:
        made = sentences(inputs.count or FRAMES, random, survivors(model, one_token=False))
        texts = [(s.words[0].capitalize(), *s.words[1:]) for s in made]
        labels = {
            "pos": [[slot.tag for slot in s.slots] for s in made],
            "number": [["" if slot.of is None else NUMBERS[s.numbers[slot.of]] for slot in s.slots] for s in made],
        }
        groups = pd.factorize(pd.Series([(s.template, s.frame) for s in made]))[0].tolist()
    tokens = tuple(words.tokenize(model, text) for text in texts)
    require_length(model, [sentence.ids for sentence in tokens], [" ".join(text) for text in texts])
    every = [word.lower() for text in texts for word in text]
    lemmas = every if inputs.items else [LEMMAS.get(word, word) for word in every]
    sentence = np.repeat(groups, [len(text) for text in texts])
    questions = tuple(
        _question(name, every, lemmas, list(chain(*lists)), sentence, random) for name, lists in labels.items()
    )
    return Items(tokens, tuple(len(text) for text in texts), questions)


def _question(
    name: str,
    every: list[str],
    lemmas: list[str],
    tags: list[str],
    sentence: Int[np.ndarray, " words"],
    random: np.random.RandomState,
) -> Question:
    """A labelling with its splits; ``every`` word is in lower case, and has no label where its tag is empty.

    Raises:
        InputError: If there are too few words or classes.
    """
    chosen = np.flatnonzero(np.array(tags) != "")
    if len(chosen) > MAX_WORDS:
        chosen = np.sort(chosen[random.permutation(len(chosen))[:MAX_WORDS]])
    label, names = pd.factorize(np.array(tags, dtype=object)[chosen], sort=True)
    type_, types = pd.factorize(np.array(every, dtype=object)[chosen], sort=True)
    group = pd.factorize(sentence[chosen])[0]
    if len(chosen) < MIN_WORDS or len(names) < 2 or group.max() < 3:
        raise InputError(
            f"a linear probe for {name} needs {MIN_WORDS} words, four sentences and two classes, and there are "
            f"{len(chosen)} words and {len(names)} classes; give more"
        )
    lemma = pd.factorize(np.array(lemmas, dtype=object)[chosen], sort=True)[0]
    # Lemmas are split class by class. The class of a lemma is its most frequent label.
    usual = pd.Series(label).groupby(lemma).agg(lambda values: values.mode().iloc[0]).to_numpy()
    held = np.zeros(len(usual), dtype=bool)
    for k in range(len(names)):
        own = np.flatnonzero(usual == k)
        held[own[random.permutation(len(own))][: round(HELD_OUT * len(own)) if len(own) > 1 else 0]] = True
    groups = random.permutation(group.max() + 1)
    test = np.isin(group, groups[: round(HELD_OUT * len(groups))])
    control = label[random.randint(len(label), size=len(types), dtype=np.int64)]
    order = np.argsort(groups[group], kind="stable")
    return Question(
        name, chosen, label, tuple(map(str, names)), type_, lemma, group, control[type_], held[lemma], test, order
    )


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Scores of every layer, and their means over layers; layer 0 is the embedding.

    Accuracy and macro F1 are in [0, 1], selectivity in [-1, 1], the margin in nats; compression is a ratio.
    """
    states = words.hidden_states(model, items.tokens, items.lengths)
    scores: list[Score] = []
    frames = []
    for question in items.questions:
        layers = [_layer(layer, x[question.word], question) for layer, x in enumerate(states)]
        scores += _overall(question, [frame for _, frame in layers])
        scores += [score for some, _ in layers for score in some]
        frames += [frame for _, frame in layers]
    about = f"{len(items.tokens)} sentences; layer 0 is the embedding; lemmas and sentences of the test are held out"
    return ProbeResult(tuple(scores), pd.concat(frames, ignore_index=True), about, "lemma")


def _layer(layer: int, x: Float[np.ndarray, "n width"], q: Question) -> tuple[list[Score], pd.DataFrame]:
    """Scores of a layer, and the outcome of each tested word whose lemma is held out."""
    more: dict[str, Any] = {"subset": f"{q.name}, layer {layer}", "better": "higher"}
    frame = _held_out(layer, x, q)
    scores = [] if frame.empty else _accuracies(frame, more)
    train = ~q.test_sentence
    rights = []
    for label in (q.label, q.control):
        log_p, known = _fitted(x[train], label[train], x[~train])
        rights.append((known[log_p.argmax(axis=1)] == label[~train]).astype(float))
    clusters = q.type[~train]
    scores.append(mean("selectivity", rights[0] - rights[1], clusters, **more, chance=0.0))
    lengths, blocks = code_lengths(x[q.order], q.label[q.order], len(q.names))
    uniform, total = len(q.label) * float(np.log2(len(q.names))), sum(lengths)
    spread = float(np.sqrt(sum(np.var(block) * len(block) for block in blocks)))
    scores.append(Score("compression", uniform / total, uniform / total**2 * spread, len(q.label), **more, chance=1.0))
    return scores, frame


def _held_out(layer: int, x: Float[np.ndarray, "n width"], q: Question) -> pd.DataFrame:
    """Outcomes of the words whose lemma and sentence are held out; empty if there are too few of them or of labels."""
    whole = np.array([len(set(q.lemma[q.label == k])) > 1 for k in range(len(q.names))])[q.label]
    train, test = whole & ~q.test_lemma & ~q.test_sentence, whole & q.test_lemma & q.test_sentence
    if len(set(q.label[train])) < 2 or test.sum() < 2:
        return pd.DataFrame()
    log_p, known = _fitted(x[train], q.label[train], x[test])
    frame = _outcomes(log_p, known, q.label[test], q.lemma[test])
    frame.insert(0, "question", q.name)
    frame.insert(1, "layer", layer)
    return frame


def _accuracies(frame: pd.DataFrame, more: dict[str, Any]) -> list[Score]:
    """Accuracy and macro F1 in [0, 1], and margin in nats."""
    y, guess, lemmas = (frame[name].to_numpy() for name in ("label", "choice", "lemma"))

    def macro(weights: Float[np.ndarray, " n"]) -> float:
        return float(f1_score(y, guess, average="macro", sample_weight=weights, zero_division=0.0))

    error = bootstrapped(macro, lemmas, np.random.RandomState(0))
    return [
        mean("accuracy", frame["correct"].to_numpy(), lemmas, share=True, **more),
        Score("macro_f1", macro(np.ones(len(y))), error, len(y), **more),
        mean("margin", frame["margin"].to_numpy(), lemmas, **more),
    ]


def _overall(q: Question, frames: Sequence[pd.DataFrame]) -> list[Score]:
    """Means over layers. All layers have the same test words, so each word counts once."""
    tested = [frame for frame in frames if not frame.empty]
    if not tested:
        return []
    out = []
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        each = np.mean([frame[column].to_numpy() for frame in tested], axis=0)
        main = metric == "accuracy"
        out.append(mean(metric, each, tested[0]["lemma"], subset=q.name, better="higher", headline=main))
    return out


def _fitted(
    x: Float[np.ndarray, "train width"], y: Int[np.ndarray, " train"], test: Float[np.ndarray, "test width"]
) -> tuple[Float[np.ndarray, "test classes"], Int[np.ndarray, " classes"]]:
    """Log-probabilities in nats of the classes in the training set for each test word, and these classes."""
    known = np.unique(y)
    if len(known) == 1:
        return np.zeros((len(test), 1)), known
    model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit whose loss still shrinks makes the same decisions
        model.fit(x, y)
    return np.asarray(model.predict_log_proba(test)), known


def _outcomes(
    log_p: Float[np.ndarray, "n classes"],
    known: Int[np.ndarray, " classes"],
    y: Int[np.ndarray, " n"],
    lemmas: Int[np.ndarray, " n"],
) -> pd.DataFrame:
    """Choice of each word, whether it is right, and the margin in nats of the right class over the best other one."""
    index = np.searchsorted(known, y).clip(max=len(known) - 1)
    right = np.where(known[index] == y, log_p[np.arange(len(y)), index], -np.inf)
    others = log_p.copy()
    others[np.arange(len(y)), index] = -np.inf
    choice = known[log_p.argmax(axis=1)]
    return pd.DataFrame({"item": range(len(y)), "lemma": lemmas, "label": y, "choice": choice,
                         "correct": (choice == y).astype(float), "margin": right - others.max(axis=1)})  # fmt: skip


def code_lengths(
    x: Float[np.ndarray, "n width"], y: Int[np.ndarray, " n"], classes: int
) -> tuple[list[float], list[Float[np.ndarray, " block"]]]:
    """Online code length: each block of labels is coded by a probe fitted on all earlier blocks.

    ``L = t_1 log2 K - sum_i log2 p_i(y of block i + 1 | x)``: the first block has the uniform code. Fractions with
    fewer than 2 K labels are left out.

    Args:
        x: States of the words.
        y: Labels of the words.
        classes: Number of labels K.

    Returns:
        Bits of each block, and bits of each label for the blocks after the first.
    """
    ends = sorted({round(f * len(y)) for f in FRACTIONS if round(f * len(y)) >= 2 * classes})
    bits, blocks = [ends[0] * float(np.log2(classes))], []
    for begin, end in zip(ends, ends[1:], strict=False):
        log_p, known = _fitted(x[:begin], y[:begin], x[begin:end])
        p = np.zeros((end - begin, classes))
        p[:, known] = np.exp(log_p)
        p = (1 - UNSEEN) * p + UNSEEN / classes
        blocks.append(-np.log2(p[np.arange(end - begin), y[begin:end]]))
        bits.append(float(blocks[-1].sum()))
    return bits, blocks
