"""The local learning coefficient through the command and in studies."""

from __future__ import annotations

import json
import math
import os
import tomllib
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import Tensor

from landscape.checkpoints import models
from landscape.cli import llc as command
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.face import llc as face
from landscape.face import running
from landscape.face.inputs import Models
from landscape.figures.llc import llc_over_training
from landscape.figures.traces import traces
from landscape.llc import calibration, curvature, sampling
from landscape.llc import coefficient as function
from landscape.llc.arithmetic import foreseen, too_few
from landscape.llc.curvature import Sharpness
from landscape.measure import curvature as measure
from landscape.objectives import causal_lm
from landscape.points import gradients
from landscape.points.evaluate import evaluate
from landscape.study.kinds.llc import Llc
from landscape.study.store import Store


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["llc", *map(str, arguments)])


SMALL = ["--sequences", 30, "--length", 8, "--chains", 2, "--draws", 24, "--burn-in", 16, "--batch", 6, "--json"]
TINY = ["--sequences", 30, "--length", 8, "--chains", 2, "--draws", 6, "--burn-in", 3, "--batch", 6, "--json"]


@pytest.fixture
def text(tmp_path: Path) -> list[object]:
    (tmp_path / "held.txt").write_text(cases.TEXT)
    return ["--text", tmp_path / "held.txt"]


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_extrapolation_and_traces_through_the_command(few_runs: Path, text: list[object], tmp_path: Path) -> None:
    seed = few_runs / "seed_0" / "step_10"
    (plain,) = rows_of(invoke(seed, *text, *SMALL))
    (row,) = rows_of(invoke(seed, *text, *SMALL, "--extrapolate", "--out", tmp_path / "out"))
    assert (tmp_path / "out" / "chains.png").exists() and (tmp_path / "out" / "chains.svg").exists()
    other = [*SMALL[:-1], "--draws", 48, "--burn-in", 32, "--step-size", plain["step_size"] / 2, "--json"]
    (half,) = rows_of(invoke(seed, *text, *other))
    assert row["error"] > plain["error"] and abs(row["llc"] - (2 * half["llc"] - plain["llc"])) < 4 * row["error"]
    assert row["extrapolated"] and row["step_bias"] is None and 1.05 < plain["step_bias"] < 3
    assert plain["high"] == pytest.approx(plain["llc"] + 1.96 * plain["error"], rel=1e-3)
    low = plain["llc"] - 1.96 * plain["error"]
    assert plain["low"] == pytest.approx(low / plain["step_bias"] if low > 0 else low, rel=1e-3)
    assert row["low"] == pytest.approx(row["llc"] - 1.96 * row["error"], rel=1e-3)


def test_the_command_says_what_it_did(few_runs: Path, text: list[object]) -> None:
    refs = [few_runs / f"seed_{s}" / "step_10" for s in (0, 1)]
    result = invoke(*refs, *text, *TINY)
    one, two = rows_of(result)
    for row, ref in ((one, refs[0]), (two, refs[1])):
        assert row["checkpoint"] == str(ref) and row["n_beta"] == pytest.approx(30 / math.log(30))
        kept = [value for value in json.loads(row["per_chain"]) if value is not None]
        assert row["llc"] == pytest.approx(np.mean(kept)) and row["error"] > 0 and len(kept) == 2
        assert row["step_size"] == pytest.approx(0.4 / (row["n_beta"] * row["curvature"] + 100))
        assert row["parameters"] == sum(p.numel() for p in cases.gpt2().parameters())
        told = (row["draws"], row["burn_in"], row["chains"], row["batch"], row["sampler"], row["localisation"])
        assert told == (6, 3, 2, 6, "sgld", 100)
        assert f"{row['llc']:.2f} ± {row['error']:.2f}" in result.output
        assert f"{row['low']:.2f} to {row['high']:.2f}" in result.output
        assert f"{row['step_bias'] - 1:+.0%}" in result.output
        assert f"{row['checkpoint']}: {row['advice']}" in result.output
        assert row["advice"].startswith("localisation 100 holds what is measured") and 0 < row["decided"] < 0.8
    assert one["curvature"] != two["curvature"] and one["baseline"] != two["baseline"]


