"""Shares of a plan: complete, balanced, and with little that is done twice."""

from functools import partial
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import Errand

from landscape.demo.recipe import Recipe
from landscape.engines.jobs import Queue
from landscape.engines.shares import orders, shares, stealing
from landscape.face.where import cost
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.expand import tasks
from landscape.study.file import Study, read_study
from landscape.study.measure import Grid
from landscape.study.sections import Checkpoints, Data
from landscape.study.tasks import Spec, Task

ROOT = Path(__file__).parent.parent
TWICE = 0.05
"""Share of the work of a plan that its shares may do twice."""


def checkpoint(**values: int) -> Checkpoint:
    name = " ".join(f"{label} {value}" for label, value in values.items())
    return Checkpoint(name, labels(dict(values)), content=name)


def demo(name: str, seeds: int) -> tuple[Study, list[Task[Spec]]]:
    """The study of the demo over the checkpoints that it trains."""
    study, recipe = read_study(ROOT / "landscape" / "demo" / name), Recipe()
    runs = tuple(checkpoint(seed=seed, step=step) for seed in range(seeds) for step in recipe.saved)
    branches = tuple(
        checkpoint(seed=0, branch_step=begin, branch=branch, step=recipe.steps)
        for begin in recipe.branch_steps
        for branch in range(recipe.branches)
    )
    return study, tasks(study, Grid(runs, branches))


def large(measures: list[dict[str, object]]) -> tuple[Study, list[Task[Spec]]]:
    """25 seeds x 29 steps."""
    data = Data(objective="masked-lm", text="text.txt", sequences=256)
    study = Study.model_validate({
        "version": 1, "name": "large", "checkpoints": Checkpoints(folder="x"), "data": data, "measure": measures,
    })  # fmt: skip
    return study, tasks(study, Grid(tuple(checkpoint(seed=s, step=t) for s, t in product(range(25), range(29)))))


BARRIERS: dict[str, object] = {"kind": "barriers", "between": "seed"}
PLANS = {
    "demo": partial(demo, "study.toml", 5),
    "short demo": partial(demo, "short.toml", 3),
    "barriers": partial(large, [BARRIERS]),
    "aligned": partial(large, [{**BARRIERS, "align": ["none", "weights", "random"]}]),
    "much": partial(large, [BARRIERS, {"kind": "barriers", "between": "last"}, {"kind": "llc"}, {"kind": "behaviour"}]),
}


FAST = {("demo", 2), ("barriers", 8), ("aligned", 64), ("much", 8)}
SHARED = [
    pytest.param(plan, count, marks=() if (plan, count) in FAST else pytest.mark.slow)
    for plan in PLANS
    for count in ((2, 3) if "demo" in plan else (2, 3, 8, 64))  # so small a study has not so many shares
]


@pytest.mark.parametrize(("plan", "count"), SHARED)
def test_shares_are_complete_balanced_and_do_little_twice(plan: str, count: int) -> None:
    study, planned = PLANS[plan]()
    price = partial(cost, study)
    shared = shares(planned, price, count)
    loads = [sum(map(price, share)) for share in shared]
    whole = sum(map(price, planned))
    assert {task.key for share in shared for task in share} == {task.key for task in planned}
    assert sum(loads) <= (1 + TWICE) * whole
    dearest = max(map(price, planned))
    assert max(loads) <= 1.25 * whole / count + dearest
    for share in shared:
        order = [task.key for task in share]
        assert all(order.index(need) < order.index(task.key) for task in share for need in task.needs)


plans = st.lists(st.tuples(st.sets(st.integers(0, 30), max_size=3), st.integers(1, 9)), min_size=1, max_size=30)


@settings(deadline=None)
@given(plans, st.integers(1, 12))
def test_any_plan_is_covered_and_a_share_has_what_it_needs(plan: list[tuple[set[int], int]], count: int) -> None:
    jobs = [Errand(f"{n}", tuple(f"{need}" for need in sorted(needs) if need < n)) for n, (needs, _) in enumerate(plan)]
    price = {f"{n}": float(c) for n, (_, c) in enumerate(plan)}
    shared = shares(jobs, lambda job: price[job.key], count)
    assert len(shared) == count and {job.key for share in shared for job in share} == set(price)
    for share in shared:
        own = [job.key for job in share]
        assert own == sorted(own, key=int) and all(need in own for job in share for need in job.needs)
    for n in range(count):
        order = stealing(shared, n)
        assert [job.key for job in order[: len(shared[n])]] == [job.key for job in shared[n]]
        assert sorted(job.key for job in order) == sorted(price)


def test_what_is_stolen_comes_from_the_tail() -> None:
    jobs = [Errand(f"{n}") for n in range(6)]
    shared = shares(jobs, lambda job: 1.0, 3)
    assert [[job.key for job in share] for share in shared] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert [job.key for job in stealing(shared, 1)] == ["2", "3", "5", "4", "1", "0"]


def test_a_worker_goes_on_with_its_share_and_then_takes_from_the_end_of_another() -> None:
    """The second of two workers is twice as fast, and ends with the last jobs of the first; what came back is first."""
    jobs = [Errand(f"{n}") for n in range(12)]
    queue = Queue(jobs, lambda event: None, orders=orders(jobs, lambda job: 1.0, 2))
    taken: dict[int, list[str]] = {0: [], 1: []}
    while queue.open:
        for worker in (0, 1, 1):
            if (job := queue.next(worker)) is not None:
                taken[worker].append(job.key)
                queue.finish(job)
    assert taken == {0: ["0", "1", "2", "3"], 1: ["6", "7", "8", "9", "10", "11", "5", "4"]}
    queue = Queue(jobs, lambda event: None, orders=orders(jobs, lambda job: 1.0, 2))
    first = queue.next(0)
    assert first is not None and first.key == "0"
    queue.back(first)
    again, following = queue.next(1), queue.next(1)
    assert again is first and following is not None and following.key == "6"
