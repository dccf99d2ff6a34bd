"""Probes and distances in studies, on the command line, in exports and reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from puppets import TEXT, speaker
from scipy.spatial.distance import jensenshannon
from transformers import BertForSequenceClassification

from landscape.cli import report
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.figures import behaviour, page, together
from landscape.figures.svg import Drawing
from landscape.probes import probe
from landscape.probes.base import result
from landscape.study.file import read_study
from landscape.study.store import Store

V = len(speaker())


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def study_of(folder: Path, *measures: str, **changes: str) -> Path:
    file = cases.study(folder, **changes)
    head = file.read_text().split("[[measure]]")[0]
    file.write_text(head + "".join(f"[[measure]]\n{measure}\n" for measure in measures))
    return file


BARS = 'kind = "barriers"\npoints = 5\nresamples = 200'
ASK = 'kind = "probes"\nnames = ["in-context", "induction", "ngrams"]\ntrain_text = "text.txt"\ncount = 6'
APART = 'kind = "behaviour"\nnames = ["predictions", "calibration"]'


def keys(folder: Path) -> list[str]:
    return [task["key"] for task in Store(folder / "results").record()["tasks"]]


def test_a_study_has_the_same_items_for_every_checkpoint(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(finished / "results")
    rows = store.rows("probe", keys(finished))
    assert rows.groupby("probe")["items_hash"].nunique().eq(1).all()
    assert set(zip(rows["seed"], rows["step"], strict=True)) == {(s, t) for s in (0, 1, 2) for t in (0, 10)}
    folder = finished / "seed_1" / "step_10"
    monkeypatch.setattr(result, "RESAMPLES", 20)
    direct = probe(
        "induction", cases.gpt2(1 + 1 + 100), cases.tokenizer(), text=cases.TEXT, train_text=cases.TEXT, count=6
    )
    here = rows[(rows["checkpoint"] == str(folder)) & (rows["probe"] == "induction")]
    np.testing.assert_allclose(here["value"], [score.value for score in direct.scores], atol=1e-5)
    np.testing.assert_allclose(here["error"], [score.error for score in direct.scores], atol=1e-5)
    outcomes = pd.read_parquet(finished / "results" / "items" / f"{here['outcomes'].iloc[0]}.parquet")
    assert len(outcomes) == 6 and set(direct.items) | {"cluster"} == set(outcomes)
    loss = store.rows("loss", keys(finished)).set_index("checkpoint")["loss"]
    nll = rows[rows["metric"] == "nll"].set_index("checkpoint")["value"]
    assert len(nll) == 6 and nll.to_numpy() == pytest.approx(loss[nll.index].to_numpy(), abs=1e-5)


def test_ngrams_are_counted_once_and_kept(finished: Path) -> None:
    (kept,) = (finished / "results" / "ngrams").iterdir()
    assert kept.suffix == ".npz"
    from landscape.measure.prepare import prepare
    from landscape.probes import ngrams
    from landscape.session.session import Session
    from landscape.study.kinds.probes import Probes
    from landscape.study.tasks import of

    store = Store(finished / "results")
    prepared = prepare(read_study(finished / "study.toml"), store)
    task = next(task for task in of(Probes, prepared.tasks) if task.spec.name == "ngrams")
    session = Session(store, prepared.study, prepared.tasks, torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "fit", lambda *_: pytest.fail("counted again"))
        _, found = session.probe_models.items(task)
    assert set(store.rows("probe", [task.key])["items_hash"]) == {found}


def test_distances_are_of_each_pair_and_of_what_the_models_choose(finished: Path) -> None:
    rows = Store(finished / "results").rows("behaviour", keys(finished))
    assert set(rows.loc[rows["probe"] != "kl", "metric"]) == {"disagreement", "divergence"}
    assert len(rows[rows["probe"] == "predictions"]) == 12
    row = rows[(rows["probe"] == "predictions") & (rows["metric"] == "disagreement") & (rows["step_a"] == 10)].iloc[2]
    assert (row["seed_a"], row["seed_b"]) == (1, 2)
    from sklearn.metrics import cohen_kappa_score

    from landscape.objectives import causal_lm

    ids = causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=20, length=12)["input_ids"]
    with torch.no_grad():
        chosen = [cases.gpt2(1 + int(row[seed]) + 100)(input_ids=ids).logits[:, :-1].argmax(dim=-1).flatten().numpy()
                  for seed in ("seed_a", "seed_b")]  # fmt: skip
    assert row["value"] == pytest.approx(1 - cohen_kappa_score(*chosen), abs=1e-9)
    assert row["items"] == 20 * 11 and row["low"] < row["value"] < row["high"]
    half = 1.96 * rows["error"]
    np.testing.assert_allclose(rows["high"], rows["value"] + half)
    np.testing.assert_allclose(rows["low"], (rows["value"] - half).clip(lower=0))
    # The probe chooses the same tokens, so it tells the same distance.
    both = rows[rows["metric"] == "disagreement"].pivot(index=["a", "b"], columns="probe", values="value")
    assert both["predictions"].to_numpy() == pytest.approx(both["calibration"].to_numpy(), abs=1e-12)


def test_running_again_does_nothing_and_a_refused_probe_leaves_the_others(finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))

    def written() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (copy / "results" / "rows").iterdir()}

    before = written()
    asked_before = [BARS, ASK, APART]
    file = study_of(copy, *asked_before, 'kind = "probes"\nnames = "syntax"')
    with pytest.raises(InputError, match="the tokenizer has 0 of 24 nouns"):
        run_study(read_study(file), copy, device="cpu", workers=1)
    assert run_study(read_study(study_of(copy, *asked_before)), copy, device="cpu", workers=1) == {}
    assert written() == before


def test_the_report_draws_probes_with_loss_and_barrier(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaborn.matrix._draw_figure", lambda figure: None)  # which it does for each heatmap
    monkeypatch.setattr(report, "_stages", lambda *_: {})
    made = frames(Store(finished / "results"))
    drawn_together, apart = together.section(made), behaviour.section(made)
    assert drawn_together is not None and apart is not None
    axes = drawn_together.figure.axes
    labels = [ax.get_ylabel() for ax in axes if ax.get_ylabel()]
    assert labels[:2] == ["loss (nats per token)", "barrier (nats per token)"]
    assert {"in-context score (nats) ↓", "copy gap (nats) ↑", "KL from n-grams (nats) ↓"} <= set(labels)
    rows = Store(finished / "results").rows("probe", keys(finished))
    wanted = rows[(rows["metric"] == "copy_gap") & (rows["seed"] == 2)].sort_values("step")
    ax = axes[labels.index("copy gap (nats) ↑")]
    np.testing.assert_allclose(ax.containers[2].lines[0].get_ydata(), wanted["value"])
    np.testing.assert_allclose(ax.containers[2].lines[0].get_xdata(), [0, 10])
    bars = ax.containers[2].lines[2][0].get_segments()
    assert (bars[1][1] - bars[1][0])[1] == pytest.approx(2 * 1.96 * wanted["error"].iloc[1])
    drawn = {ax.get_ylabel() for ax in apart.figure.axes}
    assert {"barrier (nats per token)", "disagreement (1 - kappa)", "Jensen-Shannon divergence (nats)"} <= drawn


@pytest.mark.slow
def test_a_report_of_probes_alone(tmp_path: Path, few_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "drawing", lambda section: Drawing("", (1.0, 1.0), ()))
    monkeypatch.setattr(report, "_stages", lambda *_: {})
    file = study_of(tmp_path, ASK.replace('"in-context", "induction", "ngrams"', '"in-context"'))
    file.write_text(file.read_text().replace('"seed_', f'"{few_runs}/seed_'))
    assert run_study(read_study(file), tmp_path, device="cpu", workers=1) == {}
    result = invoke("report", tmp_path)
    assert result.exit_code == 0, result.output
    assert "<h2>What is learned, and when</h2>" in (tmp_path / "report.html").read_text()
    assert invoke("export", tmp_path).exit_code == 0
    table_ = pd.read_csv(tmp_path / "export" / "probe.csv")
    assert {"checkpoint", "seed", "step", "probe", "metric", "value", "error", "items"} <= set(table_.columns)


@pytest.mark.parametrize(
    ("measure_", "said"),
    [
        (
            'kind = "probes"\nnames = ["inducton"]',
            "no probe is called 'inducton'; did you mean induction.; there are in-context",
        ),
        (
            'kind = "probes"\nnames = ["inference"]',
            "inference takes classifier models, and this one is taken as causal",
        ),
        ('kind = "probes"\nnames = ["ngrams"]', "ngrams needs the text that the model was trained on"),
        ('kind = "probes"\nnames = ["ngrams"]\ntrain_text = "none.txt"', "there is no file or folder .*none.txt"),
        ('kind = "probes"\nnames = ["minimal-pairs", "syntax"]\nitems = "x"', "items are those of one probe"),
        ('kind = "probes"\nnames = []', "empty; give at least one"),
        ('kind = "probes"\nnames = ["predictions"]', 'predictions are compared, pair by pair: give kind = "behaviour"'),
        ('kind = "probes"\nnams = ["ngrams"]', "nams: unknown setting; did you mean names"),
        ('kind = "probes"\nnames = "ngrams"\nitem = "x"', "unknown setting; did you mean items"),
        ('kind = "probes"\nnames = ["in-context"]\nat_steps = [7]', "a measure of probes finds no checkpoint"),
        ('kind = "behaviour"\nat_steps = [7]', "nothing to pair between seed: 6 checkpoints share no step"),
    ],
)
def test_bad_studies_are_refused_before_anything_runs(measure_: str, said: str, tmp_path: Path, few_runs: Path) -> None:
    file = study_of(tmp_path, measure_)
    file.write_text(file.read_text().replace('"seed_', f'"{few_runs}/seed_'))
    with pytest.raises(InputError, match=said):
        run_study(read_study(file), tmp_path, device="cpu", workers=1)
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_a_probe_without_choices_has_no_distance(tmp_path: Path, few_runs: Path) -> None:
    file = study_of(tmp_path, 'kind = "behaviour"\nnames = ["in-context"]\nat_steps = [0]')
    file.write_text(file.read_text().replace('"seed_', f'"{few_runs}/seed_'))
    failed = run_study(read_study(file), tmp_path, device="cpu", workers=1)
    assert list(failed.values()) == [
        "in-context asks for no choice that could differ; take predictions, or a probe with choices"
    ]


SMALL = ["--sequences", 30, "--length", 12, "--count", 6]


def test_the_command_prints_scores_and_keeps_outcomes(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text(cases.TEXT)
    refs = [few_runs / f"seed_0/step_{step}" for step in (0, 10)]
    result = invoke(
        "probe", *refs, "--text", tmp_path / "held.txt", *SMALL, "--out", tmp_path / "out", "--distances", "--json"
    )
    rows = rows_of(result)
    assert {row["probe"] for row in rows if row["table"] == "probe"} == {"in-context", "induction"}
    assert sum(row["table"] == "behaviour" for row in rows) == 2
    assert "best_prefix_matching *" in result.stderr and "disagreement of predictions" in result.stderr
    assert "items " + rows[0]["items_hash"] in result.stderr.replace("\n", " ")
    assert (tmp_path / "out" / "results" / "items" / f"{rows[0]['outcomes']}.parquet").exists()


@pytest.mark.slow
def test_the_command_prints_headlines_or_all_scores(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text(cases.TEXT)
    options = ["--text", tmp_path / "held.txt", *SMALL, "--names", "induction"]
    plain, every = (invoke("probe", few_runs / "seed_0/step_0", *options, *more).stderr for more in ([], ["--all"]))
    assert "12 more scores with --all" in plain.replace("\n", " ") and "│ 1.2" not in plain
    assert "more scores" not in every and every.count("previous_token") == 7


@pytest.mark.slow
def test_a_trajectory_gets_a_figure(few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text(cases.TEXT)
    result = invoke("probe", few_runs / "seed_{seed}" / "step_{step}", "--text", tmp_path / "held.txt", *SMALL,
                    "--names", "in-context", "--out", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "probes.svg").exists() and (tmp_path / "out" / "probes.png").exists()
    assert result.stderr.count("seed_") >= 6


def test_bad_options_get_a_sentence(few_runs: Path, tmp_path: Path) -> None:
    def said(*options: object) -> str:
        runner = CliRunner().invoke(
            cli, ["probe", str(few_runs / "seed_0/step_0"), "--length", "12", *map(str, options)]
        )
        assert runner.exit_code == 1 and isinstance(runner.exception, InputError), runner.output
        return str(runner.exception)

    assert "items are those of one probe" in said("--names", "induction", "--names", "syntax", "--items", tmp_path)
    assert "distances are between two or more checkpoints" in said("--distances")
    assert "no probe is called 'nonsense'" in said("--names", "nonsense")


def test_inference_of_a_classifier_needs_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "seed_0"
    cases.bert(0, BertForSequenceClassification, num_labels=3, vocab_size=V).save_pretrained(folder)
    speaker(cls_token="[CLS]").save_pretrained(folder)
    rows = rows_of(invoke("probe", folder, "--names", "inference", "--labels", "contradiction,entailment,neutral",
                          "--count", 3, "--json"))  # fmt: skip
    assert len([row for row in rows if row["metric"] == "accuracy" and row["subset"]]) == 6
    result = invoke("probe", folder, "--names", "agreement")
    assert "agreement takes causal and masked models, and this one is taken as classifier" in str(result.exception)
    result = invoke("probe", folder, "--names", "calibration")
    assert "classification needs labelled examples" in str(result.exception)


def test_distances_of_choices_with_probabilities(tmp_path: Path) -> None:
    for seed in (0, 1):
        cases.gpt2(seed, vocab_size=V).save_pretrained(tmp_path / f"seed_{seed}/step_3")
        speaker().save_pretrained(tmp_path / f"seed_{seed}/step_3")
    file = study_of(tmp_path, 'kind = "behaviour"\nnames = ["agreement"]\ncount = 4')
    (tmp_path / "text.txt").write_text(TEXT)
    assert run_study(read_study(file), tmp_path, device="cpu", workers=1) == {}
    rows = Store(tmp_path / "results").rows("behaviour", keys(tmp_path))
    assert set(rows["metric"]) == {"disagreement", "divergence"} and (rows["value"] > 0).all()
    outcomes = Store(tmp_path / "results").rows("probe", keys(tmp_path))["outcomes"].unique()
    sides = [
        pd.read_parquet(tmp_path / "results" / "items" / f"{key}.parquet")[["p_0", "p_1"]].to_numpy()
        for key in outcomes
    ]
    apart = np.mean([jensenshannon(p, q) ** 2 for p, q in zip(*sides, strict=True)])
    assert rows.set_index("metric")["value"]["divergence"] == pytest.approx(apart, rel=1e-9)
    labels = [task["label"] for task in Store(tmp_path / "results").record()["tasks"]]
    assert labels[0] == "probes agreement seed 0 step 3"
