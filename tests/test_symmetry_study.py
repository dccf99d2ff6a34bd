"""Symmetries in studies, on the command line and in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cases import TEXT, bert, gpt2, rough, runs, save, study, tokenizer
from click.testing import CliRunner, Result
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, LlamaConfig, LlamaForCausalLM

from landscape import summary
from landscape.checkpoints import models
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.expand import tasks
from landscape.figures.symmetry import barriers_by_symmetry
from landscape.measures import Barriers
from landscape.space import Space
from landscape.stages.series import from_tables
from landscape.store import Store
from landscape.study import Study, read_study
from landscape.symmetry import canonical, element, move
from landscape.symmetry.tables import table_of
from landscape.task import Checkpoint


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def rows(result: Result, table: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in result.stdout.splitlines())
    return [row for row in found if row.get("table") == table]


def planted(folder: Path, untied: bool = False) -> tuple[Path, Path]:
    """A tiny GPT-2, and the same by a random element."""
    model = gpt2(tie_word_embeddings=not untied)
    table, params = table_of(model), {n: v.detach() for n, v in model.named_parameters()}
    change = element.draw(table, torch.Generator().manual_seed(5), stretch=True)
    moved = move.moved_params(table, params, move.Move(change, canonical.gains(table, params)))
    one = save(model, folder / "one")
    for name, value in moved.items():
        model.get_parameter(name).data.copy_(value)
    return one, save(model, folder / "two")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three seeds at two steps, raw, matched and in random coordinates."""
    folder = tmp_path_factory.mktemp("matched")
    runs(folder)
    (folder / "other.txt").write_text(TEXT[::-1])
    file = study(folder, measure='symmetry = ["none", "weights", "activations", "random"]\n'
                 'match = { text = "other.txt", sequences = 20 }\n')  # fmt: skip
    assert run("run", file, "--workers", 1).exit_code == 0
    return folder


def test_a_study_has_raw_matched_and_control_for_every_pair(done: Path) -> None:
    store = Store(done / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    barriers = store.rows("barrier", keys)
    chord = barriers[barriers["definition"] == "chord"]
    counts = chord.groupby("symmetry").size().to_dict()
    assert counts == {"none": 6, "weights": 6, "activations": 6, "random": 6}
    for _, pair in chord.groupby(["a", "b"]):
        assert pair["loss_a"].nunique() == 1 and pair["loss_b"].nunique() == 1  # the ends compute the same
    apart = chord.pivot(index=["a", "b"], columns="symmetry", values="distance")
    assert (apart["weights"] < apart["random"]).all()
    matches = store.rows("match", keys)
    assert len(matches) == 3 * 2 * 2 and (matches["output_difference"] <= matches["tolerance"]).all()
    by_weights = matches[matches["symmetry"] == "weights"]
    assert (by_weights["distance_after"] < by_weights["distance_before"]).all()
    assert matches["untied"].all()  # GPT-2's stream turns only so
    assert all((store.folder / file).exists() for file in matches["moves"])


def test_raw_barriers_have_the_keys_that_they_had_without_symmetries(tmp_path: Path) -> None:
    seeds = [Checkpoint(f"s{n}", seed=n, step=1, content=str(n)) for n in range(3)]
    base = {"version": 1, "name": "x", "checkpoints": {"folder": "f"}, "data": {"objective": "causal-lm"}}

    def planned(**settings: Any) -> list[Any]:
        measure = [{"kind": "barriers", **settings}]
        return tasks(Study.model_validate({**base, "measure": measure}), seeds, [])

    plain, both = planned(), planned(symmetry=["none", "weights"])
    assert {task.key for task in plain} < {task.key for task in both}
    kinds = [task.kind for task in both]
    assert kinds.count("match") == 1 and kinds.count("barriers") == 2 and kinds.count("losses") == 3
    (match,) = (task for task in both if task.kind == "match")
    (matched,) = (task for task in both if task.kind == "barriers" and match.key in task.needs)
    assert both.index(match) < both.index(matched) and matched.needs[-1] == match.key
    other = planned(symmetry=["weights"], match={"freedoms": "permutations"})
    assert {t.key for t in other if t.kind != "losses"}.isdisjoint(t.key for t in both)


def test_stages_see_checkpoints_as_they_are(done: Path) -> None:
    store = Store(done / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    barriers = store.rows("barrier", keys)
    barriers = barriers[barriers["definition"] == "chord"]
    raw = barriers[barriers["symmetry"] == "none"]
    pd.testing.assert_frame_equal(
        from_tables({"barrier": barriers}).pairs, from_tables({"barrier": raw}).pairs, check_dtype=False
    )
    assert set(summary.straight(barriers)["symmetry"]) == {"none"}


def test_the_report_lays_them_side_by_side(done: Path) -> None:
    assert run("report", done).exit_code == 0
    assert run("export", done).exit_code == 0
    assert len(pd.read_csv(done / "export" / "match.csv")) == 12
    page = (done / "report.html").read_text()
    assert page.count("<h2>Symmetries taken out</h2>") == 1
    assert "With symmetries taken out the mean barrier" in page and "(weights)" in page and "(random)" in page


def test_the_figure_shows_every_pair_and_the_mean() -> None:
    chord = pd.DataFrame({
        "a": list("xxy") * 2, "b": list("yzz") * 2, "between": "seeds", "step_a": 5, "path": "linear",
        "symmetry": ["none"] * 3 + ["weights"] * 3, "freedoms": [None] * 3 + ["all"] * 3, "groups": "*",
        "barrier": [0.5, 0.7, 0.9, 0.1, 0.3, 0.2], "low": 0.05, "high": 0.95, "unit": "nats per token",
    })  # fmt: skip
    shown = summary.beside_raw(chord)
    means = summary.by_symmetry(shown).set_index("how")
    assert means["barrier"].to_dict() == pytest.approx({"none": 0.7, "weights": 0.2})
    ax = barriers_by_symmetry(means.reset_index(), shown)
    drawn = sorted(np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() == "."]).tolist())
    assert drawn == pytest.approx(sorted(chord["barrier"]))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["as they are", "matched by\nweights"]
    assert ax.get_ylabel() == "barrier (nats per token)"
    two = pd.concat([chord, chord[3:].assign(freedoms="permutations")])
    assert set(summary.beside_raw(two)["how"]) == {"none", "weights (all)", "weights (permutations)"}
    assert summary.beside_raw(chord[:3]).empty


