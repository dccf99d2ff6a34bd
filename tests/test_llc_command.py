"""The local learning coefficient through the command and in studies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import Tensor

from landscape import gradients
from landscape.checkpoints import models
from landscape.cli.main import cli
from landscape.llc import calibration
from landscape.store import Store


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["llc", *map(str, arguments)])


SMALL = ["--sequences", 30, "--length", 8, "--chains", 2, "--draws", 24, "--burn-in", 16, "--batch", 6, "--json"]


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
    (row,) = rows_of(invoke(seed, *text, *SMALL, "--extrapolate"))
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
    one, two = rows_of(invoke(*refs, *text, *SMALL))
    for row, ref in ((one, refs[0]), (two, refs[1])):
        assert row["checkpoint"] == str(ref) and row["n_beta"] == pytest.approx(30 / math.log(30))
        kept = [value for value in json.loads(row["per_chain"]) if value is not None]
        assert row["llc"] == pytest.approx(np.mean(kept)) and row["error"] > 0 and len(kept) == 2
        assert row["step_size"] == pytest.approx(0.4 / (row["n_beta"] * row["curvature"] + 100))
        assert row["parameters"] == sum(p.numel() for p in cases.gpt2().parameters())
    assert rows_of(invoke(refs[0], *text, *SMALL))[0]["llc"] == pytest.approx(one["llc"], rel=1e-3)


def test_a_restriction_really_freezes_the_rest(
    few_runs: Path, text: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = few_runs / "seed_0" / "step_10"
    slopes, seen = gradients.slopes, []

    def watched(objective: Any, points: Tensor, *more: Any, **named: Any) -> Any:
        seen.append((objective.space, points.clone()))
        return slopes(objective, points, *more, **named)

    monkeypatch.setattr(gradients, "slopes", watched)
    (row,) = rows_of(invoke(seed, *text, *SMALL, "--parameters", "*.h.1.mlp.*"))
    model = cases.gpt2()
    assert row["parameters"] == sum(p.numel() for name, p in model.named_parameters() if ".h.1.mlp." in name)
    start = models.load(seed, model)
    moved: set[str] = set()
    for space, points in seen:
        here = space.params(points)
        moved |= {name for name, value in space.params(start).items() if not (here[name] == value).all()}
    assert moved and all(".h.1.mlp." in name for name in moved)
    none = invoke(seed, *text, *SMALL, "--parameters", "unembed")
    assert "no parameter fits 'unembed'; names are transformer.wte.weight" in str(none.exception)


def test_settings_that_cannot_be_are_said(few_runs: Path, text: list[object]) -> None:
    seed = few_runs / "seed_0" / "step_10"
    small = invoke(seed, *text, "--sequences", 30, "--length", 8, "--batch", 31)
    assert "a batch of 31 examples is wanted and there are 30" in str(small.exception)
    one = invoke(seed, *text, "--n-beta", "log_batch", "--batch", 1)
    assert 'n_beta = "log_batch" needs a batch of two or more: ln 1 is 0' in str(one.exception)
    assert "'foo' is not log_n, log_batch or a positive number" in invoke(seed, *text, "--n-beta", "foo").output
    assert "mala is exact on full batches only: give --batch 0" in str(
        invoke(seed, *text, "--sampler", "mala").exception
    )
    assert invoke(seed, *text, "--step-size", "nan").exit_code == 2


@pytest.mark.slow
def test_dropout_takes_no_part(tmp_path: Path, text: list[object]) -> None:
    """A model whose dropout is on in training has the same chains as without: evaluation mode."""
    model = cases.gpt2(3)
    cases.save(model, tmp_path / "plain")
    model.config.resid_pdrop = model.config.embd_pdrop = 0.5
    cases.save(model, tmp_path / "dropout")
    values = [rows_of(invoke(tmp_path / name, *text, *SMALL))[0]["llc"] for name in ("plain", "dropout")]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


@pytest.mark.parametrize("sampler", ["rmsprop", "sgnht"])
def test_other_objectives_and_samplers_run(tmp_path: Path, text: list[object], sampler: str) -> None:
    cases.save(cases.bert(3), tmp_path / "bert")
    small = [*SMALL[:-1], "--step-size", 1e-5, "--sampler", sampler, "--json"]
    (row,) = rows_of(invoke(tmp_path / "bert", *text, *small))
    assert row["objective"] == "masked-lm" and math.isfinite(row["llc"]) and row["step_bias"] > 1


def test_a_step_far_too_large_is_called_unsound(few_runs: Path, text: list[object]) -> None:
    (row,) = rows_of(invoke(few_runs / "seed_0" / "step_10", *text, *SMALL, "--step-size", 10))
    assert not row["sound"] and ("diverged" in row["alarms"] or "not local" in row["alarms"])


def test_llc_in_a_study(few_runs: Path, tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    file = cases.study(tmp_path, sequences="20", length="8")
    more = '[[measure]]\nkind = "llc"\nchains = 2\ndraws = 10\nburn_in = 5\nbatch = 4\nat_steps = "last"\n'
    file.write_text(file.read_text() + more)
    assert CliRunner().invoke(cli, ["run", str(file), "--workers", "1"]).exit_code == 0
    store = Store(tmp_path / "results")
    rows = store.rows("llc", [task["key"] for task in store.record()["tasks"]])
    assert rows[["seed", "step"]].to_numpy().tolist() == [[0, 10], [1, 10]]
    ends = store.rows("loss", [task["key"] for task in store.record()["tasks"]]).set_index("checkpoint")["loss"]
    keys = {task["label"]: task["key"] for task in store.record()["tasks"] if task["kind"] == "llc"}
    for label, row in zip(sorted(keys), rows.itertuples(), strict=True):
        traces = store.losses(keys[label])
        assert traces.shape == (2, 15)
        value = row.n_beta * (traces[:, 5:].mean() - row.baseline)
        assert row.llc == pytest.approx(value, abs=1e-3)
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


def test_the_place_of_results_holds_chains_draws_and_figures(
    few_runs: Path, text: list[object], tmp_path: Path
) -> None:
    seed, out = few_runs / "seed_0" / "step_10", tmp_path / "out"
    keep = [*SMALL[:-1], "--keep-draws", 10, "--parameters", "*.h.1.mlp.c_fc.bias", "--parameters", "head 0.1"]
    (row,) = rows_of(invoke(seed, *text, *keep, "--out", out, "--json"))
    assert (out / "chains.png").exists() and (out / "chains.svg").exists()
    points = [load_file(file)["points"] for file in sorted((out / "results" / "draws").iterdir())]
    assert sum(len(p) for p in points) == 2 and points[0].shape[1:] == (2, row["parameters"])
    assert row["moved"] == "*.h.1.mlp.c_fc.bias, head 0.1"
    assert "--keep-draws needs a place for them: give --out" in str(invoke(seed, *text, *keep).exception)


@pytest.mark.slow
def test_dropout_on_request_moves_the_baseline_too(tmp_path: Path, text: list[object]) -> None:
    cases.save(cases.gpt2(3, resid_pdrop=0.5, embd_pdrop=0.5), tmp_path / "model")
    rows = [rows_of(invoke(tmp_path / "model", *text, *SMALL, *more))[0] for more in ([], ["--mode", "training"])]
    assert abs(rows[0]["baseline"] - rows[1]["baseline"]) > 0.01 and rows[1]["mode"] == "training"


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
    assert "leave one out" in str(invoke(*refs, *given, "--extrapolate").exception)
