"""By activations: units that behave alike on the same batches; see :mod:`landscape.symmetry.search.correlation`."""

from __future__ import annotations

from landscape.symmetry.matchers.problem import Element, Problem

SETTINGS = ()


def elements(problem: Problem) -> list[Element]:
    """For each checkpoint the element that makes its features most like those of the first, which stays."""
    from landscape.symmetry.search import correlation

    out: list[Element] = [{}]
    for n in range(1, problem.count):
        with problem.timed(n, "aligned by activations"):
            own = problem.form(n)[0]
            out.append(correlation.align(problem.table, problem.batches, problem.first, own, only=problem.only))
    return out
