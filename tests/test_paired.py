"""Means along a path and their errors, with some t evaluated on few examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from landscape.profile import paired


def test_metrics_known_on_few_examples_are_means_of_differences() -> None:
    values = np.array([[1.0, 2, 3, 4], [np.nan, 5, np.nan, 8], [2, 2, 2, 6], [1, np.nan, np.nan, np.nan]])
    assert paired.means_by_differences(values).tolist() == [2.5, 2.5 + ((5 - 2) + (8 - 4)) / 2, 3.0, 3.0 + (1 - 2)]


def test_a_rise_known_on_few_examples_borrows_from_its_neighbour() -> None:
    """Its error is that of the rest, and its mean is unbiased; known on all examples, nothing changes."""
    t, errors, means = np.array([0, 0.4, 0.5, 1]), [], []
    for seed in range(120):
        random = np.random.default_rng(seed)
        common, own = random.normal(size=1000), random.normal(size=1000)
        losses = np.stack([0 * common, 0.3 + 0.8 * common + 0.2 * own, 0.5 + common, 0 * common])
        full = paired.band(paired.components(t, losses))
        losses[1, 64:] = np.nan
        found = paired.band(paired.components(t, losses))
        errors.append(found.rise_error[1])
        means.append(found.rise[1])
        assert full.rise[1] == pytest.approx(0.3 + 0.8 * common.mean() + 0.2 * own.mean(), abs=1e-12)
    expected = (0.2**2 / 64 + 0.8**2 / 1000) ** 0.5
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert np.std(means) == pytest.approx(expected, rel=4 / 240**0.5)
    assert np.mean(means) == pytest.approx(0.3, abs=4 * expected / 120**0.5)


@pytest.mark.parametrize(("few", "others"), [(16, 3), (40, 5)])
def test_the_error_of_a_regression_on_few_examples_counts_its_coefficients(few: int, others: int) -> None:
    """Against the scatter of the estimate, which is ``S / n (n - 2) / (n - 2 - p)`` beside that of the others."""
    random, repeats, t = np.random.default_rng(few), 500, np.linspace(0, 1, others + 3)
    middle = 1 + others // 2
    best = [k for k in range(1, others + 2) if k != middle]
    errors, off = [], []
    for _ in range(repeats):
        losses = random.normal(size=(len(t), 400))
        losses[0] = 0
        of_others = losses[best].sum(axis=0)
        losses[middle] = of_others + t[middle] * losses[-1] + 0.5 * losses[middle]
        losses[middle, few:] = np.nan
        found = paired.band(paired.components(t, losses))
        errors.append(found.rise_error[middle] ** 2 - of_others.var(ddof=1) / 400)
        off.append((found.rise[middle] - of_others.mean()) ** 2)
    expected, error = 0.25 / few * (few - 2) / (few - 3 - others), np.std(off) / repeats**0.5
    assert np.mean(off) == pytest.approx(expected, abs=4 * error) and error < 0.1 * expected
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)


def test_it_borrows_from_the_nearest_of_those_known_best() -> None:
    """What lies farther off has nothing to do with it."""
    random = np.random.default_rng(2)
    far, near, own = random.normal(size=(3, 4000))
    t = np.array([0, 0.1, 0.5, 0.6, 1])
    losses = np.stack([0 * near, far, 0.8 * near + 0.2 * own, near, 0 * near])
    losses[2, 400:] = np.nan
    t = np.insert(t, 2, 0.2)
    losses = np.insert(losses, 2, np.nan, axis=0)
    losses[2, :400] = far[:400]
    found = paired.band(paired.components(t, losses))
    assert found.rise_error[3] == pytest.approx((0.2**2 / 400 + 0.8**2 / 4000) ** 0.5, rel=0.15)
    assert found.rise_error[2] == pytest.approx(4000**-0.5, rel=0.15)


def test_influences_add_up_over_profiles_on_the_same_examples() -> None:
    """The error of a mean of two maxima, by the sum of their rises example by example; some are known on few."""
    random = np.random.default_rng(4)
    level, own = random.normal(size=1000), random.normal(size=(2, 1000))
    t = np.array([0, 0.5, 1])
    both = [np.stack([0 * level, 1 + 0.8 * level + 0.3 * one, 0 * level]) for one in own]
    found = np.mean([paired.influences(1, paired.components(t, losses)) for losses in both], axis=0)
    assert (found**2).sum() ** 0.5 == pytest.approx(stats.sem((both[0][1] + both[1][1]) / 2), rel=2e-3)
    both[1][1, 300:] = np.nan
    alone = paired.influences(1, paired.components(t, both[1]))
    assert (alone**2).sum() ** 0.5 == pytest.approx(paired.band(paired.components(t, both[1])).rise_error[1], rel=5e-3)
    assert (alone[300:] == 0).all()


def test_the_error_of_a_loss_known_on_few_examples_is_that_of_two_means() -> None:
    """The mean over all of the chord and of what the ends say of the rise, and the mean over few of the rest."""
    level, own = np.random.default_rng(3).normal(size=(2, 1000))
    losses = np.stack([level, 0.5 + 1.5 * level + 0.3 * own, 0.8 * level - 0.2 * own])
    losses[1, 64:] = np.nan
    found = paired.band(paired.components(np.array([0, 0.5, 1]), losses))
    chord, difference = (losses[0] + losses[2]) / 2, losses[2] - losses[0]
    rise = (losses[1] - chord)[:64]
    slope = stats.linregress(difference[:64], rise).slope
    rest, everywhere = rise - slope * difference[:64], chord + slope * difference
    centred = (rest - rest.mean()) * (63 * 62 / (62 * 61)) ** 0.5  # for the slope, which is estimated
    together = (centred * (everywhere - everywhere.mean())[:64]).sum() / 63
    variance = (centred**2).sum() / 63 / 64 + everywhere.var(ddof=1) / 1000 + 2 * together * 64 / (64 * 1000)
    assert found.loss[1] == pytest.approx(everywhere.mean() + rest.mean(), abs=1e-12)
    assert found.error[1] == pytest.approx(variance**0.5, rel=1e-9)


def test_what_few_examples_say_of_all_is_weighed_by_the_ends() -> None:
    """All rises are known on few examples, and are tied to the ends' difference: its mean on all is taken, unbiased."""
    t, errors, means, of_fewest = np.array([0, 0.3, 0.5, 1]), [], [], []
    for seed in range(200):
        gap, own, far = np.random.default_rng(seed).normal(size=(3, 1000))
        losses = np.stack([0 * gap, 0.3 + 0.5 * gap + 0.3 * far, 0.5 + 1.2 * gap + 0.1 * own + 0.2 * far, 1 + gap])
        losses[1:3, 24:] = losses[1, 20:] = np.nan
        found = paired.band(paired.components(t, losses))
        errors.append(found.rise_error[2])
        means.append(found.rise[2])
        of_fewest.append(found.rise[1])
    expected = ((0.1**2 + 0.2**2) / 24 * 22 / 21 + 0.7**2 / 1000) ** 0.5
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert np.std(means) == pytest.approx(expected, rel=4 / 400**0.5)
    assert np.mean(means) == pytest.approx(0, abs=4 * expected / 200**0.5)
    assert np.mean(of_fewest) == pytest.approx(0, abs=4 * np.std(of_fewest) / 200**0.5) and np.std(of_fewest) < 0.1


def test_nothing_is_regressed_on_rounding() -> None:
    """Ends that differ by one number for all examples, but for rounding: the mean of few is their mean."""
    level, own = np.random.default_rng(5).normal(size=(2, 800))
    losses = np.stack([2 + level, 2.5 + level + own, 3 + level])
    assert 0 < np.ptp(losses[2] - losses[0]) < 1e-14
    losses[1, 32:] = np.nan
    found = paired.band(paired.components(np.array([0, 0.5, 1]), losses))
    assert found.rise[1] == pytest.approx(own[:32].mean(), abs=1e-12)
    assert found.rise_error[1] == pytest.approx(stats.sem(own[:32]), rel=1e-9)
