"""The contract of a definition of a barrier; a new line in ``catalogue.DEFINITIONS`` joins by itself."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from numpy.testing import assert_allclose

from landscape.catalogue import DEFINITIONS
from landscape.profile import barrier
from landscape.profile.definitions import MAX_COARSE
from landscape.profile.paired import components

T = np.array([0.0, 0.13, 0.4, 0.5, 0.71, 1.0])
WEIGHTS = barrier.resamples(40, 200, seed=5)
MEAN = 2 + np.sin(7 * T) - T
definitions = pytest.mark.parametrize("definition", DEFINITIONS)


def around(mean: np.ndarray, seed: int = 3) -> np.ndarray:
    """Examples around a mean profile."""
    return mean[:, None] + 0.3 * cases.examples(seed, len(mean), 40)


def plugin(definition: str, mean: np.ndarray, t: np.ndarray = T) -> float:
    """The barrier of a profile without noise."""
    return barrier.estimate(components(t, np.tile(mean[:, None], 40)), definition, weights=WEIGHTS).plugin


@definitions
def test_a_definition_has_the_names_of_its_siblings(definition: str) -> None:
    module = barrier.load(definition)
    assert isinstance(module.SIGNED, bool) and isinstance(module.COARSE, bool)
    assert bool(module.NEEDS) == any(not module.available(np.linspace(0, 1, points)) for points in (4, 99))
    assert type(module.available(T)) is bool and module.available(T), "on a small grid with t = 1/2"
    assert barrier.load(definition) is module


@definitions
def test_a_flat_profile_has_no_barrier(definition: str) -> None:
    losses = np.tile(cases.examples(2, 40) + 3.3, (len(T), 1))
    found = barrier.estimate(components(T, losses), definition, weights=WEIGHTS)
    assert (found.definition, found.value, found.low, found.high) == (definition, 0, 0, 0)


@definitions
def test_contrasts_sum_to_zero_and_each_has_its_t(definition: str) -> None:
    contrasts, t = barrier.contrasts(definition, T)
    assert contrasts.ndim == 3 and contrasts.shape[::2] == (len(t), len(T))
    assert_allclose(contrasts.sum(axis=-1), 0, rtol=0, atol=1e-14)
    assert ((t >= 0) & (t <= 1) | np.isnan(t)).all()


@definitions
@pytest.mark.parametrize("constant", [-3.7, 0.4, 12.0])
def test_adding_a_constant_changes_nothing(definition: str, constant: float) -> None:
    losses = around(MEAN)
    one, two = (barrier.estimate(components(T, x), definition, weights=WEIGHTS) for x in (losses, losses + constant))
    assert_allclose([two.value, two.low, two.high], [one.value, one.low, one.high], rtol=0, atol=1e-10)


@definitions
def test_a_factor_on_the_losses_is_one_on_the_barrier(definition: str) -> None:
    assert plugin(definition, 2.5 * MEAN) == pytest.approx(2.5 * plugin(definition, MEAN), abs=1e-12)


@definitions
def test_a_hill_is_a_barrier_and_a_valley_is_none_unless_signed(definition: str) -> None:
    hill = 4 * T * (1 - T)
    assert plugin(definition, hill) > 0.5
    below = plugin(definition, -hill)
    assert below < -0.5 if barrier.load(definition).SIGNED else below == pytest.approx(0, abs=1e-12)


@definitions
def test_it_is_the_largest_of_the_smallest_contrasts_by_a_loop(definition: str) -> None:
    losses = around(MEAN)
    mean = losses.mean(axis=1)
    contrasts, _ = barrier.contrasts(definition, T)
    largest = -np.inf
    for alternatives in contrasts:
        smallest = np.inf
        for contrast in alternatives:
            smallest = min(smallest, sum(weight * value for weight, value in zip(contrast, mean, strict=True)))
        largest = max(largest, smallest)
    found = barrier.estimate(components(T, losses), definition, weights=WEIGHTS)
    assert found.plugin == pytest.approx(largest, abs=1e-12)
    assert found.low <= found.value <= found.high


@definitions
def test_a_coarse_definition_is_available_on_the_coarse_grid(definition: str) -> None:
    coarse, finer = np.linspace(0, 1, MAX_COARSE), np.linspace(0, 1, 2 * MAX_COARSE - 1)
    assert definition in barrier.available(coarse)
    assert (definition in barrier.available(finer)) != barrier.load(definition).COARSE


def test_an_unknown_definition_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="no definition of a barrier is called 'cord'; did you mean chord"):
        barrier.estimate(components(T, around(MEAN)), "cord", weights=WEIGHTS)
