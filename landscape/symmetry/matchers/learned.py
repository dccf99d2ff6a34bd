"""By the loss between, starting from the weights; see :mod:`landscape.symmetry.search.straight_through`."""

from __future__ import annotations

from landscape.symmetry.matchers import weights
from landscape.symmetry.matchers.problem import Element, Problem

SETTINGS = ("starts", "steps", "rate")
MOST_OTHERS = 4
"""Largest number of checkpoints to which the lines of one are learned, the first of all among them."""


def elements(problem: Problem) -> list[Element]:
    """For each checkpoint the element for which the loss on lines to checkpoints before it is low; the first stays."""
    from landscape.symmetry.group.element import apply
    from landscape.symmetry.search import straight_through

    settings = straight_through.LearnedSettings(steps=problem.settings.steps, rate=problem.settings.rate)
    out, others = weights.elements(problem), [problem.first]
    for n in range(1, problem.count):
        with problem.timed(n, "aligned by the loss"):
            own = problem.form(n)[0]
            out[n] = straight_through.learn(
                problem.table, problem.batches, others, own, out[n], settings, problem.random[n], only=problem.only
            ).element
            if len(others) < MOST_OTHERS:
                others.append(apply(problem.table, own, out[n]))
    return out
