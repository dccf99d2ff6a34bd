"""Posterior draws of the smooth curve behind one noisy series, at its checkpoints only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, eigh, solve_triangular

from landscape.shapes import Float

MIN_CHECKPOINTS = 5
"""Checkpoints that a curve needs."""
JITTER = 1e-9
LENGTHS, SCALES, NOISES = 10, 9, 7
"""Sizes of the grid of kernels: length scales, amplitudes, factors of the noise variance."""
MAX_AMPLITUDE = 100.0
"""Largest amplitude, relative to the variance of the series; the smallest is its inverse."""
NOISE_LOG_SD = 1.5
"""Prior standard deviation of the logarithm of the noise variance, for an estimate from one difference."""
MAX_KERNELS = 8
"""Kernels that draws come from."""
MAX_FITTED = 160
"""Checkpoints that the likelihood of a kernel is computed from, evenly chosen if there are more."""


@dataclass(frozen=True)
class Curves:
    """Posterior draws of a curve at its checkpoints. Between checkpoints it is interpolated linearly.

    Attributes:
        x: Coordinates of the checkpoints on the axis of training.
        mean: Posterior mean, in units of the series.
        draws: Joint posterior draws of the curve, without noise.
        noise: Standard deviation of the noise of one value; nan for a mean over seeds.
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
    """Gaussian process with a Matern 3/2 kernel, averaged over length scales, amplitudes and noise variances.

    This rough kernel follows changes of varying speed; smoother kernels took sharp turns for noise. The prior of the
    noise is centred on the scatter between neighbours and is as wide as that estimate is uncertain. Draws come from the
    kernels of largest posterior probability in proportion to it, so they include the uncertainty about the kernel.

    Args:
        x: Coordinates of the checkpoints, increasing.
        value: Measured values.
        sd: Standard deviation of each value, in units of the values.
        count: Number of differences that it was estimated from.
        draws: Number of posterior draws.
        random: Source of randomness.

    Raises:
        ValueError: If there are too few checkpoints, or they do not increase.
    """
    if len(x) < MIN_CHECKPOINTS or (np.diff(x) <= 0).any():
        raise ValueError(f"a curve needs at least {MIN_CHECKPOINTS} increasing steps, got {x}")
    centre, scale = value.mean(), value.std()
    if scale <= 1e-12 * max(abs(centre), 1e-300):
        return Curves(x, np.full(len(x), centre), np.full((draws, len(x)), centre), 0.0)
    y, variance = (value - centre) / scale, np.maximum((sd / scale) ** 2, JITTER)
    few = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_FITTED)).round().astype(int))
    kernels = _kernels(x[few], y[few], variance[few], count, draws)
    parts = [_posterior(x, y, variance * noise, length, size, many, random) for length, size, noise, many in kernels]
    mean = np.average([m for m, _ in parts], axis=0, weights=[len(d) for _, d in parts])
    values = random.permutation(np.concatenate([d for _, d in parts]))
    noise = float(np.sqrt(np.average([k[2] for k in kernels], weights=[k[3] for k in kernels]) * (sd**2).mean()))
    return Curves(x, centre + scale * mean, centre + scale * values, noise)


def matern(apart: Float[np.ndarray, "a b"], length: float) -> Float[np.ndarray, "a b"]:
    """The Matern kernel with smoothness 3/2 and variance 1; in [0, 1]."""
    scaled = np.sqrt(3) * np.abs(apart) / length
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _kernels(
    x: Float[np.ndarray, " steps"],
    y: Float[np.ndarray, " steps"],
    variance: Float[np.ndarray, " steps"],
    count: int,
    draws: int,
) -> list[tuple[float, float, float, int]]:
    """Length scale, amplitude, factor of the noise variance, and number of draws of the most probable kernels.

    One eigendecomposition for each length scale gives the likelihood of all amplitudes and factors.
    """
    span, apart = x[-1] - x[0], x[:, None] - x
    log_sd = NOISE_LOG_SD / np.sqrt(max(count, 1) ** 0.5)
    scales = np.geomspace(1 / MAX_AMPLITUDE, MAX_AMPLITUDE, SCALES)
    noises = np.exp(np.linspace(-3, 3, NOISES) * log_sd)
    lengths = np.geomspace(max(float(np.median(np.diff(x))), span / 200), 4 * span, LENGTHS)
    root = 1 / np.sqrt(variance)
    posterior = np.empty((LENGTHS, SCALES, NOISES))
    for n, length in enumerate(lengths):
        sizes, vectors = eigh(root[:, None] * matern(apart, length) * root)
        along = (vectors.T @ (y * root)) ** 2
        total = scales[:, None, None] * np.maximum(sizes, 0) + noises[:, None] + JITTER
        posterior[n] = -0.5 * (np.log(total) + along / total).sum(axis=-1)
    posterior -= 0.5 * (np.log(noises) / log_sd) ** 2
    weights = np.exp(posterior - posterior.max()).ravel()
    best = np.argsort(weights)[::-1][:MAX_KERNELS]
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
    """Posterior mean and joint draws at the checkpoints."""
    prior = size * matern(x[:, None] - x, length)
    inside = cho_factor(prior + np.diag(variance), lower=True)
    mean = prior @ cho_solve(inside, y)
    half = solve_triangular(inside[0], prior, lower=True)
    spread = prior - half.T @ half
    spread[np.diag_indices_from(spread)] += JITTER * size
    return mean, mean + random.standard_normal((count, len(x))) @ cholesky(spread, lower=True).T
