"""Studies of public checkpoints through the command line, on a loopback hub."""

from __future__ import annotations

import json
from pathlib import Path

import cases
import pandas as pd
import public
import pytest
from click.testing import CliRunner, Result
from hub_mirror import HubMirror
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import GPTNeoXForCausalLM

from landscape.cli import report
from landscape.cli.main import cli
from landscape.figures import page
from landscape.figures.svg import Drawing
from landscape.study.store import Store

STUDY = """
version = 1
name = "public"
[checkpoints]
{checkpoints}
[data]
objective = "{objective}"
text = "text.txt"
sequences = 8
length = 12
[[measure]]
kind = "barriers"
points = 3
resamples = 100
{measure}
"""


def study(folder: Path, objective: str, checkpoints: str, measure: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "text.txt").write_text(cases.TEXT)
    file = folder / "study.toml"
    file.write_text(STUDY.format(objective=objective, checkpoints=checkpoints, measure=measure))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)


def rows(folder: Path, table: str) -> pd.DataFrame:
    store = Store(folder / "results")
    return store.rows(table, [task["key"] for task in store.record()["tasks"]])


@pytest.mark.slow
def test_a_study_of_multiberts_runs_cold_and_then_with_no_hub(
    hub: HubMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 3):
        for step in (0, 20):
            folder = public.multibert(tmp_path / f"{seed}-{step}", 10 * seed + step)
            hub.repo(f"google/multiberts-seed_{seed}-step_{step}k").commit("main", folder)
    file = study(tmp_path / "s", "masked-lm", 'family = "multiberts"\nseeds = [0, 3]\nsteps = [0, 20_000]')
    assert run("run", file, "--workers", 1).exit_code == 0
    found = rows(tmp_path / "s", "barrier")
    chord = found[found["definition"] == "chord"]
    assert chord["step_a"].tolist() == [0, 20_000] and set(chord["a"]) == {
        "multiberts:seed=0,step=0", "multiberts:seed=0,step=20000",
    }  # fmt: skip
    assert set(found["stored_a"]) == {"float32"} and not found["below_floor"].any() and (found["defect_a"] == "").all()
    assert rows(tmp_path / "s", "profile")["loss"].std() > 1e-3 and (chord["relative_distance"] > 0.1).all()
    record = json.loads((tmp_path / "s" / "results" / "study.json").read_text())
    assert all(len(c["commit"]) == 40 for c in record["checkpoints"])
    hub.clear()
    again = run("run", file, "--workers", 1)
    assert again.exit_code == 0 and "tasks to do" not in again.stderr and "6 tasks done, 0 failed" in again.stderr
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fresh = run("run", file, "--workers", 1, "--out", tmp_path / "other")
    assert fresh.exit_code == 0 and hub.log == []
    pd.testing.assert_frame_equal(
        rows(tmp_path / "other", "loss")[["checkpoint", "loss"]], rows(tmp_path / "s", "loss")[["checkpoint", "loss"]]
    )


@pytest.mark.slow
def test_known_defects_and_the_storage_floor_mark_rows_and_report(
    hub: HubMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "drawing", lambda section: Drawing("", (1.0, 1.0), ()))
    monkeypatch.setattr(report, "_stages", lambda *_: {})
    monkeypatch.setattr("seaborn.matrix._draw_figure", lambda figure: None)
    first = public.pythia(tmp_path / "py0", 1)
    moved = tmp_path / "py2"
    moved.mkdir()
    for file in first.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    stored = load_file(moved / "model.safetensors")
    stored["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"][0, 0] *= 1.001
    save_file(stored, moved / "model.safetensors")
    for step, folder in ((0, first), (1, first), (2, moved), (1000, public.pythia(tmp_path / "py1000", 2))):
        hub.repo("EleutherAI/pythia-14m").commit(f"step{step}", folder)
    checkpoints = 'family = "pythia-14m"\nseeds = [0]\nsteps = [0, 1, 2, 1000]'
    file = study(tmp_path / "s", "causal-lm", checkpoints, 'between = "all"')
    planned = run("plan", file)
    assert (
        "warning: steps 0 and 1 are the same weights (EleutherAI/pythia#83): pythia-14m:seed=0,step=0" in planned.stderr
    )
    done = run("run", file, "--workers", 1)
    assert (
        "warning: the same weights under several names: pythia-14m:seed=0,step=0 = pythia-14m:seed=0,step=1"
        in done.stderr
    )
    found = rows(tmp_path / "s", "barrier").query("definition == 'chord'").set_index(["step_a", "step_b"])
    assert found.loc[(0, 1), "barrier"] == 0 and found.loc[(0, 1), "distance"] == 0
    assert found.loc[(0, 2), "below_floor"] and 0 < found.loc[(0, 2), "relative_distance"] < 5e-4
    assert not found.loc[(0, 1000), "below_floor"] and found.loc[(0, 1), "below_floor"], "nor is zero seen to be zero"
    assert found.loc[(0, 2), "defect_a"] == "steps 0 and 1 are the same weights (EleutherAI/pythia#83)"
    assert found.loc[(0, 2), "defect_b"] == "" and set(found["stored_a"]) == {"float16"}
    losses = rows(tmp_path / "s", "loss").set_index("step")
    assert losses.loc[1, "defect"] and not losses.loc[1000, "defect"] and losses.loc[1, "stored"] == "float16"
    assert run("report", tmp_path / "s").exit_code == 0
    html = (tmp_path / "s" / "report.html").read_text()
    assert "steps 0 and 1 are the same weights (EleutherAI/pythia#83)" in html
    assert "3 of 6 pairs lie closer together than rounding to what is stored (float16)" in html


