"""The local learning coefficient through the command and in studies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
from click.testing import CliRunner, Result
from torch import Tensor

from landscape import gradients
from landscape.checkpoints import models
from landscape.cli.main import cli
from landscape.store import Store


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["llc", *map(str, arguments)])


SMALL = ["--sequences", 30, "--length", 8, "--chains", 3, "--draws", 40, "--burn-in", 30, "--batch", 6, "--json"]


@pytest.fixture
def text(tmp_path: Path) -> list[object]:
    (tmp_path / "held.txt").write_text(cases.TEXT)
    return ["--text", tmp_path / "held.txt"]


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_extrapolation_and_traces_through_the_command(few_runs: Path, text: list[object], tmp_path: Path) -> None:
    seed = few_runs / "seed_0" / "step_10"
    (plain,) = rows_of(invoke(seed, *text, *SMALL))
    (row,) = rows_of(invoke(seed, *text, *SMALL, "--extrapolate"))
    assert row["llc_step"] == pytest.approx(plain["llc"], rel=1e-3)
    assert row["llc"] == pytest.approx(2 * row["llc_half_step"] - row["llc_step"])
    assert plain["llc_step"] is None and row["step_bias"] is None and plain["step_bias"] > 1


def test_the_command_says_what_it_did(few_runs: Path, text: list[object]) -> None:
    refs = [few_runs / f"seed_{s}" / "step_10" for s in (0, 1)]
    one, two = rows_of(invoke(*refs, *text, *SMALL))
    for row, ref in ((one, refs[0]), (two, refs[1])):
        assert row["checkpoint"] == str(ref) and row["n_beta"] == pytest.approx(30 / math.log(30))
        kept = [value for value in json.loads(row["per_chain"]) if value is not None]
        assert row["llc"] == pytest.approx(np.mean(kept)) and row["error"] > 0 and len(kept) == 3
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
    assert none.exit_code == 3 and "no parameter fits 'unembed'; names are transformer.wte.weight" in none.output


def test_settings_that_cannot_be_are_said(few_runs: Path, text: list[object]) -> None:
    seed = few_runs / "seed_0" / "step_10"
    small = invoke(seed, *text, "--sequences", 30, "--length", 8, "--batch", 31)
    assert small.exit_code == 3 and "a batch of 31 examples is wanted and there are 30" in small.output
    assert "mala is exact on full batches only: give --batch 0" in str(
        invoke(seed, *text, "--sampler", "mala").exception
    )
    assert invoke(seed, *text, "--step-size", "nan").exit_code == 2


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
    assert row["objective"] == "masked-lm" and math.isfinite(row["llc"]) and row["step_bias"] is None


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
