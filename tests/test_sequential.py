"""The numbers of examples at the looks, and critical values that hold at every look."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.profile import sequential


@pytest.mark.parametrize("looks", [(64, 96, 144, 216), (64, 3000), (50, 51, 400)])
def test_the_critical_value_is_that_of_all_looks(looks: tuple[int, ...]) -> None:
    random, repeats = np.random.default_rng(1), 50_000
    total, highest, before = np.zeros(repeats), np.full(repeats, -np.inf), 0
    for count in looks:
        total += random.normal(size=repeats) * np.sqrt(count - before)
        highest, before = np.maximum(highest, total / np.sqrt(count)), count
    crossed = (highest > sequential.critical(looks)).mean()
    assert crossed == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / repeats) ** 0.5)
    assert sequential.critical((70,)) == pytest.approx(1.95996, abs=1e-4)
    assert sequential.widening(looks) == pytest.approx(sequential.critical(looks) / 1.95996, rel=1e-5)


def test_looks_grow_to_all_examples() -> None:
    assert sequential.looks(20) == (20,) and sequential.looks(32) == (32,)
    for examples in (33, 34, 49, 73, 109, 547, 1000, 12_345):
        looks = sequential.looks(examples)
        assert looks[-1] == examples and (np.diff(looks) > 1).all() and looks[0] <= 33


def test_what_wants_more_examples_is_what_the_maximum_depends_on() -> None:
    """Places 1 and 2 may lie too far above what is certain at place 3; there, times with more than an even share."""
    low, high = np.array([0.0, 0.3, 0.2, 0.5, 0.1]), np.array([0.4, 0.9, 0.8, 0.65, 0.69])
    shares = np.array([[9.0, 0, 0, 0, 0], [0, 5, 4, 1, 0], [1, 1, 1, 6, 1], [0, 0, 1, 1, 8], [0, 0, 9, 0, 0]])
    assert sequential.wanting(low, high, shares, 0.1).tolist() == [1, 2, 3, 4]
    assert sequential.wanting(low, high, shares, 0.16).tolist() == [1, 2, 4]
    assert sequential.wanting(low, high, shares, 0.3).tolist() == [4], "what is certain is known as well as wanted"
