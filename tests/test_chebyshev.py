"""Where a profile is evaluated, read and checked: against SciPy, closed forms and trained profiles."""

from __future__ import annotations

import numpy as np
import pytest
import trained
from numpy.testing import assert_allclose
from scipy.interpolate import BarycentricInterpolator
from simulated import Curve, bump

from landscape.profile import nodes


@pytest.mark.parametrize("pieces", [1, 3])
def test_points_are_chebyshev_points_on_each_piece(pieces: int) -> None:
    grid, at = nodes.grid(pieces), nodes.first(pieces)
    assert (np.diff(grid) > 0).all() and (grid[0], grid[-1]) == (0, 1) and len(grid) == pieces * nodes.STEPS + 1
    one = (1 - np.cos(np.pi * np.arange(9) / 8)) / 2
    assert_allclose(grid[at], np.unique([np.round((one + k) / pieces, 14) for k in range(pieces)]), atol=1e-13)


@pytest.mark.parametrize("pieces", [1, 3])
def test_the_interpolant_is_that_of_scipy_through_the_nearest_points(pieces: int) -> None:
    """Four on either side, or the first or last eight of the piece; or all, where there are fewer."""
    random = np.random.default_rng(pieces)
    for few in (False, True):
        some = random.choice(np.arange(1, nodes.STEPS), 4 if few else 20, replace=False)
        inner = [k * nodes.STEPS + np.sort(some) for k in range(pieces)]
        at = np.union1d(np.concatenate(inner), nodes.STEPS * np.arange(pieces + 1))
        t = nodes.grid(pieces)[at]
        times = np.sort(np.concatenate([[0, 1], random.uniform(0, 1, 60), t]))
        found = nodes.interpolant(at, pieces, times).matrix
        assert_allclose(found.sum(axis=1), 1, atol=1e-9)
        for row, time in zip(found, times, strict=True):
            piece = min(int(time * pieces), pieces - 1)
            own = np.flatnonzero((at >= piece * nodes.STEPS) & (at <= (piece + 1) * nodes.STEPS))
            left = int((t[own] <= time).sum()) - min(8, len(own)) // 2
            window = own[max(0, min(left, len(own) - 8)) :][:8]
            expected = np.zeros(len(t))
            expected[window] = BarycentricInterpolator(t[window], np.eye(len(window)), rng=0)(time)
            assert_allclose(row, expected, rtol=0, atol=1e-8 * max(1, np.abs(expected).max()))


def test_checks_lie_beside_the_maximum_and_where_two_degrees_differ_most() -> None:
    """A peak at 0.31 and a smaller, narrower one at 0.83: seven points cannot tell what lies on its flanks."""
    curve = lambda t: bump(0.31, 0.5, 1.0)(t) + bump(0.83, 0.06, 0.4)(t)  # noqa: E731
    at = nodes.first()
    t = nodes.grid()
    means = curve(t[at])
    checks = nodes.checks(at, means)
    between = (at[:-1] + at[1:]) // 2
    assert set(checks) <= set(between) and 2 <= len(checks) <= 4
    fine = np.linspace(0, 1, 5001)
    top = fine[(nodes.interpolant(at, 1, fine).matrix @ means).argmax()]
    assert set(between[np.argsort(np.abs(t[between] - top))[:2]]) <= set(checks)
    change = []
    for k, position in enumerate(between):
        cubic = np.arange(9)[max(0, min(k - 1, 5)) :][:4]
        septic = np.arange(9)[max(0, min(k - 3, 1)) :][:8]
        x = t[position]
        change.append(
            abs(np.subtract(*[BarycentricInterpolator(t[at[w]], means[w], rng=0)(x) for w in (cubic, septic)]))
        )
    assert set(between[np.argsort(change)[-2:]]) <= set(checks)


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_stated_error_is_that_at_the_checks_with_a_margin(pieces: int) -> None:
    curve = lambda t: bump(0.3, 0.1, 1.0)(t) + 0.2 * t  # noqa: E731
    t, at = nodes.grid(pieces), nodes.first(pieces)
    means = curve(t[at])
    checks = nodes.checks(at, means, pieces)
    read = nodes.interpolant(at, pieces, t[checks]).matrix @ means
    now = nodes.interpolant(at, pieces).matrix @ means
    k = int(now.argmax())
    expected = 2.4 * np.abs(read - curve(t[checks])).max() + abs(now[k - 1] - 2 * now[k] + now[k + 1]) / 8
    found = nodes.error(at, means, checks, curve(t[checks]), pieces)
    assert found == pytest.approx(expected, rel=1e-12) and 0 < k < len(now) - 1