def test_a_restriction_really_freezes_the_rest_and_results_are_kept(
    tmp_path: Path, text: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another objective with another sampler: BERT by the thermostat, one head and one layer of it."""
    cases.save(cases.bert(3), tmp_path / "bert")
    out, values_and_grads, seen, drawn = tmp_path / "out", gradients.values_and_grads, [], []

    def watched(objective: Any, points: Tensor, *more: Any, **named: Any) -> Any:
        seen.append((objective.space, points.clone()))
        return values_and_grads(objective, points, *more, **named)

    monkeypatch.setattr(gradients, "values_and_grads", watched)
    monkeypatch.setattr(command, "_draw", lambda found, *rest, **more: drawn.append((found.frame, rest, more)))
    restricted = ["--parameters", "*.layer.1.intermediate.*", "--parameters", "head 0.1"]
    given = [*text, *TINY[:-1], "--sampler", "sgnht", "--step-size", 1e-4, *restricted, "--keep-draws", 3]
    (row,) = rows_of(invoke(tmp_path / "bert", *given, "--out", out, "--json"))
    assert row["parameters"] == 3 * (4 * 12 + 4) + 4 * 12 + (12 * 20 + 20)
    assert row["moved"] == "*.layer.1.intermediate.*, head 0.1" and row["objective"] == "masked-lm"
    start, moved = models.load(tmp_path / "bert", cases.bert()), set[str]()
    for space, points in seen:
        for name, value in space.params(start).items():
            here = space.params(points)[name] != value
            if here.any():
                moved.add(name.removeprefix("bert.encoder.layer."))
                if ".1.intermediate." not in name:
                    places = here.any(dim=0).nonzero()
                    axis = 1 if "attention.output" in name else 0
                    assert set(places[:, axis].tolist()) <= {4, 5, 6, 7}, name
    part = "0.attention.self."
    assert moved == {
        "0.attention.output.dense.weight", "1.intermediate.dense.weight", "1.intermediate.dense.bias",
        *(f"{part}{which}.{kind}" for which in ("query", "key", "value") for kind in ("weight", "bias")),
    }  # fmt: skip
    store = Store(out / "results")
    ends = store.rows("chain", [task["key"] for task in store.record()["tasks"]])
    variance, sharpest = (max(row[name], ends[name].max()) for name in ("gradient_variance", "curvature"))
    assert len(ends) == 2 and variance > row["gradient_variance"] and ends["curvature"].notna().all()
    heat = 1e-4 * row["n_beta"] ** 2 * variance / 6 * (1 - 6 / 30)
    steep = 1e-4 * (row["n_beta"] * sharpest + 100)
    assert row["step_bias"] == pytest.approx((1 + heat / 0.1) / (1 - steep / 4)) and heat > 1e-4
    ((shown, *how),) = drawn
    assert how == [(out,), {"calibrated": False}] and shown["llc"].tolist() == pytest.approx([row["llc"]])
    points = [load_file(file)["points"] for file in sorted((out / "results" / "draws").iterdir())]
    assert sum(len(p) for p in points) == 2 and points[0].shape[1:] == (2, row["parameters"])
    assert "keep_draws keeps points in the folder of the results: give out" in str(
        invoke(tmp_path / "bert", *given).exception
    )
    none = invoke(tmp_path / "bert", *text, *TINY, "--parameters", "unembed")
    assert "no parameter fits 'unembed'; names are bert.embeddings.word_embeddings.weight" in str(none.exception)


@pytest.mark.parametrize(("cores", "chains", "parts"), [(8, 4, 4), (4, 4, 2), (3, 4, 1), (1, 4, 1), (64, 5, 5)])
def test_chains_are_cut_where_checkpoints_are_fewer_than_cores(
    cores: int, chains: int, parts: int, few_runs: Path, text: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list[Llc]()

    def planted(models: Models, specs: list[Llc], *_: Any) -> face.Coefficients:
        assert len(models.checkpoints) == 2
        wanted.extend(specs)
        return face.Coefficients(models.checkpoints, pd.DataFrame(), {}, pd.DataFrame())

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(face, "_measured", planted)
    refs = [few_runs / f"seed_{s}" / "step_10" for s in (0, 1)]
    assert invoke(*refs, *text, "--chains", chains).exit_code == 0
    assert wanted == [Llc(parts=parts, chains=chains)], "the defaults of the command are those of a study"
    assert invoke(*refs, *text, "--batch", "all").exit_code == 0 and wanted[-1].batch == "all"


def test_settings_that_cannot_be_are_said(few_runs: Path, text: list[object]) -> None:
    seed = few_runs / "seed_0" / "step_10"
    small = invoke(seed, *text, "--sequences", 30, "--length", 8, "--batch", 31)
    assert "a batch of 31 examples is wanted and there are 30" in str(small.exception)
    nothing = invoke(seed, *text, "--batch", 0)
    assert (
        nothing.exit_code != 0
        and "batch" in str(nothing.exception)
        and "greater than or equal to 1" in str(nothing.exception)
    )
    one = invoke(seed, *text, "--n-beta", "log_batch", "--batch", 1)
    assert 'n_beta = "log_batch" needs a batch of two or more: ln 1 is 0' in str(one.exception)
    foo = str(invoke(seed, *text, "--n-beta", "foo").exception)
    assert "n_beta" in foo and "'log_n' or 'log_batch'" in foo and "number" in foo and "'foo'" in foo
    mala = str(invoke(seed, *text, "--sampler", "mala").exception)
    assert 'sampler = "mala" is exact on full batches only: give batch = "all"' in mala
    for option in ("--step-size", "--n-beta", "--localisation"):
        for wrong in ("nan", "0", "-1"):
            name, refused = option[2:].replace("-", "_"), invoke(seed, *text, option, wrong).exception
            assert isinstance(refused, InputError) and name in str(refused), (option, wrong)
    both = invoke(seed, *text, "--calibrate", "--extrapolate")
    assert "calibrate looks for a step without bias, and extrapolate removes it: leave one out" in str(both.exception)


def test_steps_that_are_too_few_by_arithmetic_are_said_before_anything_runs(
    few_runs: Path, text: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``5 / (step localisation)`` steps: 100 here; with ``auto`` 12.5 at least, and more the larger the curvature."""
    base = {"kind": "llc", "n_beta": 40.0, "localisation": 25.0, "draws": 120, "burn_in": 100, "step_size": 2e-3}

    def of(**changes: Any) -> str:
        return foreseen(Llc.model_validate({**base, **changes}), 128) or ""

    assert of() == "" and of(sampler="rmsprop", burn_in=0) == of(sampler="rmsprop", step_size="auto") == ""
    short = of(burn_in=99)
    assert short.startswith("llc: burn_in = 99 is too few at localisation 25 and step size 0.002: flat directions")
    assert "settle in 100 steps" in short and "draws = 99 is too few" in of(draws=99)
    assert "burn_in = 60 and draws = 80 are too few" in of(burn_in=60, draws=80)
    auto = of(step_size="auto", burn_in=12)
    assert "burn_in = 12 is too few" in auto and "step size 0.016 or less: flat directions settle in 13 or more" in auto
    for sampler in ("sgld", "sgnht"):
        said = of(step_size="auto", sampler=sampler, burn_in=400, draws=500)
        flattest = float(said.split("is below ")[1].split(";")[0])
        wanted = [Llc.model_validate(base | {"sampler": sampler, "burn_in": 400, "draws": 500})] * 2
        few, enough = (too_few(one, curvature.step_size(h, 40.0, 25.0))
                       for one, h in zip(wanted, (1.02 * flattest, 0.98 * flattest), strict=True))  # fmt: skip
        assert enough is None and few and "burn_in = 400 is too few" in few
    assert few_runs and text
    (tmp_path / "seed_0").symlink_to(few_runs / "seed_0")
    (tmp_path / "seed_1").symlink_to(few_runs / "seed_1")
    file = cases.study(tmp_path, sequences="20", length="8")
    measures = "".join(f'[[measure]]\nkind = "llc"\ndraws = {9 + n}\nbatch = 4\nstep_size = 5e-4\n' for n in range(5))
    file.write_text(file.read_text().split("[[measure]]")[0] + measures)
    monkeypatch.setattr(running, "run_tasks", lambda *_, **__: {})
    for command_ in ("plan", "run"):
        result = CliRunner().invoke(cli, [command_, str(file)])
        assert result.exit_code == 0, result.output
        for n in range(3):
            assert f"warning: llc: draws = {9 + n} is too few at localisation 100 and step size 0.0005" in result.stderr
        assert "warning: the same of 2 more measures" in result.stderr and "draws = 12" not in result.stderr
    alone = invoke(few_runs / "seed_0" / "step_10", *text, *TINY, "--step-size", 5e-4)
    assert "warning: llc: burn_in = 3 and draws = 6 are too few" in alone.stderr


@pytest.mark.slow
def test_dropout_takes_no_part(tmp_path: Path, text: list[object]) -> None:
    """A model whose dropout is on in training has the same chains as without: evaluation mode."""
    model = cases.gpt2(3)
    cases.save(model, tmp_path / "plain")
    model.config.resid_pdrop = model.config.embd_pdrop = 0.5
    cases.save(model, tmp_path / "dropout")
    values = [rows_of(invoke(tmp_path / name, *text, *SMALL))[0]["llc"] for name in ("plain", "dropout")]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["rmsprop", "mala"])
