"""Choices between two texts: the outcome of each, and the scores that all such probes share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from landscape.probes.base.finding import Score, average, mean
from landscape.shapes import Float

TIE = 0.5


def outcomes(good: Float[np.ndarray, " items"], bad: Float[np.ndarray, " items"]) -> pd.DataFrame:
    """What follows from the log-probabilities of the right and the wrong side.

    ``margin`` is ``good - bad`` in nats; ``correct`` is 1, 0, or 1/2 for a tie; ``choice`` is 1 where the right side
    wins; ``p_0`` and ``p_1`` are the probabilities of wrong and right if there are only these two.
    """
    margin = good - bad
    p = 0.5 * (1 + np.tanh(margin / 2))
    correct = np.where(margin == 0, TIE, margin > 0)
    return pd.DataFrame({"good": good, "bad": bad, "margin": margin, "correct": correct,
                         "choice": (margin > 0).astype(int), "p_0": 1 - p, "p_1": p})  # fmt: skip


def scores(found: pd.DataFrame, by: str, clusters: str) -> list[Score]:
    """Accuracy and margin of each group, and their plain means over groups as the headline.

    Args:
        found: Outcomes.
        by: Column of the groups.
        clusters: Column that says which items belong together.
    """
    out: list[Score] = []
    chances: dict[str, Any] = {"accuracy": 0.5, "margin": 0.0}
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        more = {"better": "higher", "chance": chances[metric]}
        parts = [
            mean(metric, part[column].to_numpy(), part[clusters], share=column == "correct", subset=str(name), **more)
            for name, part in found.groupby(by, sort=False)
        ]
        out += [average(metric, parts, headline=metric == "accuracy", **more), *(parts if len(parts) > 1 else ())]
    return out
