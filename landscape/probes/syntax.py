"""Syntax in attention: does some head attend from a word to its syntactic head, or back?

After Clark et al. (2019, arXiv:1906.04341) and Chen et al. (2024, arXiv:2309.07311). Attention between words is the
sum over the tokens received and the mean over the tokens sent; a word's own is left out. A head predicts the word of
largest attention, in one of two directions: from the dependent to its head, or from all words to the dependent. For
each relation the best head and direction is chosen on one half of the sentences and scored on the other; scoring where
one has chosen makes many heads look syntactic. The unlabelled attachment score is the share of words whose head is
found by their relation's choice. The baseline is the best fixed offset, chosen likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.probes.agreement import survivors
from landscape.probes.base import words
from landscape.probes.base.finding import Found, Score, mean
from landscape.probes.base.grammar import sentences
from landscape.probes.base.scoring import padded, passes, require_length
from landscape.probes.base.subject import Given, Subject, attention, watching
from landscape.shapes import Float

TAKES = ("causal", "masked")
FRAMES = 12
OFFSETS = (-3, -2, -1, 1, 2)
DIRECTIONS = ("to head", "from head")
ROOT = "root"


@dataclass(frozen=True)
class Items:
    """Sentences as tokens; their heads and relations; which of them heads of attention are chosen on."""

    aligned: tuple[words.Aligned, ...]
    heads: tuple[tuple[int, ...], ...]
    relations: tuple[tuple[str, ...], ...]
    group: tuple[int, ...]
    choose: tuple[bool, ...]


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """Template sentences, ``count`` frames of each, or the user's with their heads; halves by frame.

    Raises:
        InputError: If there are fewer than four frames or sentences.
    """
    if given.items:
        read = words.read(given.items, "heads", "relations")
        texts = [s.words for s in read]
        heads, relations = tuple(s.heads for s in read), tuple(s.relations for s in read)
        groups = pd.factorize(pd.Series([" ".join(text) for text in texts]))[0].tolist()  # a sentence twice is one
    else:
        made = sentences(given.count or FRAMES, random, survivors(subject, one_token=False))
        texts = [(s.words[0].capitalize(), *s.words[1:]) for s in made]
        heads = tuple(tuple(slot.head for slot in s.slots) for s in made)
        relations = tuple(tuple(slot.relation for slot in s.slots) for s in made)
        groups = pd.factorize(pd.Series([(s.template, s.frame) for s in made]))[0].tolist()
    if (count := max(groups, default=-1) + 1) < 4:
        raise InputError(f"syntax needs four sentences, two to choose heads on and two to score, and there are {count}")
    half = set(random.permutation(count)[: count // 2].tolist())
    aligned = tuple(words.align(subject, text, " .") for text in texts)
    require_length(subject, [a.ids for a in aligned], [" ".join(text) for text in texts])
    return Items(aligned, heads, relations, tuple(groups), tuple(group in half for group in groups))


def measure(subject: Subject, items: Items) -> Found:
    """Attachment score, attention weight on the gold head, and baseline, of all relations and of each."""
    right, weight, frame = _attached(subject, items)
    choose = frame["choose"].to_numpy()
    best: dict[str, dict[str, tuple[int, ...]]] = {"correct": {}, "weight": {}}
    offsets = {}
    for relation, part in frame[choose].groupby("relation", sort=False):
        for name, values in (("correct", right), ("weight", weight)):
            best[name][relation] = _largest(values[part.index])
        offsets[relation] = max(OFFSETS, key=lambda offset: float((part["offset"] == offset).mean()))  # noqa: B023
    single = _largest(right[choose])
    test = frame[frame["relation"].isin(offsets) & ~choose].copy()
    for name, values in (("correct", right), ("weight", weight)):
        test[name] = [values[(k, *best[name][relation])] for k, relation in test["relation"].items()]
    test["single_correct"] = right[(test.index, *single)]
    test["offset_correct"] = (test["offset"] == test["relation"].map(offsets)).astype(float)
    scores: list[Score] = [
        mean("uas", test["correct"].to_numpy(), test["group"], share=True, better="higher", headline=True),
        mean("weight", test["weight"].to_numpy(), test["group"], better="higher"),
        mean("uas_one_head", test["single_correct"].to_numpy(), test["group"], share=True, better="higher"),
        mean("uas_offset", test["offset_correct"].to_numpy(), test["group"], share=True, better="higher"),
    ]
    for relation, part in test.groupby("relation", sort=False):
        for metric, column in (("uas", "correct"), ("weight", "weight")):
            right_or_not: dict[str, Any] = {"share": column == "correct", "subset": str(relation), "better": "higher"}
            scores.append(mean(metric, part[column].to_numpy(), part["group"], **right_or_not))
    named = ", ".join(f"{relation} {_called(place)}" for relation, place in best["correct"].items())
    test.insert(0, "item", range(len(test)))
    about = (
        f"{right.shape[2]} x {right.shape[3]} heads in two directions, chosen on one half, scored on the other: "
        f"{named}; the best one for all is {_called(single)}"
    )
    return Found(tuple(scores), test.drop(columns=["choose"]).reset_index(drop=True), about, "group")


def _largest(values: Float[np.ndarray, "words 2 layers heads"]) -> tuple[int, ...]:
    """Direction, layer and head of the largest mean."""
    return tuple(map(int, np.unravel_index(values.mean(axis=0).argmax(), values.shape[1:])))


def _called(place: tuple[int, ...]) -> str:
    direction, layer, head = place
    return f"{layer}.{head} {DIRECTIONS[direction]}"


def _attached(
    subject: Subject, items: Items
) -> tuple[Float[np.ndarray, "words 2 layers heads"], Float[np.ndarray, "words 2 layers heads"], pd.DataFrame]:
    """For every word with a head: whether each head of attention finds it, the weight on it, and what it is."""
    rows = [a.ids for a in items.aligned]
    right, weight = [], []
    facts: list[dict[str, object]] = []
    with watching(subject):
        for batch in passes([len(row) for row in rows]):
            ids, mask = padded([rows[k] for k in batch], subject.device)
            inputs = {} if subject.kind == "causal" else {"attention_mask": mask}
            maps = attention(subject, input_ids=ids, **inputs)
            for place, k in enumerate(batch):
                gold, relations = items.heads[k], items.relations[k]
                between = between_words(maps[:, place], items.aligned[k].owner, len(gold))
                for word, (head, relation) in enumerate(zip(gold, relations, strict=True)):
                    if head == word or relation in (ROOT, "punct"):
                        continue
                    found, on_gold = attached(between, word, head)
                    right.append(found)
                    weight.append(on_gold)
                    facts.append({"sentence": k, "word": word, "relation": relation, "offset": head - word,
                                  "group": items.group[k], "choose": items.choose[k]})  # fmt: skip
    return np.stack(right), np.stack(weight), pd.DataFrame(facts)


def between_words(
    maps: Float[Tensor, "layers heads to from"], owner: tuple[int, ...], count: int
) -> Float[np.ndarray, "layers heads words words"]:
    """Attention from word to word: summed over the tokens of the one received, averaged over those of the one sent."""
    member = torch.zeros(count, maps.shape[-1], dtype=torch.float64)
    for token, word in enumerate(owner):
        if word >= 0:
            member[word, token] = 1
    sent = member / member.sum(dim=1, keepdim=True)
    between: Float[np.ndarray, "layers heads words words"] = (sent @ maps.double().cpu() @ member.T).numpy()
    return between


def attached(
    between: Float[np.ndarray, "layers heads words words"], word: int, head: int
) -> tuple[Float[np.ndarray, "2 layers heads"], Float[np.ndarray, "2 layers heads"]]:
    """Whether the word of most attention from, or to, a word is its head; and the share of that attention on the head.

    Where there is none, as from the first word of a causal model, the answer is no.
    """
    out = []
    for rows in (between[:, :, word], between[:, :, :, word]):
        others = rows.copy()
        others[..., word] = 0.0
        total = others.sum(axis=-1)
        found = (others.argmax(axis=-1) == head) & (total > 0)
        out.append((found.astype(float), others[..., head] / np.where(total > 0, total, 1)))
    right, weight = zip(*out, strict=True)
    return np.stack(right), np.stack(weight)