def test_barriers_shows_a_matrix_for_each_way(tmp_path: Path) -> None:
    one, two = planted(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    result = run("barriers", one, two, "--text", tmp_path / "text.txt", "--sequences", 20, "--length", 12,
                 "--symmetry", "none", "--symmetry", "weights", "--points", 5, "--json")  # fmt: skip
    assert result.exit_code == 0
    assert "as they are" not in result.stderr and "as it is" in result.stderr and "matched by weights" in result.stderr
    chord = {row["symmetry"]: row for row in rows(result, "barrier") if row["definition"] == "chord"}
    assert (
        chord["none"]["distance"] > 1
        and chord["weights"]["distance"] < 1e-2
        and abs(chord["weights"]["barrier"]) < 1e-5
    )
    (match,) = rows(result, "match")
    assert match["distance_after"] < 1e-3 * match["distance_before"]


@pytest.mark.parametrize("untied", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_match_writes_a_folder_that_computes_the_same_and_lies_on_the_first(tmp_path: Path, untied: bool) -> None:
    one, two = planted(tmp_path, untied)
    (tmp_path / "text.txt").write_text(TEXT)
    out = tmp_path / "out"
    words = ("--text", tmp_path / "text.txt", "--sequences", 20, "--length", 12, "--out", out)
    result = run("match", one, two, *words, "--json")
    assert result.exit_code == 0 and "two in the coordinates of" in result.stderr.replace("\n", " ")
    ids = torch.arange(10)[None] + 5
    old, new = (AutoModelForCausalLM.from_pretrained(folder).eval() for folder in (two, out))
    with torch.no_grad():
        torch.testing.assert_close(new(ids).logits, old(ids).logits, rtol=1e-4, atol=1e-4)
    assert new.config.tie_word_embeddings is False
    first = AutoModelForCausalLM.from_pretrained(one if untied else out / "first")
    for name, value in new.named_parameters():
        torch.testing.assert_close(value, first.get_parameter(name), rtol=1e-3, atol=1e-3)
    assert tokenizer()("w1 w2")["input_ids"] == models.tokenizer(out)("w1 w2")["input_ids"]
    assert (out / "first").exists() is not untied
    assert run("match", one, two, *words).exit_code == 0  # again, over the folder of the first time


def test_match_keeps_permutations_in_the_space_of_the_checkpoints(tmp_path: Path) -> None:
    one, two = save(bert(1), tmp_path / "one"), save(bert(2), tmp_path / "two")
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "other.txt").write_text(TEXT[::-1])
    out = tmp_path / "out"
    result = run("match", one, two, "--text", tmp_path / "text.txt", "--match-text", tmp_path / "other.txt",
                 "--symmetry", "activations", "--match-sequences", 10, "--sequences", 20, "--length", 12,
                 "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    old, new = (AutoModelForMaskedLM.from_pretrained(folder).eval() for folder in (two, out))
    ids = torch.arange(10)[None] + 5
    with torch.no_grad():
        torch.testing.assert_close(new(ids).logits, old(ids).logits, rtol=1e-4, atol=1e-4)
    assert Space.of(new) == Space.of(old) and not (out / "first").exists()
    again = run("barriers", one, out, "--text", tmp_path / "text.txt", "--sequences", 20, "--length", 12, "--json")
    assert again.exit_code == 0


def test_curve_joins_matched_ends(tmp_path: Path) -> None:
    one, two = planted(tmp_path)
    for name, text in (("text.txt", TEXT), ("train.txt", TEXT[::-1])):
        (tmp_path / name).write_text(text)
    result = run("curve", one, two, "--text", tmp_path / "text.txt", "--train-text", tmp_path / "train.txt",
                 "--sequences", 20, "--train-sequences", 20, "--length", 12, "--steps", 2, "--no-control", "--symmetry",
                 "weights", "--out", tmp_path / "curve", "--json")  # fmt: skip
    assert result.exit_code == 0
    found = {row["path"]: row for row in rows(result, "barrier") or map(json.loads, result.stdout.splitlines())
             if row.get("definition") == "chord"}  # fmt: skip
    assert abs(found["linear"]["barrier"]) < 1e-5 and found["linear"]["distance"] < 1e-2
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "curve" / "bend_1").config.tie_word_embeddings is False
    through = (*(tmp_path / "curve" / name for name in ("end_a", "end_b", "bend_1")), "--resolution", 3)
    small = ("--curve", tmp_path / "curve" / "curve.safetensors", "--text", tmp_path / "text.txt", "--sequences", 4,
             "--length", 8)  # fmt: skip
    drawn = run("plane", *through, *small, "--out", tmp_path / "plane")
    assert drawn.exit_code == 0 and "none of these checkpoints" not in drawn.output
    other = run("plane", *through[2:], *small, "--out", tmp_path / "other")
    assert "An end of the path is none of these checkpoints" in " ".join(other.output.split())


def test_curves_of_studies_have_their_matched_line_beside_them(tmp_path: Path) -> None:
    runs(tmp_path, seeds=2, steps=(0,))
    (tmp_path / "train.txt").write_text(TEXT[::-1])
    file = study(tmp_path)
    curves = (
        'kind = "curves"\nfit_text = "train.txt"\nfit_steps = 2\nfit_batch = 4\nfit_sequences = 20\ncontrol = false\n'
        'symmetry = ["none", "weights"]'
    )
    file.write_text(file.read_text().replace('kind = "barriers"', curves))
    assert run("run", file, "--workers", 1).exit_code == 0
    store = Store(tmp_path / "results")
    barriers = store.rows("barrier", [task["key"] for task in store.record()["tasks"]])
    chord = barriers[barriers["definition"] == "chord"]
    assert chord.groupby(["path", "symmetry"]).size().to_dict() == {
        (path, symmetry): 1 for path in ("bezier", "linear") for symmetry in ("none", "weights")
    }
    assert chord["curve"].dropna().nunique() == 2
    assert len(summary.curves(chord)) == 4 and len(summary.by_path(summary.curves(chord))) == 2


def test_mistakes_get_sentences(tmp_path: Path) -> None:
    one, two = planted(tmp_path)
    runs(tmp_path, seeds=2, steps=(0,))
    (tmp_path / "text.txt").write_text(TEXT)
    words = ("--text", tmp_path / "text.txt", "--sequences", 20, "--length", 12)

    def said(*more: object) -> str:
        result = CliRunner().invoke(cli, [str(w) for w in more])
        return str(result.exception if isinstance(result.exception, InputError) else result.stderr)

    assert "--match-text too" in said("barriers", one, two, *words, "--symmetry", "activations")
    assert "are the same" in said("barriers", one, two, *words, "--symmetry", "learned", "--match-text",
                                  tmp_path / "text.txt")  # fmt: skip
    assert "give --symmetry too" in said("barriers", one, two, *words, "--freedoms", "permutations")
    assert "--match-text is for --symmetry activations and learned" in said(
        "match", one, two, *words, "--match-text", tmp_path / "text.txt", "--out", tmp_path / "o"
    )
    assert "leaves B as it is" in said("match", one, two, *words, "--symmetry", "none", "--out", tmp_path / "o")
    assert "no group of the symmetry table gpt2 is called heads; there are stream, 0.heads" in said(
        "barriers", one, two, *words, "--symmetry", "weights", "--group", "heads")  # fmt: skip
    assert "are 3 checkpoints; two are wanted" in said(
        "match", tmp_path / "seed_{seed}" / "step_0", two, "--out", tmp_path / "o"
    )
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=60, hidden_size=12, num_hidden_layers=1, num_attention_heads=2,
                                         num_key_value_heads=1, intermediate_size=16))  # fmt: skip
    three, four = save(rough(llama), tmp_path / "three"), save(rough(llama), tmp_path / "four")
    result = run("barriers", three, four, *words, "--symmetry", "weights", "--json")
    assert result.exit_code == 0 and rows(result, "match")[0]["architecture"] == "llama"


