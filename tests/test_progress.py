"""Long work says how far it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cases
import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from landscape import progress
from landscape.checkpoints import formats, hollow, identity, models
from landscape.checkpoints.formats.tensors import same_bytes
from landscape.checkpoints.on_disk import PointOnDisk
from landscape.objectives import causal_lm
from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy

CONFIG = {
    "vocab_size": 60,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines that are said, with no wait between two."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "LONG", 0.0)
    caplog.set_level("INFO", logger="landscape")

    class Lines(list[str]):
        def now(self) -> list[str]:
            out = [record.getMessage() for record in caplog.records]
            caplog.clear()
            return out

    return Lines()


def test_a_line_says_how_much_is_done(said, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    work = progress.of_bytes("hashing a", 4_000_000_000)
    for _ in range(4):
        work.advance(1e9)
    assert [line.rsplit(" in ")[0] for line in said.now()] == [f"hashing a: {n} of 4 GB" for n in (1, 2, 3)]
    monkeypatch.setattr(progress, "EVERY", 1000.0)
    progress.of_bytes("hashing b", 10).advance(1)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "LONG", 1000.0)
    progress.of_bytes("hashing c", 10).advance(1)
    assert said.now() == []


def test_each_phase_of_a_barrier_says_so(said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    model = cases.auto(LlamaConfig(**CONFIG), 1)
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    identity.content_id(tmp_path, tmp_path)
    assert any(line.startswith(f"hashing {tmp_path}: ") for line in said.now())
    monkeypatch.setattr(formats.tensors, "ALONE", 100)
    models.load(tmp_path, model)
    assert any(line.startswith(f"reading {tmp_path}: ") for line in said.now())
    empty = models.skeleton(tmp_path, "AutoModelForCausalLM", hollow=True)
    monkeypatch.setattr("landscape.anchor.PIECE", 100)
    with hollow.filled(empty, torch.float32, tmp_path):
        objective = causal_lm.build(empty, {"input_ids": torch.arange(5, 29).view(4, 6)})
    assert any(line.startswith(f"reading {tmp_path}: ") for line in said.now())
    losses(objective, [PointOnDisk.of(tmp_path, empty)], torch.ones(3, 1), strategy=Strategy())
    assert [line.rsplit(" in ")[0] for line in said.now()] == [f"evaluating: {n} of 3 points" for n in (1, 2)]


def test_a_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(2 * identity.PIECE + 7)
    (tmp_path / "a").write_bytes(content)
    assert identity.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_equal_tensors_have_the_same_bytes(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    a = torch.randn(300, generator=cases.generator(1))
    b = a.clone()
    b[-1] += 1
    save_file({"a": a, "same": a.clone(), "other": b, "short": a[:5].clone()}, tmp_path / "model.safetensors")
    stored = formats.index(tmp_path)
    assert [same_bytes(stored["a"], stored[name]) for name in ("same", "other", "short")] == [True, False, False]
