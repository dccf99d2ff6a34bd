"""In-context learning: the loss late in the context minus the loss early in it.

The score is ``mean loss around token k_late - mean loss around token k_early``, in nats (Olsson et al. 2022,
arXiv:2209.11895, with tokens 500 and 50 of 512). Negative is better; others take the opposite sign. Here ``k_early``
and ``k_late`` are 0.1 and 0.98 of the length, each averaged with the tokens within 1/64 of the length on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives.text import blocks, read_file
from landscape.probes.base.model import ProbeInputs, ProbeModel, require_text
from landscape.probes.base.result import ProbeResult, Score, mean
from landscape.probes.base.scoring import causal
from landscape.shapes import Float, Int

TAKES = ("causal",)
USUAL_FOR = ("causal-lm",)
RANDOM_ITEMS = False
EARLY, LATE, AROUND = 0.1, 0.98, 64
"""Centres of the windows as shares of the length; the length divided by the reach of a window."""


@dataclass(frozen=True)
class Items:
    """Stretches of text, and the two windows of positions; positions count from 1."""

    ids: Int[Tensor, "sequences length"]
    start: tuple[int, ...]
    early: tuple[int, int]
    late: tuple[int, int]


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Stretches spread evenly over the held-out text.

    Args:
        model: The model.
        inputs: ``text``, or ``items``, a file of text; ``count`` or ``sequences`` stretches of ``length`` tokens.
        random: Not used.

    Raises:
        InputError: If the text or the stretches are too short.
    """
    text = read_file(inputs.items, "items") if inputs.items else inputs.text
    require_text(text)
    length = min(inputs.length, model.longest - len(model.start))
    if length < 8:
        raise InputError(f"in-context learning needs stretches of at least 8 tokens, and they have {length}")
    ids = blocks(model.tokens(text), inputs.count or inputs.sequences, length)
    return Items(ids, tuple(model.start), window(EARLY, length), window(LATE, length))


def window(share: float, length: int) -> tuple[int, int]:
    """First and last position of a window; position 1 is left out, since nothing comes before it.

    >>> window(0.1, 512), window(0.98, 512), window(0.98, 64)
    ((43, 59), (494, 510), (62, 64))
    """
    centre, reach = round(share * length), max(1, length // AROUND)
    return max(2, centre - reach), min(length, centre + reach)


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """The score and the loss by position, in nats; an item is a token, and the tokens of a stretch form one cluster."""
    sequences = [[*items.start, *row] for row in items.ids.tolist()]
    length = items.ids.shape[1]
    losses = -np.array([row[len(row) - length + 1 :] for row in causal(model, sequences)])  # positions 2 to length
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
    return ProbeResult(tuple(scores), frame, about)


def by_position(losses: Float[np.ndarray, "sequences positions"]) -> list[Score]:
    """Mean loss in nats of position 2, positions 3 to 4, 5 to 8 and so on."""
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
