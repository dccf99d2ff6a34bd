"""Are seeds that are less connected also less alike in behaviour? Matrices of pairs, permuted by seed.

Pairs share seeds. Taken as independent they reject a true null hypothesis two to three times too often; so rows and
columns of one matrix are permuted together. Steps are never pooled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from landscape.shapes import Float, Int
from landscape.stages.association import LEAST, Association, Square, Squares, correlated

ROUNDING = 1e-12
"""Variance of standardised values in a resample that is none."""


def mantel(
    a: Square, b: Square, orders: Int[np.ndarray, "orders seeds"], random: np.random.Generator, name: str = "matrix"
) -> Association:
    """Spearman's correlation of two matrices over the pairs (Mantel 1967), one-sided.

    Args:
        a: Symmetric, the diagonal ignored: barriers.
        b: The same: distances of behaviour.
        orders: From :func:`landscape.stages.permutations.orders`.
        random: For the interval, which resamples seeds.
        name: Of the test.
    """
    x, y = _ranked(a), _ranked(b)
    return correlated(name, _resampled(x, y, random), statistics(a, b, orders), len(a))


def statistics(a: Squares, b: Squares, orders: Int[np.ndarray, "orders seeds"]) -> Float[np.ndarray, "*worlds orders"]:
    """Spearman's correlation over the pairs in every order of the seeds of the second; in each of some worlds."""
    x, y = _ranked(a), _ranked(b)
    upper = np.triu_indices(x.shape[-1], 1)
    rows, columns = orders[:, upper[0]], orders[:, upper[1]]
    flat = zip(x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), strict=True)
    found = [theirs[rows, columns] @ ours[upper] for ours, theirs in flat]
    return np.stack(found).reshape(*x.shape[:-2], len(orders))


def regression(
    a: Square,
    b: Square,
    covariates: Sequence[Square],
    orders: Int[np.ndarray, "orders seeds"],
    random: np.random.Generator,
) -> Association:
    """Partial correlation of two matrices with others held fixed (MRQAP, double semi-partialling).

    After Dekker et al. 2007. The barriers are rid of the covariates by regression, their residuals permuted by seed,
    and the t statistics of these in the regression of the distances on residuals and covariates compared. On the
    values: ranks leave some of a shared cause. One-sided. Unlike the partial Mantel test this holds its level where
    the matrices are each dependent (Guillot and Rousset 2013, arXiv:1112.0651).

    Args:
        a: As for :func:`mantel`.
        b: The same.
        covariates: Matrices held fixed.
        orders: The same.
        random: The same.
    """
    upper = np.triu_indices(len(a), 1)
    basis = np.linalg.qr(np.column_stack([np.ones(len(upper[0])), *(c[upper] for c in covariates)]))[0]
    x, y = (_standard(_rid(m[upper], basis)) for m in (a, b))
    residual = _square(x)
    moved = residual[orders[:, upper[0]], orders[:, upper[1]]]
    moved -= (moved @ basis) @ basis.T
    norm = np.sqrt((moved**2).sum(axis=1))
    found = np.divide(moved @ y, norm, out=np.zeros(len(moved)), where=norm > 1e-9)
    return correlated("matrix given loss", _resampled(residual, _square(y), random), found, len(a))


def differences(values: Float[np.ndarray, " seeds"]) -> Square:
    """Absolute differences of a score between seeds."""
    return np.asarray(np.abs(values[:, None] - values[None]))


def between(curves: Float[np.ndarray, "*worlds seeds grid"]) -> Squares:
    """Distances between the curves of seeds: the root of the mean squared difference."""
    apart = curves[..., :, None, :] - curves[..., None, :, :]
    return np.asarray(np.sqrt((apart**2).mean(axis=-1)))


def standardised(values: Square) -> Square:
    """With mean 0 and deviation 1 over the pairs."""
    upper = np.triu_indices(len(values), 1)
    return _square(_standard(values[upper]) * np.sqrt(len(upper[0])))


def _ranked(values: Squares) -> Squares:
    return _square(_standard(stats.rankdata(values[..., *np.triu_indices(values.shape[-1], 1)], axis=-1)))


def _resampled(x: Square, y: Square, random: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The correlation of two standardised matrices over resampled seeds; a seed's pair with itself is none."""
    seeds = len(x)
    if seeds <= LEAST:
        return np.array([np.nan])
    upper = np.triu_indices(seeds, 1)
    drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=1000).astype(float)
    weights = drawn[:, upper[0]] * drawn[:, upper[1]]
    weights = weights[(weights > 0).sum(axis=1) > 2]
    weights /= weights.sum(axis=1, keepdims=True)
    u, v = x[upper], y[upper]
    mean_u, mean_v = weights @ u, weights @ v
    cross = weights @ (u * v) - mean_u * mean_v
    of_u, of_v = weights @ u**2 - mean_u**2, weights @ v**2 - mean_v**2
    vary = (of_u > ROUNDING) & (of_v > ROUNDING)
    return np.asarray(cross[vary] / np.sqrt(of_u[vary] * of_v[vary]))


def _rid(values: Float[np.ndarray, " pairs"], basis: Float[np.ndarray, "pairs k"]) -> Float[np.ndarray, " pairs"]:
    return np.asarray(values - basis @ (basis.T @ values))


def _standard(values: Float[np.ndarray, "*worlds pairs"]) -> Float[np.ndarray, "*worlds pairs"]:
    centred = values - values.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9))


def _square(values: Float[np.ndarray, "*worlds pairs"]) -> Squares:
    seeds = int((1 + np.sqrt(1 + 8 * values.shape[-1])) / 2)
    out = np.zeros((*values.shape[:-1], seeds, seeds))
    out[..., *np.triu_indices(seeds, 1)] = values
    return out + out.mT
