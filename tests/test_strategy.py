"""The choice by the clock: it finds the fastest, costs no pass of its own, and changes no loss."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cases
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.testing import assert_close

from landscape.cli.main import cli
from landscape.objectives import Batch, Objective, module
from landscape.points import evaluate, strategy
from landscape.points.evaluate import losses
from landscape.points.strategy import ON_GPU, STACKED, Strategy, Tuner, affordable, choose_threads, least_seconds

Clock = Callable[[Strategy], float]


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch, fixed_strategies: None) -> None:
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 0.05)


def search(tuner: Tuner, clock: Clock) -> list[Strategy]:
    """Do work by the tuner until nothing is on trial; ``clock`` gives the seconds of one example at one point."""
    tried = []
    while tuner.trial:
        points, left = tuner.points, tuner.examples
        while left:
            how, examples = tuner.next(points, left)
            if how == tuner.trial and how not in tried:
                tried.append(how)
            tuner.took(how, examples * points, clock(how) * examples * points)
            left -= examples
    return tried


def loop(examples: int) -> Strategy:
    return Strategy(examples=examples)


def test_the_search_ends_with_the_fastest() -> None:
    """Larger batches while they help, smaller ones if they do not, then points at once while they help."""
    rate = {loop(32): 5e-4, loop(128): 4e-4, loop(512): 4.5e-4, Strategy("vmap", 2, 128): 3e-4,
            Strategy("vmap", 4, 128): 1e-4, Strategy("vmap", 8, 128): 2e-4}  # fmt: skip
    tuner = Tuner(700, 10**9)
    assert search(tuner, lambda how: rate[how]) == list(rate)
    assert (tuner.best, tuner.seconds) == (Strategy("vmap", 4, 128), pytest.approx(1e-4))
    rate = {loop(32): 5e-4, loop(128): 6e-4, loop(16): 4e-4, loop(8): 3e-4, Strategy("vmap", 2, 8): 4e-4}
    tuner = Tuner(700, 10**9)
    assert search(tuner, lambda how: rate[how]) == list(rate) and tuner.best == loop(8)
    tuner = Tuner(700, 10**9, stacked=())
    assert search(tuner, lambda how: rate[how]) == list(rate)[:4]


def test_a_strategy_that_is_faster_by_a_hair_is_not_taken() -> None:
    tuner = Tuner(700, 10**9, stacked=())
    rate = {loop(32): 5e-4, loop(128): 4.9e-4, loop(16): 4.8e-4}
    assert search(tuner, lambda how: rate[how]) == list(rate) and tuner.best == loop(32)


def test_what_fails_on_trial_is_tried_no_more_and_the_default_may_not_fail() -> None:
    """The default is put on trial too, but if it fails, another batch than a larger one is wanted."""
    tuner = Tuner(700, 10**9)
    assert tuner.trial == loop(32) and not tuner.failed(loop(32)) and tuner.trial == loop(32)
    for _ in range(2):
        tuner.took(loop(32), 32, 2 * strategy.LONG)
    assert tuner.failed(loop(128)) and tuner.trial == loop(16) and not tuner.failed(loop(128))
    assert Tuner(7, 0).best == Tuner(7, 10**9).trial == loop(7), "no batch is larger than the data"


def test_the_first_slice_warms_up_and_counts_only_when_it_is_long() -> None:
    """The very first of all never counts: memory is touched in it for the first time."""
    seconds = iter([9e-2, 1e-2, 9e-2, 2e-2, 9e-2, 3e-2])
    tuner = Tuner(700, 10**9, stacked=())
    for expected in (loop(32), loop(32), loop(128), loop(128), loop(16), loop(16)):
        how, examples = tuner.next(1, 700)
        assert how == expected and examples == how.examples
        tuner.took(how, 100, next(seconds))
    assert tuner.trial is None and tuner.best == loop(32) and tuner.seconds == 1e-4
    tuner = Tuner(700, 10**9)
    tuner.took(loop(32), 32, 9 * strategy.LONG)
    assert tuner.trial == loop(32)
    tuner.took(loop(32), 32, 1.5 * strategy.LONG)
    assert tuner.trial == loop(128) and tuner.seconds == pytest.approx(1.5 * strategy.LONG / 32)
    tuner.took(loop(128), 128, 5 * strategy.LONG)
    assert tuner.trial == loop(512) and tuner.best == loop(128), "another that is long counts at once"


@pytest.mark.parametrize(
    ("evaluations", "last"), [(19, None), (100, loop(32)), (639, loop(32)), (640, loop(16)), (2 * 20 * 128, loop(128))]
)
def test_trials_are_a_small_part_of_the_work(evaluations: int, last: Strategy | None) -> None:
    """The default is work like any other; of the rest no more is tried than a twentieth of the work."""
    tuner = Tuner(700, evaluations)
    tried = search(tuner, lambda how: 1e-5 if how != loop(128) else 2e-5)
    assert (tried[-1] if tried else None) == last
    assert tuner.spent <= strategy.TRIAL_SHARE * evaluations
    assert affordable(5, 100) and not affordable(6, 100)


def test_a_slice_is_tried_only_where_it_is_whole() -> None:
    tuner = Tuner(700, 10**9)
    tuner.trial = Strategy("vmap", 4, 32)
    assert tuner.points == 4
    assert tuner.next(3, 700) == (loop(32), 700) and tuner.next(4, 31) == (loop(32), 31)
    assert tuner.next(4, 32) == (Strategy("vmap", 4, 32), 32)
    tuner.took(loop(32), 5, 0.0)
    assert tuner.seconds == float("inf"), "what is not on trial teaches nothing"


def bowl(examples: int, model: type[cases.Bowl] = cases.Bowl) -> tuple[Objective, list[int]]:
    """A model, and the evaluations of each of its passes."""
    passes: list[int] = []

    def loss(out: Tensor, _: Batch) -> Tensor:
        batched = torch._C._functorch.is_batchedtensor(out)
        passes.append((torch._C._functorch.get_unwrapped(out) if batched else out).numel())
        return out

    data = {"inputs": torch.arange(1.0, examples + 1)}
    return module.build(model(torch.tensor([1.0, 3.0])), data, loss), passes


def test_trials_are_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example at every point is evaluated once, whatever is tried meanwhile, and has its own loss."""
    objective, passes = bowl(300)
    points, rows = torch.randn(3, 2, generator=cases.generator(1)), torch.rand(40, 3, generator=cases.generator(2))
    clock = itertools.accumulate(0.9**k for k in range(400))  # each pass is faster than the last
    monkeypatch.setattr(evaluate.time, "perf_counter", lambda: next(clock))
    tuner = Tuner(300, 10**9)
    found = losses(objective, points, rows.double(), strategy=tuner)
    assert tuner.best != loop(32) and len(set(passes)) > 3
    assert sum(passes) == 300 * 40
    assert_close(found, losses(objective, points, rows.double(), strategy=loop(300)), rtol=1e-6, atol=1e-6)


