"""Alignment by the loss: gradients against autograd, and the promise never to be worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import build, digits, point, some
from torch import Tensor

from landscape.objectives import Objective
from landscape.points import gradients
from landscape.symmetry import align
from landscape.symmetry.group import canonical
from landscape.symmetry.group.element import Change, Element, apply, draw
from landscape.symmetry.group.table import Group, Params, Table
from landscape.symmetry.search import descent, straight_through
from landscape.symmetry.search.nearest import Products
from landscape.symmetry.search.straight_through import LearnedSettings
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import table_of


@pytest.mark.slow
def test_what_is_learned_lowers_the_middle_and_is_never_worse_on_held_out_examples() -> None:
    one, two = digits(0), digits(1)
    table = table_of(one.model)
    a, b = (canonical.canonical(table, o.space.params(point(o)))[0] for o in (one, two))
    good = descent.align(table, a, b, some(1)).element
    found = straight_through.learn(table, one, [a], b, good, LearnedSettings(steps=150, batch=64, rate=1.0), some(1))
    raw = straight_through.middle(one.take(torch.arange(300, 400)), one.space, [a], b)
    assert found.after < 0.8 * found.before < raw
    wild = straight_through.learn(table, one, [a], b, good, LearnedSettings(steps=5, rate=50.0), some(1))
    assert wild.after <= wild.before == pytest.approx(found.before)
    naive = {n: (a[n] + apply(table, b, found.element)[n]) / 2 for n in a}
    with torch.no_grad():
        logits = torch.func.functional_call(one.model, naive, (one.batch["inputs"][300:],))
    loss = torch.nn.functional.cross_entropy(logits, one.batch["labels"][300:])
    assert found.after == pytest.approx(float(loss), abs=1e-5)
    third = descent.align(table, a, canonical.canonical(table, one.space.params(point(digits(2))))[0], some(1))
    both = [a, apply(table, canonical.canonical(table, one.space.params(point(digits(2))))[0], third.element)]
    halves = [straight_through.middle(one, one.space, [other], b) for other in both]
    assert straight_through.middle(one, one.space, both, b) == pytest.approx(sum(halves) / 2, abs=1e-6)


def products_by_hand(a: Params, b: Params, orders: dict[str, Tensor]) -> dict[str, Tensor]:
    """Products of the units of a perceptron of three layers, with the other layer's units in an order."""
    one, two = orders["0"], orders["2"]
    return {
        "0": a["0.weight"] @ b["0.weight"].T + a["0.bias"][:, None] * b["0.bias"]
        + a["2.weight"].T @ b["2.weight"][two],
        "2": a["2.weight"] @ b["2.weight"][:, one].T + a["2.bias"][:, None] * b["2.bias"]
        + a["4.weight"].T @ b["4.weight"],
    }  # fmt: skip


