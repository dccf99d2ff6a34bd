"""One noisy series as draws of the smooth curve behind it, at its checkpoints and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, eigh, solve_triangular

from landscape.shapes import Float

LEAST = 5
"""Checkpoints that a curve is fitted to."""
JITTER = 1e-9
LENGTHS, SCALES, NOISES = 10, 9, 7
"""Sizes of the grid of kernels."""
LARGEST = 100.0
"""Largest amplitude over the variance of the series; the least is its inverse."""
DOUBT = 1.5
"""Standard deviation of the logarithm of the noise's variance, for a deviation estimated from one difference."""
KERNELS = 8
"""Kernels that the draws are taken from."""
DENSE = 160
"""Checkpoints of which the likelihood of a kernel is taken, evenly chosen if there are more."""


@dataclass(frozen=True)
class Curves:
    """Posterior draws of a curve at its checkpoints. Between two of them it is a straight line: nothing is known there.

    Attributes:
        x: Places of the checkpoints on the axis of training.
        mean: Posterior mean.
        draws: Joint draws, without noise.
        noise: Standard deviation of one value; nan where it has none, as in a mean over seeds.
    """

    x: Float[np.ndarray, " steps"]
    mean: Float[np.ndarray, " steps"]
    draws: Float[np.ndarray, "draws steps"]
    noise: float


def smooth(
    x: Float[np.ndarray, " steps"],
    value: Float[np.ndarray, " steps"],
    sd: Float[np.ndarray, " steps"],
    count: int,
    *,
    draws: int,
    random: np.random.Generator,
) -> Curves:
    """Gaussian process with a Matern 3/2 kernel, over a grid of lengths, amplitudes and factors of the noise.

    A kernel that rough follows a pace of change that varies; smoother ones took sharp turns for noise. The noise is
    that of the neighbours, with a prior as wide as it is uncertain. The draws come from the kernels of the largest
    posterior in proportion to it, so the uncertainty of the kernel is in them.

    Args:
        x: Places of the checkpoints, increasing.
        value: What was measured.
        sd: Standard deviation of each value.
        count: Differences that it was estimated from.
        draws: How many.
        random: Source of randomness.

    Raises:
        ValueError: If there are too few checkpoints, or they do not increase.
    """
    if len(x) < LEAST or (np.diff(x) <= 0).any():
        raise ValueError(f"a curve needs at least {LEAST} increasing steps, got {x}")
    centre, scale = value.mean(), value.std()
    if scale <= 1e-12 * max(abs(centre), 1e-300):
        return Curves(x, np.full(len(x), centre), np.full((draws, len(x)), centre), 0.0)
    y, variance = (value - centre) / scale, np.maximum((sd / scale) ** 2, JITTER)
    few = np.unique(np.linspace(0, len(x) - 1, min(len(x), DENSE)).round().astype(int))
    kernels = _kernels(x[few], y[few], variance[few], count, draws)
    parts = [_posterior(x, y, variance * noise, length, size, many, random) for length, size, noise, many in kernels]
    mean = np.average([m for m, _ in parts], axis=0, weights=[len(d) for _, d in parts])
    values = random.permutation(np.concatenate([d for _, d in parts]))
    noise = float(np.sqrt(np.average([k[2] for k in kernels], weights=[k[3] for k in kernels]) * (sd**2).mean()))
    return Curves(x, centre + scale * mean, centre + scale * values, noise)


def matern(apart: Float[np.ndarray, "a b"], length: float) -> Float[np.ndarray, "a b"]:
    """The Matern kernel with smoothness 3/2 and variance 1."""
    scaled = np.sqrt(3) * np.abs(apart) / length
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _kernels(
    x: Float[np.ndarray, " steps"],
    y: Float[np.ndarray, " steps"],
    variance: Float[np.ndarray, " steps"],
    count: int,
    draws: int,
) -> list[tuple[float, float, float, int]]:
    """Length, amplitude, factor of the noise's variance, and number of draws, of the kernels that are kept.

    One decomposition for each length gives the likelihood of all amplitudes and factors.
    """
    span, apart = x[-1] - x[0], x[:, None] - x
    doubt = DOUBT / np.sqrt(max(count, 1) ** 0.5)
    scales = np.geomspace(1 / LARGEST, LARGEST, SCALES)
    noises = np.exp(np.linspace(-3, 3, NOISES) * doubt)
    lengths = np.geomspace(max(float(np.median(np.diff(x))), span / 200), 4 * span, LENGTHS)
    root = 1 / np.sqrt(variance)
    posterior = np.empty((LENGTHS, SCALES, NOISES))
    for n, length in enumerate(lengths):
        sizes, vectors = eigh(root[:, None] * matern(apart, length) * root)
        along = (vectors.T @ (y * root)) ** 2
        total = scales[:, None, None] * np.maximum(sizes, 0) + noises[:, None] + JITTER
        posterior[n] = -0.5 * (np.log(total) + along / total).sum(axis=-1)
    posterior -= 0.5 * (np.log(noises) / doubt) ** 2
    weights = np.exp(posterior - posterior.max()).ravel()
    best = np.argsort(weights)[::-1][:KERNELS]
    many = np.floor(draws * weights[best] / weights[best].sum()).astype(int)
    many[0] += draws - many.sum()
    at = np.unravel_index(best, posterior.shape)
    return [
        (float(lengths[i]), float(scales[k]), float(noises[m]), int(share))
        for i, k, m, share in zip(*at, many, strict=True) if share
    ]  # fmt: skip


def _posterior(
    x: Float[np.ndarray, " steps"],
    y: Float[np.ndarray, " steps"],
    variance: Float[np.ndarray, " steps"],
    length: float,
    size: float,
    count: int,
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, "count steps"]]:
    """Mean and joint draws at the checkpoints."""
    prior = size * matern(x[:, None] - x, length)
    inside = cho_factor(prior + np.diag(variance), lower=True)
    mean = prior @ cho_solve(inside, y)
    half = solve_triangular(inside[0], prior, lower=True)
    spread = prior - half.T @ half
    spread[np.diag_indices_from(spread)] += JITTER * size
    return mean, mean + random.standard_normal((count, len(x))) @ cholesky(spread, lower=True).T
