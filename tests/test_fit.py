"""Learned paths against what is known about them."""

from __future__ import annotations

import math

import cases
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from landscape.catalogue import CURVES
from landscape.paths import fit
from landscape.paths import kind as load

SETTINGS = fit.FitSettings(bends=2, steps=50, batch=6, parts=3, rate=0.05)


def ring(point: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
    """A valley along the unit circle: loss ``(|w| - 1)^2``, whatever the examples."""
    radius = torch.linalg.vector_norm(point)
    return (radius - 1) ** 2, 2 * (radius - 1) * point / radius


def ends(angle: float) -> Tensor:
    """Two points of the circle, so far apart."""
    return torch.tensor(
        [[math.cos(angle / 2), math.sin(angle / 2)], [math.cos(angle / 2), -math.sin(angle / 2)]], dtype=torch.float64
    )


def losses(kind: str, anchors: Tensor) -> Tensor:
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    return (torch.linalg.vector_norm(load(kind).coefficients(t, list(anchors), ()) @ anchors, dim=1) - 1) ** 2


def best_bend(angle: float) -> tuple[float, float]:
    """Where on the axis of symmetry the bend of the best quadratic curve lies, and its mean loss, by search."""
    a, b = ends(angle)
    tried = torch.linspace(0, 4, 801, dtype=torch.float64)
    t = torch.linspace(0.0025, 0.9975, 200, dtype=torch.float64)
    w = load("bezier").coefficients(t, [a, a, b], ())
    points = w[:, :1, None] * a + w[:, 2:, None] * b
    bends = torch.stack([tried, torch.zeros_like(tried)], dim=1)
    mean = ((torch.linalg.vector_norm(points + w[:, 1:2, None] * bends, dim=2) - 1) ** 2).mean(dim=0)
    return float(tried[mean.argmin()]), float(mean.min())


@pytest.mark.parametrize("angle", [1.9, pytest.param(2.6, marks=pytest.mark.slow)])
def test_the_ring_shaped_valley_is_followed(angle: float) -> None:
    """The straight line has the barrier (1 - cos(angle / 2))^2; the best quadratic curve is found by search."""
    line = losses("linear", ends(angle))
    assert float(line.max()) == pytest.approx((1 - math.cos(angle / 2)) ** 2)
    settings = fit.FitSettings(steps=500, batch=4, parts=4, rate=0.04)
    found = fit.fit(ends(angle), ring, 4, settings, fit.start(ends(angle), 1), seed=1).inner
    bend, mean = best_bend(angle)
    assert found[0].tolist() == pytest.approx([bend, 0], abs=0.02)
    along = losses("bezier", torch.stack([ends(angle)[0], found[0], ends(angle)[1]]))
    assert float(along.mean()) == pytest.approx(mean, rel=0.05) and float(along.max()) < float(line.max()) / 10


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("bends", [1, 2])
def test_it_starts_as_the_straight_line(kind: str, bends: int) -> None:
    a, b = torch.randn(2, 7, generator=cases.generator(1), dtype=torch.float64)
    anchors = torch.cat([a[None], fit.start(torch.stack([a, b]), bends).inner, b[None]])
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert_close(
        load(kind).coefficients(t, list(anchors), ()) @ anchors, torch.lerp(a, b, t[:, None]), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("kind", CURVES)
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    """The first step of Adam is the sign of the gradient; here its size too, from the first moment."""
    curvature = torch.rand(5, generator=cases.generator(3), dtype=torch.float64) + 0.5

    def value(point: Tensor, batch: Tensor) -> Tensor:
        return (curvature * point**4).sum() * (1 + batch.double().mean())

    def value_and_grad(point: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        return value(point, batch), curvature * 4 * point**3 * (1 + batch.double().mean())

    two = torch.randn(2, 5, generator=cases.generator(4), dtype=torch.float64)
    settings = fit.FitSettings(kind=kind, bends=2, steps=9, batch=5, parts=3, rate=0.0, decay=0.3)  # type: ignore[arg-type]
    state = fit.start(two, 2)
    gradient = 10 * fit.fit(two, value_and_grad, 6, settings, state, seed=7, until=1).first
    t, batches = fit.draw(settings, 6, 7, 0)

    def total(inner: Tensor) -> float:
        anchors = torch.cat([two[:1], inner, two[1:]])
        points = load(kind).coefficients(t, list(anchors), ()) @ anchors
        each = [len(b) * (float(value(p, b)) + 0.15 * float(p @ p)) for p, b in zip(points, batches, strict=True)]
        return sum(each) / 5

    assert [len(batch) for batch in batches] == [2, 2, 1]
    for place in ((0, 1), (1, 3)):
        nudge = torch.zeros_like(state.inner)
        nudge[place] = 1e-6
        difference = (total(state.inner + nudge) - total(state.inner - nudge)) / 2e-6
        assert float(gradient[place]) == pytest.approx(difference, rel=1e-7)


def test_adam_is_that_of_torch() -> None:
    two = torch.randn(2, 4, generator=cases.generator(5), dtype=torch.float64)
    target = torch.randn(4, generator=cases.generator(6), dtype=torch.float64)

    def value_and_grad(point: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        return ((point - target) ** 2).sum(), 2 * (point - target)

    settings = fit.FitSettings(steps=20, batch=4, parts=1, rate=0.03)
    found = fit.fit(two, value_and_grad, 4, settings, fit.start(two, 1), seed=2).inner
    inner = fit.start(two, 1).inner.clone().requires_grad_()
    adam = torch.optim.Adam([inner], lr=1)
    for step in range(20):
        (row,) = load("bezier").coefficients(fit.draw(settings, 4, 2, step)[0], [two[0], inner[0], two[1]], ())
        adam.param_groups[0]["lr"] = settings.rate_at(step)
        adam.zero_grad()
        ((row @ torch.cat([two[:1], inner, two[1:]]) - target) ** 2).sum().backward()
        adam.step()
    assert_close(found, inner.detach(), rtol=0, atol=1e-12)


def test_a_fit_that_was_stopped_goes_on_as_if_it_had_not_been() -> None:
    whole = fit.fit(ends(2.0), ring, 20, SETTINGS, fit.start(ends(2.0), 2), seed=3)
    half = fit.fit(ends(2.0), ring, 20, SETTINGS, fit.start(ends(2.0), 2), seed=3, until=17)
    assert half.step == 17 and not torch.equal(half.inner, whole.inner)
    assert torch.equal(fit.fit(ends(2.0), ring, 20, SETTINGS, half, seed=3).inner, whole.inner)
    assert not torch.equal(fit.fit(ends(2.0), ring, 20, SETTINGS, fit.start(ends(2.0), 2), seed=4).inner, whole.inner)


def test_positions_are_stratified_and_examples_come_once_an_epoch() -> None:
    settings = fit.FitSettings(steps=9, batch=6, parts=3)
    seen: list[int] = []
    for step in range(4):
        t, batches = fit.draw(settings, 25, 1, step)
        assert (t * 3).floor().tolist() == [0, 1, 2]
        seen += torch.cat(batches).tolist()
    assert len(set(seen)) == 24 and set(seen) <= set(range(25))
    again = torch.cat(fit.draw(settings, 25, 1, 4)[1]).tolist()
    assert len(set(again)) == 6 and again != seen[:6]


def test_the_rate_is_constant_and_then_falls_to_a_hundredth() -> None:
    settings = fit.FitSettings(steps=100, rate=2.0)
    rates = [settings.rate_at(step) for step in (0, 49, 70, 90, 99)]
    assert rates == pytest.approx([2, 2, 1.01, 0.02, 0.02])


def test_the_control_is_as_far_as_the_other_end() -> None:
    two = torch.randn(2, 1000, generator=cases.generator(8), dtype=torch.float64)
    control = fit.controls(two, 5)
    assert torch.equal(control[0], two[0])
    apart = torch.linalg.vector_norm(control[1] - control[0])
    assert_close(apart, torch.linalg.vector_norm(two[1] - two[0]))
    cosine = torch.nn.functional.cosine_similarity(control[1] - control[0], two[1] - two[0], dim=0)
    assert abs(float(cosine)) < 4 / 1000**0.5
