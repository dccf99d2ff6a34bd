"""The dtype of forward passes: its error, and which one ``auto`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from measured import linked, run
from numpy.testing import assert_allclose

from landscape.errors import InputError
from landscape.measure.prepare import prepare
from landscape.objectives import Objective
from landscape.points.fastest import TRIALS, fastest, is_emulated
from landscape.session import evaluator
from landscape.session.buffers import Buffers
from landscape.session.evaluator import Choices, Evaluator
from landscape.session.result import How, Values
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import read_study
from landscape.study.store import Store


def test_bfloat16_rows_carry_their_error(few_runs: Path, tmp_path: Path) -> None:
    study = read_study(
        cases.study(linked(few_runs, tmp_path), measure='dtype = "bfloat16"\nat_steps = "last"', sequences="5")
    )
    store, keys, _ = run(study, tmp_path)
    rows = store.rows("barrier", keys)
    assert (rows["dtype"] == "bfloat16").all() and rows["dtype_error"].between(1e-6, 0.2).all()


def test_auto_takes_float32_where_bfloat16_is_no_faster_or_less_exact_than_the_data(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is a fixed one, by which each is the faster in turn."""
    seconds: dict[object, float] = {}

    def clock(work: Any) -> float:
        work()
        return seconds[work.keywords["dtype"]]

    monkeypatch.setattr("landscape.points.fastest.least_seconds", clock)
    study = read_study(cases.study(linked(few_runs, tmp_path), measure='dtype = "auto"\nat_steps = "last"'))
    for fast, slow, share, wanted in (
        ("bfloat16", "float32", 1e3, "bfloat16"), ("float32", "bfloat16", 1e3, "float32"),
        ("bfloat16", "float32", 1e-6, "float32"),
    ):  # fmt: skip
        seconds |= {fast: 1.0, slow: 2.0}
        session = prepare(study, Store(tmp_path / "store")).session
        monkeypatch.setattr("landscape.points.fastest.MAX_ERROR", share)
        monkeypatch.setattr("landscape.session.session.evaluations", lambda *_: 10**6)
        (task,) = [task for task in session.tasks if task.kind == "barriers"]
        rows = torch.tensor([[0.3, 0.7], [0.8, 0.2], [0.5, 0.5]], dtype=torch.float64)
        one = session.evaluator(task, "auto", checkpoints=task.checkpoints[:2])
        one.evaluate(session.points(task)[:2], rows, np.arange(4))
        assert one.dtype == wanted and (one.dtype_error is None) == (wanted == "float32")