@pytest.mark.slow
def test_references_work_where_folders_do(hub: HubMirror, tmp_path: Path) -> None:
    for seed in (1, 2):
        hub.repo(f"EleutherAI/pythia-14m-seed{seed}").commit("step1000", public.pythia(tmp_path / f"py{seed}", seed))
    (tmp_path / "text.txt").write_text(cases.TEXT)
    refs = ["pythia-14m:seed=1,step=1000", "hf://EleutherAI/pythia-14m-seed2@step1000", tmp_path / "py1"]
    data = ["--text", tmp_path / "text.txt", "--sequences", 8, "--length", 12, "--points", 3, "--json"]
    result = run("barriers", *refs, *data)
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    chord = {(r["a"], r["b"]): r for r in found if r["table"] == "barrier" and r["definition"] == "chord"}
    assert chord[str(refs[0]), str(refs[2])]["barrier"] == 0, "the same weights here and there"
    assert chord[str(refs[0]), str(refs[1])]["seed_b"] == 2
    pattern = 'folder = "hf://EleutherAI/pythia-14m-seed{seed}@step{step}"\nseeds = [1, 2]'
    file = study(tmp_path / "s", "causal-lm", pattern, 'between = "seed"')
    file.write_text(
        file.read_text().replace("[data]", '[data]\ntokenizer = "hf://EleutherAI/pythia-14m-seed2@step1000"')
    )
    planned = run("plan", file)
    assert planned.exit_code == 0 and "2 checkpoints" in planned.stderr and "on the hub" in planned.stderr
    assert run("run", file, "--workers", 1).exit_code == 0
    assert len(rows(tmp_path / "s", "barrier")) == 6, "one pair by six definitions"
    family = study(tmp_path / "f", "causal-lm", 'family = "pythia-14m"\nseeds = [1, 2]\nsteps = [1000]')
    family.write_text(family.read_text().replace("[data]", '[data]\ntokenizer = "pythia-14m:seed=2,step=1000"'))
    assert run("run", family, "--workers", 1).exit_code == 0


def test_one_architecture_in_an_old_and_a_new_config_is_one(hub: HubMirror, tmp_path: Path) -> None:
    """What transformers writes today holds other settings than a file of years ago."""
    old = public.pythia(tmp_path / "old", 1)
    GPTNeoXForCausalLM.from_pretrained(old, dtype="float32").save_pretrained(tmp_path / "new")
    assert json.loads((old / "config.json").read_text()) != json.loads((tmp_path / "new" / "config.json").read_text())
    (tmp_path / "text.txt").write_text(cases.TEXT)
    data = ["--text", tmp_path / "text.txt", "--sequences", 4, "--length", 12, "--points", 3, "--json"]
    result = run("barriers", old, tmp_path / "new", *data)
    chord = [row for row in map(json.loads, result.stdout.splitlines()) if row["table"] == "barrier"]
    chord = [row for row in chord if row["definition"] == "chord"]
    assert len(chord) == 1 and chord[0]["distance"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["parc-pythia", "parc-mamba", "parc-rwkv", "olmo3-7b-long"])
def test_barriers_of_further_families(hub: HubMirror, tmp_path: Path, family: str) -> None:
    """Models without attention take the same way."""
    if family.startswith("parc"):
        kind = family.removeprefix("parc-")
        for seed in (0, 5):
            folder = public.parc(tmp_path / f"{seed}", kind, seed)
            hub.repo(f"jmichaelov/parc-{kind}-seed{seed}").commit("checkpoint-2560", folder)
        refs = [f"{family}:seed={seed},step=2560" for seed in (0, 5)]
    else:
        for step in (0, 11_921):
            hub.repo("allenai/Olmo-3-1025-7B").commit(f"stage3-step{step}", public.olmo3(tmp_path / f"{step}", step))
        refs = [f"{family}:seed=0,step={step}" for step in (0, 11_921)]
    (tmp_path / "text.txt").write_text(cases.TEXT)
    words = ["--text", tmp_path / "text.txt", "--sequences", 8, "--length", 12, "--points", 3, "--json"]
    done = run("barriers", *refs, *words)
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    chord = next(line for line in lines if line["table"] == "barrier" and line["definition"] == "chord")
    assert {chord["a"], chord["b"]} == set(refs) and chord["loss_a"] > 1 and not chord["below_floor"]