def test_other_objectives_and_samplers_run(tmp_path: Path, text: list[object], sampler: str) -> None:
    cases.save(cases.bert(3), tmp_path / "bert")
    small = [*SMALL[:-1], "--step-size", 1e-5, "--sampler", sampler, "--json"]
    small += ["--batch", "all"] if sampler == "mala" else []
    (row,) = rows_of(invoke(tmp_path / "bert", *text, *small))
    assert row["objective"] == "masked-lm" and math.isfinite(row["llc"])
    assert row["step_bias"] == (1.15 if sampler == "rmsprop" else 1)


@pytest.mark.slow
def test_a_step_far_too_large_is_called_unreliable(few_runs: Path, text: list[object]) -> None:
    (row,) = rows_of(invoke(few_runs / "seed_0" / "step_10", *text, *TINY, "--step-size", 10))
    assert not row["reliable"] and ("diverged" in row["warnings"] or "not local" in row["warnings"])


EXTRAPOLATED = """
[[measure]]
kind = "llc"
chains = 2
draws = 6
burn_in = 2
batch = 4
parameters = ["*.mlp.*"]
extrapolate = true
localisation = 40.0
tile = 2
at_steps = "last"
"""
WITH_DROPOUT = """
[[measure]]
kind = "llc"
chains = 2
draws = 6
burn_in = 2
batch = 5
n_beta = 11.5
localisation = 4000.0
mode = "training"
parameters = ["*.mlp.*"]
at_steps = "last"
"""


