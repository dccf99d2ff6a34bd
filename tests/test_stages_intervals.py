"""Intervals over few seeds, against closed forms and other people's."""

import numpy as np
import pytest
from scipy import stats

from landscape.stages.association import intervals


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(0).exponential(size=7)
    want = stats.t.interval(0.95, 6, values.mean(), values.std(ddof=1) / np.sqrt(7))
    assert intervals.of_mean(values) == pytest.approx(want)
    assert np.isnan(intervals.of_mean(values[:4])).all() and not np.isnan(intervals.of_mean(values[:5])).any()


def test_the_jackknife_of_a_ratio_is_that_of_its_definition() -> None:
    a, b = np.random.default_rng(1).uniform(1, 3, (2, 6))
    found = intervals.jackknife(lambda kept: float(a[kept].sum() / b[kept].sum()), 6)
    left = np.array([(a.sum() - a[i]) / (b.sum() - b[i]) for i in range(6)])
    error = np.sqrt(5 / 6 * ((left - left.mean()) ** 2).sum())
    assert found == pytest.approx((a.sum() / b.sum() + np.array([-1, 1]) * stats.t.ppf(0.975, 5) * error).tolist())


def test_correlations_have_fishers_interval() -> None:
    """Pearson's of SciPy is at n - 3; with one variable held fixed a seed less is left."""
    x, y = np.random.default_rng(2).standard_normal((2, 11))
    r = stats.pearsonr(x, y)
    low, high = r.confidence_interval(0.95)
    assert intervals.of_partial_correlation(float(r.statistic), 13, 2) == pytest.approx((low, high))
    assert np.isnan(intervals.of_partial_correlation(0.5, 7, 2)).all()
    rho, z = 0.6, np.arctanh(0.6)
    half = 1.959964 * np.sqrt(1.18 / 7)
    assert intervals.of_rank_correlation(rho, 10) == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=1e-6)
    assert np.isnan(intervals.of_rank_correlation(rho, 5)).all()
    low, high = intervals.of_rank_correlation(1.0, 6)  # the next lower correlation of six ranks is 33/35
    assert high == 1 and low == pytest.approx(np.tanh(np.arctanh(34 / 35) - 1.959964 * np.sqrt(1.5 / 3)), abs=1e-6)


@pytest.mark.parametrize("groups", [2, 3])
def test_the_interval_of_a_share_of_variance_holds_the_values_that_would_not_be_rejected(groups: int) -> None:
    """At its ends, the F that was seen is the 97.5 % and the 2.5 % quantile of the noncentral distribution."""
    share, left = 0.7, 9
    ratio = share / (groups - 1) / ((1 - share) / left)
    ends = np.array(intervals.of_share(share, groups, left))
    apart = ends / (1 - ends) * (left + groups)
    assert stats.ncf.cdf(ratio, groups - 1, left, apart) == pytest.approx([0.975, 0.025], abs=1e-6)
    assert intervals.of_share(0.0, groups, left)[0] == 0 and intervals.of_share(0.02, groups, left)[0] == 0
    assert np.isnan(intervals.of_share(1.0, groups, left)).all() and np.isnan(intervals.of_share(0.5, groups, 0)).all()