def test_match_overwrites_nothing_but_its_own(tmp_path: Path) -> None:
    one, two = planted(tmp_path)
    thesis = tmp_path / "work" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years")
    for out, sentence in ((thesis.parent, "is there and not of this command"), (two, "holds a checkpoint"),
                          (tmp_path, "holds a checkpoint"), (thesis, "is there and not of this command")):  # fmt: skip
        result = CliRunner().invoke(cli, ["match", str(one), str(two), "--out", str(out)])
        assert isinstance(result.exception, InputError) and sentence in str(result.exception)
    assert thesis.read_text() == "years" and (two / "model.safetensors").exists()
    result = CliRunner().invoke(cli, ["match", str(one), str(one), "--out", str(tmp_path / "new")])
    assert "hold the same weights; there is nothing to match" in str(result.exception)


def test_copies_have_random_coordinates_of_their_own(tmp_path: Path) -> None:
    one = save(gpt2(3), tmp_path / "one")
    two = save(gpt2(3), tmp_path / "two")
    (tmp_path / "text.txt").write_text(TEXT)
    result = run("barriers", one, two, "--text", tmp_path / "text.txt", "--sequences", 20, "--length", 12, "--symmetry",
                 "random", "--points", 5, "--json")  # fmt: skip
    (row,) = (row for row in rows(result, "barrier") if row["definition"] == "chord")
    assert row["distance"] > 1