def test_a_study_and_one_function_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By tasks that leave files, and from the model to the number in one call."""
    sharpness, sharp = curvature.sharpness, list[Sharpness]()

    def watched(*given: Any, **named: Any) -> Sharpness:
        sharp.append(sharpness(*given, **named))
        return sharp[-1]

    monkeypatch.setattr(curvature, "sharpness", watched)
    monkeypatch.setattr(function, "ROUNDING", 0.5)  # so that the length of the checkpoint raises a warning
    for seed in range(2):
        cases.save(cases.gpt2(5 + seed, n_layer=1, resid_pdrop=0.4), tmp_path / f"seed_{seed}" / "step_7")
    file = cases.study(tmp_path, sequences="20", length="8")
    file.write_text(file.read_text().split("[[measure]]")[0] + EXTRAPOLATED + WITH_DROPOUT)
    assert CliRunner().invoke(cli, ["run", str(file), "--workers", "1"]).exit_code == 0
    store = Store(tmp_path / "results")
    tasks = store.record()["tasks"]
    rows = store.rows("llc", [task["key"] for task in tasks])
    assert rows[["seed", "step"]].to_numpy().tolist() == [[0, 7], [1, 7]] * 2
    every = [Llc.model_validate(one) for one in tomllib.loads(EXTRAPOLATED + WITH_DROPOUT)["measure"]]
    batch = causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=20, length=8)
    objective = causal_lm.build(cases.gpt2(n_layer=1, resid_pdrop=0.4), batch)
    for row in rows.itertuples():
        settings = every[row.mode == "training"]
        point = models.load(tmp_path / f"seed_{row.seed}" / "step_7", objective.model)
        losses = evaluate(objective, [point], torch.eye(1))["loss"][0].double()
        traces = store.losses(row.traces)
        assert traces.shape == (2, 8) and row.baseline_error == pytest.approx(float(losses.std()) / 20**0.5, rel=1e-3)
        assert row.extrapolated == settings.extrapolate and row.localisation == settings.localisation
        if settings.extrapolate:
            assert pd.isna(row.step_bias) and row.baseline == pytest.approx(float(losses.mean()), abs=1e-5)
        else:
            own = row.n_beta * (traces[:, 2:].mean(axis=1) - row.baseline)
            np.testing.assert_allclose(json.loads(row.per_chain), own, atol=1e-4)
            assert row.baseline == pytest.approx(sampling.baseline(objective, point, settings), abs=1e-5)
            assert abs(row.baseline - float(losses.mean())) > 1e-3, "with dropout it is another"
        if settings.extrapolate != row.seed:  # one of each, and of a tile the second
            continue
        sharp.clear()
        wanted = function.coefficient(objective, point, settings)
        value = wanted.estimate
        for name, one in (
            ("llc", value.llc), ("error", value.error), ("low", wanted.low), ("high", wanted.high),
            ("rhat", value.rhat), ("ess", value.ess), ("drift", value.drift), ("reach", value.reach),
        ):  # fmt: skip
            assert getattr(row, name) == pytest.approx(one, rel=2e-3, abs=2e-3), name
        np.testing.assert_allclose(json.loads(row.per_chain), value.per_chain, rtol=2e-3, atol=2e-3)
        assert row.step_size == pytest.approx(wanted.step_size, rel=1e-5)
        assert settings.extrapolate or row.step_bias == pytest.approx(wanted.step_bias, rel=1e-4)
        assert row.warnings == "; ".join(value.warnings) and not row.reliable
        assert settings.extrapolate or "than rounding can tell" in row.warnings
        assert row.curvature == pytest.approx(sharp[0].curvature, rel=1e-4)
        assert row.gradient_variance == pytest.approx(sharp[0].variance, rel=1e-3)


@pytest.mark.slow
def test_llc_in_a_study_and_its_report(few_runs: Path, tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    file = cases.study(tmp_path, sequences="20", length="8")
    more = '[[measure]]\nkind = "llc"\nchains = 2\ndraws = 10\nburn_in = 5\nbatch = 4\nat_steps = "last"\n'
    file.write_text(file.read_text() + more)
    assert CliRunner().invoke(cli, ["run", str(file), "--workers", "1"]).exit_code == 0
    store = Store(tmp_path / "results")
    rows = store.rows("llc", [task["key"] for task in store.record()["tasks"]])
    ends = store.rows("loss", [task["key"] for task in store.record()["tasks"]]).set_index("checkpoint")["loss"]
    for row in rows.itertuples():
        traces = store.losses(row.traces)
        assert row.llc == pytest.approx(row.n_beta * (traces[:, 5:].mean() - row.baseline), abs=1e-3)
    assert CliRunner().invoke(cli, ["report", str(tmp_path)]).exit_code == 0
    assert "<h2>Chains</h2>" in (tmp_path / "report.html").read_text()
    assert rows["baseline"].tolist() == [ends[ref] for ref in rows["checkpoint"]]


@pytest.mark.slow
def test_tiles_and_parts_change_how_tasks_are_cut_and_nothing_else(few_runs: Path, tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    file = cases.study(tmp_path, sequences="20", length="8")
    base = file.read_text()
    llc = '\n[[measure]]\nkind = "llc"\nchains = 3\ndraws = 8\nburn_in = 4\nbatch = 4\nextrapolate = true\n'
    llc += "keep_draws = 4\n"
    found = []
    for more in ("", "parts = 2\ntile = 3\n"):
        out = tmp_path / f"out{len(found)}"
        file.write_text(base + llc + more)
        ran = CliRunner().invoke(cli, ["run", str(file), "--workers", "1", "--out", str(out)])
        assert ran.exit_code == 0, ran.output
        store = Store(out / "results")
        tasks = store.record()["tasks"]
        keys = [task["key"] for task in tasks]
        found.append((store.rows("llc", keys), store.rows("chain", keys), tasks))
        for task in tasks:
            if task["kind"] == "chains":
                assert (out / "results" / "draws" / f"{task['key']}.safetensors").exists()
    (plain, chains, first), (cut, others, second) = found
    assert [task["key"] for task in first if task["kind"] == "llc"] == [
        task["key"] for task in second if task["kind"] == "llc"
    ]
    names = ["checkpoint", "halved", "chain"]
    merged = chains.merge(others, on=names, validate="one_to_one")
    assert len(merged) == 4 * 3 * 2 and plain["checkpoint"].tolist() == cut["checkpoint"].tolist()
    np.testing.assert_allclose(merged["distance_x"], merged["distance_y"], rtol=1e-4)
    for name in ("llc", "error", "low"):
        np.testing.assert_allclose(plain[name].astype(float), cut[name].astype(float), atol=0.02)
    assert all(len(json.loads(each)) == 3 for each in cut["per_chain"])
    kept = [task for task in second if task["kind"] == "chains"]
    assert sorted(len(task["checkpoints"]) for task in kept) == [1] * 4 + [3] * 4


@pytest.mark.slow
def test_lost_traces_are_made_again_and_lost_numbers_from_them(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "seed_0").symlink_to(few_runs / "seed_0")
    (tmp_path / "seed_1").symlink_to(few_runs / "seed_1")
    file = cases.study(tmp_path, sequences="20", length="8")
    file.write_text(file.read_text() + '[[measure]]\nkind = "llc"\nchains = 2\ndraws = 8\nburn_in = 4\nbatch = 4\n')
    run = ["run", str(file), "--workers", "1"]
    assert CliRunner().invoke(cli, run).exit_code == 0
    store = Store(tmp_path / "results")
    tasks = store.record()["tasks"]
    rows = store.rows("llc", [task["key"] for task in tasks])
    lost = next(task for task in tasks if task["kind"] == "llc")
    (tmp_path / "results" / "rows" / f"{lost['key']}.parquet").unlink()
    assert "1 of" in CliRunner().invoke(cli, run).output
    chains = [task["key"] for task in tasks if task["kind"] == "chains" and task["key"] in lost["needs"]]
    (tmp_path / "results" / "rows" / f"{lost['key']}.parquet").unlink()
    (tmp_path / "results" / "losses" / f"{chains[0]}.parquet").unlink()
    assert "2 of" in CliRunner().invoke(cli, run).output
    again = store.rows("llc", [task["key"] for task in tasks])
    np.testing.assert_allclose(again["llc"].astype(float), rows["llc"].astype(float), rtol=1e-4)


@pytest.mark.slow
def test_dropout_on_request_moves_the_baseline_too(tmp_path: Path, text: list[object]) -> None:
    cases.save(cases.gpt2(3, resid_pdrop=0.5, embd_pdrop=0.5), tmp_path / "model")
    rows = [rows_of(invoke(tmp_path / "model", *text, *SMALL, *more))[0] for more in ([], ["--mode", "training"])]
    assert abs(rows[0]["baseline"] - rows[1]["baseline"]) > 0.01 and rows[1]["mode"] == "training"


def test_a_calibration_asks_for_the_grid_of_the_sharpest_end_and_proposes_what_can_be_pasted(
    few_runs: Path, text: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With values that are planted: coefficients that lie on a line through 5 and 9."""
    asked, looked = list[Llc](), list[tuple[tuple[str, ...], int]]()

    def planted(models: Models, measures: list[Llc], *_: Any) -> face.Coefficients:
        asked.extend(measures)
        rows = [
            {"checkpoint": one.ref, "llc": start * (1 + 20 * m.step_size) * (100 / m.localisation) ** 0.1,
             "error": start / 1e3, "reliable": m.localisation > 20, "warnings": "", "unit": "nats",
             "localisation": m.localisation, "step_size": m.step_size, "low": start, "high": start, "rhat": 1.0,
             "ess": 9.0, "step_bias": None, "sampler": m.sampler, "chains": m.chains, "draws": m.draws,
             "burn_in": m.burn_in, "n_beta": 8.8}
            for m in measures for one, start in zip(models.checkpoints, (5.0, 9.0), strict=True)
        ]  # fmt: skip
        assert [one.ref for one in models.checkpoints] == [str(refs[0]), str(refs[2])], "the ends"
        return face.Coefficients(models.checkpoints, pd.DataFrame(rows), {}, pd.DataFrame())

    def sharp(objective: Any, point: Tensor, parameters: Any, *, seed: int) -> Sharpness:
        looked.append((tuple(parameters), seed))
        first = models.load(refs[0], objective.model)
        return Sharpness(curvature=7.5 if torch.equal(point, first) else 1.5, variance=0.0, parameters=9)

    monkeypatch.setattr(face, "_measured", planted)
    monkeypatch.setattr(measure, "sharpness", sharp)
    refs = [few_runs / f"seed_{seed}" / "step_10" for seed in (0, 1, 2)]
    given = [*text, *TINY, "--calibrate", "--seed", 2, "--parameters", "*.mlp.*", "--n-beta", 8.8]
    result = invoke(*refs, *given)
    assert result.exit_code == 0, result.output
    assert looked == [(("*.mlp.*",), 2)] * 2
    assert len(rows_of(result)) == 36 and {m.localisation for m in asked} == {10.0, 100.0, 1000.0}
    step = 0.4 / (8.8 * 7.5 + 100)
    first = sorted(m.step_size for m in asked if m.localisation == 100)
    assert first == pytest.approx([share * step for share in (0.25, 0.5, 1, 2, 4, 8)], rel=1e-2)
    block = "[[measure]]" + result.output.split("[[measure]]")[1].split("\n\n")[0]
    (proposed,) = tomllib.loads(block)["measure"]
    said = Llc.model_validate(proposed)
    best = first[0]  # the least bias, where noise is small
    wanted = {"localisation": 100.0, "step_size": best, "chains": 2, "draws": 6, "burn_in": 3, "batch": 6, "seed": 2,
              "parameters": ("*.mlp.*",), "n_beta": 8.8}  # fmt: skip
    assert said == Llc(kind="llc", **wanted) and f"--step-size {best:g} --localisation 100," in result.output
    assert "On the plateau at both ends" in result.output


