"""Linear probes: what a logistic regression reads out of the hidden states of each layer.

Part of speech and number of the words of template sentences, or the user's own tags. Words are split by lemma and by
sentence: what is tested was not trained on, or the probe would only learn the list of words by heart. Both numbers of a
noun go to one side: with "author" in training and "authors" in the test, the stem that they share points to the wrong
number, and accuracies fall far below chance. Classes of a single lemma, such as the determiner, cannot be split and
are left out there.

Selectivity (Hewitt & Liang 2019, arXiv:1909.03368) is the accuracy minus that of a control in which each type has a
label drawn at random from the labels' frequencies; both are split by sentence only, since a control cannot be learned
for types that were not seen. Compression is ``n log2 K / L``, ``L`` the online code length of Voita & Titov (2020,
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
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from landscape.errors import InputError
from landscape.probes.agreement import survivors
from landscape.probes.base import words
from landscape.probes.base.finding import Found, Score, bootstrapped, mean
from landscape.probes.base.grammar import LEMMAS, NUMBERS, sentences
from landscape.probes.base.scoring import padded, passes, require_length
from landscape.probes.base.subject import Given, Subject
from landscape.shapes import Bool, Float, Int

TAKES = ("causal", "masked")
FRAMES = 12
MOST = 2000
"""Words; of more, so many are drawn."""
LEAST = 20
HELD_OUT = 0.4
"""Share of the types, and of the sentences, that are tested."""
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Blocks of the online code."""
UNSEEN = 1e-3
"""Share of the uniform distribution that is mixed in, so that a label not seen yet has a finite code."""