def test_every_piece_is_checked_and_a_low_peak_on_another_piece_is_seen() -> None:
    """The maximum is on the first of three pieces, where the interpolant is exact; its error is on the last."""
    curve = lambda t: np.where(t < 1 / 3, 2 * t * (1 - 3 * t), bump(0.9, 0.02, 0.1)(t))  # noqa: E731
    t, at = nodes.grid(3), nodes.first(3)
    checks = nodes.checks(at, curve(t[at]), 3)
    assert np.bincount(checks // nodes.STEPS, minlength=3).min() >= nodes.CHECKS
    assert nodes.error(at, curve(t[at]), checks, curve(t[checks]), 3) > 0.02


def test_points_are_added_where_the_error_is_above_the_tolerance() -> None:
    """A narrow peak on one piece of two, the other a line: nothing is added there but what was checked."""
    curve = lambda t: bump(0.2, 0.02, 1.0)(t)  # noqa: E731
    t, at = nodes.grid(2), nodes.first(2)
    for _ in range(4):
        checks = nodes.checks(at, curve(t[at]), 2)
        given = at, curve(t[at]), checks, curve(t[checks])
        assert nodes.error(*given, 2) > 0.01
        more = nodes.refined(*given, 0.01, 2)
        assert set(checks) | set(at) <= set(more) and set(more) - set(at) <= set((at[:-1] + at[1:]) // 2)
        assert nodes.refined(*given, 1e9, 2).tolist() == np.union1d(at, checks).tolist()
        at = more
        if nodes.error(at, curve(t[at]), *seen(curve, at), 2) <= 0.01:
            break
    assert (at > nodes.STEPS).sum() < 24 < (at < nodes.STEPS).sum() + 8
    fine = np.linspace(0, 1, 3001)
    assert np.abs(nodes.interpolant(at, 2, fine).matrix @ curve(t[at]) - curve(fine)).max() < 0.01


def seen(curve: Curve, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    checks = nodes.checks(at, curve(nodes.grid(2)[at]), 2)
    return checks, curve(nodes.grid(2)[checks])


def test_there_is_nothing_finer_than_the_finest_grid() -> None:
    every = np.arange(0, nodes.STEPS + 1, nodes.FINEST)
    means = np.sin(70 * nodes.grid()[every])
    checks = nodes.checks(every, means)
    assert (checks % nodes.FINEST == 1).all()
    assert nodes.refined(every, means, checks, np.full(len(checks), 9.0), 0.0).tolist() == every.tolist()


def test_the_stated_error_is_calibrated_on_trained_profiles() -> None:
    """Pairs, curves, arcs, aligned pairs and chains of five architectures (``validation/trained.py``)."""
    found = [trained.stated(profile) for profile in trained.profiles()]
    stated, true, barrier_error, half = np.array(found).T
    between = (stated >= true) & (stated <= 3 * true)
    assert len(found) >= 200 and between.mean() >= 0.95
    assert (stated - true <= np.maximum(half, 0.002)).all(), (
        "above it by no more than the error of the data, or the tolerance"
    )
    assert (stated >= barrier_error).mean() >= 0.99
