"""Simulated data that several cases share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from landscape.stages.events import changes, evidence
from landscape.stages.events.changes import Event
from landscape.stages.series.axis import Axis
from landscape.stages.series.runs import Measured, measured
from landscape.stages.series.smooth import Curves, smooth

OCTAVES = np.array([0, *(round(2 ** (k / 2)) for k in range(2, 21))], dtype=float)
SIXTY = np.unique(np.round(np.exp(np.linspace(0, np.log(143000), 60))) - 1)
SIXTEEN = np.unique(np.round(np.geomspace(1, 1000, 16)))
Noise = Callable[..., np.ndarray]
Curve = Callable[[np.ndarray], np.ndarray]


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return random.standard_normal(shape)


def skewed(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Exponential numbers of mean 0 and variance 1."""
    return random.exponential(size=shape) - 1


def heavy(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Student's t with three degrees of freedom, of variance 1."""
    return random.standard_t(3, shape) / np.sqrt(3)


NOISES: dict[str, Noise] = {"Gaussian": normal, "skewed": skewed, "heavy-tailed": heavy}
FACTORS: dict[str, tuple[Noise, float]] = {
    "exponential": (lambda random, *shape: random.exponential(size=shape), 1.0),
    "log-normal": (lambda random, *shape: random.lognormal(-0.5, 1.0, shape), float(np.sqrt(np.e - 1))),
}
"""Positive numbers of mean 1, with their standard deviation."""


def sigmoid(x: np.ndarray, at: float | np.ndarray, width: float = 0.3) -> np.ndarray:
    """A rise from 0 to 1, centred at ``at``."""
    return np.asarray(1 / (1 + np.exp(-(x - at) / width)))


def bump(centre: float, width: float, height: float) -> Curve:
    """A Gaussian peak."""
    return lambda t: height * np.exp(-0.5 * ((t - centre) / width) ** 2)


def drawn(kind: str, random: np.random.Generator) -> Curve:
    """A profile of a given shape with a random height from 0.05 to 5."""
    height = float(np.exp(random.uniform(np.log(0.05), np.log(5))))
    match kind:
        case "two peaks":
            one = bump(random.uniform(0.1, 0.45), random.uniform(0.05, 0.12), height)
            two = bump(random.uniform(0.55, 0.9), random.uniform(0.05, 0.12), height * random.uniform(0.7, 1))
            return lambda t: one(t) + two(t)
        case "narrow":
            return bump(random.uniform(0.1, 0.9), random.uniform(0.05, 0.1), height)
        case "plateau":
            steep, corner = random.uniform(0.04, 0.1), random.uniform(0.1, 0.4)
            return lambda t: height / (1 + np.exp((corner - t) / steep)) / (1 + np.exp((t - 1 + corner) / steep))
        case "cusp-like":
            centre, width = random.uniform(0.35, 0.65), random.uniform(0.1, 0.3)
            return lambda t: height / (1 + ((t - centre) / width) ** 2)
        case _:
            power = random.uniform(1, 3, size=2)
            return lambda t: height * 4 * t ** power[0] * (1 - t) ** power[1]


def two_steps(x: np.ndarray) -> np.ndarray:
    """Two rises with a plateau at 4.6 between them."""
    return sigmoid(x, 3.0, 0.35) + sigmoid(x, 6.2, 0.35)


def hill(x: np.ndarray) -> np.ndarray:
    """A hill on a linear trend."""
    return np.asarray(np.exp(-0.5 * ((x - 4.1) / 1.0) ** 2) + 0.1 * x)


ENDS = (900, 6500, 8500, 17_000, 50_000)
CHANGES = (26.3, 22.6, -1.57, 8.7, 1.7)
SCATTER = 0.15 / np.sqrt(2)
"""Ends of the stages of a language model of two layers, how much its local learning coefficient changes in each, and
its noise: neighbours differ by 0.15 (Hoogland et al. 2024, arXiv:2402.02364)."""


def smooth_step(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 with flat ends."""
    u = np.clip(u, 0, 1)
    return np.asarray(u * u * (3 - 2 * u))


def half_cosine(u: np.ndarray) -> np.ndarray:
    """The same, a little flatter."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(u, 0, 1)))


def smoother_step(u: np.ndarray) -> np.ndarray:
    """The same, with ends that are flat for longer."""
    u = np.clip(u, 0, 1)
    return np.asarray(u**3 * (u * (6 * u - 15) + 10))


RISES = {"smooth steps": smooth_step, "half cosines": half_cosine, "smoother steps": smoother_step}


def like(steps: np.ndarray, shape: Curve) -> np.ndarray:
    """A series with these stages, each a rise or fall of a shape in ``log(step + 1)``."""
    x, ends = np.log1p(steps), np.log1p(np.array([steps[steps > 0].min(), *ENDS]))
    parts = zip(ends[:-1], ends[1:], CHANGES, strict=True)
    return np.asarray(sum(change * shape((x - a) / (b - a)) for a, b, change in parts))


GRID = np.linspace(0, 6.9, 200_001)
TOP = float(GRID[np.where(GRID < 5.5, hill(GRID), -9).argmax()])
"""Where the hill is highest."""


def drift(random: np.random.Generator, *shape: int, size: float, keep: float = 0.7) -> np.ndarray:
    """Autoregressive noise along the last axis: each step keeps a fraction of the one before."""
    out = size * random.standard_normal(shape)
    for step in range(1, shape[-1]):
        out[..., step] = keep * out[..., step - 1] + np.sqrt(1 - keep**2) * out[..., step]
    return out


def coupled(random: np.random.Generator, coupling: float, *shape: int) -> np.ndarray:
    """Two sets of standard normal numbers with a correlation."""
    own, other = random.standard_normal((2, *shape))
    return np.stack([own, coupling * own + np.sqrt(1 - coupling**2) * other])


def dated(random: np.random.Generator, true: np.ndarray, error: float, draws: int = 50) -> np.ndarray:
    """Draws of dates around estimates whose errors have the spread of the draws."""
    estimates = true + error * random.standard_normal(true.shape)
    return np.asarray(estimates[..., None] + error * random.standard_normal((*true.shape, draws)))


def apart(points: np.ndarray) -> np.ndarray:
    """Distances between points ``[..., seeds, dimensions]``."""
    return np.asarray(np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1))


def symmetric(values: np.ndarray) -> np.ndarray:
    """The upper triangles of matrices, mirrored."""
    upper = np.triu(values, 1)
    return upper + upper.mT


def run_of(
    steps: np.ndarray, value: np.ndarray, random: np.random.Generator, error: float = np.nan
) -> tuple[Measured, Curves]:
    """A run and posterior draws of its curve, on ``log(step + 1)``."""
    rows = pd.DataFrame({"seed": 0, "step": steps, "value": value, "error": error})
    run = measured("one", rows, Axis())[0][0]
    return run, smooth(run.x, run.value, run.sd, run.count, draws=200, random=random)


def bounds_of(run: Measured, curves: Curves) -> list[Event]:
    """The extrema and plateaus of a run."""
    turns = evidence.turning_points(run.value, run.sd, run.count)
    return changes.boundaries(curves, turns, evidence.paces(run.x, run.value, run.sd, run.count))
