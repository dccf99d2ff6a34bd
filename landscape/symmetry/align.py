"""Align checkpoints to the first of them, in any way of ``catalogue.MATCHERS``; each result is verified.

All checkpoints go into one set of coordinates. So a matrix of barriers takes one alignment per checkpoint and not one
per pair, and going from one to another and on to a third is the same as going there directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

import torch
from torch import Tensor

from landscape.catalogue import MATCHERS
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy
from landscape.shapes import Float
from landscape.symmetry.group.canonical import canonical, gains
from landscape.symmetry.group.element import Element, apply, compose, draw, inverse
from landscape.symmetry.group.move import STAY, Move, moved
from landscape.symmetry.group.table import Params, Table
from landscape.symmetry.matchers.problem import Problem
from landscape.symmetry.search.descent import distance
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.verify import require_same


@dataclass(frozen=True)
class Aligned:
    """The move that aligns a checkpoint to the first, and its effect.

    Attributes:
        move: Takes the checkpoint into the coordinates of the first.
        before: Euclidean distance to the first, both in canonical form.
        after: The same distance after the move.
        difference: Largest difference of an output that the move makes, in float64 and in the units of the outputs.
        tolerance: Difference that rounding would explain.
        loss_error: Largest change of the loss of an example, from rounding the moved weights to their own precision.
        seconds: Time it took.
    """

    move: Move
    before: float
    after: float
    difference: float
    tolerance: float
    loss_error: float
    seconds: float


def align(
    table: Table,
    load: Sequence[Callable[[], Float[Tensor, " P"]]],
    method: str,
    settings: AlignSettings,
    objective: Objective,
    fitting: Objective | None = None,
    report: Callable[[int, str], None] = lambda which, what: None,
) -> list[Aligned]:
    """Moves that align all checkpoints to the first, which stays.

    Args:
        table: The architecture.
        load: Functions that give each point; called more than once.
        method: How the elements are chosen; a name in ``catalogue.MATCHERS``.
        settings: How to align.
        objective: Model and the batches on which functions are compared.
        fitting: Model and the batches to align on, for methods that read a text.
        report: Called with the number of a checkpoint and what is done with it.

    Raises:
        InputError: If the method needs batches and there are none, or the table turns out wrong.
        ValueError: If there is no such method.
    """
    only, space = chosen(table, settings.groups), objective.space
    if "align_text" in MATCHERS[method].reads and fitting is None:
        raise InputError(f"aligning by {method} needs a text to align on, other than that of the barriers; give one")

    @lru_cache(maxsize=1)
    def form(n: int) -> tuple[Params, Element]:
        return canonical(table, space.params(load[n]()), only)

    first = load[0]()
    known = gains(table, space.params(first), only)
    # An alignment need not use all that the table claims; a random element with other lengths does.
    drawn = draw(table, torch.Generator().manual_seed(settings.seed), stretch=True, only=only)
    require_same(objective, table, first, Move(drawn, known))
    ones, gauge = canonical(table, space.params(first), only)
    random = [torch.Generator().manual_seed(settings.seed + n) for n in range(len(load))]
    problem = Problem(table, form, ones, settings, only, fitting, random, report)
    elements = MATCHERS.load(method).elements(problem)
    back, out = inverse(table, gauge), [Aligned(STAY, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    for n in range(1, len(load)):
        with problem.timed(n, "checked"):
            plain, own = form(n)
            move = Move(compose(table, back, compose(table, elements[n], own)), known)
            found = _checked(objective, table, load[n](), move)
            apart = distance(ones, plain), distance(ones, apply(table, plain, elements[n]))
        out.append(Aligned(move, *apart, *found, problem.seconds[n]))
    return out


def chosen(table: Table, patterns: Sequence[str]) -> list[str]:
    """The names of the groups that may change.

    Raises:
        InputError: If a pattern fits no group.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in table.groups):
            raise InputError(
                f"no group of the symmetry table {table.name} is called {pattern}; there are {', '.join(table.groups)}"
            )
    return [name for name in table.groups if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _checked(objective: Objective, table: Table, point: Float[Tensor, " P"], move: Move) -> tuple[float, float, float]:
    """Difference of outputs, tolerance and error of the loss of a move.

    Raises:
        InputError: If the move changes the function.
    """
    checked = require_same(objective, table, point, move)
    there = moved(table, objective.space, point, move)
    return checked.difference, checked.tolerance, _loss_error(objective, point, there)


def _loss_error(objective: Objective, before: Tensor, after: Tensor) -> float:
    """Largest difference of the loss of an example between two points."""
    few = objective.take(torch.arange(min(16, objective.examples)))
    found = losses(few, torch.stack([before, after]), torch.eye(2, dtype=torch.float64), strategy=Strategy())
    return float((found[0] - found[1]).abs().max())
