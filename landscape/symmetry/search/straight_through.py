"""Alignment by the loss itself: the element for which the loss is low at the midpoint between two points.

Each group has a table of scores, like the inner products of weights, and the element is the one nearest to the scores.
Steps follow the negative gradient of the loss at t near 1/2. The gradient is taken with respect to the change as if it
were any matrix, and added to the scores (straight-through; Ainsworth et al. 2023 for permutations, Theus et al. 2025
for rotations with another projection). The element with the lowest loss on held-out examples is kept, and the start is
one of the candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from landscape.objectives import Objective
from landscape.points import gradients
from landscape.points.evaluate import losses
from landscape.space import Space
from landscape.symmetry.group.element import Change, Element, apply, still
from landscape.symmetry.group.table import Params, Table
from landscape.symmetry.search import descent, quadratic
from landscape.symmetry.search.nearest import Products, nearest, scores_of

NEAR = 0.1
"""Largest distance of t from 1/2."""
HELD_OUT = 0.25
"""Share of the examples that is held out, to compare elements on."""
LOOK_EVERY = 10
"""Steps from one comparison to the next."""
ROTATION = 0.01
"""Rate of rotations relative to that of permutations: scores must change more to change an order."""
SLOW, SLOWER = 0.9, 0.99
"""Decay rates of the running mean gradient and of its mean square."""


@dataclass(frozen=True)
class LearnedSettings:
    """How scores are learned.

    Attributes:
        steps: Number of steps.
        batch: Examples per step.
        rate: Step size of the scores, whose root mean square is 1 at the start.
    """

    steps: int = 200
    batch: int = 16
    rate: float = 0.3


@dataclass(frozen=True)
class Learned:
    """The best element, and its loss.

    Attributes:
        element: The best element.
        before: Loss at the midpoint on held-out examples for the start, in the units of the objective.
        after: The same for the best element; never larger.
    """

    element: Element
    before: float
    after: float


def learn(
    table: Table,
    objective: Objective,
    others: Sequence[Params],
    b: Params,
    start: Element,
    settings: LearnedSettings,
    random: torch.Generator,
    *,
    only: Collection[str] | None = None,
) -> Learned:
    """Learn the element from a start, all points in canonical form.

    Args:
        table: The architecture.
        objective: Model and the batches to learn on.
        others: Points on the lines to which the loss should be low; each step uses one of them.
        b: Named parameters to be changed.
        start: Element to start from, such as that of the weights.
        settings: How scores are learned.
        random: Source of randomness, for batches and t.
        only: Groups that may change; None is all.
    """
    space, names = objective.space, [name for name in table.groups if only is None or name in only]
    element: dict[str, Change] = {name: start.get(name, still(table.groups[name])) for name in names}
    scores = {name: _scores(table, others[0], b, element, name) for name in names}
    momenta = {name: _Moments() for name in names}
    held = max(1, int(HELD_OUT * objective.examples))
    learning = torch.arange(objective.examples - held)
    held_out = objective.take(torch.arange(objective.examples - held, objective.examples))
    before = lowest = middle(held_out, space, others, apply(table, b, element))
    best = dict(element)
    for step in range(settings.steps):
        t = 0.5 + NEAR * (2 * float(torch.rand((), generator=random)) - 1)
        a, there = others[step % len(others)], apply(table, b, element)
        point = space.vector({name: (1 - t) * a[name] + t * there[name] for name in a})
        some = learning[torch.randint(len(learning), (settings.batch,), generator=random)]
        _, gradient = gradients.value_and_grad(objective, point, some)
        down = space.params(-gradient)
        for name in names:
            moved = momenta[name].step(_products(table, down, b, element, name), step)
            rate = settings.rate * (ROTATION if scores[name].rotates else 1.0)
            scores[name] = scores[name].plus(moved[0], rate / moved[1])
        element = {name: nearest(table.groups[name], scores[name])[0] for name in names}
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == settings.steps:
            here = middle(held_out, space, others, apply(table, b, element))
            if here < lowest:
                best, lowest = dict(element), here
    return Learned(best, before, lowest)


@dataclass
class _Moments:
    """Running mean of the gradient of a group's scores, and of its mean square."""

    mean: Products | None = None
    size: float = 0.0

    def step(self, found: Products, step: int) -> tuple[Products, float]:
        """The mean after one more gradient, and its root mean square without the bias of the start."""
        self.mean = found if self.mean is None else self.mean.scaled(SLOW).plus(found, 1 - SLOW)
        self.size = max(SLOWER * self.size + (1 - SLOWER) * found.square(), 1e-300)
        return self.mean, (self.size / (1 - SLOWER ** (step + 1))) ** 0.5


def middle(objective: Objective, space: Space, others: Sequence[Params], b: Params) -> float:
    """Mean loss at the midpoints between a point and others, in the units of the objective.

    Args:
        objective: Model and batches.
        space: Its coordinates.
        others: Named parameters of the other points.
        b: Named parameters of the point.
    """
    ends = torch.stack([space.vector(b), *(space.vector(a) for a in others)])
    half = torch.eye(len(others), dtype=torch.float64) / 2
    return float(losses(objective, ends, torch.cat([torch.full((len(others), 1), 0.5), half], dim=1)).mean())


def _scores(table: Table, a: Params, b: Params, element: Element, name: str) -> Products:
    """First scores: products of the weights, scaled to root mean square 1, plus the change, which is then nearest."""
    linear = _products(table, a, b, element, name)
    own = scores_of(table.groups[name], linear, element[name])
    return own.plus(linear, 1 / max(linear.square() ** 0.5, 1e-300))


def _products(table: Table, a: Params, b: Params, element: Element, name: str) -> Products:
    """Products with ``a``; where a group moves both axes, by the product rule."""
    linear, pairs = descent.products(table, a, b, element, name)
    if not pairs:
        return linear
    total = torch.zeros_like(pairs[0][0]) if linear.plain is None else linear.plain
    return Products(
        plain=quadratic.gradient(total, pairs, torch.eye(len(total), dtype=total.dtype)[element[name].order])
    )