@dataclass(frozen=True)
class Question:
    """One labelling of words.

    Attributes:
        name: What is asked.
        word: Numbers of the words that have a label.
        label: Label of each, as a number.
        names: Names of the labels.
        type: Number of the word type of each.
        lemma: Number of what is held out together: both numbers of a word of the templates, else its type.
        sentence: Number of the sentence, or of the frame of sentences made of the same words.
        control: A random label for each type.
        test_lemma: Whether its lemma is held out.
        test_sentence: Whether its sentence is.
        order: Words in random order by sentence, for the online code.
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
    """Sentences as tokens, and what is asked of their words."""

    aligned: tuple[words.Aligned, ...]
    lengths: tuple[int, ...]
    questions: tuple[Question, ...]


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """Template sentences, ``count`` frames of each, or the user's tagged sentences; and all splits.

    Raises:
        InputError: If there are too few words, types or classes.
    """
    if given.items:
        tagged = words.read(given.items, "tags")
        texts = [sentence.words for sentence in tagged]
        labels = {"tags": [list(sentence.tags) for sentence in tagged]}
        groups = pd.factorize(pd.Series([" ".join(text) for text in texts]))[0].tolist()  # a sentence twice is one
    else:
        made = sentences(given.count or FRAMES, random, survivors(subject, one_token=False))
        texts = [(s.words[0].capitalize(), *s.words[1:]) for s in made]
        labels = {
            "pos": [[slot.tag for slot in s.slots] for s in made],
            "number": [["" if slot.of is None else NUMBERS[s.numbers[slot.of]] for slot in s.slots] for s in made],
        }
        groups = pd.factorize(pd.Series([(s.template, s.frame) for s in made]))[0].tolist()
    aligned = tuple(words.align(subject, text) for text in texts)
    require_length(subject, [a.ids for a in aligned], [" ".join(text) for text in texts])
    every = [word.lower() for text in texts for word in text]
    lemmas = every if given.items else [LEMMAS.get(word, word) for word in every]
    sentence = np.repeat(groups, [len(text) for text in texts])
    questions = tuple(
        _question(name, every, lemmas, list(chain(*lists)), sentence, random) for name, lists in labels.items()
    )
    return Items(aligned, tuple(len(text) for text in texts), questions)


def _question(
    name: str,
    every: list[str],
    lemmas: list[str],
    tags: list[str],
    sentence: Int[np.ndarray, " words"],
    random: np.random.RandomState,
) -> Question:
    """A labelling with its splits.

    Raises:
        InputError: If there are too few words or classes.
    """
    chosen = np.flatnonzero(np.array(tags) != "")
    if len(chosen) > MOST:
        chosen = np.sort(chosen[random.permutation(len(chosen))[:MOST]])
    label, names = pd.factorize(np.array(tags, dtype=object)[chosen], sort=True)
    kind, types = pd.factorize(np.array(every, dtype=object)[chosen], sort=True)
    group = pd.factorize(sentence[chosen])[0]
    if len(chosen) < LEAST or len(names) < 2 or group.max() < 3:
        raise InputError(
            f"a linear probe for {name} needs {LEAST} words, four sentences and two classes, and there are "
            f"{len(chosen)} words and {len(names)} classes; give more"
        )
    lemma = pd.factorize(np.array(lemmas, dtype=object)[chosen], sort=True)[0]
    # Lemmas are dealt out class by class, by the label that a lemma has most often.
    usual = pd.Series(label).groupby(lemma).agg(lambda values: values.mode().iloc[0]).to_numpy()
    held = np.zeros(len(usual), dtype=bool)
    for k in range(len(names)):
        mine = np.flatnonzero(usual == k)
        held[mine[random.permutation(len(mine))][: round(HELD_OUT * len(mine)) if len(mine) > 1 else 0]] = True
    groups = random.permutation(group.max() + 1)
    test = np.isin(group, groups[: round(HELD_OUT * len(groups))])
    control = label[random.randint(len(label), size=len(types), dtype=np.int64)]
    order = np.argsort(groups[group], kind="stable")
    return Question(
        name, chosen, label, tuple(map(str, names)), kind, lemma, group, control[kind], held[lemma], test, order
    )


def measure(subject: Subject, items: Items) -> Found:
    """Scores of every layer, and their means over layers; the embeddings are layer 0."""
    states = hidden_states(subject, items)
    scores: list[Score] = []
    frames = []
    for question in items.questions:
        layers = [_layer(layer, x[question.word], question) for layer, x in enumerate(states)]
        scores += _overall(question, [frame for _, frame in layers])
        scores += [score for some, _ in layers for score in some]
        frames += [frame for _, frame in layers]
    about = f"{len(items.aligned)} sentences; layer 0 is the embedding; lemmas and sentences of the test are held out"
    return Found(tuple(scores), pd.concat(frames, ignore_index=True), about, "lemma")


@torch.no_grad()
def hidden_states(subject: Subject, items: Items) -> Float[np.ndarray, "layers words width"]:
    """State of each word after each layer, the mean over its tokens.

    Raises:
        InputError: If the model hands out no states.
    """
    rows = [a.ids for a in items.aligned]
    begins = np.concatenate([[0], np.cumsum(items.lengths)])
    out: Any = None
    for batch in passes([len(row) for row in rows]):
        ids, mask = padded([rows[k] for k in batch], subject.device)
        inputs = {} if subject.kind == "causal" else {"attention_mask": mask}
        try:
            states = torch.stack(tuple(subject.model(input_ids=ids, output_hidden_states=True, **inputs).hidden_states))
        except (AttributeError, TypeError) as error:
            raise InputError(
                f"a {type(subject.model).__name__} shows no hidden states; leave this probe out"
            ) from error
        if out is None:
            out = np.zeros((len(states), begins[-1], states.shape[-1]))
        for place, k in enumerate(batch):
            owner = torch.tensor(items.aligned[k].owner)
            member = (torch.arange(items.lengths[k])[:, None] == owner).double()
            mean_of = member / member.sum(dim=1, keepdim=True)
            here = states[:, place, : len(owner)].double().cpu()
            out[:, begins[k] : begins[k + 1]] = (mean_of @ here).numpy()
    return np.asarray(out)


def _layer(layer: int, x: Float[np.ndarray, "n width"], q: Question) -> tuple[list[Score], pd.DataFrame]:
    """Scores of a layer, and the outcome of each word that is tested by lemma."""
    subset: dict[str, Any] = {"subset": f"{q.name}, layer {layer}", "better": "higher"}
    scores: list[Score] = []
    whole = np.array([len(set(q.lemma[q.label == k])) > 1 for k in range(len(q.names))])[q.label]
    frame = pd.DataFrame()
    if len(set(q.label[whole & ~q.test_lemma])) > 1:
        train, test = whole & ~q.test_lemma & ~q.test_sentence, whole & q.test_lemma & q.test_sentence
        if len(set(q.label[train])) > 1 and test.sum() > 1:
            log_p, known = _fitted(x[train], q.label[train], x[test])
            frame = _outcomes(log_p, known, q.label[test], q.lemma[test])
            frame.insert(0, "question", q.name)
            frame.insert(1, "layer", layer)
            y, guess, lemmas = (frame[name].to_numpy() for name in ("label", "choice", "lemma"))

            def macro(weights: Float[np.ndarray, " n"]) -> float:
                return float(f1_score(y, guess, average="macro", sample_weight=weights, zero_division=0.0))

            f1_error = bootstrapped(macro, lemmas, np.random.RandomState(0))
            scores += [
                mean("accuracy", frame["correct"].to_numpy(), lemmas, share=True, **subset),
                Score("macro_f1", macro(np.ones(len(y))), f1_error, len(y), **subset),
                mean("margin", frame["margin"].to_numpy(), lemmas, **subset),
            ]
    train = ~q.test_sentence
    rights = []
    for label in (q.label, q.control):
        log_p, known = _fitted(x[train], label[train], x[~train])
        rights.append((known[log_p.argmax(axis=1)] == label[~train]).astype(float))
    clusters = q.type[~train]
    scores.append(mean("selectivity", rights[0] - rights[1], clusters, **subset, chance=0.0))
    lengths, blocks = code_lengths(x[q.order], q.label[q.order], len(q.names))
    uniform, total = len(q.label) * float(np.log2(len(q.names))), sum(lengths)
    spread = float(np.sqrt(sum(np.var(block) * len(block) for block in blocks)))
    scores.append(
        Score("compression", uniform / total, uniform / total**2 * spread, len(q.label), **subset, chance=1.0)
    )
    return scores, frame


def _overall(q: Question, frames: Sequence[pd.DataFrame]) -> list[Score]:
    """Means over layers; the layers are asked about the same words, so each word counts once."""
    there = [frame for frame in frames if not frame.empty]
    if not there:
        return []
    out = []
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        each = np.mean([frame[column].to_numpy() for frame in there], axis=0)
        out.append(mean(metric, each, there[0]["lemma"], subset=q.name, better="higher", headline=metric == "accuracy"))
    return out


def _fitted(
    x: Float[np.ndarray, "train width"], y: Int[np.ndarray, " train"], test: Float[np.ndarray, "test width"]
) -> tuple[Float[np.ndarray, "test classes"], Int[np.ndarray, " classes"]]:
    """Log-probabilities of the classes that were trained on, for each word of the test; and these classes."""
    known = np.unique(y)
    if len(known) == 1:
        return np.zeros((len(test), 1)), known
    model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that goes on shrinking its loss changes no decision
        model.fit(x, y)
    return np.asarray(model.predict_log_proba(test)), known


def _outcomes(
    log_p: Float[np.ndarray, "n classes"],
    known: Int[np.ndarray, " classes"],
    y: Int[np.ndarray, " n"],
    lemmas: Int[np.ndarray, " n"],
) -> pd.DataFrame:
    """Choice, whether it is right, and by how much the right class wins over the best other one."""
    place = np.searchsorted(known, y).clip(max=len(known) - 1)
    right = np.where(known[place] == y, log_p[np.arange(len(y)), place], -np.inf)
    others = log_p.copy()
    others[np.arange(len(y)), place] = -np.inf
    choice = known[log_p.argmax(axis=1)]
    return pd.DataFrame({"item": range(len(y)), "lemma": lemmas, "label": y, "choice": choice,
                         "correct": (choice == y).astype(float), "margin": right - others.max(axis=1)})  # fmt: skip


def code_lengths(
    x: Float[np.ndarray, "n width"], y: Int[np.ndarray, " n"], classes: int
) -> tuple[list[float], list[Float[np.ndarray, " block"]]]:
    """Bits of each block of labels, sent with a probe fitted on all before it; the first block by the uniform code.

    ``L = t_1 log2 K - sum_i log2 p_i(y of block i + 1 | x)``. Fractions that leave fewer than 2 K labels are left out.

    Returns:
        Bits of each block, and of each label after the first block.
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