@pytest.mark.parametrize(("name", "turn"), [("mlp gelu", 1.0), ("mlp relu", 0.01)])
def test_scores_are_learned_by_the_definition(name: str, turn: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam with one size for each group, written by hand, on the recorded gradients; and where they were."""
    one, recipe = build(name), LearnedSettings(steps=12, batch=6, rate=0.7)
    table = table_of(one.model)
    others, b = ([canonical.canonical(table, o.space.params(point(o)))[0] for o in builds]
                 for builds in ([one, build(name, 1)], [build(name, 2)]))  # fmt: skip
    asked, seen, looks = list[tuple[Tensor, Tensor, Tensor]](), list[tuple[str, Tensor, Change]](), list[float]()
    value_and_grad, pick, middle = gradients.value_and_grad, straight_through.nearest, straight_through.middle

    def recorded(objective: Objective, at: Tensor, some: Tensor) -> tuple[float, Tensor]:
        loss, found = value_and_grad(objective, at, some)
        asked.append((at, some, found))
        return loss, found

    def picked(group: Group, scores: Products) -> tuple[Change, float]:
        found = pick(group, scores)
        seen.append((group.name, scores.parts["unit"][..., 0, 0] if scores.plain is None else scores.plain, found[0]))
        return found

    def looked(*words: Any) -> float:
        looks.append(middle(*words))
        return looks[-1]

    monkeypatch.setattr(gradients, "value_and_grad", recorded)
    monkeypatch.setattr(straight_through, "nearest", picked)
    monkeypatch.setattr(straight_through, "middle", looked)
    start = draw(table, some(4), stretch=False)
    found = straight_through.learn(table, one, others, b[0], start, recipe, some(5))
    orders = {group: change.order for group, change in start.items()}
    first = products_by_hand(others[0], b[0], orders)
    scores = {g: torch.eye(len(p))[orders[g]] + p / p.square().mean().sqrt() for g, p in first.items()}
    mean, size, times = dict[str, Tensor](), dict.fromkeys(scores, 0.0), list[float]()
    for step, (at, chosen, up) in enumerate(asked):
        a, there = others[step % 2], apply(table, b[0], {g: replace(start[g], order=orders[g]) for g in scores})
        line = one.space.vector(there) - one.space.vector(a)
        times.append(float((at - one.space.vector(a)) @ line / (line @ line)))
        torch.testing.assert_close(at, one.space.vector(a) + times[-1] * line)
        assert int(chosen.max()) < 30 and len(chosen) == 6  # the last quarter is held out
        products_now = products_by_hand(one.space.params(-up), b[0], orders)
        for group, now in products_now.items():
            mean[group] = 0.9 * mean[group] + 0.1 * now if step else now
            size[group] = 0.99 * size[group] + 0.01 * float(now.square().mean())
            root = (size[group] / (1 - 0.99 ** (step + 1))) ** 0.5
            scores[group] = scores[group] + 0.7 * turn * mean[group] / root
        for group, used, change in seen[2 * step : 2 * step + 2]:
            torch.testing.assert_close(used, scores[group], rtol=1e-4, atol=1e-4)
            orders[group] = change.order
    assert len(asked) == 12 and 0.4 <= min(times) < 0.48 and 0.52 < max(times) <= 0.6
    assert len(looks) == 3 and found.before == looks[0] and found.after == min(looks)


def test_the_best_element_is_kept_and_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 10, 20 and 25 steps; the loss in the middle is given."""
    one = build("mlp gelu")
    table = table_of(one.model)
    a, b = (o.space.params(point(o)) for o in (one, build("mlp gelu", 1)))
    tried, values = list[Params](), iter([3.0, 2.5, 2.0, 2.7])

    def looked(objective: Objective, space: object, others: object, there: Params) -> float:
        tried.append(there)
        return next(values)

    monkeypatch.setattr(straight_through, "middle", looked)
    found = straight_through.learn(table, one, [a], b, {}, LearnedSettings(steps=25, batch=4, rate=5.0), some(1))
    assert (found.before, found.after, len(tried)) == (3.0, 2.0, 4)
    assert all(torch.equal(value, tried[2][n]) for n, value in apply(table, b, found.element).items())
    assert any(not torch.equal(tried[3][n], tried[2][n]) for n in b)  # or there is nothing to choose


def test_the_middle_is_the_mean_over_the_lines_to_others() -> None:
    one = build("mlp tanh")
    b, *others = (o.space.params(point(o)) for o in (one, build("mlp tanh", 1), build("mlp tanh", 2)))
    losses = []
    for a in others:
        half = {n: (a[n] + b[n]) / 2 for n in a}
        logits = torch.func.functional_call(one.model, half, (one.batch["inputs"],))
        losses.append(float(torch.nn.functional.cross_entropy(logits, one.batch["labels"])))
    assert abs(losses[0] - losses[1]) > 1e-3
    assert straight_through.middle(one, one.space, others, b) == pytest.approx(sum(losses) / 2, rel=1e-6)


def test_each_is_learned_on_the_lines_to_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the first and up to three more, as they were moved."""
    objectives = [build("mlp gelu", seed) for seed in range(6)]
    table, calls = table_of(objectives[0].model), list[tuple[list[Params], Params, Element]]()

    def told(
        table: Table, objective: Objective, others: list[Params], b: Params, start: Element, *_: Any, **__: Any
    ) -> straight_through.Learned:
        element = draw(table, some(len(calls)), stretch=False)
        calls.append((list(others), b, element))
        return straight_through.Learned(element, 1.0, 1.0)

    monkeypatch.setattr(straight_through, "learn", told)
    loads = [lambda o=o: point(o) for o in objectives]
    align.align(table, loads, "learned", AlignSettings(starts=1), objectives[0], objectives[0])
    assert [len(others) for others, _, _ in calls] == [1, 2, 3, 4, 4]
    for n, (_, b, element) in enumerate(calls[:3]):
        there = apply(table, b, element)
        assert all(torch.equal(calls[-1][0][n + 1][key], value) for key, value in there.items())


def test_the_gradient_with_respect_to_an_order_is_that_of_autograd() -> None:
    """Gradients of the loss in weights become gradients in the change, also where a group moves both axes."""
    objective = build("bert")
    table = table_of(objective.model)
    b = objective.space.params(point(objective).double())
    down = {n: torch.randn(v.shape, generator=some(1), dtype=torch.float64) for n, v in b.items()}
    element = draw(table, some(2), stretch=False)
    found = straight_through._products(table, down, b, element, "stream")
    p = torch.eye(12, dtype=torch.float64)[element["stream"].order].requires_grad_()
    rest = {n: c for n, c in element.items() if n != "stream"}
    moved = apply(table, b, rest)
    total = torch.zeros((), dtype=torch.float64)
    for piece in table.pieces:
        value = moved[piece.parameter]
        for dim, axis in enumerate(piece.axes):
            if axis and axis.group == "stream":
                value = torch.einsum("ij,j...->i...", p, value.movedim(dim, 0)).movedim(0, dim)
        total = total + (down[piece.parameter] * value).sum()
    total.backward()
    assert found.plain is not None
    torch.testing.assert_close(found.plain, p.grad)
