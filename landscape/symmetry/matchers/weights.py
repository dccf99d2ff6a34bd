"""By distance of weights; see :mod:`landscape.symmetry.search.descent`."""

from __future__ import annotations

from landscape.symmetry.matchers.problem import Element, Problem

SETTINGS = ("starts",)
PASSES = 3
"""Largest number of passes over more than two checkpoints, each brought nearest to the mean of the others."""


def elements(problem: Problem) -> list[Element]:
    """For each checkpoint the element that brings it nearest to the others; the first stays.

    A pair is aligned directly. Of more checkpoints, each is aligned to the mean of those before it, then each to the
    mean of all others, until none comes nearer. Bringing one nearest to the mean of the others minimises the sum of
    squared distances of all pairs for given others, so no pass increases it.
    """
    from landscape.symmetry.group.element import apply, compose
    from landscape.symmetry.search import descent

    table, only, starts, count = problem.table, problem.only, problem.settings.starts, problem.count
    out: list[Element] = [{} for _ in range(count)]
    if count == 2:
        with problem.timed(1, "aligned by weights"):
            out[1] = descent.align(
                table, problem.first, problem.form(1)[0], problem.random[1], starts=starts, only=only
            ).element
        return out
    total = {name: value.clone() for name, value in problem.first.items()}
    for sweep in range(PASSES):
        improved = False
        for n in range(1, count):
            with problem.timed(n, f"aligned by weights, pass {sweep + 1}"):
                own = problem.form(n)[0]
                old = apply(table, own, out[n]) if sweep else None
                others = total if old is None else {name: total[name] - old[name] for name in total}
                there = n if sweep == 0 else count - 1
                mean = {name: value / there for name, value in others.items()}
                if old is None:
                    out[n] = descent.align(table, mean, own, problem.random[n], starts=starts, only=only).element
                else:  # continue from where the last pass ended
                    more, _ = descent.descend(table, mean, old, {}, only, problem.random[n])
                    if descent.distance(mean, apply(table, old, more)) < descent.distance(mean, old):
                        out[n], improved = compose(table, more, out[n]), True
                new = apply(table, own, out[n])
                total = {name: others[name] + new[name] for name in total}
        if sweep and not improved:
            break
    return out
