"""Series over training with planted truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from landscape.stages.series import Observed

OCTAVES = np.array([0, *(round(2 ** (k / 2)) for k in range(2, 21))], dtype=float)
PYTHIA = np.array([0, *(2**k for k in range(10)), *range(1000, 144000, 1000)], dtype=float)
SIXTY = np.unique(np.round(np.exp(np.linspace(0, np.log(143000), 60))) - 1)
Noise = Callable[[np.random.Generator, int], np.ndarray]


def normal(random: np.random.Generator, count: int) -> np.ndarray:
    return random.standard_normal(count)


def heavy(random: np.random.Generator, count: int) -> np.ndarray:
    """Student's t with three degrees of freedom, of variance one."""
    return random.standard_t(3, count) / np.sqrt(3)


def sigmoid(x: np.ndarray, at: float | np.ndarray, width: float = 0.3) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(x - at) / width)))


def drift(random: np.random.Generator, seeds: int, count: int, size: float, keep: float = 0.7) -> np.ndarray:
    """Noise of which each step keeps a share of the one before."""
    out = size * random.standard_normal((seeds, count))
    for step in range(1, count):
        out[:, step] = keep * out[:, step - 1] + np.sqrt(1 - keep**2) * out[:, step]
    return out


def onsets(
    random: np.random.Generator, seeds: int, coupling: float, spread: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """True onsets of both series by seed: at places of their own, and as far correlated as they are coupled."""
    own, other = random.standard_normal((2, seeds))
    places = random.uniform(4, 8, 2)
    return places[0] + spread * own, places[1] + spread * (coupling * own + np.sqrt(1 - coupling**2) * other)


def dated(random: np.random.Generator, true: np.ndarray, error: float = 0.1, draws: int = 50) -> np.ndarray:
    """Draws of onsets, around estimates that err by as much as the draws do."""
    return np.asarray((true + error * random.standard_normal(len(true)))[:, None]
                      + error * random.standard_normal((len(true), draws)))  # fmt: skip


def observed(values: dict[str, np.ndarray], steps: np.ndarray) -> Observed:
    """Series of seeds, each ``[seeds, steps]``."""
    rows = [
        pd.DataFrame({"series": name, "seed": seed, "step": steps, "value": run})
        for name, runs in values.items() for seed, run in enumerate(runs)
    ]  # fmt: skip
    return Observed(pd.concat(rows, ignore_index=True).assign(error=np.nan, shared_error=np.nan, headline=True))
