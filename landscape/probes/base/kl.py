"""KL divergence between the predictions of two checkpoints, both ways, and by groups of what is predicted.

``kl_ab = E[sum_w p_a(w) (ln p_a(w) - ln p_b(w))]`` over predictions, in nats, ``kl_ba`` the other way round, and ``kl``
the mean of both: the expected KL of two different seeds drawn at random (Fehlauer et al. 2025, arXiv:2509.26643, call
its negative the convergence). Groups are deciles of the frequency of the right token, and parts of speech where the
tags of words are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.files import MOST_TEXT, read
from landscape.foreign import Tokenizer
from landscape.probes.base.behaviour import ROWS, Distance, jackknife
from landscape.probes.base.predictions import Targets
from landscape.shapes import Float, Int

DECILES = 10
FREQUENCY, TAG = "frequency", "tag"
"""What subsets are called: ``frequency 1`` holds the predictions of the rarest tokens, ``tag NOUN`` those of nouns."""
MIN_ITEMS = 2
"""Fewer predictions than these make no subset: there would be no error."""


@dataclass(frozen=True)
class Groups:
    """Which predictions belong to each group.

    Attributes:
        members: For each group, whether each prediction is in it.
    """

    members: Mapping[str, np.ndarray]


def kl(
    one: Float[Tensor, "n classes"], other: Float[Tensor, "n classes"], clusters: np.ndarray, groups: Groups
) -> Iterator[Distance]:
    """KL both ways and their mean over all predictions and over each group, in nats.

    Args:
        one: Log-probabilities of the first checkpoint.
        other: Log-probabilities of the second.
        clusters: Cluster of each prediction.
        groups: Groups of predictions.

    Raises:
        InputError: If a checkpoint gives no probability at all to what the other may predict.
    """
    step = max(1, ROWS // one.shape[1])
    parts = [_both_ways(one[k : k + step], other[k : k + step]) for k in range(0, len(one), step)]
    ab, ba = torch.cat(parts, dim=1).numpy()
    if not (np.isfinite(ab).all() and np.isfinite(ba).all()):
        raise InputError(
            "one of two checkpoints rules out what the other allows, so their KL is infinite; take predictions, whose "
            "divergence is finite"
        )
    every = {"": np.ones(len(ab), dtype=bool), **groups.members}
    for subset, members in every.items():
        if members.sum() >= MIN_ITEMS:
            for metric, values in (("kl", (ab + ba) / 2), ("kl_ab", ab), ("kl_ba", ba)):
                yield _mean(metric, values[members], clusters[members], subset)


def _both_ways(one: Tensor, other: Tensor) -> Float[Tensor, "2 n"]:
    a, b = one.double(), other.double()
    ways = [(side.exp() * torch.where(side > -torch.inf, side - to, 0.0)).sum(dim=1) for side, to in ((a, b), (b, a))]
    return torch.stack(ways).clamp(min=0.0)


def _mean(metric: str, values: Float[np.ndarray, " n"], clusters: np.ndarray, subset: str) -> Distance:
    """The mean over predictions, whose error leaves out one cluster at a time."""
    codes = pd.factorize(clusters)[0]
    sums, n = np.bincount(codes, weights=values), np.bincount(codes)
    left = (sums.sum() - sums) / (n.sum() - n) if len(n) > 1 else np.array([])
    return Distance(metric, float(values.mean()), jackknife(left), len(values), subset)


def groups_of(targets: Targets, tokenizer: Tokenizer, tags: Mapping[str, str]) -> Groups:
    """Deciles of frequency, and parts of speech of those tokens that are words with a tag.

    Args:
        targets: The predictions, of tokens.
        tokenizer: The tokenizer that made them.
        tags: Tag of each word; empty if there are none.
    """
    right = targets.target[:, 0]
    counts = np.bincount(targets.batch["input_ids"].flatten().numpy())
    if "targets" in targets.batch:  # of masked models, whose inputs have the masks
        masked = np.bincount(targets.batch["targets"].flatten().clamp(min=0).numpy())
        length = max(len(counts), len(masked))
        counts = np.pad(counts, (0, length - len(counts))) + np.pad(masked, (0, length - len(masked)))
    decile = deciles(right, counts)
    members = {f"{FREQUENCY} {k}": decile == k for k in range(1, DECILES + 1)}
    if tags:
        words = {token: tokenizer.decode([int(token)]).strip().lower() for token in np.unique(right)}
        own = np.array([tags.get(words[token], "") for token in right])
        members |= {f"{TAG} {tag}": own == tag for tag in sorted(set(own) - {""})}
    return Groups(members)


def deciles(tokens: Int[np.ndarray, " n"], counts: Int[np.ndarray, " tokens"]) -> Int[np.ndarray, " n"]:
    """Decile of the frequency of each token, from 1 for the rarest to 10, without unit.

    Each holds about a tenth of the tokens given; equal tokens are in one decile, that of their middle.

    Args:
        tokens: The tokens.
        counts: How often each token of the vocabulary occurs.
    """
    known = np.asarray(counts)[tokens]
    kinds, index, size = np.unique(np.stack([known, tokens]), axis=1, return_inverse=True, return_counts=True)
    middle = np.cumsum(size) - size / 2
    assert kinds.shape[1] == len(size)
    return np.asarray(1 + np.floor(DECILES * middle / len(tokens)).astype(int).clip(max=DECILES - 1))[index.ravel()]


def read_tags(file: str | None) -> dict[str, str]:
    """Tags of words from a file of lines ``word<TAB>tag``; no file has none. Of a word given twice, the first counts.

    Args:
        file: The file.

    Raises:
        InputError: If it cannot be read, or a line has another form.
    """
    out: dict[str, str] = {}
    try:
        text = read(Path(file), MOST_TEXT).decode() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the tags of words in {file} ({error}); give a text file in UTF-8") from error
    for number, line in enumerate(text.splitlines(), start=1):
        parts: Sequence[str] = line.split("\t")
        if line.strip():
            if len(parts) != 2 or not all(part.strip() for part in parts):
                raise InputError(f"line {number} of {file} is {line!r}; a line is a word, a tab and its tag")
            out.setdefault(parts[0].strip().lower(), parts[1].strip())
    return out