def test_typos_in_match_are_named(tmp_path: Path) -> None:
    runs(tmp_path, seeds=2, steps=(0,))
    for measure, sentence in (
        ('symmetry = ["wieghts"]', "symmetry"),
        ('symmetry = "weights"\nmatch = { freedom = "all" }', r"match.freedom: unknown setting; did you mean freedoms"),
        ('symmetry = "activations"', r"is matched on a text: give match = \{ text"),
        ('match = { freedoms = "permutations" }', "match says how symmetries are taken out: give symmetry"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_study(study(tmp_path, measure=measure))
    file = study(tmp_path, measure='symmetry = "activations"\nmatch = { text = "text.txt", sequences = 20 }')
    result = CliRunner().invoke(cli, ["run", str(file)])
    assert "is that of [data]; what is matched on a text must be judged on another" in str(result.exception)


def test_settings_decide_keys_and_nothing_else_does() -> None:
    one = Barriers.model_validate({"kind": "barriers", "symmetry": "weights"})
    assert one.symmetry == ("weights",)
    assert one.match.settings("weights") == {
        "symmetry": "weights", "freedoms": "all", "groups": ["*"], "seed": 0, "starts": None,
    }  # fmt: skip
    assert "steps" in one.match.settings("learned") and "steps" not in one.match.settings("random")
    assert "symmetry" not in one.settings and "match" not in one.settings
