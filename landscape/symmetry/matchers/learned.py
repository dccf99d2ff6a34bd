"""Matching by the loss itself: the element for which the middle of the line between two points is low.

Each group has a table of scores, like the products that weights are matched by, and the element is the nearest one to
these. Steps go down the gradient of the loss at ``t`` near 1/2, taken with respect to the change as if it were any
matrix and added to the scores (straight-through; Ainsworth et al. 2023 for permutations, Theus et al. 2025 for
rotations with another projection). The element is kept that is best on examples that no step is taken on, the start
among them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch

from landscape.objectives import Objective
from landscape.points import gradients
from landscape.points.evaluate import losses
from landscape.space import Space
from landscape.symmetry.group.element import Change, Element, apply, still
from landscape.symmetry.group.table import Params, Table
from landscape.symmetry.matchers import quadratic, weights
from landscape.symmetry.matchers.nearest import Products, nearest, scores_of

NEAR = 0.1
"""Farthest t from 1/2."""
HELD_OUT = 0.25
"""Share of the examples that elements are compared on."""
LOOK_EVERY = 10
TURN = 0.01
"""Rate of what turns, over that of what is only reordered: an order must be overthrown, a rotation only bent."""
SLOW, SLOWER = 0.9, 0.99
"""Memory of the mean gradient and of its size."""


@dataclass(frozen=True)
class Recipe:
    """How scores are learned.

    Attributes:
        steps: Steps.
        batch: Examples of a step.
        rate: Step of the scores, whose root mean square is 1 in the beginning.
    """

    steps: int = 200
    batch: int = 16
    rate: float = 0.3


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        element: The best.
        before: Loss in the middle on held-out examples, at the start.
        after: The same at the end; never larger.
    """

    element: Element
    before: float
    after: float


def match(
    table: Table,
    objective: Objective,
    others: Sequence[Params],
    b: Params,
    start: Element,
    recipe: Recipe,
    random: torch.Generator,
    *,
    only: Collection[str] | None = None,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Learned:
    """Learn the element from a start, all points in canonical form.

    Args:
        table: The architecture.
        objective: Model and the batches to learn on.
        others: Points on the lines to which the loss is to be low; each step is on one of them.
        b: Named parameters to be changed.
        start: Such as what the weights give.
        recipe: How.
        random: Of batches and places.
        only: Groups that may change; None is all.
        report: Called with each step and its loss.
    """
    space, names = objective.space, [name for name in table.groups if only is None or name in only]
    element: dict[str, Change] = {name: start.get(name, still(table.groups[name])) for name in names}
    scores = {name: _scores(table, others[0], b, element, name) for name in names}
    mean: dict[str, Products] = {}
    size: dict[str, float] = {}
    held = max(1, int(HELD_OUT * objective.examples))
    learning = torch.arange(objective.examples - held)
    judged = objective.take(torch.arange(objective.examples - held, objective.examples))
    before = least = middle(judged, space, others, apply(table, b, element))
    best = dict(element)
    for step in range(recipe.steps):
        t = 0.5 + NEAR * (2 * float(torch.rand((), generator=random)) - 1)
        a, there = others[step % len(others)], apply(table, b, element)
        point = space.vector({name: (1 - t) * a[name] + t * there[name] for name in a})
        some = learning[torch.randint(len(learning), (recipe.batch,), generator=random)]
        loss, slope = gradients.slope(objective, point, some)
        down = space.params(-slope)
        for name in names:
            found = _slope(table, down, b, element, name)
            mean[name] = found if name not in mean else mean[name].scaled(SLOW).plus(found, 1 - SLOW)
            size[name] = max(SLOWER * size.get(name, 0.0) + (1 - SLOWER) * found.square(), 1e-300)
            root = (size[name] / (1 - SLOWER ** (step + 1))) ** 0.5
            rate = recipe.rate * (TURN if scores[name].turns else 1.0)
            scores[name] = scores[name].plus(mean[name], rate / root)
        element = {name: nearest(table.groups[name], scores[name])[0] for name in names}
        report(step, loss)
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == recipe.steps:
            here = middle(judged, space, others, apply(table, b, element))
            if here < least:
                best, least = dict(element), here
    return Learned(best, before, least)


def middle(objective: Objective, space: Space, others: Sequence[Params], b: Params) -> float:
    """Mean loss half-way between a point and others."""
    ends = torch.stack([space.vector(b), *(space.vector(a) for a in others)])
    half = torch.eye(len(others), dtype=torch.float64) / 2
    return float(losses(objective, ends, torch.cat([torch.full((len(others), 1), 0.5), half], dim=1)).mean())


def _scores(table: Table, a: Params, b: Params, element: Element, name: str) -> Products:
    """Products of the weights, of root mean square 1, and the change itself, so that it is the nearest."""
    linear = _slope(table, a, b, element, name)
    own = scores_of(table.groups[name], linear, element[name])
    return own.plus(linear, 1 / max(linear.square() ** 0.5, 1e-300))


def _slope(table: Table, a: Params, b: Params, element: Element, name: str) -> Products:
    """Products with ``a``, where a group moves both axes by the product rule."""
    linear, pairs = weights.products(table, a, b, element, name)
    if not pairs:
        return linear
    total = torch.zeros_like(pairs[0][0]) if linear.plain is None else linear.plain
    return Products(plain=quadratic.slope(total, pairs, torch.eye(len(total), dtype=total.dtype)[element[name].order]))
