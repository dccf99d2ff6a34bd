"""Draws of the curve behind a series, against scikit-learn's Gaussian process and worlds drawn from it."""

import numpy as np
import pytest
from simulated import OCTAVES, SIXTY, sigmoid
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from worlds import run_of

from landscape.stages.series import smooth as module
from landscape.stages.series.smooth import smooth


def rival(x: np.ndarray, y: np.ndarray, length: float, size: float, variance: np.ndarray) -> GaussianProcessRegressor:
    kernel = ConstantKernel(size) * Matern(length, nu=1.5)
    return GaussianProcessRegressor(kernel, alpha=variance, optimizer=None).fit(x[:, None], y)


def uneven(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x, sd = np.log1p(OCTAVES), random.uniform(0.1, 0.3, len(OCTAVES))
    return x, 3 * sigmoid(x, 4.1) + sd * random.standard_normal(len(x)), sd


def test_mean_and_draws_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one kernel: scikit-learn's mean, and its covariance in the draws."""
    monkeypatch.setattr(module, "MAX_KERNELS", 1)
    x, value, sd = uneven(3)
    found = smooth(x, value, sd, 18, draws=5000, random=np.random.default_rng(0))
    y, variance = (value - value.mean()) / value.std(), (sd / value.std()) ** 2
    ((length, size, noise, _),) = module._kernels(x, y, variance, 18, 5000)
    mean, cov = rival(x, y, length, size, variance * noise).predict(x[:, None], return_cov=True)
    np.testing.assert_allclose(found.mean, value.mean() + value.std() * mean, atol=1e-6)
    assert found.noise == pytest.approx(np.sqrt(noise * (sd**2).mean()))
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / 5000)
    assert (np.abs(np.cov(found.draws.T) / value.var() - cov) < 4.5 * error + 1e-4).all() and error.max() < 0.02


def test_kernels_are_drawn_by_their_posterior() -> None:
    """Likelihoods from scikit-learn, times the prior of the noise: shares of the draws are proportional to them."""
    x, value, sd = uneven(4)
    y, variance = (value - value.mean()) / value.std(), (sd / value.std()) ** 2
    kernels = module._kernels(x, y, variance, 18, 100_000)
    doubt = module.NOISE_LOG_SD / 18**0.25
    want = np.array([
        rival(x, y, length, size, variance * noise).log_marginal_likelihood_value_ - 0.5 * (np.log(noise) / doubt) ** 2
        for length, size, noise, _ in kernels
    ])
    shares = np.array([many for *_, many in kernels]) / 100_000
    assert len(kernels) > 3 and shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, np.exp(want - want.max()) / np.exp(want - want.max()).sum(), atol=2e-3)
    rare = rival(x, y, kernels[0][0] * 40, kernels[0][1], variance).log_marginal_likelihood_value_
    assert rare < want.max()


def test_a_band_of_90_percent_holds_the_curve() -> None:
    """Curves drawn from processes of several lengths, at uneven steps, with estimated noise."""
    random = np.random.default_rng(5)
    inside = []
    for _ in range(40):
        x = np.sort(random.uniform(0, 10, 60))
        length = float(np.exp(random.uniform(np.log(0.7), np.log(5))))
        true = np.linalg.cholesky(module.matern(x[:, None] - x, length) + 1e-9 * np.eye(60)) @ random.standard_normal(
            60
        )
        _, curves = run_of(np.expm1(x), true + 0.2 * random.standard_normal(60))
        low, high = np.quantile(curves.draws, [0.05, 0.95], axis=0)
        inside.append(((low <= true) & (true <= high)).mean())
    assert np.mean(inside) == pytest.approx(0.9, abs=4 * np.std(inside) / np.sqrt(40)) and np.std(inside) < 0.2


def test_nothing_is_drawn_between_checkpoints() -> None:
    _, curves = run_of(SIXTY, sigmoid(np.log1p(SIXTY), 4.2))
    np.testing.assert_array_equal(curves.x, np.log1p(SIXTY))
    assert curves.draws.shape == (200, len(SIXTY))


def test_many_checkpoints_are_as_well_known_as_few_of_them_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel of many is that of some: the curve still follows all."""
    random = np.random.default_rng(6)
    steps = np.arange(100, 50_001, 100.0)
    true = sigmoid(np.log1p(steps), 9, 0.2)
    _, curves = run_of(steps, true + 0.05 * random.standard_normal(500))
    assert np.sqrt(np.mean((curves.mean - true) ** 2)) < 0.05 / 3
    assert curves.noise == pytest.approx(0.05, rel=0.2)


def test_a_constant_series_is_constant() -> None:
    _, curves = run_of(OCTAVES, np.full(len(OCTAVES), 2.5))
    assert curves.draws.min() == curves.draws.max() == 2.5 and curves.noise == 0


def test_a_curve_needs_five_increasing_steps() -> None:
    for x in (np.arange(4.0), np.array([0, 1, 2, 2, 5, 9.0])):
        with pytest.raises(ValueError, match="at least 5 increasing steps"):
            smooth(x, x**2, np.ones(len(x)), 3, draws=50, random=np.random.default_rng(0))
