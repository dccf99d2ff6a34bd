"""Trained models: ends of lines, components and probes are the numbers of transformers, to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from transformers import AutoModelForCausalLM

import landscape as ls

STEPS = (0, 20, 60, 120)
GIVEN = {"sequences": 16, "length": 16, "resamples": 200}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds, trained on a text whose next word is a function of the last."""
    folder = tmp_path_factory.mktemp("trained")
    text = " ".join(f"w{n * n % 53}" for n in range(1, 3000))
    (folder / "text.txt").write_text(text)
    ids = torch.tensor(cases.tokenizer()(text)["input_ids"])[:2944].view(-1, 16)
    for seed in (0, 1):
        model = cases.gpt2(seed)
        random, adam = cases.generator(seed), torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(STEPS[-1] + 1):
            if step in STEPS:
                cases.save(model, folder / f"seed_{seed}" / f"step_{step}")
            batch = ids[torch.randint(len(ids), (16,), generator=random)]
            adam.zero_grad()
            model(input_ids=batch, labels=batch).loss.backward()
            adam.step()
    return folder


@torch.no_grad()
def usual(folder: Path, seed: int, step: int) -> float:
    """The mean loss of transformers on the examples."""
    model = AutoModelForCausalLM.from_pretrained(folder / f"seed_{seed}" / f"step_{step}").eval()
    ids = torch.tensor(cases.tokenizer()((folder / "text.txt").read_text())["input_ids"])
    ids = ids[: len(ids) // 16 * 16].view(-1, 16)
    ids = ids[[round(k * (len(ids) - 1) / 15) for k in range(16)]]
    return float(np.mean([float(model(input_ids=row[None], labels=row[None]).loss) for row in ids]))


@pytest.mark.slow
def test_ends_are_those_of_transformers(trained: Path) -> None:
    given: dict[str, Any] = {**GIVEN, "text": str(trained / "text.txt")}
    losses = {(seed, step): usual(trained, seed, step) for seed in (0, 1) for step in STEPS}
    assert losses[0, 120] < losses[0, 0] - 1
    lines = ls.trajectory(str(trained / "seed_0" / "step_{step}"), beyond=1.5, **given)
    for row in lines.lines[lines.lines["t"].isin([0, 1])].to_dict("records"):
        if row["t"] == 1 or row["start"] == "checkpoint":
            assert row["loss"] == pytest.approx(losses[0, row["step_b"] if row["t"] == 1 else 0], abs=1e-6)
    refs = [str(trained / f"seed_{seed}" / "step_120") for seed in (0, 1)]
    parts = ls.components(refs, **given).frame
    whole = parts[(parts["way"] == "from_last") & (parts["position"] == 0)].set_index("start")["loss_moved"]
    assert_allclose([whole["a"], whole["b"]], [losses[1, 120], losses[0, 120]], atol=1e-6)
    along = ls.probe(refs, ["induction"], along="linear", count=20, **given).along
    ends = along[(along["probe"] == "loss") & along["t"].isin([0, 1])].sort_values("t")["value"]
    assert_allclose(ends, [losses[0, 120], losses[1, 120]], atol=1e-6)
    alone = ls.probe(refs, ["induction"], count=20, **{k: v for k, v in given.items() if k != "resamples"}).frame
    for name in ("copy_gap", "best_prefix_matching"):
        mine = along[(along["metric"] == name) & along["t"].isin([0, 1])].sort_values("t")["value"]
        assert_allclose(mine, alone[(alone["metric"] == name)]["value"], atol=1e-6)


@pytest.mark.slow
def test_a_run_is_described(trained: Path) -> None:
    """It leaves its start downhill, and the mean of its last checkpoints is worse than these while it travels."""
    given: dict[str, Any] = {**GIVEN, "text": str(trained / "text.txt")}
    pattern = str(trained / "seed_0" / "step_{step}")
    lines = ls.trajectory(pattern, **given).frame
    own = lines[(lines["start"] == "checkpoint") & (lines["step_b"] == 120)].set_index("metric")["value"]
    assert own["height"] < 0.05 and 0 < own["plateau"] < 0.9
    windows = ls.trajectory(pattern, between="window", k=2, **given)
    gains = windows.frame[windows.frame["metric"] == "gain_over_newest"].sort_values("step_b")["value"].to_numpy()
    assert gains[0] < 0 and len(windows.entered) == 1
