"""Metrics: the numbers of other libraries at the ends, barriers and intervals in closed form, one way through all."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from numpy.testing import assert_allclose
from sklearn.metrics import f1_score
from transformers import BertForSequenceClassification

import landscape as ls
from landscape.catalogue import METRICS
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.objectives import classification
from landscape.profile.adaptive import Grid, profiles
from landscape.profile.chosen import of_metric
from landscape.profile.metrics import Metric, measured
from landscape.profile.paired import standard_error
from landscape.profile.path_state import Evaluated, KnownEnds
from landscape.profile.rows import metric_tables, tables
from landscape.shapes import Int
from landscape.study.store import Store

RANDOM = np.random.default_rng(3)
NUMBERS = {
    "loss": RANDOM.exponential(size=(3, 50)), "accuracy": (RANDOM.random((3, 50)) < 0.7).astype(float),
    **{name: (RANDOM.random((3, 50)) < 0.3).astype(float)
       for name in ("true_positive", "false_positive", "false_negative")},
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_what_its_siblings_have(name: str) -> None:
    module = METRICS.load(name)
    assert isinstance(module, ModuleType) and isinstance(module, Metric) and set(module.READS) <= NUMBERS.keys()
    values = module.linearised(NUMBERS)
    assert values.shape == (3, 50) and np.isfinite(values).all()
    holes = {key: np.where(np.arange(50) % 2 == np.array([2, 0, 2])[:, None], np.nan, v) for key, v in NUMBERS.items()}
    assert_allclose(np.isnan(module.linearised(holes)), np.isnan(holes["loss"]))


@pytest.mark.parametrize(("name", "of"), [
    ("accuracy", lambda n: n["accuracy"].mean()),
    ("perplexity", lambda n: np.exp(n["loss"].mean())),
    ("f1", lambda n: 2 * n["true_positive"].sum() / (
        2 * n["true_positive"].sum() + n["false_positive"].sum() + n["false_negative"].sum())),
])  # fmt: skip
def test_a_metric_is_its_definition_and_its_error_that_of_the_jackknife(name: str, of: object) -> None:
    assert callable(of)
    found = next(metric for metric in measured(NUMBERS, "nats per token") if metric.name == name)
    for k in range(3):
        here = {key: values[k] for key, values in NUMBERS.items()}
        assert found.means[k] == pytest.approx(of(here), abs=1e-12)
        left = np.array([of({key: np.delete(v, n) for key, v in here.items()}) for n in range(50)])
        jackknife = np.sqrt(49 / 50 * ((left - left.mean()) ** 2).sum())
        assert standard_error(found.values)[k] == pytest.approx(jackknife, rel=0.05)


def test_a_loss_too_large_for_a_perplexity_has_none() -> None:
    """The other metrics stay, and so do the barriers of losses as large as those of broken weights."""
    for loss, names in ((299.0, {"perplexity", "accuracy"}), (301.0, {"accuracy"}), (2e4, {"accuracy"})):
        numbers = {"loss": NUMBERS["loss"].copy(), "accuracy": NUMBERS["accuracy"]}
        numbers["loss"][1] += loss - numbers["loss"][1].mean()
        assert {one.name for one in measured(numbers, "nats per token")} == names

    def evaluate(wanted: list[tuple[int, float]], examples: Int[np.ndarray, " n"]) -> Evaluated:
        rise = np.array([[1 + 4e4 * t**3] for _, t in wanted])
        return rise + NUMBERS["loss"][:1, examples], {}

    ends = np.stack([1 + NUMBERS["loss"][0], 1 + 4e4 + NUMBERS["loss"][0]])
    (profile,) = profiles([KnownEnds(ends)], evaluate, Grid(resamples=50))
    assert metric_tables(profile, Grid(resamples=50), "nats per token") == ([], [])
    assert tables(profile, Grid(resamples=50))[0][0]["barrier"] == 0


def test_what_no_metric_reads_is_a_mean_and_higher_is_better_and_perplexity_is_of_tokens() -> None:
    found = {m.name: m for m in measured({"loss": NUMBERS["loss"], "mine": NUMBERS["accuracy"]}, "nats per example")}
    assert set(found) == {"mine"} and found["mine"].higher
    assert_allclose(found["mine"].means, NUMBERS["accuracy"].mean(axis=1))
    assert {m.name for m in measured({"loss": NUMBERS["loss"]}, "nats per masked token")} == {"perplexity"}


def test_a_drop_below_the_chord_is_positive_and_covered() -> None:
    """Accuracy ``0.9 - 0.2 t - 0.4 * 4 t (1 - t)`` of coin flips that share their randomness over t: 0.4 below."""
    covered, repeats = 0, 60
    for seed in range(repeats):
        luck = np.random.default_rng(seed).random(300)

        def right(t: float, luck: np.ndarray = luck) -> np.ndarray:
            return (luck < 0.9 - 0.2 * t - 0.4 * 4 * t * (1 - t)).astype(float)

        def evaluate(wanted: list[tuple[int, float]], some: Int[np.ndarray, " n"]) -> Evaluated:
            at = np.array([right(t)[some] for _, t in wanted])  # noqa: B023
            return np.ones_like(at), {"accuracy": at}

        ends = KnownEnds(np.ones((2, 300)), {"accuracy": np.array([right(0.0), right(1.0)])})
        grid = Grid(9, resamples=200)
        (profile,) = profiles([ends], evaluate, grid)
        barriers, along = metric_tables(profile, grid, "nats per example")
        chord = next(row for row in barriers if row["definition"] == "chord")
        assert chord["value_a"] == right(0.0).mean() and chord["value_b"] == right(1.0).mean()
        assert chord["worst"] == pytest.approx(min(right(t).mean() for t in np.linspace(0, 1, 9)))
        assert chord["better"] == "higher" and chord["metric"] == chord["unit"] == "accuracy"
        middle = next(row for row in along if row["t"] == 0.5)
        assert middle["value"] == pytest.approx(right(0.5).mean()) and 0.2 < middle["drop"] < 0.6
        covered += chord["low"] <= 0.4 <= chord["high"]
    assert covered / repeats > 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5


def test_counts_of_two_classes_make_the_f1_of_scikit_learn() -> None:
    model = cases.bert(4, BertForSequenceClassification, num_labels=2)
    random = torch.Generator().manual_seed(0)
    batch = {"input_ids": torch.randint(5, cases.WORDS, (60, 9), generator=random),
             "labels": torch.randint(2, (60, 1), generator=random)}  # fmt: skip
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"]).logits
        model.classifier.bias[1] -= (logits[:, 1] - logits[:, 0]).median()  # both classes are predicted
        values = classification.measure(model, batch)
        predicted = model(input_ids=batch["input_ids"]).logits.argmax(-1)
    numbers = {name: value[None].numpy() for name, value in values.items()}
    found = {metric.name: float(metric.means[0]) for metric in measured(numbers, "nats per example")}
    assert 0 < found["f1"] < 1 and found["f1"] == pytest.approx(f1_score(batch["labels"][:, 0], predicted), abs=1e-6)
    assert found["accuracy"] == pytest.approx(float((predicted == batch["labels"][:, 0]).double().mean()), abs=1e-6)


def classifiers(folder: Path, steps: tuple[int, ...] = (1,), seeds: int = 2) -> None:
    for step in steps:
        for seed in range(seeds):
            cases.save(cases.classifier(10 * step + seed), folder / f"seed_{seed}" / f"step_{step}")
    lines = [f'{{"text": "w{n} w{n * n % 50}", "label": {n % 3}}}' for n in range(40)]
    (folder / "lines.jsonl").write_text("\n".join(lines))


def test_python_and_the_command_show_a_metric_with_the_ends_of_transformers(tmp_path: Path) -> None:
    classifiers(tmp_path)
    refs = [str(tmp_path / f"seed_{seed}" / "step_1") for seed in range(2)]
    given = {"text": str(tmp_path / "lines.jsonl"), "sequences": 40, "length": 8}
    found = ls.barriers(refs, points=5, metric="accuracy", **given)
    (row,) = found.summary().to_dict("records")
    assert row["unit"] == "accuracy" and row["low"] <= row["barrier"] <= row["high"]
    own = found.metric_barriers[found.metric_barriers["definition"] == "chord"]
    assert own["barrier"].tolist() == [row["barrier"]] == [found.matrix.iloc[0, 1]]
    assert found.of("loss").summary()["unit"].tolist() == ["nats per example"]
    assert found.plot().get_ylabel()
    texts, labels = [f"w{n} w{n * n % 50}" for n in range(40)], torch.tensor([n % 3 for n in range(40)])
    inputs = cases.tokenizer()(texts, return_tensors="pt", padding="max_length", max_length=8, truncation=True)
    for seed, side in enumerate("ab"):
        with torch.no_grad():
            predicted = cases.classifier(10 + seed)(**inputs).logits.argmax(-1)
        right = float((predicted == labels).double().mean())
        assert found.metric_barriers[f"value_{side}"].unique() == pytest.approx([right], abs=1e-6)
    words = [f"--{name}={value}" for name, value in given.items()]
    said = CliRunner().invoke(cli, ["barriers", *refs, "--points=5", "--metric=accuracy", *words])
    assert said.exit_code == 0 and "chord barrier (accuracy)" in said.output, said.output
    with pytest.raises(InputError, match="no row has the metric f1; there are loss, accuracy"):
        found.of("f1")


def test_perplexity_is_the_exponential_of_the_loss_all_along(tmp_path: Path) -> None:
    refs = [str(cases.save(cases.gpt2(seed), tmp_path / f"{seed}")) for seed in range(2)]
    (tmp_path / "text.txt").write_text(cases.TEXT)
    found = ls.barriers(refs, points=5, metric="perplexity", text=str(tmp_path / "text.txt"), sequences=20, length=12)
    for side in "ab":  # the losses of the ends are those of transformers in test_measure
        loss = float(found.frame[f"loss_{side}"].iloc[0])
        assert found.metric_barriers[f"value_{side}"].unique() == pytest.approx([np.exp(loss)], rel=1e-6)
    profile = found.metric_profiles.merge(found.profiles, on="t", suffixes=("", "_of_loss"))
    assert_allclose(profile["value"], np.exp(profile["loss"]), rtol=1e-9)
    ends = profile[profile["t"].isin([0, 1])].sort_values("t")["value"].to_numpy()
    t = profile["t"].to_numpy()
    assert_allclose(profile["drop"], profile["value"] - (1 - t) * ends[0] - t * ends[1], atol=1e-6)


@pytest.mark.slow
def test_a_study_its_report_and_its_stages_show_a_metric(tmp_path: Path) -> None:
    classifiers(tmp_path, steps=tuple(range(1, 9)))
    file = cases.study(tmp_path, objective='"classification"', text='"lines.jsonl"', sequences="40")
    done = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output
    report = CliRunner().invoke(cli, ["report", str(tmp_path), "--metric", "accuracy"])
    assert report.exit_code == 0, report.output
    assert "accuracy" in (tmp_path / "report.html").read_text()
    stages = CliRunner().invoke(cli, ["stages", str(tmp_path), "--metric", "accuracy"])
    assert stages.exit_code == 0, stages.output
    series = ls.stages(tmp_path, metric="accuracy").series
    store = Store(tmp_path / "results")
    rows = store.rows("metric_barrier", [task["key"] for task in store.record()["tasks"]])
    chords = rows[rows["definition"] == "chord"].sort_values("step_a")["barrier"]
    for _, own in series[series["series"] == "barrier:seed"].groupby("seed"):
        assert own.sort_values("step")["value"].tolist() == pytest.approx(chords.tolist()) and len(own) == 8
    none = CliRunner().invoke(cli, ["report", str(tmp_path), "--metric", "bleu"])
    assert "no row has the metric bleu; there are loss, accuracy" in str(none.exception)


def test_rows_of_a_metric_take_the_place_of_those_of_the_loss() -> None:
    tables = {"barrier": pd.DataFrame({"barrier": [1.0]}), "profile": pd.DataFrame({"loss": [2.0]}),
              "metric_barrier": pd.DataFrame({"metric": ["accuracy", "f1"], "barrier": [0.3, 0.4], "fall": [0.1, 0.2],
                                              "fall_error": [0.01, 0.02], "value_a": [0.7, 0.8]}),
              "metric_profile": pd.DataFrame({"metric": ["f1"], "value": [0.5], "value_error": [0.1], "drop": [0.2]}),
              "loss": pd.DataFrame({"loss": [3.0], "error": [0.3], "f1": [0.6], "f1_error": [0.06]})}  # fmt: skip
    found = of_metric(tables, "f1")
    assert found["barrier"][["barrier", "loss_increase", "loss_increase_error", "loss_a"]].values.tolist() == [
        [0.4, 0.2, 0.02, 0.8]
    ]
    assert found["profile"][["loss", "error", "rise"]].values.tolist() == [[0.5, 0.1, 0.2]]
    assert found["loss"][["loss", "error", "unit"]].values.tolist() == [[0.6, 0.06, "f1"]]
    assert of_metric(tables, "loss")["barrier"] is tables["barrier"]
    with pytest.raises(InputError, match="no row has the metric bleu; there are loss, accuracy, f1: give one"):
        of_metric(tables, "bleu")
