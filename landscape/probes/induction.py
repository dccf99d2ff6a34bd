"""Induction: copying from earlier repeats of a random sequence (Olsson et al. 2022, arXiv:2209.11895).

The copy gap is the mean loss of the first repeat minus that of the others, in nats; it needs no attention. For each
head, the prefix-matching score is ``mean over queries q of sum_{k <= q, x_{k-1} = x_q} A[q, k]``: the attention from a
token to the tokens that followed its earlier copies. The previous-token score is the mean of ``A[q, q - 1]``. The best
head is chosen on one half of the sequences and scored on the other, since the largest of many noisy scores is too
large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives.head import wide
from landscape.objectives.text import read_file
from landscape.probes.base.model import ProbeInputs, ProbeModel, attention, eager_attention, has_attention
from landscape.probes.base.result import ProbeResult, Score, bootstrapped, mean
from landscape.probes.base.scoring import passes
from landscape.shapes import Float, Int

TAKES = ("causal",)
USUAL_FOR = ("causal-lm",)
RANDOM_ITEMS = True
COUNT, SEGMENT, REPEATS = 32, 25, 4
"""Default number of sequences, tokens of a segment, and repeats of it."""
RARE = 0.01
"""Share of the token types that is left out as the most frequent, and as the least frequent."""
STRONG = 0.3
"""Prefix-matching score above which a head counts as an induction head."""


@dataclass(frozen=True)
class Items:
    """Sequences of repeated segments, and whether the segments are your own; no token occurs twice in a random one."""

    ids: Int[Tensor, "sequences length"]
    segment: int
    own: bool = False


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Segments of random tokens, or of your own lines that are long enough; each is repeated four times.

    Args:
        model: The model.
        inputs: ``train_text`` or ``text`` to take tokens from, or ``items``, a file of lines; ``count``.
        random: Draws the segments.

    Raises:
        InputError: If there are too few tokens to draw from, too few lines, or the model takes too few tokens.
    """
    room = (model.longest - len(model.start)) // REPEATS
    own = inputs.items is not None
    if inputs.items:
        rows = [model.ids(line) for line in read_file(inputs.items, "items").split("\n") if line.strip()]
        segment = min(SEGMENT, room)
        chosen = [list(row) for row in dict.fromkeys(tuple(row[:segment]) for row in rows if len(row) >= segment)]
        chosen = chosen[: inputs.count]
    else:
        common = ordinary(model, inputs.train_text or inputs.text)
        segment = min(SEGMENT, room, len(common) // 2)
        count = inputs.count or COUNT
        chosen = [common[random.permutation(len(common))[:segment]].tolist() for _ in range(count)]
    if segment < 2:
        raise InputError(
            "induction repeats segments of two tokens or more, four times, and there is room for fewer; give a longer "
            "text, or a model that takes more tokens"
        )
    if len(chosen) < 4:
        raise InputError(
            f"induction needs four sequences, two to choose heads on and two to score, and there are {len(chosen)}"
            f"{f' lines of {segment} tokens or more' if own else ''}; give more"
        )
    repeated = torch.tensor(chosen).repeat(1, REPEATS)
    start = torch.tensor(model.start, dtype=torch.long).expand(len(repeated), -1)
    return Items(torch.cat([start, repeated], dim=1), segment, own)


def ordinary(model: ProbeModel, text: str) -> Int[np.ndarray, " tokens"]:
    """Tokens that occur in the text, without the most and the least frequent hundredth of them; sorted by id.

    Ties are broken by id. Without a text, these are all tokens of the model but special ones.
    """
    special = [i for i in model.tokenizer.all_special_ids if i < model.vocabulary]
    if not text:
        return np.setdiff1d(np.arange(model.vocabulary), special)
    counts = np.bincount(model.tokens(text).numpy(), minlength=model.vocabulary)
    counts[special] = 0
    there = np.flatnonzero(counts)
    ranked = there[np.argsort(counts[there], kind="stable")]
    cut = round(RARE * len(ranked))
    return np.sort(ranked[cut : len(ranked) - cut])


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Copy gap in nats and accuracy in [0, 1]; of models that return their attention, also scores of heads in [0, 1].

    An item is a sequence.
    """
    losses, right = _predictions(model, items.ids)
    repeats = losses.shape[1] - items.segment * REPEATS  # -1 where nothing comes before the first token
    first = losses[:, max(repeats, 0) : items.segment + repeats].mean(axis=1)
    # The first token of the second repeat cannot be copied: it has not followed anything yet.
    later, copied = (values[:, items.segment + repeats + 1 :].mean(axis=1) for values in (losses, right))
    scores = [
        mean("copy_gap", first - later, better="higher", chance=0.0, headline=True),
        mean("copy_accuracy", copied, share=True, better="higher"),
        mean("first_loss", first, better="lower"),
        mean("later_loss", later, better="lower"),
    ]
    frame = pd.DataFrame({"item": range(len(losses)), "first_loss": first, "later_loss": later, "correct": copied})
    what = "tokens of your lines" if items.own else "ordinary tokens in random order"
    about = f"{items.segment} {what}, {REPEATS} times"
    if has_attention(model):
        prefix, previous = _heads(model, items)
        even = torch.ones(1, 1, 1, *[items.ids.shape[1]] * 2).tril()
        even = even / even.sum(dim=-1, keepdim=True)
        chance = {
            "prefix_matching": float(prefix_matching(even, items.ids[:1], items.segment)),
            "previous_token": float(even.diagonal(-1, dim1=-2, dim2=-1).mean()),
        }
        for metric, values in (("prefix_matching", prefix), ("previous_token", previous)):
            scores += heads(metric, values, chance[metric])
        strong = prefix[len(prefix) // 2 :].reshape(-1, prefix[0].size)

        def count(weights: Float[np.ndarray, " sequences"]) -> float:
            return float((weights @ strong / weights.sum() > STRONG).sum())

        n = len(strong)
        error = bootstrapped(count, np.arange(n), np.random.RandomState(0))
        scores.append(Score("induction_heads", count(np.ones(n)), error, n, better="higher", chance=0.0))
        about += "; best heads chosen on one half of the sequences and scored on the other"
    return ProbeResult(tuple(scores), frame, about)


def heads(metric: str, values: Float[np.ndarray, "sequences layers heads"], chance: float) -> list[Score]:
    """Score of every head, called ``layer.head``, and the score on the second half of the head best on the first half.

    Args:
        metric: Name of the score.
        values: Score of every head on every sequence, in [0, 1].
        chance: Score of a head with uniform attention.
    """
    more: dict[str, Any] = {"better": "higher", "chance": chance}
    choose, score = values[: len(values) // 2], values[len(values) // 2 :]
    layers, number = values.shape[1:]
    each = [
        mean(metric, values[:, layer, head], subset=f"{layer}.{head}", **more)
        for layer in range(layers)
        for head in range(number)
    ]
    layer, head = np.unravel_index(choose.mean(axis=0).argmax(), (layers, number))
    return [mean(f"best_{metric}", score[:, layer, head], headline=metric == "prefix_matching", **more), *each]


@torch.no_grad()
def _predictions(
    model: ProbeModel, ids: Int[Tensor, "n length"]
) -> tuple[Float[np.ndarray, "n predicted"], Float[np.ndarray, "n predicted"]]:
    """Loss in nats of each token but the first, and whether it was the likeliest."""
    losses, right = [], []
    for batch in passes([ids.shape[1]] * len(ids)):
        part = ids[batch].to(model.device)
        logits = wide(model.network(input_ids=part).logits[:, :-1])
        losses.append(F.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none").double().cpu())
        right.append((logits.argmax(dim=-1) == part[:, 1:]).double().cpu())
    return torch.cat(losses).numpy(), torch.cat(right).numpy()


def _heads(
    model: ProbeModel, items: Items
) -> tuple[Float[np.ndarray, "n layers heads"], Float[np.ndarray, "n layers heads"]]:
    """Prefix-matching and previous-token score of every head on every sequence, in [0, 1]."""
    prefix, previous = [], []
    with eager_attention(model):
        for batch in passes([items.ids.shape[1]] * len(items.ids)):
            part = items.ids[batch].to(model.device)
            maps = attention(model, input_ids=part)
            prefix.append(prefix_matching(maps, part, items.segment).cpu())
            previous.append(maps.diagonal(-1, dim1=-2, dim2=-1).mean(dim=-1).permute(1, 0, 2).cpu())
    return torch.cat(prefix).double().numpy(), torch.cat(previous).double().numpy()


def prefix_matching(
    maps: Float[Tensor, "layers n heads to from"], ids: Int[Tensor, "n length"], segment: int
) -> Float[Tensor, "n layers heads"]:
    """Mean attention of tokens to the tokens that followed their earlier copies, in [0, 1]; without the first repeat.

    Args:
        maps: Attention weights.
        ids: Token ids.
        segment: Tokens of a repeat.
    """
    length = ids.shape[1]
    before = F.pad(ids[:, :-1], (1, 0), value=-1)
    follows = (before[:, None, :] == ids[:, :, None]).tril()
    begin = length - segment * (REPEATS - 1)
    copied = (maps * follows[None, :, None].to(maps.dtype)).sum(dim=-1)[..., begin:]
    return copied.mean(dim=-1).permute(1, 0, 2)
