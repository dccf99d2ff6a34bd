"""One noisy series as draws of the smooth curve behind it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from landscape.shapes import Float

EVEN = 100
"""Evenly spaced places of the grid, beside those of the checkpoints."""
LEAST = 5
"""Checkpoints that a curve is fitted to."""
JITTER = 1e-8
KERNELS = 8
"""Sets of the kernel's parameters that the draws are taken from."""
WIDEST = 1.5
"""Largest standard deviation of the logarithm of such a parameter."""
QUIET = 5e-3
"""Least variance of the noise, as a share of that of the series. Of few checkpoints the likelihood may be largest at no
noise at all, and every bump of a curve through all points would be certain."""
STARTS = (0.15, 0.5, 1.5)
"""Lengths, as shares of the range, from which the likelihood is climbed."""


@dataclass(frozen=True)
class Curves:
    """Posterior draws of a curve.

    Attributes:
        x: Grid of ``log(step + 1)``.
        mean: Posterior mean on the grid.
        draws: Joint draws on the grid, without noise.
        seen: ``log(step + 1)`` of the checkpoints.
        noise: Standard deviation of what is neither curve nor known error.
    """

    x: Float[np.ndarray, " grid"]
    mean: Float[np.ndarray, " grid"]
    draws: Float[np.ndarray, "draws grid"]
    seen: Float[np.ndarray, " steps"]
    noise: float


def smooth(
    step: Float[np.ndarray, " steps"],
    value: Float[np.ndarray, " steps"],
    error: Float[np.ndarray, " steps"],
    *,
    draws: int,
    random: np.random.Generator,
) -> Curves:
    """Gaussian process on ``log(step + 1)``: Matern 5/2 with amplitude and length, and noise beside the known errors.

    Kernel and noise are those of the largest marginal likelihood, climbed from three lengths. Unlike an
    interpolation without noise (Hoogland et al. 2024, arXiv:2402.02364, notebook), the curve does not follow the error
    of each point. The uncertainty of the kernel's own parameters is in the draws, by a normal approximation of their
    likelihood at its maximum.

    Args:
        step: Training steps, increasing.
        value: What was measured.
        error: Standard errors; nan where unknown, which counts as 0.
        draws: How many.
        random: Source of randomness.

    Raises:
        ValueError: If there are too few checkpoints, or they do not increase.
    """
    if len(step) < LEAST or (np.diff(step) <= 0).any():
        raise ValueError(f"a curve needs at least {LEAST} increasing steps, got {step}")
    seen = np.log1p(step)
    x = np.unique(np.concatenate([seen, np.linspace(seen[0], seen[-1], EVEN)]))
    centre, scale = value.mean(), value.std()
    if scale <= 1e-12 * max(abs(centre), 1e-300):
        flat = np.full((draws, len(x)), centre)
        return Curves(x, flat[0], flat, seen, 0.0)
    y, known = (value - centre) / scale, (np.nan_to_num(error) / scale) ** 2
    fitted = _fit(seen, y, known)
    parts = [_posterior(fitted, theta, seen, y, known, x, count, random)
             for theta, count in _thetas(fitted, draws, random)]  # fmt: skip
    mean = np.average([m for m, _ in parts], axis=0, weights=[len(d) for _, d in parts])
    values = np.concatenate([d for _, d in parts])
    noise = np.sqrt(fitted.kernel_.k2.noise_level) * scale
    return Curves(x, centre + scale * mean, centre + scale * values[random.permutation(draws)], seen, float(noise))


def _fit(
    seen: Float[np.ndarray, " steps"], y: Float[np.ndarray, " steps"], known: Float[np.ndarray, " steps"]
) -> GaussianProcessRegressor:
    """The kernel of the largest marginal likelihood, on standardised values."""
    span = seen[-1] - seen[0]
    shortest = float(np.clip(np.median(np.diff(seen)), 0.01 * span, 0.1 * span))
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an answer
        for share in STARTS:
            smooth_part = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(share * span, (shortest, 10 * span), nu=2.5)
            kernel = smooth_part + WhiteKernel(0.05, (QUIET, 4.0))
            fits.append(GaussianProcessRegressor(kernel, alpha=known + JITTER).fit(seen[:, None], y))
    return max(fits, key=lambda fit: fit.log_marginal_likelihood_value_)


def _thetas(
    fitted: GaussianProcessRegressor, draws: int, random: np.random.Generator
) -> list[tuple[Float[np.ndarray, " 3"], int]]:
    """Kernels to draw from, and how many draws from each: a normal around the best, within the bounds."""
    best, bounds = fitted.kernel_.theta, fitted.kernel_.bounds
    step = 0.05
    at = [fitted.log_marginal_likelihood(best + move, eval_gradient=True)[1]
          for move in (*np.eye(3) * step, *-np.eye(3) * step)]  # fmt: skip
    hessian = np.array([(at[k] - at[k + 3]) / (2 * step) for k in range(3)])
    precision, vectors = np.linalg.eigh(-(hessian + hessian.T) / 2)
    spread = vectors / np.sqrt(np.maximum(precision, WIDEST**-2))
    shares = [part for part in np.array_split(np.arange(draws), KERNELS) if len(part)]
    moves = np.vstack([np.zeros(3), random.standard_normal((len(shares) - 1, 3))])
    return [
        (np.clip(best + spread @ move, bounds[:, 0], bounds[:, 1]), len(s))
        for move, s in zip(moves, shares, strict=True)
    ]


def _posterior(
    fitted: GaussianProcessRegressor,
    theta: Float[np.ndarray, " 3"],
    seen: Float[np.ndarray, " steps"],
    y: Float[np.ndarray, " steps"],
    known: Float[np.ndarray, " steps"],
    x: Float[np.ndarray, " grid"],
    count: int,
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, "count grid"]]:
    """Mean and joint draws of the smooth part on the grid."""
    kernel = fitted.kernel_.clone_with_theta(theta)
    curve, noise = kernel.k1, kernel.k2.noise_level
    both = curve(np.concatenate([seen, x])[:, None])
    n = len(seen)
    inside = cho_factor(both[:n, :n] + np.diag(known + noise + JITTER), lower=True)
    mean = both[n:, :n] @ cho_solve(inside, y)
    half = solve_triangular(inside[0], both[:n, n:], lower=True)
    spread = both[n:, n:] - half.T @ half
    spread[np.diag_indices_from(spread)] += JITTER * both[-1, -1]
    return mean, mean + random.standard_normal((count, len(x))) @ cholesky(spread, lower=True).T
