"""What was found to be fastest is found again, for the same kind of work alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cases
import pytest
import torch

from landscape.objectives import causal_lm
from landscape.points import strategy
from landscape.points.evaluate import losses, tuner
from landscape.points.remembered import FOLDER, Remembered
from landscape.points.strategy import Strategy, Tuner


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def objective(width: int = 16, length: int = 6, examples: int = 4) -> Any:
    model = cases.gpt2()
    if width != 16:
        model.resize_token_embeddings(width)
    return causal_lm.build(model, {"input_ids": torch.arange(examples * length).view(examples, length) % 16})


def test_a_strategy_is_kept_for_the_same_shapes_and_precision() -> None:
    kept = Remembered.of(objective(), "float32")
    assert kept.recall() is None
    kept.keep(Strategy("vmap", 4, 128))
    for same in (objective(), objective(examples=3)):
        assert Remembered.of(same, "float32").recall() == Strategy("vmap", 4, 128)
    for other, dtype in ((objective(), "bfloat16"), (objective(length=5), "float32"), (objective(40), "float32")):
        assert Remembered.of(other, dtype).recall() is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"kind": "loop", "more": 1}'])
def test_a_damaged_file_is_no_strategy(content: str) -> None:
    kept = Remembered.of(objective(), "float32")
    kept.keep(Strategy())
    kept.file.write_text(content)
    assert kept.recall() is None
    kept.keep(Strategy(examples=16))
    assert kept.recall() == Strategy(examples=16)


def test_where_nothing_can_be_written_work_goes_on(own_folder: Path) -> None:
    own_folder.write_text("a file, not a folder")
    kept = Remembered.of(objective(), "float32")
    kept.keep(Strategy())
    assert kept.recall() is None


def test_a_search_is_kept_when_it_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 1.0)
    found: list[Strategy] = []
    search = Tuner(40, 10**6, Strategy(examples=8), (), finished=found.append)
    while search.trial is not None:
        assert not found
        how, _ = search.next(64, 40)
        search.took(how, 8, {8: 3.0, 128: 1.0, 40: 1.0}.get(how.examples, 2.0))
    assert found == [search.best]
    poor = Tuner(40, 60, Strategy(examples=8), (), finished=found.append)
    while poor.trial is not None:
        poor.took(poor.next(64, 40)[0], 8, 1.0)
    assert len(found) == 1, "what is not tried for want of work may be faster"


def test_what_is_remembered_changes_no_number() -> None:
    one = objective()
    points, rows = torch.stack([one.space.vector(dict(one.model.named_parameters()))] * 2), torch.eye(2).double()
    usual = losses(one, points, rows, strategy=Strategy())
    remembered = tuner(one, 0, Strategy("vmap", 2, 128))
    assert remembered.best == Strategy("vmap", 2, 4) and remembered.trial is None
    torch.testing.assert_close(losses(one, points, rows, strategy=remembered), usual, rtol=0, atol=1e-5)
