"""Learned curves through the command line, from fit to file to folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from transformers import AutoModelForCausalLM, AutoTokenizer

from landscape.checkpoints import models
from landscape.cli.curve import _table
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.measure import curves
from landscape.objectives import Objective, causal_lm, module
from landscape.paths import fit, kind, saved
from landscape.points import evaluate, gradients
from landscape.profile.adaptive import Grid
from landscape.session import fitting
from landscape.session.buffers import Buffers
from landscape.session.evaluator import Choices, Evaluator
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint
from landscape.study.store import Store

IDS = torch.randint(5, cases.WORDS, (20, 9), generator=cases.generator(8))


def curve(runs: Path, out: Path, *more: str) -> Result:
    (out.parent / "held.txt").write_text(cases.TEXT)
    (out.parent / "train.txt").write_text(" ".join(reversed(cases.TEXT.split())))
    ends = [str(runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    texts = ["--text", str(out.parent / "held.txt"), "--fit-text", str(out.parent / "train.txt")]
    size = [
        "--sequences",
        "8",
        "--fit-sequences",
        "10",
        "--length",
        "8",
        "--fit-batch",
        "5",
        "--fit-steps",
        "12",
        "--points",
        "5",
    ]
    return CliRunner().invoke(cli, ["curve", *ends, *texts, *size, "--out", str(out), "--json", *more])


def evaluator_of(objective: Objective) -> Evaluator:
    """Evaluates points of a model that is no checkpoint."""
    choices = Choices(objective, 0, torch.device("cpu"))
    here = Checkpoint("a", content="a")
    buffers = Buffers.of(objective.model)
    return Evaluator(choices, replace(buffers, known={"a": buffers.fresh}), [here], "float32")


@pytest.mark.parametrize(("kind", "bends"), [("bezier", 2), ("polychain", 1)])
def test_a_curve_is_learned_judged_and_saved(few_runs: Path, tmp_path: Path, kind: str, bends: int) -> None:
    result = curve(few_runs, tmp_path / "out", "--path", kind, "--bends", str(bends), "--rate", "0.01")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    chord = {row["path"]: row for row in rows if row["table"] == "barrier" and row["definition"] == "chord"}
    assert chord.keys() == {"linear", kind, "control"}
    assert chord[kind]["mean_loss"] < chord["linear"]["mean_loss"]
    assert chord[kind]["loss_a"] == pytest.approx(chord["linear"]["loss_a"], abs=1e-6)
    assert chord[kind]["distance"] == pytest.approx(chord["linear"]["distance"])
    assert chord["linear"]["path_length"] is None, "the length of a straight line is the distance of its ends"
    assert chord[kind]["path_length"] > chord["linear"]["distance"]

    path = saved.load(tmp_path / "out" / "curve.safetensors")
    assert path.state.step == 12 and len(path.anchors) == bends + 2
    for number in range(1, bends + 1):
        folder = tmp_path / "out" / f"bend_{number}"
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        point = Space.of(model).vector(dict(model.named_parameters())).detach()
        assert torch.equal(point, path.anchors[number])
        assert torch.equal(models.load(folder, cases.gpt2()), point)
        assert AutoTokenizer.from_pretrained(folder)("w3")["input_ids"] == cases.tokenizer()("w3")["input_ids"]


@pytest.mark.slow
def test_a_fit_that_was_stopped_goes_on(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert curve(few_runs, tmp_path / "whole", "--no-control").exit_code == 0
    slope, calls = gradients.value_and_grad, []

    def interrupted(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return slope(*arguments, **more)

    monkeypatch.setattr(gradients, "value_and_grad", interrupted)
    assert curve(few_runs, tmp_path / "parts", "--no-control").exit_code != 0
    (kept,) = (tmp_path / "parts" / "results" / "curves").iterdir()
    assert 0 < saved.load(kept).state.step < 12 and not (tmp_path / "parts" / "curve.safetensors").exists()
    assert curve(few_runs, tmp_path / "parts", "--no-control").exit_code == 0
    assert len(calls) < 2 * 12 + 12, "what was fitted is not fitted again"
    file, whole = tmp_path / "parts" / "curve.safetensors", saved.load(tmp_path / "whole" / "curve.safetensors")
    torch.testing.assert_close(saved.load(file).anchors, whole.anchors, rtol=0, atol=1e-6)
    for changed in (("--rate", "0.5"), ("--seed", "3")):
        other = curve(few_runs, tmp_path / "parts", "--no-control", *changed)
        assert "holds another curve, of other ends, text or settings; choose another --out" in str(other.exception)
        assert len(list(kept.parent.iterdir())) == 1, "it is refused before it is fitted"


def test_bad_input_gets_a_sentence(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(cases.TEXT)
    seed = str(few_runs / "seed_0" / "step_10")
    run = CliRunner()
    alone = run.invoke(cli, ["curve", seed, seed, "--text", str(tmp_path / "x.txt")])
    assert "give fit_text too, another text to fit it on" in str(alone.exception)
    two = str(few_runs / "seed_1" / "step_10")
    same = run.invoke(cli, ["curve", seed, two, *(f"--{t}={tmp_path / 'x.txt'}" for t in ("text", "fit-text"))])
    assert "is the text of [data]; what is fitted or aligned on a text is measured on another" in str(same.exception)
    many = run.invoke(cli, ["curve", seed, f"{few_runs}/seed_{{seed}}/step_10"])
    assert "are 4 checkpoints; a curve joins two, one each" in str(many.exception)
    other = [seed, str(few_runs / "seed_1" / "step_10"), "--text", str(tmp_path / "x.txt")]
    (tmp_path / "y.txt").write_text(cases.TEXT[::-1])
    texts = [*other, "--fit-text", str(tmp_path / "y.txt"), "--sequences", "4", "--length", "8"]
    fixed = run.invoke(cli, ["curve", *texts, "--points", "4", "--halfwidth", "0.1"])
    assert "halfwidth chooses where to evaluate, and points = 4 fixes it" in str(fixed.exception)
    for option, value, said in (
        ("--rate", "nan", "rate: Input should be a finite number (got 'nan')"),
        ("--seed", "99999999999999999999", "seed: Input should be less than or equal to 2147483647"),
        ("--halfwidth", "inf", "halfwidth: Input should be a finite number (got 'inf')"),
    ):
        refused = run.invoke(cli, ["curve", *texts, option, value])
        assert isinstance(refused.exception, InputError) and said in str(refused.exception)
    twice = run.invoke(cli, ["curve", seed, *texts[:1], *texts[2:], "--fit-sequences", "8"])
    assert "hold the same weights; a curve joins two checkpoints" in str(twice.exception)
    device = run.invoke(cli, ["curve", *texts, "--device", "cuda:77"])
    assert "cannot compute on 'cuda:77'" in str(device.exception)
    (tmp_path / "no.safetensors").write_text("x")
    for name in ("no.safetensors", "gone.safetensors"):
        with pytest.raises(InputError, match="holds no path of landscape"):
            saved.load(tmp_path / name)


def test_a_fit_that_diverges_says_so_and_leaves_nothing(few_runs: Path, tmp_path: Path) -> None:
    lost = curve(few_runs, tmp_path / "out", "--rate", "1e30", "--no-control")
    said = r"the loss of the fit is not finite at step \d+ with rate 1e\+30; give a lower rate"
    assert lost.exit_code == 3 and re.search(said, " ".join(lost.stderr.split())), lost.stderr
    assert not list(tmp_path.rglob("*.safetensors"))
    assert curve(few_runs, tmp_path / "out", "--rate", "0.01", "--no-control").exit_code == 0


def test_a_batch_of_one_example_has_one_position(few_runs: Path, tmp_path: Path) -> None:
    assert curve(few_runs, tmp_path / "out", "--fit-batch", "1", "--no-control").exit_code == 0
    t, batches = fit.draw(fit.FitSettings(batch=3, parts=8), 20, 1, 2)
    assert len(t) == len(batches) == 3 and all(len(batch) == 1 for batch in batches)


def test_no_curve_is_learned_between_copies(few_runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed, source in enumerate((0, 0, 1)):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{source}")
    (tmp_path / "train.txt").write_text(" ".join(reversed(cases.TEXT.split())))
    file = cases.study(tmp_path, sequences="8", length="8")
    kind = (
        'kind = "curves"\nfit_text = "train.txt"\nfit_sequences = 9\nfit_steps = 2\nat_steps = [10]\ncontrol = false\n'
    )
    file.write_text(file.read_text().replace('kind = "barriers"\npoints = 5\nresamples = 200\n', kind + "points = 3\n"))
    done = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "hold the same weights: no curve is learned between them" in caplog.text
    store = Store(tmp_path / "results")
    rows = store.rows("barrier", [task["key"] for task in store.record()["tasks"]]).query("definition == 'chord'")
    assert rows.groupby("path").size().to_dict() == {"bezier": 2, "linear": 3}


def test_length_and_means_are_those_of_the_points() -> None:
    model = cases.gpt2(3, n_embd=6, n_layer=1)
    objective = causal_lm.build(model.double(), {"input_ids": IDS[:6]})
    anchors = 0.1 * torch.randn(4, objective.space.size, generator=cases.generator(4), dtype=torch.float64)

    evaluator = evaluator_of(objective)
    _, found, profile = curves.score(evaluator, list(anchors), "bezier", Grid(9, resamples=50))
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    points = kind("bezier").coefficients(t, list(anchors), ()) @ anchors
    each = evaluate.losses(objective, points, torch.eye(9, dtype=torch.float64)).double().numpy()
    losses, steps = each.mean(axis=1), (points[1:] - points[:-1]).norm(dim=1).numpy()
    (row,) = [row for row in found if row["definition"] == "chord" and row["table"] == "barrier"]
    many = kind("bezier").coefficients(torch.linspace(0, 1, 3001, dtype=torch.float64), list(anchors), ()) @ anchors
    assert row["path_length"] == pytest.approx(float((many[1:] - many[:-1]).norm(dim=1).sum()), rel=1e-6)
    by_arc = ((each[1:] + each[:-1]) / 2 * steps[:, None]).sum(axis=0) / steps.sum()
    better = each[0 if losses[0] < losses[-1] else -1]
    for name, values in {
        "arc_mean_loss": by_arc,
        "mean_loss": np.trapezoid(each, t.numpy(), axis=0),
        "largest_loss": each[losses.argmax()],
        "loss_increase": each[losses.argmax()] - better,
        "mean_loss_increase": np.trapezoid(each, t.numpy(), axis=0) - better,
    }.items():
        assert row[name] == pytest.approx(values.mean(), abs=1e-6), name
        assert row[f"{name}_error"] == pytest.approx(values.std(ddof=1) / 6**0.5, rel=1e-3), name
    profile = [p for p in profile if p["table"] == "profile"]
    assert [p["loss"] for p in profile] == pytest.approx(losses, abs=1e-6)
    assert row["arc_mean_loss"] != pytest.approx(row["mean_loss"], abs=1e-6)
    _, (dense, *_), _ = curves.score(evaluator, list(anchors), "bezier", Grid(resamples=10))
    assert dense["path_length"] == row["path_length"]


@pytest.mark.slow
def test_curves_of_a_study_are_those_of_the_command(few_runs: Path, tmp_path: Path) -> None:
    """Pairs fitted in one batch or alone, with their controls, beside the straight lines, resumable."""
    for seed in range(3):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    (tmp_path / "train.txt").write_text(" ".join(reversed(cases.TEXT.split())))
    file = cases.study(tmp_path, sequences="8", length="8")
    curve_of = 'kind = "curves"\nfit_text = "train.txt"\nfit_sequences = 10\nfit_batch = 5\nfit_steps = 12\n'
    curve_of += "rate = 0.01\npoints = 5\n"
    file.write_text(file.read_text().replace('kind = "barriers"\npoints = 5\nresamples = 200\n', curve_of))
    done = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output
    store = Store(tmp_path / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    rows = store.rows("barrier", keys).query("definition == 'chord'")
    assert rows.groupby("path").size().to_dict() == {"linear": 6, "bezier": 6, "control": 6}
    files = sorted((tmp_path / "results" / "curves").iterdir())
    assert len(files) == 12 and {str(f.relative_to(tmp_path / "results")) for f in files} == set(rows["curve"].dropna())
    assert all(f.stat().st_size < 1.1 * saved.load(f).anchors.numel() * 4 + 4096 for f in files)
    single = curve(few_runs, tmp_path / "out", "--rate", "0.01")
    assert single.exit_code == 0
    own = [json.loads(line) for line in single.stdout.splitlines() if line.startswith("{")]
    for path in ("bezier", "linear", "control"):
        (mine,) = [r for r in own if r["table"] == "barrier" and r["definition"] == "chord" and r["path"] == path]
        theirs = rows[(rows["path"] == path) & (rows["step_a"] == 10) & (rows["seed_a"] == 0) & (rows["seed_b"] == 1)]
        for name in (
            "barrier",
            "low",
            "high",
            "loss_a",
            *(("path_length", "loss_increase") if path != "linear" else ()),
        ):
            assert theirs[name].item() == pytest.approx(mine[name], abs=1e-5), (path, name)
    again = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert again.exit_code == 0 and "0 failed" in again.output


def test_the_table_of_a_metric_has_its_own_columns() -> None:
    """The mean by arc length in its row is that of the loss."""
    row = {"path": "bezier", "barrier": 0.1, "low": 0.0, "high": 0.2, "unit": "accuracy", "examples": 9,
           "t_error": None, "path_length": 1.0, "arc_mean_loss": 7.5, "arc_mean_loss_error": 0.5}  # fmt: skip
    row |= {f"{name}{end}": 0.25 for name in ("loss_increase", "mean_loss_increase", "largest_loss", "mean_loss")
            for end in ("", "_error")}  # fmt: skip
    tables = [_table(pd.DataFrame([row]), metric) for metric in ("accuracy", "loss")]
    shown = [[str(column.header) for column in table.columns] for table in tables]
    below = ["worst below the better end", "mean below the better end"]
    assert shown[0] == ["path", "barrier", *below, "worst accuracy", "mean accuracy", "length"]
    assert "by arc length" in shown[1] and "largest loss" in shown[1]


def test_curves_of_classifiers_carry_their_accuracy(tmp_path: Path) -> None:
    for seed in range(2):
        cases.save(cases.classifier(seed), tmp_path / f"seed_{seed}" / "step_1")
    lines = [f'{{"text": "w{n} w{n * n % 50}", "label": {n % 3}}}' for n in range(60)]
    (tmp_path / "train.txt").write_text("\n".join(lines[20:]))
    file = cases.study(tmp_path, objective='"classification"')
    (tmp_path / "text.txt").write_text("\n".join(lines[:20]))
    kind = 'kind = "curves"\nfit_text = "train.txt"\nfit_sequences = 20\nfit_batch = 5\nfit_steps = 3\npoints = 5\n'
    file.write_text(file.read_text().replace('kind = "barriers"\npoints = 5\nresamples = 200\n', kind))
    done = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output
    store = Store(tmp_path / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    profiles, ends = store.rows("metric_profile", keys), store.rows("loss", keys)
    assert set(profiles["metric"]) == {"accuracy"}
    for path in ("linear", "bezier"):
        own = profiles[profiles["path"] == path].sort_values("t")
        assert own["value"].between(0, 1).all()
        assert [own["value"].iloc[0], own["value"].iloc[-1]] == ends["accuracy"].tolist()


@pytest.mark.parametrize("kind", ["loop", "vmap"])
def test_curves_fitted_together_are_those_fitted_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Literal["loop", "vmap"]
) -> None:
    objective = causal_lm.build(cases.gpt2(3), {"input_ids": IDS})
    ends = 0.1 * torch.randn(3, 2, objective.space.size, generator=cases.generator(4))
    recipe = fit.FitSettings(bends=2, steps=4, batch=5, rate=0.01)
    monkeypatch.setattr(gradients, "loop_or_vmap", lambda *_: kind)
    wanted = [fitting.Wanted(tmp_path / f"{n}.safetensors", (str(n),), recipe, 7) for n in range(3)]
    together = fitting.learn(objective, ends, wanted, lambda step, loss: None)
    for n in range(3):
        alone = fitting.Wanted(tmp_path / f"alone_{n}.safetensors", (str(n),), recipe, 7)
        (curve_alone,) = fitting.learn(objective, ends[n : n + 1], [alone], lambda step, loss: None)
        torch.testing.assert_close(together[n], curve_alone, rtol=0, atol=1e-5)
        assert saved.load(wanted[n].file).state.step == 4
        assert torch.equal(saved.load(wanted[n].file).anchors, together[n])
    assert not torch.allclose(together[0], together[1], atol=1e-2)
    other = replace(wanted[0], ends=("9",))
    with pytest.raises(InputError, match="holds another curve, of other ends, text or settings"):
        fitting.learn(objective, ends[:1], [other], lambda step, loss: None)


def test_a_chain_is_read_piece_by_piece() -> None:
    """The loss of a bowl is quadratic on each piece, so that the points of three levels read it exactly."""
    curvature = torch.tensor([1.0, 0.7, 2.0], dtype=torch.float64)
    spread = torch.tensor([0.9, 1.0, 1.3, 0.4], dtype=torch.float64)
    bowl = module.build(cases.Bowl(curvature), {"inputs": spread}, lambda out, _: out)
    corners = torch.randn(4, 3, generator=cases.generator(6), dtype=torch.float64)
    profile, _, shown = curves.score(evaluator_of(bowl), list(corners), "polychain", Grid(resamples=10))
    assert len(profile.t) == 3 * 8 + 1
    for row in shown:
        (point,) = (
            kind("polychain").coefficients(torch.tensor([row["t"]], dtype=torch.float64), list(corners), ()) @ corners
        )
        assert row["loss"] == pytest.approx(0.9 * float((curvature * point**2).sum()), abs=1e-9)


@pytest.mark.untyped
def test_a_loss_that_is_not_finite_is_no_loss() -> None:
    """Of one example among others at one of two points."""
    bowl = module.build(cases.Bowl(torch.ones(2)), {"inputs": torch.tensor([1.0, 3e38, 2.0])}, lambda out, _: out)
    ends = [torch.tensor([0.1, 0.2]), torch.tensor([3.0, 1.0])]
    for examples in (np.arange(3), None):
        with pytest.raises(InputError, match="the loss is not finite at 1 of 2 points in float32; the weights"):
            evaluator_of(bowl).evaluate(ends, torch.eye(2), examples)
    finite = evaluator_of(bowl).evaluate(ends, torch.eye(2), np.array([0, 2]))
    assert finite.losses.shape == (2, 2) and np.isfinite(finite.losses).all()


def test_recipes_have_names_of_their_own() -> None:
    changes = {"kind": "polychain", "bends": 2, "steps": 9, "batch": 3, "parts": 1, "rate": 0.01, "decay": 0.1}
    recipes = [fit.FitSettings(), *(replace(fit.FitSettings(), **{name: value}) for name, value in changes.items())]  # type: ignore[arg-type]
    assert len({saved.key(recipe) for recipe in recipes}) == len(recipes) == 8


def test_a_saved_path_is_the_path(tmp_path: Path) -> None:
    anchors = torch.randn(4, 7, generator=cases.generator(2))
    state = fit.State(anchors[1:-1], torch.ones(2, 7), torch.full((2, 7), 2.0), 5)
    recipe = fit.FitSettings("polychain", 2, steps=9, rate=0.01)
    saved.save(tmp_path / "deep" / "p.safetensors", saved.Saved(("a", "b"), recipe, anchors, state))
    back = saved.load(tmp_path / "deep" / "p.safetensors")
    assert (back.ends, back.settings, back.state.step) == (("a", "b"), recipe, 5)
    assert torch.equal(back.anchors, anchors) and torch.equal(back.state.first, state.first)
    assert torch.equal(back.state.second, state.second)
    assert torch.equal(back.coefficients(cases.TIMES), kind("polychain").coefficients(cases.TIMES, list(anchors), ()))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.safetensors"]
