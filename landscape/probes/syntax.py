"""Syntax in attention: whether some attention head attends from words to their syntactic heads, or back.

After Clark et al. (2019, arXiv:1906.04341) and Chen et al. (2024, arXiv:2309.07311). Attention from word to word is the
sum over the tokens attended to and the mean over the tokens attended from; attention of a word to itself is left out.
An attention head predicts the word of largest attention, in one of two directions: from the dependent to its head, or
from all words to the dependent. For each relation, the best attention head and direction are chosen on one half of the
sentences and scored on the other half; on the same half, many attention heads would look syntactic by chance. The
unlabelled attachment score (UAS) is the share of words whose syntactic head is predicted by the choice for their
relation. The baseline is the best fixed offset, chosen in the same way.
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
from landscape.probes.base.grammar import sentences
from landscape.probes.base.model import ProbeInputs, ProbeModel, attention, eager_attention
from landscape.probes.base.result import ProbeResult, Score, mean
from landscape.probes.base.scoring import padded, passes, require_length
from landscape.shapes import Float

TAKES = ("causal", "masked")
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = True
FRAMES = 12
"""Default number of frames of each template."""
OFFSETS = (-3, -2, -1, 1, 2)
DIRECTIONS = ("to head", "from head")
ROOT = "root"


@dataclass(frozen=True)
class Items:
    """Sentences as tokens, their syntactic heads and relations, and whether attention heads are chosen on them."""

    tokens: tuple[words.WordTokens, ...]
    heads: tuple[tuple[int, ...], ...]
    relations: tuple[tuple[str, ...], ...]
    group: tuple[int, ...]
    choose: tuple[bool, ...]


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Template sentences, or your own sentences with their heads; frames are split in two halves.

    Args:
        model: The model.
        inputs: ``count`` frames of each template, or ``items``, a file of sentences with heads and relations.
        random: Draws words and halves.

    Raises:
        InputError: If there are fewer than four frames or sentences.
    """
    if inputs.items:
        read = words.read(inputs.items, "heads", "relations")
        texts = [s.words for s in read]
        heads, relations = tuple(s.heads for s in read), tuple(s.relations for s in read)
        groups = pd.factorize(pd.Series([" ".join(text) for text in texts]))[0].tolist()  # equal sentences are one
    else:
        made = sentences(inputs.count or FRAMES, random, survivors(model, one_token=False))
        texts = [(s.words[0].capitalize(), *s.words[1:]) for s in made]
        heads = tuple(tuple(slot.head for slot in s.slots) for s in made)
        relations = tuple(tuple(slot.relation for slot in s.slots) for s in made)
        groups = pd.factorize(pd.Series([(s.template, s.frame) for s in made]))[0].tolist()
    if (count := max(groups, default=-1) + 1) < 4:
        raise InputError(f"syntax needs four sentences, two to choose heads on and two to score, and there are {count}")
    half = set(random.permutation(count)[: count // 2].tolist())
    tokens = tuple(words.tokenize(model, text, " .") for text in texts)
    require_length(model, [sentence.ids for sentence in tokens], [" ".join(text) for text in texts])
    return Items(tokens, heads, relations, tuple(groups), tuple(group in half for group in groups))


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Attachment score, attention weight on the gold head and baseline, in [0, 1]: of all relations and of each."""
    right, weight, frame = _attached(model, items)
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
    named = ", ".join(f"{relation} {_called(choice)}" for relation, choice in best["correct"].items())
    test.insert(0, "item", range(len(test)))
    about = (
        f"{right.shape[2]} x {right.shape[3]} heads in two directions, chosen on one half, scored on the other: "
        f"{named}; the best one for all is {_called(single)}"
    )
    return ProbeResult(tuple(scores), test.drop(columns=["choose"]).reset_index(drop=True), about, "group")


def _largest(values: Float[np.ndarray, "words 2 layers heads"]) -> tuple[int, ...]:
    """Direction, layer and head of the largest mean."""
    return tuple(map(int, np.unravel_index(values.mean(axis=0).argmax(), values.shape[1:])))


def _called(choice: tuple[int, ...]) -> str:
    direction, layer, head = choice
    return f"{layer}.{head} {DIRECTIONS[direction]}"


def _attached(
    model: ProbeModel, items: Items
) -> tuple[Float[np.ndarray, "words 2 layers heads"], Float[np.ndarray, "words 2 layers heads"], pd.DataFrame]:
    """For every word with a head: whether each attention head predicts it, the attention on it, and its relation."""
    rows = [sentence.ids for sentence in items.tokens]
    right, weight = [], []
    facts: list[dict[str, object]] = []
    with eager_attention(model):
        for batch in passes([len(row) for row in rows]):
            ids, mask = padded([rows[k] for k in batch], model.device)
            inputs = {} if model.kind == "causal" else {"attention_mask": mask}
            maps = attention(model, input_ids=ids, **inputs)
            for row, k in enumerate(batch):
                gold, relations = items.heads[k], items.relations[k]
                between = between_words(maps[:, row], items.tokens[k].owner, len(gold))
                for word, (head, relation) in enumerate(zip(gold, relations, strict=True)):
                    if head == word or relation in (ROOT, "punct"):
                        continue
                    predicted, on_gold = attached(between, word, head)
                    right.append(predicted)
                    weight.append(on_gold)
                    facts.append({"sentence": k, "word": word, "relation": relation, "offset": head - word,
                                  "group": items.group[k], "choose": items.choose[k]})  # fmt: skip
    return np.stack(right), np.stack(weight), pd.DataFrame(facts)


def between_words(
    maps: Float[Tensor, "layers heads to from"], owner: tuple[int, ...], count: int
) -> Float[np.ndarray, "layers heads words words"]:
    """Attention from word to word: summed over the tokens attended to, averaged over the tokens attended from.

    Args:
        maps: Attention weights between tokens.
        owner: Number of the word of each token.
        count: Number of words.
    """
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
    """Whether the word with most attention from, or to, a word is its head; and the share of attention on the head.

    If there is no attention, as from the first word of a causal model, the prediction counts as wrong.

    Args:
        between: Attention from word to word.
        word: Number of the word.
        head: Number of its syntactic head.
    """
    out = []
    for rows in (between[:, :, word], between[:, :, :, word]):
        others = rows.copy()
        others[..., word] = 0.0
        total = others.sum(axis=-1)
        predicted = (others.argmax(axis=-1) == head) & (total > 0)
        out.append((predicted.astype(float), others[..., head] / np.where(total > 0, total, 1)))
    right, weight = zip(*out, strict=True)
    return np.stack(right), np.stack(weight)
