"""A random element for each checkpoint, as a control."""

from __future__ import annotations

from landscape.symmetry.matchers.problem import Element, Problem

SETTINGS = ()


def elements(problem: Problem) -> list[Element]:
    """For each checkpoint a random element that keeps the norm; the first stays."""
    from landscape.symmetry.group.element import draw

    out: list[Element] = [{}]
    for n in range(1, problem.count):
        with problem.timed(n, "given a random element"):
            out.append(draw(problem.table, problem.random[n], stretch=False, only=problem.only))
    return out