@pytest.mark.slow
def test_calibration_through_the_command(
    few_runs: Path, text: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "STEPS", (0.5, 1.0, 8.0))
    monkeypatch.setattr(calibration, "LOCALISATIONS", (1.0, 10.0))
    refs = [few_runs / "seed_0" / f"step_{step}" for step in (0, 10)]
    given = [*text, *SMALL[:-1], "--calibrate", "--out", tmp_path / "out", "--json"]
    result = invoke(*refs, *given)
    rows = pd.DataFrame(rows_of(result))
    assert len(rows) == 12 and (tmp_path / "out" / "calibration.png").exists()
    ends = rows["checkpoint"].unique().tolist()
    assert ends == [str(ref) for ref in refs]
    sharpest = rows["curvature"].max()
    step = 0.4 / (rows["n_beta"][0] * sharpest + 100)
    assert sorted(rows["step_size"].unique()) == pytest.approx([0.5 * step, step, 8 * step], rel=1e-2)
    said = calibration.proposal(rows)
    wanted = f"--step-size {said[0]:g} --localisation {said[1]:g}" if said else "No setting is on a plateau at both"
    assert wanted in result.output


def test_figures_show_the_numbers_that_they_are_given() -> None:
    """The coefficient over training with its ends in order, and a running mean that lies over its own steps."""
    rows = pd.DataFrame([
        {"seed": 4, "step": step, "llc": 2.0 + step, "low": 1.7 + step, "high": 2.9 + step, "reliable": step != 3}
        for step in (7, 1, 3)
    ])  # fmt: skip
    ax = llc_over_training(rows)
    (bars,) = ax.collections
    np.testing.assert_allclose(
        [bar[:, 1] for bar in bars.get_segments()], [[1.7 + step, 2.9 + step] for step in (1, 3, 7)]
    )
    curves = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert [[1, 3], [3, 5], [7, 9]] in curves and [[3, 5]] in curves
    ax.clear()
    waves = np.sin(np.arange(24) ** 1.5)
    steps = pd.DataFrame({"chain": 0, "draw": range(24), "loss": waves, "baseline": 0.3, "burn_in": 6, "seed": 4,
                          "step": 7, "unit": "nats"})  # fmt: skip
    traces(steps, ax=ax)
    single, mean = (line.get_ydata() for line in ax.lines[:2])
    np.testing.assert_allclose(single, waves - 0.3)
    assert mean[12] == pytest.approx(np.mean(waves[7:17]) - 0.3)
