"""Checkpoints into the coordinates of the first of them, by any method; each checked.

All of them go into one set of coordinates, so that a matrix of barriers is matched once a checkpoint and not once a
pair, and going from one to another and on to a third is the same as going there at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy
from landscape.shapes import Float
from landscape.symmetry.group.canonical import canonical, gains
from landscape.symmetry.group.element import Element, apply, compose, draw, inverse
from landscape.symmetry.group.move import STAY, Move, moved
from landscape.symmetry.group.table import Params, Table
from landscape.symmetry.matchers import activations, learned, weights
from landscape.symmetry.verify import require_same

Method = Literal["weights", "activations", "learned", "random"]
MOST_OTHERS = 4
"""Checkpoints to which the lines of one are learned, the first of all among them."""
PASSES = 3
"""Most passes over more than two checkpoints, each brought nearest to the mean of the others."""


@dataclass(frozen=True)
class How:
    """How to match.

    Attributes:
        method: By weights, activations, or the loss between; or not at all, by a random element, as a control.
        groups: Patterns of the names of groups that may change.
        seed: Of all that is random.
        starts: Starts of matching by weights; None is chosen by size.
        recipe: Of matching by the loss.
    """

    method: Method
    groups: tuple[str, ...] = ("*",)
    seed: int = 0
    starts: int | None = None
    recipe: learned.Recipe = learned.Recipe()


@dataclass(frozen=True)
class Found:
    """A checkpoint's move, and what came of it.

    Attributes:
        move: Takes it into the coordinates of the first checkpoint.
        before: Distance to the first, both in canonical form.
        after: The same after the move.
        difference: Largest difference of an output that the move makes, in float64.
        tolerance: What rounding would explain.
        loss_error: Largest change of the loss of an example, from rounding the moved weights to their own precision.
        seconds: That it took.
    """

    move: Move
    before: float
    after: float
    difference: float
    tolerance: float
    loss_error: float
    seconds: float


def match(
    table: Table,
    load: Sequence[Callable[[], Float[Tensor, " P"]]],
    how: How,
    objective: Objective,
    fitting: Objective | None = None,
    report: Callable[[int, str], None] = lambda which, what: None,
) -> list[Found]:
    """Moves of all checkpoints into the coordinates of the first, which stays.

    Args:
        table: The architecture.
        load: What gives each point; called more than once.
        how: By which method.
        objective: Model and the batches on which functions are compared.
        fitting: For activations and the loss: the batches to match on.
        report: Called with the number of a checkpoint and what is done with it.

    Raises:
        InputError: If there is nothing to match, or the table turns out wrong.
    """
    only = chosen(table, how)
    space = objective.space

    @lru_cache(maxsize=1)
    def form(n: int) -> tuple[Params, Element]:
        return canonical(table, space.params(load[n]()), only)

    first = load[0]()
    known = gains(table, space.params(first), only)
    # What is found need not try all that the table claims; a random element with other lengths does.
    drawn = draw(table, torch.Generator().manual_seed(how.seed), stretch=True, only=only)
    require_same(objective, table, first, Move(drawn, known))
    ones, gauge = canonical(table, space.params(first), only)
    random = [torch.Generator().manual_seed(how.seed + n) for n in range(len(load))]
    elements, seconds = _elements(table, form, ones, how, only, fitting, random, report)
    out = [Found(STAY, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    back = inverse(table, gauge)
    for n in range(1, len(load)):
        report(n, "checked")
        begin = time.perf_counter()
        plain, own = form(n)
        point = load[n]()
        move = Move(compose(table, back, compose(table, elements[n], own)), known)
        checked = require_same(objective, table, point, move)
        there = moved(table, space, point, move)
        out.append(Found(
            move, weights.distance(ones, plain), weights.distance(ones, apply(table, plain, elements[n])),
            checked.difference, checked.tolerance, _loss_error(objective, point, there),
            seconds[n] + time.perf_counter() - begin,
        ))  # fmt: skip
    return out


def chosen(table: Table, how: How) -> list[str]:
    """The groups that may change.

    Raises:
        InputError: If a pattern is that of no group.
    """
    for pattern in how.groups:
        if not any(fnmatchcase(name, pattern) for name in table.groups):
            raise InputError(
                f"no group of the symmetry table {table.name} is called {pattern}; there are {', '.join(table.groups)}"
            )
    return [name for name in table.groups if any(fnmatchcase(name, pattern) for pattern in how.groups)]


Form = Callable[[int], tuple[Params, Element]]
"""The canonical form of a checkpoint, and the element that made it."""


def _elements(
    table: Table,
    form: Form,
    first: Params,
    how: How,
    only: Sequence[str],
    fitting: Objective | None,
    random: Sequence[torch.Generator],
    report: Callable[[int, str], None],
) -> tuple[list[Element], list[float]]:
    """For each checkpoint the element that takes its canonical form to that of the first, and how long that took.

    Raises:
        InputError: If the method needs batches and there are none.
    """
    if how.method in ("activations", "learned") and fitting is None:
        raise InputError(
            f"matching by {how.method} needs a text to match on, other than that of the barriers; give one"
        )
    elements: list[Element] = [{} for _ in random]
    seconds = [0.0 for _ in random]
    if how.method in ("weights", "learned"):
        _by_weights(table, form, first, how, only, random, elements, seconds, report)
    others = [first]
    for n in range(1, len(random)):
        begin = time.perf_counter()
        if how.method == "random":
            elements[n] = draw(table, random[n], stretch=False, only=only)
        elif how.method == "activations":
            assert fitting is not None
            report(n, "matched by activations")
            elements[n] = activations.match(table, fitting, first, form(n)[0], only=only)
        elif how.method == "learned":
            assert fitting is not None
            report(n, "matched by the loss")
            own = form(n)[0]
            elements[n] = learned.match(
                table, fitting, others, own, elements[n], how.recipe, random[n], only=only
            ).element
            if len(others) < MOST_OTHERS:
                others.append(apply(table, own, elements[n]))
        seconds[n] += time.perf_counter() - begin
    return elements, seconds


def _by_weights(
    table: Table,
    form: Form,
    first: Params,
    how: How,
    only: Sequence[str],
    random: Sequence[torch.Generator],
    elements: list[Element],
    seconds: list[float],
    report: Callable[[int, str], None],
) -> None:
    """Each to the mean of those before it, then each to the mean of all others, until nobody comes nearer.

    Bringing one nearest to the mean of the others makes the sum of squared distances of all pairs smallest for given
    others, so no pass makes it larger.
    """
    count = len(elements)
    if count == 2:
        begin = time.perf_counter()
        report(1, "matched by weights")
        elements[1] = weights.match(table, first, form(1)[0], random[1], starts=how.starts, only=only).element
        seconds[1] += time.perf_counter() - begin
        return
    total = {name: value.clone() for name, value in first.items()}
    for sweep in range(PASSES):
        improved = False
        for n in range(1, count):
            begin = time.perf_counter()
            report(n, f"matched by weights, pass {sweep + 1}")
            own = form(n)[0]
            old = apply(table, own, elements[n]) if sweep else None
            others = total if old is None else {name: total[name] - old[name] for name in total}
            there = n if sweep == 0 else count - 1
            mean = {name: value / there for name, value in others.items()}
            if old is None:
                elements[n] = weights.match(table, mean, own, random[n], starts=how.starts, only=only).element
            else:  # go on from where the last pass ended
                more, _ = weights.descend(table, mean, old, {}, only, random[n])
                if weights.distance(mean, apply(table, old, more)) < weights.distance(mean, old):
                    elements[n], improved = compose(table, more, elements[n]), True
            new = apply(table, own, elements[n])
            total = {name: others[name] + new[name] for name in total}
            seconds[n] += time.perf_counter() - begin
        if sweep and not improved:
            break


def _loss_error(objective: Objective, before: Tensor, after: Tensor) -> float:
    """Largest difference of the loss of an example between two points."""
    few = objective.take(torch.arange(min(16, objective.examples)))
    found = losses(few, torch.stack([before, after]), torch.eye(2, dtype=torch.float64), strategy=Strategy())
    return float((found[0] - found[1]).abs().max())
