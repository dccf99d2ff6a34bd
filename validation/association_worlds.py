"""Worlds with seeds whose connectivity, behaviour and loss are coupled, or are not."""

from __future__ import annotations

import numpy as np
import simulated
from simulated import SIXTY, symmetric

SEEDS = (5, 10, 20)
X = np.log1p(SIXTY)
COUPLING = 0.97
ORDERS = 499
INDEPENDENT, CAUSE, COUPLED = "independent", "loss is the common cause", "coupled"
ALONG = "loss places the seeds along a line"
BESIDES = "coupled independently of the loss"
STEEP, WEAK = "loss drives both steeply", "loss drives one weakly"
CURVED = "loss drives both along a curve"
TIMINGS = (INDEPENDENT, CAUSE, STEEP, WEAK, CURVED, COUPLED)


def rejected(p: float) -> bool:
    """Whether a test rejects at 0.05; a p value just there counts."""
    return bool(p <= 0.05 + 1e-12)


def standard(kind: str, random: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How late each seed is in connectivity, behaviour and loss, in standard deviations.

    Where loss is a cause the two differ from it independently.
    """
    loss = random.standard_normal(shape)
    own, other = random.standard_normal((2, *shape))
    match kind:
        case "loss is the common cause":
            return loss + 0.3 * own, loss + 0.3 * other, loss
        case "loss drives both steeply":
            return 2 * loss + 0.3 * own, 0.5 * loss + 0.1 * other, loss
        case "loss drives both along a curve":
            return *(np.expm1(0.45 * loss) / 0.45 + 0.25 * one for one in (own, other)), loss
        case "loss drives one weakly":
            return loss + 0.3 * own, 0.3 * loss + other, loss
        case "coupled":
            return *simulated.coupled(random, COUPLING, *shape), loss
        case _:
            return own, other, loss


def of_pairs(kind: str, random: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Barriers, a score of each seed, and its loss.

    Where loss is the cause, score and barriers depend on it and on nothing else that they share: barriers are
    distances between places that follow the loss, along a line, with other directions as well, or through a curve;
    or they are higher the worse both seeds are, or the worse one is.
    """
    u, v = random.standard_normal((2, seeds, 2))
    loss, own, other = random.standard_normal((3, seeds))
    score = loss + 0.3 * own
    tall = np.abs(random.standard_normal(seeds))
    worlds = {
        INDEPENDENT: (simulated.apart(u), own),
        "sums of seeds": (tall[:, None] + tall, np.abs(own)),
        COUPLED: (_line(u[:, 0]), COUPLING * u[:, 0] + np.sqrt(1 - COUPLING**2) * v[:, 0]),
        BESIDES: (_line(u[:, 0] + loss), 0.95 * u[:, 0] + 0.3 * v[:, 0] + loss),
        ALONG: (_line(loss + 0.3 * other), score),
        "loss places the seeds roughly": (_line(loss + 0.6 * other), loss + 0.6 * own),
        "loss places the seeds, and more": (simulated.apart(np.column_stack([loss, 0.5 * u])), score),
        "loss places the seeds along a curve": (_line(np.exp(0.7 * loss) + 0.3 * other), score),
        "loss bends the score": (_line(loss + 0.3 * other), np.tanh(loss) + 0.3 * own),
        "barriers higher the worse both are": (
            np.exp(0.5 * (loss[:, None] + loss)) + 0.1 * symmetric(simulated.apart(u)), score,
        ),
        "barriers higher the worse one is": (
            np.maximum(loss[:, None], loss) + 0.1 * symmetric(simulated.apart(u)), score,
        ),
    }  # fmt: skip
    return *worlds[kind], loss


def _line(places: np.ndarray) -> np.ndarray:
    return np.abs(places[:, None] - places)
