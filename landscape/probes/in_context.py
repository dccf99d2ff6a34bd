"""In-context learning: how much less a token late in the context costs than an early one.

The score is ``mean loss around token k_late - mean loss around token k_early`` (Olsson et al. 2022, arXiv:2209.11895,
who take tokens 500 and 50 of 512), so negative is better; others write the difference the other way round. Here
``k_early`` and ``k_late`` are 0.1 and 0.98 of the length, each with as many tokens on either side as 1/64 of the
length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives.text import blocks, read_file
from landscape.probes.base.finding import Found, Score, mean
from landscape.probes.base.scoring import causal
from landscape.probes.base.subject import Given, Subject, require_text
from landscape.shapes import Float, Int

TAKES = ("causal",)
EARLY, LATE, AROUND = 0.1, 0.98, 64


@dataclass(frozen=True)
class Items:
    """Stretches of text, and the windows of positions that are compared; positions count from 1."""

    ids: Int[Tensor, "sequences length"]
    start: tuple[int, ...]
    early: tuple[int, int]
    late: tuple[int, int]


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """Stretches spread evenly over the held-out text.

    Raises:
        InputError: If the text or the stretches are too short.
    """
    text = read_file(given.items, "items") if given.items else given.text
    require_text(text)
    length = min(given.length, subject.longest - len(subject.start))
    if length < 8:
        raise InputError(f"in-context learning needs stretches of at least 8 tokens, and they have {length}")
    ids = blocks(torch.tensor(subject.ids(text)), given.count or given.sequences, length)
    return Items(ids, tuple(subject.start), window(EARLY, length), window(LATE, length))


def window(share: float, length: int) -> tuple[int, int]:
    """First and last position around a share of the length; position 1 is predicted from nothing, and left out.

    >>> window(0.1, 512), window(0.98, 512), window(0.98, 64)
    ((43, 59), (494, 510), (62, 64))
    """
    centre, reach = round(share * length), max(1, length // AROUND)
    return max(2, centre - reach), min(length, centre + reach)


def measure(subject: Subject, items: Items) -> Found:
    """Loss by position and the score; an item is a token, and tokens of a stretch belong together."""
    sequences = [[*items.start, *row] for row in items.ids.tolist()]
    length = items.ids.shape[1]
    losses = -np.array([row[len(row) - length + 1 :] for row in causal(subject, sequences)])  # positions 2 to length
    early, late = (losses[:, begin - 2 : end - 1].mean(axis=1) for begin, end in (items.early, items.late))
    scores = [
        mean("score", late - early, better="lower", chance=0.0, headline=True),
        mean("early", early, subset=_span(*items.early), better="lower"),
        mean("late", late, subset=_span(*items.late), better="lower"),
        *by_position(losses),
    ]
    n = len(losses)
    frame = pd.DataFrame({
        "item": np.repeat(np.arange(n), length - 1),
        "position": np.tile(np.arange(2, length + 1), n),
        "loss": losses.ravel(),
    })
    about = f"loss of tokens {_span(*items.late)} minus that of tokens {_span(*items.early)} of {length}"
    return Found(tuple(scores), frame, about)


def by_position(losses: Float[np.ndarray, "sequences positions"]) -> list[Score]:
    """Mean loss of positions 2, 3 to 4, 5 to 8 and so on."""
    ends = [2]
    while ends[-1] < losses.shape[1] + 1:
        ends.append(min(2 * ends[-1], losses.shape[1] + 1))
    begins = [2, *(end + 1 for end in ends[:-1])]
    return [
        mean("loss", losses[:, begin - 2 : end - 1].mean(axis=1), subset=_span(begin, end), better="lower")
        for begin, end in zip(begins, ends, strict=True)
    ]


def _span(begin: int, end: int) -> str:
    return f"{begin}" if begin == end else f"{begin}-{end}"