def test_auto_turns_to_float32_where_the_interval_is_narrower_than_the_trial_told(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These pairs have no barrier, so their intervals are as narrow as can be."""

    def clock(work: Any) -> float:
        work()
        return {"bfloat16": 1.0, "float32": 2.0}[work.keywords["dtype"]]

    monkeypatch.setattr("landscape.points.fastest.least_seconds", clock)
    monkeypatch.setattr("landscape.points.fastest.MAX_ERROR", 1e3)
    monkeypatch.setattr("landscape.session.session.evaluations", lambda *_: 10**6)
    linked(few_runs, tmp_path)

    def barriers(dtype: str) -> pd.DataFrame:
        study = read_study(cases.study(tmp_path, measure=f'dtype = "{dtype}"\nat_steps = "last"'))
        store, keys, _ = run(study, tmp_path / dtype)
        return store.rows("barrier", keys)

    auto, exact, asked = barriers("auto"), barriers("float32"), barriers("bfloat16")
    assert (auto["dtype"] == "float32").all() and auto["dtype_error"].isna().all()
    assert (asked["dtype"] == "bfloat16").all() and np.abs(asked["plugin"] - exact["plugin"]).max() > 1e-5
    assert_allclose(auto["plugin"], exact["plugin"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_points_are_evaluated_again_if_the_error_is_above_a_tenth_of_the_interval(
    dtype: Any, few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dtype that was asked for stays."""
    monkeypatch.setattr("landscape.session.evaluator.fastest", lambda *_: "bfloat16")
    session = prepare(read_study(cases.study(linked(few_runs, tmp_path))), Store(tmp_path / "store")).session
    task = next(task for task in session.tasks if task.kind == "barriers")
    about = session.points(task)[:2], torch.tensor([[0.3, 0.7], [0.8, 0.2]], dtype=torch.float64)
    one, exact = (session.evaluator(task, how, checkpoints=task.checkpoints[:2]) for how in (dtype, "float32"))
    assert one.of_ends.dtype == ("float32" if dtype == "auto" else "bfloat16")
    values, wanted = one.evaluate(*about).losses, exact.evaluate(*about).losses
    assert one.dtype == "bfloat16" and one.dtype_error is not None and np.abs(values - wanted).max() > 1e-5
    assert not one.again(5.01 * one.dtype_error) and one.dtype == "bfloat16"
    assert one.again(4.99 * one.dtype_error) == (dtype == "auto")
    assert one.dtype == ("float32" if dtype == "auto" else "bfloat16")
    assert_allclose(one.evaluate(*about).losses, wanted if dtype == "auto" else values, rtol=0, atol=1e-6)
    assert (one.dtype_error is None) == (dtype == "auto") and not one.again(0.0)


def test_bfloat16_is_not_even_tried_where_it_is_emulated(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A trial of a few examples would take longer than all the rest."""
    tried: list[str] = []

    def clock(work: Any) -> float:
        tried.append(work.func.__name__)
        return {"float32": 1.0, "bfloat16": 4.1}[work.keywords["dtype"]]

    monkeypatch.setattr("landscape.points.fastest.least_seconds", clock)
    study = read_study(cases.study(linked(few_runs, tmp_path), measure='dtype = "auto"\nat_steps = "last"'))
    session = prepare(study, Store(tmp_path / "store")).session
    objective, anchors = session.batches.objective("main"), [torch.zeros(3)]
    assert fastest(objective, anchors, torch.ones(2, 1), np.arange(4), 10**6) == "float32"
    assert tried == ["_multiply"] * 2 * TRIALS
    asked = read_study(cases.study(tmp_path, measure='dtype = "bfloat16"'))
    for given, said in ((study, False), (asked, True)):
        caplog.clear()
        prepare(given, Store(tmp_path / "store"))
        assert ("emulates bfloat16, which takes it many times as long" in caplog.text) == said


def test_one_disturbed_product_does_not_make_bfloat16_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = iter([1.0] * TRIALS + [1.1, 9.0, 1.1, 9.0, 9.0])
    monkeypatch.setattr("landscape.points.fastest.least_seconds", lambda _: next(disturbed))
    assert not is_emulated()


def test_work_too_small_to_try_is_done_in_float32(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("landscape.points.fastest.is_emulated", lambda: False)
    study = read_study(cases.study(linked(few_runs, tmp_path), measure='dtype = "auto"\nat_steps = "last"'))
    store, keys, _ = run(study, tmp_path)
    rows = store.rows("barrier", keys)
    assert (rows["dtype"] == "float32").all() and rows["dtype_error"].isna().all()


def test_tf32_is_refused_without_a_gpu(few_runs: Path, tmp_path: Path) -> None:
    study = read_study(cases.study(linked(few_runs, tmp_path), measure='dtype = "tf32"'))
    with pytest.raises(InputError, match="tf32 needs an NVIDIA GPU, and cpu is none; give float32"):
        prepare(study, Store(tmp_path / "store"))


def test_a_task_carries_the_largest_numerical_error_and_the_time_of_all_its_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter([(0.2, 1.5), (0.7, 2.0), (0.4, 0.25)])

    def evaluated(*_: Any) -> Values:
        error, seconds = next(calls)
        return Values(np.zeros((1, 2)), {}, error, How("cpu", "loop 1x2", 1, seconds))

    monkeypatch.setattr(evaluator, "_evaluated", evaluated)
    bowl = Objective(cases.Bowl(torch.ones(1)), {"x": torch.ones(2)}, lambda *_: {}, "unit")
    choices = Choices(bowl, 0, torch.device("cpu"))
    one = Evaluator(choices, Buffers(bowl.model, {}), [Checkpoint("a")], "bfloat16")
    for _ in range(3):
        one.evaluate([], torch.ones(1, 1), np.arange(2))
    assert (one.dtype_error, one.how) == (0.7, How("cpu", "loop 1x2", 1, 3.75))
