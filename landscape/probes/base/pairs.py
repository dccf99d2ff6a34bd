"""Choices between two texts: the outcome of each choice, and the scores of all probes with such choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from landscape.probes.base.result import Score, average, mean
from landscape.shapes import Float

TIE = 0.5
"""What a tie counts."""


def outcomes(good: Float[np.ndarray, " items"], bad: Float[np.ndarray, " items"]) -> pd.DataFrame:
    """Outcomes from the log-probabilities of the right and the wrong text, in nats.

    ``margin`` is ``good - bad`` in nats. ``correct`` is 1, 0, or 1/2 for a tie. ``choice`` is 1 where the right text
    has the larger probability. ``p_0`` and ``p_1`` are the probabilities of the wrong and the right text, normalised
    over the two.
    """
    margin = good - bad
    p = 0.5 * (1 + np.tanh(margin / 2))
    correct = np.where(margin == 0, TIE, margin > 0)
    return pd.DataFrame({"good": good, "bad": bad, "margin": margin, "correct": correct,
                         "choice": (margin > 0).astype(int), "p_0": 1 - p, "p_1": p})  # fmt: skip


def scores(frame: pd.DataFrame, by: str, clusters: str) -> list[Score]:
    """Accuracy in [0, 1] and margin in nats of each group, and their means over groups; accuracy is the headline.

    Args:
        frame: Outcomes.
        by: Column of the groups.
        clusters: Column of the clusters.
    """
    out: list[Score] = []
    chances: dict[str, Any] = {"accuracy": 0.5, "margin": 0.0}
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        more = {"better": "higher", "chance": chances[metric]}
        parts = [
            mean(metric, part[column].to_numpy(), part[clusters], share=column == "correct", subset=str(name), **more)
            for name, part in frame.groupby(by, sort=False)
        ]
        out += [average(metric, parts, headline=metric == "accuracy", **more), *(parts if len(parts) > 1 else ())]
    return out
