"""Learned curves through the command line, from fit to file to folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from transformers import AutoModelForCausalLM, AutoTokenizer

from landscape import evaluate
from landscape.checkpoints import models
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.measure import curves
from landscape.objectives import causal_lm
from landscape.paths import KINDS, fit, saved
from landscape.space import Space

SMALL = ["--sequences", "2", "--length", "8", "--points", "3"]


def curve(runs: Path, out: Path, *more: str) -> Result:
    (out.parent / "held.txt").write_text(cases.TEXT)
    (out.parent / "train.txt").write_text(" ".join(reversed(cases.TEXT.split())))
    ends = [str(runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    texts = ["--text", str(out.parent / "held.txt"), "--train-text", str(out.parent / "train.txt")]
    size = [
        "--sequences",
        "8",
        "--train-sequences",
        "20",
        "--length",
        "8",
        "--batch",
        "5",
        "--steps",
        "12",
        "--points",
        "5",
    ]
    return CliRunner().invoke(cli, ["curve", *ends, *texts, *size, "--out", str(out), "--json", *more])


@pytest.mark.parametrize(("kind", "bends"), [("bezier", 2), ("polychain", 1)])
def test_a_curve_is_learned_judged_and_saved(few_runs: Path, tmp_path: Path, kind: str, bends: int) -> None:
    result = curve(few_runs, tmp_path / "out", "--kind", kind, "--bends", str(bends), "--rate", "0.01")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    chord = {row["path"]: row for row in rows if row["table"] == "barrier" and row["definition"] == "chord"}
    assert chord.keys() == {"linear", kind, "control"}
    assert chord[kind]["mean_loss"] < chord["linear"]["mean_loss"]
    assert chord[kind]["loss_a"] == pytest.approx(chord["linear"]["loss_a"], abs=1e-6)
    assert chord[kind]["distance"] == pytest.approx(chord["linear"]["distance"])
    assert chord["linear"]["length"] == pytest.approx(chord["linear"]["distance"])
    assert chord[kind]["length"] > chord["linear"]["length"]

    path = saved.load(tmp_path / "out" / "curve.safetensors")
    assert path.state.step == 12 and len(path.anchors) == bends + 2
    for number in range(1, bends + 1):
        folder = tmp_path / "out" / f"bend_{number}"
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        point = Space.of(model).vector(dict(model.named_parameters())).detach()
        assert torch.equal(point, path.anchors[number])
        assert torch.equal(models.load(folder, cases.gpt2()), point)
        back = CliRunner().invoke(cli, ["barriers", str(few_runs / "seed_0" / "step_10"), str(folder), *SMALL])
        assert back.exit_code == 0, back.exception
        assert AutoTokenizer.from_pretrained(folder)("w3")["input_ids"]


def test_a_fit_that_was_stopped_goes_on(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert curve(few_runs, tmp_path / "whole", "--no-control").exit_code == 0
    slope, calls = evaluate.slope, []

    def interrupted(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return slope(*arguments, **more)

    monkeypatch.setattr(evaluate, "slope", interrupted)
    assert curve(few_runs, tmp_path / "parts", "--no-control").exit_code != 0
    file = tmp_path / "parts" / "curve.safetensors"
    assert 0 < saved.load(file).state.step < 12
    assert curve(few_runs, tmp_path / "parts", "--no-control").exit_code == 0
    whole = saved.load(tmp_path / "whole" / "curve.safetensors")
    torch.testing.assert_close(saved.load(file).anchors, whole.anchors, rtol=0, atol=1e-6)
    other = curve(few_runs, tmp_path / "parts", "--no-control", "--rate", "0.5")
    assert "holds another curve, of other ends, text or settings; choose another --out" in str(other.exception)


def test_bad_input_gets_a_sentence(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(cases.TEXT)
    seed = str(few_runs / "seed_0" / "step_10")
    run = CliRunner()
    alone = run.invoke(cli, ["curve", seed, seed, "--text", str(tmp_path / "x.txt")])
    assert "give --train-text too, another text to fit it on" in str(alone.exception)
    same = run.invoke(cli, ["curve", seed, seed, *(f"--{t}={tmp_path / 'x.txt'}" for t in ("text", "train-text"))])
    assert "are the same text; a curve must be judged on text it was not fitted on" in str(same.exception)
    many = run.invoke(cli, ["curve", seed, f"{few_runs}/seed_{{seed}}/step_10"])
    assert "is 3 checkpoints; a curve joins one to one" in str(many.exception)
    (tmp_path / "no.safetensors").write_text("x")
    for name in ("no.safetensors", "gone.safetensors"):
        with pytest.raises(InputError, match="holds no path of landscape"):
            saved.load(tmp_path / name)


def test_length_and_means_are_those_of_the_points() -> None:
    model = cases.gpt2(3)
    objective = causal_lm.build(model, causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=6, length=9))
    anchors = 0.1 * torch.randn(4, objective.space.size, generator=cases.generator(4), dtype=torch.float64)
    objective = causal_lm.build(model.double(), objective.batch)
    found, profile = curves.judge(objective, anchors, "bezier", 9)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    points = KINDS["bezier"](t, 4) @ anchors
    losses = evaluate.losses(objective, points, torch.eye(9, dtype=torch.float64)).double().mean(dim=1).numpy()
    steps = (points[1:] - points[:-1]).norm(dim=1).numpy()
    (row,) = [row for row in found if row["definition"] == "chord"]
    assert row["length"] == pytest.approx(steps.sum())
    assert row["arc_mean_loss"] == pytest.approx(np.sum((losses[1:] + losses[:-1]) / 2 * steps) / steps.sum(), abs=1e-6)
    assert row["mean_loss"] == pytest.approx(np.trapezoid(losses, t.numpy()), abs=1e-6)
    assert [p["loss"] for p in profile] == pytest.approx(losses, abs=1e-6)
    assert row["climb"] == pytest.approx(losses.max() - min(losses[0], losses[-1]), abs=1e-6) and row["climb_error"] > 0
    assert row["arc_mean_loss"] != pytest.approx(row["mean_loss"], abs=1e-6)


def test_a_saved_path_is_the_path(tmp_path: Path) -> None:
    anchors = torch.randn(4, 7, generator=cases.generator(2))
    state = fit.State(anchors[1:-1], torch.ones(2, 7), torch.full((2, 7), 2.0), 5)
    recipe = fit.Recipe("polychain", 2, steps=9, rate=0.01)
    saved.save(tmp_path / "deep" / "p.safetensors", saved.Saved(("a", "b"), recipe, anchors, state))
    back = saved.load(tmp_path / "deep" / "p.safetensors")
    assert (back.ends, back.recipe, back.state.step) == (("a", "b"), recipe, 5)
    assert torch.equal(back.anchors, anchors) and torch.equal(back.state.second, state.second)
    assert torch.equal(back.coefficients(cases.TIMES), KINDS["polychain"](cases.TIMES, 4))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.safetensors"]