def test_a_model_that_vmap_cannot_run_is_looped() -> None:
    class Branching(cases.Bowl):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if self.w.sum().item() > 0 else 2 * super().forward(x)

    objective, passes = bowl(7, Branching)
    points, rows = torch.randn(3, 2, generator=cases.generator(1)), torch.rand(30, 3, generator=cases.generator(2))
    tuner = Tuner(7, 10**9)
    assert losses(objective, points, rows.double(), strategy=tuner).shape == (30, 7)
    assert tuner.trial is None and tuner.best.kind == "loop" and sum(passes) == 30 * 7

    class Broken(cases.Bowl):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("the model itself")

    with pytest.raises(RuntimeError, match="the model itself"):
        losses(bowl(7, Broken)[0], points, rows.double())


def test_memory_that_runs_out_in_a_trial_ends_the_trial() -> None:
    class Small(cases.Bowl):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 32:
                raise torch.OutOfMemoryError("pretend")
            return super().forward(x)

    objective, passes = bowl(300, Small)
    tuner = Tuner(300, 10**9, stacked=())
    losses(objective, torch.ones(1, 2), torch.ones(4, 1), strategy=tuner)
    assert tuner.trial is None and tuner.best.examples <= 32 and sum(passes) == 4 * 300


def test_two_checkpoints_are_compared_in_the_passes_of_the_result(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ``barriers A B`` nearly all passes are results, counted in passes and in evaluations."""
    passes: list[tuple[int, int]] = []
    forward = evaluate._forward

    def counted(model: object, batches: list[Batch], params: object) -> object:
        points = len(params) if isinstance(params, list) else len(next(iter(params.values())))  # type: ignore[attr-defined]
        passes.extend((points, len(batch["input_ids"])) for batch in batches)
        return forward(model, batches, params)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "_forward", counted)
    (tmp_path / "text.txt").write_text(cases.TEXT)
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    options = ["--text", str(tmp_path / "text.txt"), "--length", "12", "--sequences", "128", "--points", "5", "--json"]
    result = CliRunner().invoke(cli, ["barriers", *refs, *options])
    assert result.exit_code == 0, result.output
    assert sum(points * examples for points, examples in passes) <= 1.05 * 5 * 128
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    (how,) = {row["strategy"] for row in rows if row["table"] == "barrier"}
    assert len(passes) <= 1.3 * 5 * math.ceil(128 / int(how.rpartition("x")[2]))


def test_threads_are_chosen_by_the_clock_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(strategy, "least_seconds", lambda work: work())
    seconds, tried = {1: 2.0, 2: 1.0}, list[int]()

    def work() -> float:
        tried.append(torch.get_num_threads())
        return seconds[tried[-1]]

    choose_threads(work, 79)
    assert tried == [] and torch.get_num_threads() == 1
    choose_threads(work, 80)
    assert tried == [1, 2] and torch.get_num_threads() == 2
    seconds[1] = 0.5
    choose_threads(work, 80)
    assert torch.get_num_threads() == 1


def test_work_is_timed_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, took = [0.0], [0.2, 0.1]
    monkeypatch.setattr(strategy.time, "perf_counter", lambda: clock[0])

    def work() -> None:
        clock[0] += took.pop(0)

    assert least_seconds(work) == pytest.approx(0.1) and took == []
    took = [0.1, 0.2]
    assert least_seconds(work) == pytest.approx(0.1) and took == []
    took = [2.0, 0.1]
    assert least_seconds(work) == pytest.approx(2.0) and took == [0.1]


@pytest.mark.untyped
def test_a_gpu_is_given_much_at_once() -> None:
    """Two points at once are no faster there than one, and the search would end before sixteen, which are."""
    seconds = {1: 1.0, 2: 0.99, 16: 0.1, 64: 0.04, 128: 0.05}
    for stacked, best in (((2, 16, 64), 1), (ON_GPU, 64)):
        search = Tuner(64, 10**9, Strategy(examples=64), stacked)
        while trial := search.trial:
            for _ in range(2):
                search.took(trial, 64 * trial.points, 64 * trial.points * seconds[trial.points] * (64 / trial.examples))
        assert search.best == Strategy("vmap" if best > 1 else "loop", best, 64)
    assert search_of("cpu").stacked == STACKED and search_of("meta").stacked == ON_GPU
    assert search_of("cpu", statistics=True).stacked == ()


def search_of(device: str, *, statistics: bool = False) -> Tuner:
    model = torch.nn.Linear(2, 2, device=device)
    batches = ("x",) if statistics else ()
    objective = SimpleNamespace(model=model, device=torch.device(device), examples=8, statistics=batches)
    return evaluate.tuner(cast(Any, objective), 100)


def test_evaluation_keeps_no_graph() -> None:
    """Of no parameter's gradient is anything wanted: a graph would cost memory and time, and change no number."""
    seen: list[bool] = []

    def measured(model: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
        seen.append(torch.is_grad_enabled())
        weight = next(model.parameters())
        return {"loss": (batch["x"] * weight).sum(dim=1)}

    objective = Objective(torch.nn.Linear(3, 1, bias=False), {"x": torch.ones(4, 3)}, measured, "nats")
    losses(objective, torch.ones(1, 3), torch.ones(2, 1))
    assert seen and not any(seen)
