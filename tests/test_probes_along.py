"""Probes along paths: ends as checkpoints have them, points as folders have them, and an ability that is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from numpy.testing import assert_allclose

import landscape as ls
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.figures.abilities import section
from landscape.probes.base.result import average, mean
from landscape.profile.drop import drop
from landscape.study.file import Study, read_study
from landscape.study.kinds.probes import Probes
from landscape.study.store import Store

T = np.linspace(0, 1, 5)
GIVEN = {"sequences": 5, "length": 12, "points": 3, "resamples": 100, "count": 6}


def scores(values: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Means of items at each t, with their influences."""
    each = [mean("x", own, clusters) for own in values]
    return np.array([s.value for s in each]), np.stack([s.influence for s in each]), each[0].strata


def test_a_drop_is_that_of_its_definition() -> None:
    random = np.random.default_rng(0)
    level = np.array([0.9, 0.8, 0.2, 0.85, 0.7])
    values = level[:, None] + 0.01 * random.normal(size=(5, 60))
    found = drop(T, *scores(values, np.arange(60) // 2))
    below = (1 - T) * values[0].mean() + T * values[-1].mean() - values.mean(axis=1)
    assert found.plugin == pytest.approx(below.max()) and found.index == 2
    assert found.low < below.max() < found.high and found.high - found.low < 0.02
    rising = drop(T, *scores(1 - values, np.arange(60) // 2), better="lower")
    assert rising.plugin == pytest.approx(below.max())
    assert drop(T, *scores(np.tile(values[:1], (5, 1)), np.arange(60))).high < 1e-12


def test_influences_are_of_clusters_and_add_up_over_strata() -> None:
    """The error of a mean over clusters is the root of the sum of the squares, by G / (G - 1)."""
    random = np.random.default_rng(1)
    one, two = mean("x", random.normal(size=30), np.arange(30) // 3), mean("x", random.normal(size=8))
    for score in (one, two):
        size = score.strata[0]
        assert len(score.influence) == size and abs(score.influence.sum()) < 1e-12
        assert score.error == pytest.approx((size / (size - 1) * (score.influence**2).sum()) ** 0.5)
    both = average("x", [one, two])
    assert both.strata == (10, 8)
    assert_allclose(both.influence, np.concatenate([one.influence, two.influence]) / 2, atol=1e-14)


@pytest.mark.slow
def test_intervals_of_drops_cover() -> None:
    """Of 300 data sets at least 272 intervals hold the truth: fewer are one in 1,000 tries at a coverage of 0.95."""
    random, hits = np.random.default_rng(2), 0
    level = np.array([1.0, 0.9, 0.4, 0.5, 0.8])
    truth = float(((1 - T) * level[0] + T * level[-1] - level).max())
    for _ in range(300):
        shared = random.normal(size=(1, 20))
        parts = [level[:, None] + shift + shared + 0.7 * random.normal(size=(5, 20)) for shift in (-0.5, 0.5)]
        own = [average("x", [mean("x", part[k]) for part in parts]) for k in range(5)]
        influences = np.stack([s.influence for s in own])
        found = drop(T, np.array([s.value for s in own]), influences, own[0].strata, resamples=300)
        hits += found.low <= truth <= found.high
    assert hits >= 272


@pytest.mark.parametrize(("given", "said"), [
    ({"points": 5}, 'points is for paths between checkpoints: give along = "linear" or another path'),
    ({"along": "bezier"}, "along = bezier needs a curve: a file of landscape curve, or a table with fit_text"),
    ({"along": "linear", "curve": "c"}, "curve is for along = bezier or polychain: leave one out"),
    ({"along": "linear", "among": "all"}, "among is for single checkpoints, and along pairs them: leave one out"),
    ({"along": "linear", "align": ["learned"]}, 'align = "learned" needs a text'),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Probes.model_validate({"names": "induction", **given})


def test_the_key_of_a_probe_of_a_checkpoint_knows_nothing_of_paths() -> None:
    one = Probes(names=("induction",))
    assert one.deciding() == {
        "names": ["induction"], "count": None, "labels": None, "pll": "within_word_l2r", "seed": 0, "dtype": "float32",
    }  # fmt: skip
    along = Probes(names=("induction",), along="linear", align=("weights",), points=7, seed=3)
    assert along.of_checkpoints == Probes(names=("induction",), seed=3)
    assert along.deciding() != along.model_copy(update={"points": 5}).deciding()


def study(runs: Path, out: Path, **measure: object) -> Store:
    read = read_study(cases.study(out, sequences="5"))
    (out / "other.txt").write_text(cases.TEXT[::-1])
    checkpoints = read.checkpoints.model_copy(update={"folder": str(runs / "seed_{seed}" / "step_{step}")})
    own = Study.model_validate({
        **read.model_dump(exclude={"measure", "checkpoints"}), "checkpoints": checkpoints.model_dump(),
        "measure": [{"kind": "probes", "at_steps": [10], "count": 6, "points": 3, "resamples": 100, **measure}],
    })  # fmt: skip
    assert run_study(own, out, device="cpu", workers=1) == {}
    return Store(out / "results")


def rows(store: Store, table: str) -> pd.DataFrame:
    return store.tables(task["key"] for task in store.record()["tasks"])[table]


def test_ends_are_checkpoints_and_middles_are_points(few_runs: Path, tmp_path: Path) -> None:
    """As the command for checkpoints has them; the middle is written as a folder, and asked as one."""
    store = study(few_runs, tmp_path, along="linear", names=["induction", "calibration"])
    along, losses = rows(store, "probe_along"), rows(store, "loss")
    text = str(tmp_path / "text.txt")
    refs = {seed: str(few_runs / f"seed_{seed}" / "step_10") for seed in range(3)}
    middle = {(a, b): str(ls.point(refs[a], refs[b], t=0.5, out=tmp_path / f"p{a}{b}")) for a in (0, 1) for b in (2,)}
    given = {"text": text, "sequences": 5, "length": 12, "count": 6}
    alone = ls.probe([*refs.values(), *middle.values()], ["induction", "calibration"], **given).frame
    alone = alone.set_index(["checkpoint", "probe", "metric", "subset"])
    for row in along[along["probe"] != "loss"].to_dict("records"):
        pair = row["seed_a"], row["seed_b"]
        ref = refs[pair[0]] if row["t"] == 0 else refs[pair[1]] if row["t"] == 1 else middle.get(pair)
        if ref is not None:
            wanted = alone.loc[(ref, row["probe"], row["metric"], row["subset"])]
            assert row["value"] == pytest.approx(wanted["value"], abs=1e-6), row
            assert row["items_hash"] == wanted["items_hash"]
    ended = along[(along["probe"] == "loss") & (along["t"] == 1)].merge(losses, left_on="b", right_on="checkpoint")
    assert len(ended) == 2 * 3 and (ended["value"] - ended["loss"]).abs().max() < 1e-6
    assert {"copy_gap", "copy_accuracy", "ece", "margin", "accuracy"} <= set(along["metric"])
    drops = rows(store, "drop").set_index(["a", "b", "metric"])
    assert np.isnan(drops.loc[(refs[0], refs[1], "ece"), "drop"])  # no mean over items
    made = section(frames(store))
    assert made is not None and "step 10; linear path between 3 pairs; thick: mean over pairs" in made.note
    assert made.figure.axes[0].get_ylabel() == "loss (nats per token) ↓"


@pytest.mark.slow
def test_aligned_ends_do_the_same_as_their_checkpoints(few_runs: Path, tmp_path: Path) -> None:
    """With the head of its own that rotations need."""
    store = study(few_runs, tmp_path, along="linear", names=["calibration"], align=["none", "weights"])
    along = rows(store, "probe_along")
    raw, aligned = (along[along["align"] == how].reset_index(drop=True) for how in ("none", "weights"))
    outer = raw["t"] != 0.5
    assert len(raw) == len(aligned) and (raw["t"] == aligned["t"]).all()
    assert_allclose(aligned["value"][outer], raw["value"][outer], atol=1e-5)
    assert (raw["value"][~outer] - aligned["value"][~outer]).abs().max() > 1e-3


@pytest.mark.parametrize("by", [pytest.param("table", marks=pytest.mark.slow), "file"])
def test_points_of_a_curve_are_asked(few_runs: Path, tmp_path: Path, by: str) -> None:
    """Of a curve that the study learns, and of one that a command learned."""
    (tmp_path / "other.txt").write_text(cases.TEXT[::-1])
    fit = {"fit_text": str(tmp_path / "other.txt"), "fit_steps": 3, "fit_batch": 4, "fit_sequences": 8, "points": 3,
           "resamples": 100, "control": False}  # fmt: skip
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    text = tmp_path / "text.txt"
    text.write_text(cases.TEXT)
    ls.curve(*refs, text=text, sequences=5, length=12, out=tmp_path / "curve", **fit)
    file = tmp_path / "curve" / "curve.safetensors"
    given = {**GIVEN, "text": str(text), "along": "bezier", "curve": str(file) if by == "file" else fit}
    found = ls.probe(refs, ["induction"], **given).along
    middle = ls.point(*refs, t=0.5, path=file, out=tmp_path / "p")
    alone = ls.probe([middle, *refs], ["induction"], text=str(text), sequences=5, length=12, count=6).frame
    for t, ref in ((0, refs[0]), (0.5, str(middle)), (1, refs[1])):
        own = found[(found["t"] == t) & (found["metric"] == "copy_gap")]["value"].item()
        wanted = alone[(alone["checkpoint"] == ref) & (alone["metric"] == "copy_gap")]["value"].item()
        assert own == pytest.approx(wanted, abs=1e-6)
    if by == "file":
        (said,) = ls.probe(refs[::-1], ["induction"], **given).failed.values()
        assert "does not join" in said and "give the checkpoints that it was learned for" in said


LOST, KEPT, GATE = "lost", "kept", 4
"""Paradigms of the planted items; and the token that switches the planted unit on, which is in no text."""


def planted(unit: int) -> Any:
    """A model that knows which word comes after the gate by one unit of its MLP, and all else without it.

    At half way between two models with different units neither unit is switched on, and nothing else has changed.
    """
    model = cases.gpt2(5)
    block = model.transformer.h[1]
    with torch.no_grad():
        wte, wpe = model.transformer.wte.weight, model.transformer.wpe.weight
        for weight in (wte, wpe):
            weight[:, :2] = 0
        for one in model.transformer.h:  # nothing else writes what the unit reads or writes
            for module in (one.attn.c_proj, one.mlp.c_proj):
                module.weight[:, :2] = 0
                module.bias[:2] = 0
        wte[GATE, 0] = 30.0
        for good, bad in PAIRS:
            wte[bad] = wte[good]
            wte[good, 1], wte[bad, 1] = 1.0, -1.0
        for number in (0, 1):
            on = number == unit
            block.ln_2.weight[0], block.ln_2.bias[0] = 1.0, 0.0
            block.mlp.c_fc.weight[:, number] = 0
            block.mlp.c_fc.weight[0, number] = 10.0 if on else 0.0
            block.mlp.c_fc.bias[number] = -15.0 if on else -40.0
            block.mlp.c_proj.weight[number] = 0
            block.mlp.c_proj.weight[number, 1] = 6.0
        model.transformer.ln_f.weight[1], model.transformer.ln_f.bias[1] = 1.0, 0.0
    return model


FREE = sorted(set(range(5, cases.WORDS - 2)) - {5 + n * n % 53 for n in range(53)})
"""Tokens that are not in the text."""
PAIRS = [(FREE[2 * n], FREE[2 * n + 1]) for n in range(8)]


def items(folder: Path) -> Path:
    """Pairs after the gate, and pairs without it."""
    words, lines = {n: f"w{n - 5}" for n in range(5, 60)}, []
    for n in range(24):
        good, bad = PAIRS[n % 8]
        begin = f"{words[5 + n]} {words[6 + n]}"
        lines.append({"sentence_good": f"{begin} [MASK] {words[good]}", "sentence_bad": f"{begin} [MASK] {words[bad]}",
                      "UID": LOST})  # fmt: skip
        lines.append({"sentence_good": f"{begin} {words[5 + 2 * n % 40]}", "sentence_bad": f"{begin} {words[bad]} w3",
                      "UID": KEPT})  # fmt: skip
    file = folder / "items.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.mark.slow
def test_an_ability_that_is_lost_half_way_is_found_where_the_loss_is_flat(tmp_path: Path) -> None:
    """By study, command and face; the other ability stays."""
    for seed in (0, 1):
        cases.save(planted(seed), tmp_path / f"seed_{seed}" / "step_10")
    store = study(tmp_path, tmp_path, along="linear", names=["minimal-pairs"], items=str(items(tmp_path)), count=None,
                  points=5)  # fmt: skip
    along, drops = rows(store, "probe_along"), rows(store, "drop")
    loss = along[along["probe"] == "loss"]["value"]
    assert loss.max() - loss.min() < 1e-4
    right = along[(along["metric"] == "accuracy")].pivot(index="t", columns="subset", values="value")
    assert drops["subset"].eq("").all()
    assert right[""][[0, 1]].tolist() == pytest.approx([right[""][0]] * 2) and right[""][0.5] < right[""][0] - 0.3
    lost = drops[(drops["metric"] == "accuracy") & (drops["subset"] == "")].iloc[0]
    assert lost["low"] > 0.3 and lost["t_at_max"] == 0.5 and lost["low"] <= lost["drop"] <= lost["high"]
    refs = [str(tmp_path / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    given = {"text": str(tmp_path / "text.txt"), "sequences": 5, "length": 12, "along": "linear", "resamples": 100,
             "items": str(tmp_path / "items.jsonl")}  # fmt: skip
    found = ls.probe(refs, ["minimal-pairs"], **given)
    assert found.summary()["drop"].item() == pytest.approx(lost["drop"]) and found.plot().lines
    options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = ["probe", *refs, "--names", "minimal-pairs", *options, "--json", "--out", str(tmp_path / "o")]
    ended = CliRunner().invoke(cli, command)
    assert ended.exit_code == 0, ended.output
    shown = pd.DataFrame([json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")])
    shown = shown[(shown["table"] == "drop") & (shown["metric"] == "accuracy")]
    assert shown["drop"].astype(float).item() == pytest.approx(lost["drop"])
    assert (tmp_path / "o" / "along.svg").exists() and "along a linear path, not aligned" in ended.stderr
