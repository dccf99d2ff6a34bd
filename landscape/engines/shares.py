"""Shares of a plan for several runs that may know nothing of one another.

A share is a stretch of the jobs that no other job needs, with all that these need; what the jobs of two shares need is
done twice. So jobs that need the same are put side by side, and the plan is cut where little is needed on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from landscape.engines.jobs import Job

J = TypeVar("J", bound=Job)
SLACK = 0.1
"""Share of a share by which a cut may be moved to where less is done twice."""


def shares(jobs: Sequence[J], cost: Callable[[J], float], count: int) -> list[list[J]]:
    """Cut a plan into shares of about equal cost, each in plan order with all that its jobs need.

    Args:
        jobs: All jobs, in plan order.
        cost: Of a job.
        count: Number of shares.
    """
    plan = _Plan([job.key for job in jobs], _closures(jobs), {job.key: cost(job) for job in jobs})
    found = min((_cut(plan, ends, count) for ends in plan.orders()), key=plan.total)
    return [[job for job in jobs if job.key in keys] for keys in found]


def stealing(shared: Sequence[Sequence[J]], number: int) -> list[J]:
    """The jobs of a share, and then those of the next ones, each from its tail.

    Args:
        shared: All shares.
        number: Which, from 0.
    """
    others = [job for n in range(1, len(shared)) for job in reversed(shared[(number + n) % len(shared)])]
    return list({job.key: job for job in [*shared[number], *others]}.values())


def orders(jobs: Sequence[J], cost: Callable[[J], float], workers: int) -> list[list[J]]:
    """The order in which each of some workers takes jobs: its share, and then the tails of the others'.

    Args:
        jobs: All jobs, in plan order.
        cost: Of a job.
        workers: Number of workers.
    """
    shared = shares(jobs, cost, workers)
    return [stealing(shared, number) for number in range(workers)]


@dataclass(frozen=True)
class _Plan:
    keys: list[str]
    closures: Mapping[str, frozenset[str]]
    cost: Mapping[str, float]

    def orders(self) -> Iterator[list[str]]:
        """Jobs that no other needs: in plan order, and with those that need the same early job side by side."""
        position = {key: n for n, key in enumerate(self.keys)}
        needed = {need for key in self.keys for need in self.closures[key] if need != key}
        ends = [key for key in self.keys if key not in needed]
        yield ends
        yield sorted(ends, key=lambda key: min(position[need] for need in self.closures[key]))

    def total(self, shared: Sequence[Set[str]]) -> float:
        """Cost of all shares, in the unit of the costs."""
        return sum(self.cost[key] for keys in shared for key in keys)


def _closures(jobs: Sequence[Job]) -> dict[str, frozenset[str]]:
    """The keys of a job and of all that it needs, directly or not; jobs come after those that they need."""
    out: dict[str, frozenset[str]] = {}
    for job in jobs:
        out[job.key] = frozenset({job.key}).union(*(out.get(need, frozenset()) for need in job.needs))
    return out


def _cut(plan: _Plan, ends: Sequence[str], count: int) -> list[set[str]]:
    """The keys of each share, if the ends are cut in this order."""
    cuts = _cuts(plan, ends, count)
    parts = zip([0, *cuts], [*cuts, len(ends)], strict=True)
    return [set[str]().union(*(plan.closures[key] for key in ends[begin:end])) for begin, end in parts]


def _cuts(plan: _Plan, ends: Sequence[str], count: int) -> list[int]:
    """Where the ends are cut: near equal cost, where the least is needed on both sides."""
    first, last = dict[str, int](), dict[str, int]()
    for n, end in enumerate(ends):
        for key in plan.closures[end]:
            first.setdefault(key, n)
            last[key] = n
    own, change = [0.0] * len(ends), [0.0] * (len(ends) + 1)
    for key, n in first.items():
        own[n] += plan.cost[key]
        change[n + 1] += plan.cost[key]
        change[last[key] + 1] -= plan.cost[key]
    before, twice = [0.0, *accumulate(own)], list(accumulate(change))
    cuts: list[int] = []
    for k in range(1, count):
        wanted, slack = k / count * before[-1], SLACK / count * before[-1]
        lowest = cuts[-1] if cuts else 0
        near = [n for n in range(lowest, len(ends) + 1) if abs(before[n] - wanted) <= slack]
        near = near or [min(range(lowest, len(ends) + 1), key=lambda n: abs(before[n] - wanted))]
        cuts.append(min(near, key=lambda n: (round(twice[n], 6), abs(before[n] - wanted))))
    return cuts
