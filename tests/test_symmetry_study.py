"""Symmetries in studies, on the command line and in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from cases import TEXT, bert, gpt2, rough, runs, save, study, tokenizer
from click.testing import CliRunner, Result
from matplotlib.axes import Axes
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, LlamaConfig, LlamaForCausalLM

from landscape.checkpoints import tokenizers
from landscape.cli.frame import aligned_label
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.figures.frames import Frames
from landscape.figures.symmetry import barriers_by_symmetry, section
from landscape.profile import summary
from landscape.space import Space
from landscape.stages.series.observed import from_tables
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.expand import tasks
from landscape.study.file import Study, read_study
from landscape.study.kinds.alignment import Aligned, Alignment
from landscape.study.kinds.barriers import Barriers
from landscape.study.measure import Grid
from landscape.study.sections import Data
from landscape.study.store import Store
from landscape.symmetry.group import canonical, element, move
from landscape.symmetry.tables import table_of


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def rows(result: Result, table: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in result.stdout.splitlines())
    return [row for row in found if row.get("table") == table]


def planted(folder: Path, untied: bool = False) -> tuple[Path, Path]:
    """A tiny GPT-2, and the same by a random element."""
    model = gpt2(tie_word_embeddings=not untied, n_layer=1)
    table, params = table_of(model), {n: v.detach() for n, v in model.named_parameters()}
    change = element.draw(table, torch.Generator().manual_seed(5), stretch=True)
    moved = move.moved_params(table, params, move.Move(change, canonical.gains(table, params)))
    one = save(model, folder / "one")
    for name, value in moved.items():
        model.get_parameter(name).data.copy_(value)
    return one, save(model, folder / "two")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders one and two of the same function, and two texts; not to be written to."""
    folder = tmp_path_factory.mktemp("two")
    planted(folder)
    (folder / "text.txt").write_text(TEXT)
    (folder / "other.txt").write_text(TEXT[::-1])
    return folder


def few(folder: Path, *more: object) -> tuple[object, ...]:
    """Few examples and points."""
    return ("--text", folder / "text.txt", "--sequences", 8, "--length", 8, *more)


def straight_keys(folder: Path) -> list[str]:
    """Keys of the tasks of the study but those of its curves, which have straight lines of their own."""
    return [task["key"] for task in Store(folder / "results").record()["tasks"] if task["kind"] != "curves"]


def test_a_study_has_raw_aligned_and_control_for_every_pair(finished: Path) -> None:
    store, keys = Store(finished / "results"), straight_keys(finished)
    barriers = store.rows("barrier", keys)
    chord = barriers[barriers["definition"] == "chord"]
    counts = chord.groupby("align").size().to_dict()
    assert counts == {"none": 6, "weights": 6, "activations": 6, "random": 6}
    for _, pair in chord.groupby(["a", "b"]):
        assert pair["loss_a"].nunique() == 1 and pair["loss_b"].nunique() == 1  # the ends compute the same
    apart = chord.pivot(index=["a", "b"], columns="align", values="distance")
    assert (apart["weights"] < apart["random"]).all()
    aligned = store.rows("align", keys)
    assert len(aligned) == 3 * 2 * 2 and (aligned["output_difference"] <= aligned["tolerance"]).all()
    by_weights = aligned[aligned["align"] == "weights"]
    assert (by_weights["distance_after"] < by_weights["distance_before"]).all()
    assert aligned["untied"].all()  # GPT-2's stream turns only so
    assert all((store.folder / file).exists() for file in aligned["moves"])


def test_raw_barriers_have_the_keys_that_they_had_without_symmetries(tmp_path: Path) -> None:
    seeds = tuple(Checkpoint(f"s{n}", labels({"seed": n, "step": 1}), content=str(n)) for n in range(3))
    base = {"version": 1, "name": "x", "checkpoints": {"folder": "f"}, "data": {"objective": "causal-lm"}}

    def planned(**settings: Any) -> list[Any]:
        measure = [{"kind": "barriers", **settings}]
        return tasks(Study.model_validate({**base, "measure": measure}), Grid(seeds))

    plain, both = planned(), planned(align=["none", "weights"])
    assert {task.key for task in plain} < {task.key for task in both}
    kinds = [task.kind for task in both]
    assert kinds.count("align") == 1 and kinds.count("barriers") == 2 and kinds.count("losses") == 3
    (alignment,) = (task for task in both if task.kind == "align")
    (aligned,) = (task for task in both if task.kind == "barriers" and alignment.key in task.needs)
    assert both.index(alignment) < both.index(aligned) and aligned.needs[-1] == alignment.key
    other = planned(align=["weights"], alignment={"symmetry_group": "permutations"})
    assert {t.key for t in other if t.kind != "losses"}.isdisjoint(t.key for t in both)


def test_stages_see_checkpoints_that_are_not_aligned(finished: Path) -> None:
    store, keys = Store(finished / "results"), straight_keys(finished)
    barriers = store.rows("barrier", keys)
    barriers = barriers[barriers["definition"] == "chord"]
    raw = barriers[barriers["align"] == "none"]
    pd.testing.assert_frame_equal(
        from_tables({"barrier": barriers}).pairs, from_tables({"barrier": raw}).pairs, check_dtype=False
    )
    assert set(summary.straight(barriers)["align"]) == {"none"}


def bars(ax: Axes) -> list[list[float]]:
    """Both ends of all error bars."""
    found = [piece[:, 0] for box in ax.containers for lines in box[2] for piece in lines.get_segments()]
    return sorted([float(low), float(high)] for low, high in found)


def test_the_section_is_of_the_last_step_of_the_first_kind_of_pairs_and_tells_the_worst_check() -> None:
    """Four barriers of which one is to be seen: that of the last step, between seeds."""
    rows = pd.DataFrame({
        "a": list("xpxp"), "b": list("yqyq"), "between": ["seed", "branch"] * 2, "step_a": [7, 7, 9, 9],
        "how": "weights", "barrier": [0.1, 0.2, 0.35, 0.4], "low": [0.05, 0.15, 0.3, 0.25],
        "high": [0.2, 0.3, 0.5, 0.6], "unit": "nats per token", "definition": "chord", "examples": 8, "points": 5,
        "objective": "causal-lm", "dtype": "float32", "path": "linear", "align": "weights",
        "length": 12, "dtype_error": 0.0,
    })  # fmt: skip
    means = rows.rename(columns={"step_a": "step"})[["between", "step", "how", "barrier", "low", "high"]].assign(
        pairs=1
    )
    checks = pd.DataFrame({"output_difference": [3e-13, 2e-13, 4e-13], "tolerance": [6e-11, 4e-12, 5e-10],
                           "untied": [False, True, False]})  # fmt: skip
    found = section(Frames(aligned=rows, by_symmetry=means, alignment=checks))
    assert found is not None
    (ax,) = found.figure.axes
    assert bars(ax) == [pytest.approx([0.3, 0.5])]
    assert "in 3 checks outputs differed by 2e-13 at most in float64, where rounding explains 4e-12" in found.text
    assert "; step 9" in found.note and "heads untied" in found.note
    assert section(Frames()) is None


def test_the_figure_shows_every_pair_and_the_mean() -> None:
    chord = pd.DataFrame({
        "a": list("xxy") * 2, "b": list("yzz") * 2, "between": "seed", "step_a": 5, "path": "linear",
        "align": ["none"] * 3 + ["weights"] * 3, "symmetry_group": [None] * 3 + ["all"] * 3, "groups": "*",
        "barrier": [0.5, 0.7, 0.9, 0.1, 0.3, 0.2], "low": [0.3, 0.65, 0.4, 0.02, 0.1, 0.19],
        "high": [0.6, 0.9, 0.95, 0.15, 0.33, 0.5], "unit": "nats per token",
    })  # fmt: skip
    shown = summary.alignments(chord)
    means = summary.by_symmetry(shown).set_index("how")
    assert means["barrier"].to_dict() == pytest.approx({"none": 0.7, "weights": 0.2})
    assert means[["low", "high"]].isna().all(axis=None)  # three seeds
    unknown = [text.xy[0] for text in barriers_by_symmetry(means.reset_index(), shown).texts]
    plt.close("all")
    means = means.assign(low=means["barrier"] - 0.05, high=means["barrier"] + 0.1)
    ax = barriers_by_symmetry(means.reset_index(), shown)
    assert unknown == [1.0, 1.0, 1.0], "means are written beside the axes, clear of all whiskers"
    assert [text.get_text() for text in ax.texts] == ["0.700", "0.200", "mean"]
    drawn = sorted(np.concatenate([line.get_xdata() for line in ax.lines if line.get_marker() == "."]).tolist())
    assert drawn == pytest.approx(sorted(chord["barrier"]))
    ends = pd.concat([chord, means])[["low", "high"]].to_numpy()
    np.testing.assert_allclose(bars(ax), ends[np.lexsort(ends.T[::-1])])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["raw", "aligned by weights"]
    assert ax.get_ylim() == (1.5, -0.5), "raw barriers stand above"
    assert ax.get_xlabel() == "barrier (nats per token)"
    two = pd.concat([chord, chord[3:].assign(symmetry_group="permutations")])
    assert set(summary.alignments(two)["how"]) == {"none", "weights (all)", "weights (permutations)"}
    assert summary.alignments(chord[:3]).empty


def test_barriers_shows_a_matrix_for_each_way(two: Path) -> None:
    result = run("barriers", two / "one", two / "two", *few(two, "--points", 3),
                 "--align", "none", "--align", "weights", "--json")  # fmt: skip
    assert result.exit_code == 0
    assert ", not aligned" in result.stderr and ", aligned by weights" in result.stderr
    chord = {row["align"]: row for row in rows(result, "barrier") if row["definition"] == "chord"}
    assert (
        chord["none"]["distance"] > 1
        and chord["weights"]["distance"] < 1e-2
        and abs(chord["weights"]["barrier"]) < 1e-5
    )
    (aligned,) = rows(result, "align")
    assert aligned["distance_after"] < 1e-3 * aligned["distance_before"]


@pytest.mark.parametrize("untied", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_align_writes_a_folder_that_computes_the_same_and_lies_on_the_first(
    tmp_path: Path, two: Path, untied: bool
) -> None:
    one, other = planted(tmp_path, True) if untied else (two / "one", two / "two")
    out = tmp_path / "out"
    words = few(two, "--points", 3, "--out", out)
    result = run("align", one, other, *words, "--json")
    assert result.exit_code == 0 and "two aligned to " in result.stderr.replace("\n", " ")
    ids = torch.arange(10)[None] + 5
    old, new = (AutoModelForCausalLM.from_pretrained(folder).eval() for folder in (other, out))
    with torch.no_grad():
        torch.testing.assert_close(new(ids).logits, old(ids).logits, rtol=1e-4, atol=1e-4)
    assert new.config.tie_word_embeddings is False
    first = AutoModelForCausalLM.from_pretrained(one if untied else out / "first")
    for name, value in new.named_parameters():
        torch.testing.assert_close(value, first.get_parameter(name), rtol=1e-3, atol=1e-3)
    assert tokenizer()("w1 w2")["input_ids"] == tokenizers.load(out)("w1 w2")["input_ids"]
    assert (out / "first").exists() is not untied
    (aligned, random) = rows(result, "align")
    assert [aligned["align"], random["align"]] == ["weights", "random"]
    assert json.loads((out / "align.json").read_text())[0]["distance_after"] == aligned["distance_after"]
    chord = {row["align"]: row for row in rows(result, "barrier") if row["definition"] == "chord"}
    table = [[cell.strip() for cell in line.split("\u2502")[1:4]] for line in result.stderr.splitlines()]
    table = [line for line in table if len(line) == 3]
    assert {name: (barrier, interval) for name, barrier, interval in table} == {
        name: (f"{row['barrier']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}")
        for name, row in ((aligned_label(method), chord[method]) for method in ("none", "weights", "random"))
    }
    assert run("align", one, other, *words).exit_code == 0  # again, over the folder of the first time


def test_align_keeps_permutations_in_the_space_of_the_checkpoints(tmp_path: Path, two: Path) -> None:
    one, other = (save(bert(seed, num_hidden_layers=1), tmp_path / str(seed)) for seed in (1, 2))
    out = tmp_path / "out"
    result = run("align", one, other, *few(two, "--points", 3), "--alignment-text", two / "other.txt",
                 "--align", "activations", "--alignment-sequences", 8, "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    old, new = (AutoModelForMaskedLM.from_pretrained(folder).eval() for folder in (other, out))
    ids = torch.arange(10)[None] + 5
    with torch.no_grad():
        torch.testing.assert_close(new(ids).logits, old(ids).logits, rtol=1e-4, atol=1e-4)
    assert Space.of(new) == Space.of(old) and not (out / "first").exists()
    again = run("barriers", one, out, *few(two, "--points", 3), "--json")
    assert again.exit_code == 0


def test_curve_joins_aligned_ends(tmp_path: Path, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.cli.plane._draw", lambda *_: None)
    result = run("curve", two / "one", two / "two", *few(two), "--fit-text", two / "other.txt",
                 "--fit-sequences", 8, "--fit-steps", 1, "--no-control", "--align", "weights", "--points", 3,
                 "--out", tmp_path / "curve", "--json")  # fmt: skip
    assert result.exit_code == 0
    found = {row["path"]: row for row in rows(result, "barrier") or map(json.loads, result.stdout.splitlines())
             if row.get("definition") == "chord"}  # fmt: skip
    assert abs(found["linear"]["barrier"]) < 1e-5 and found["linear"]["distance"] < 1e-2
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "curve" / "bend_1").config.tie_word_embeddings is False
    through = (*(tmp_path / "curve" / name for name in ("end_a", "end_b", "bend_1")), "--resolution", 3)
    small = ("--curve", tmp_path / "curve" / "curve.safetensors", *few(two))
    drawn = run("plane", *through, *small, "--out", tmp_path / "plane")
    assert drawn.exit_code == 0 and "none of these checkpoints" not in drawn.output
    other = run("plane", *through[2:], *small, "--out", tmp_path / "other")
    assert "An end of the path is none of these checkpoints" in " ".join(other.output.split())


@pytest.mark.slow
def test_curves_of_studies_have_their_aligned_line_with_them(tmp_path: Path) -> None:
    for seed in range(2):
        save(gpt2(seed, n_layer=1), tmp_path / f"seed_{seed}" / "step_0")
    (tmp_path / "train.txt").write_text(TEXT[::-1])
    file = study(tmp_path, sequences="8", length="8")
    curves = (
        'kind = "curves"\nfit_text = "train.txt"\nfit_steps = 1\nfit_batch = 4\nfit_sequences = 8\ncontrol = false\n'
        'align = ["none", "weights"]'
    )
    file.write_text(file.read_text().replace('kind = "barriers"', curves))
    assert run("run", file, "--workers", 1).exit_code == 0
    store = Store(tmp_path / "results")
    barriers = store.rows("barrier", [task["key"] for task in store.record()["tasks"]])
    chord = barriers[barriers["definition"] == "chord"]
    assert chord.groupby(["path", "align"]).size().to_dict() == {
        (path, method): 1 for path in ("bezier", "linear") for method in ("none", "weights")
    }
    assert chord["curve"].dropna().nunique() == 2
    assert len(summary.curves(chord)) == 4 and len(summary.by_path(summary.curves(chord))) == 2


def test_mistakes_get_sentences(tmp_path: Path, two: Path) -> None:
    one, other, text = two / "one", two / "two", two / "text.txt"
    words = few(two)

    def said(*more: object) -> str:
        result = CliRunner().invoke(cli, [str(w) for w in more])
        assert isinstance(result.exception, InputError)  # before anything is run
        return str(result.exception)

    assert "alignment.text too" in said("barriers", one, other, *words, "--align", "activations")
    assert "is the text of [data]" in said(
        "barriers", one, other, *words, "--align", "learned", "--alignment-text", text
    )
    assert 'give align = "weights"' in said(
        "barriers", one, other, *words, "--alignment-symmetry-group", "permutations"
    )
    assert "alignment.text is for align = activations and learned: leave it out" in said(
        "align", one, other, *words, "--alignment-text", text, "--out", tmp_path / "o"
    )
    assert "align = none leaves the second unchanged" in said(
        "align", one, other, *words, "--align", "none", "--out", tmp_path / "o"
    )
    assert "no group of the symmetry table gpt2 is called heads; there are stream, 0.heads" in said(
        "barriers", one, other, *words, "--align", "weights", "--alignment-groups", "heads")  # fmt: skip
    for seed in range(2):
        (tmp_path / f"seed_{seed}").mkdir()
        (tmp_path / f"seed_{seed}" / "step_0").symlink_to((one, other)[seed])
    assert "3 checkpoints are given; two are wanted" in said(
        "align", tmp_path / "seed_{seed}" / "step_0", other, "--out", tmp_path / "o"
    )
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=60, hidden_size=12, num_hidden_layers=1, num_attention_heads=2,
                                         num_key_value_heads=1, intermediate_size=16))  # fmt: skip
    three, four = save(rough(llama), tmp_path / "three"), save(rough(llama), tmp_path / "four")
    result = run("barriers", three, four, *words, "--points", 3, "--align", "weights", "--json")
    assert result.exit_code == 0 and rows(result, "align")[0]["architecture"] == "llama"


def test_align_overwrites_nothing_but_its_own(tmp_path: Path, two: Path) -> None:
    one, other = two / "one", two / "two"
    thesis = tmp_path / "work" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years")
    for out, sentence in ((thesis.parent, "is there and not of this command"), (other, "holds a checkpoint"),
                          (two, "holds a checkpoint"), (thesis, "is there and not of this command")):  # fmt: skip
        result = CliRunner().invoke(cli, ["align", str(one), str(other), "--out", str(out)])
        assert isinstance(result.exception, InputError) and sentence in str(result.exception)
    assert thesis.read_text() == "years" and (other / "model.safetensors").exists()
    result = CliRunner().invoke(cli, ["align", str(one), str(one), "--out", str(tmp_path / "new")])
    assert "hold the same weights; there is nothing to align" in str(result.exception)


def test_copies_have_random_coordinates_of_their_own(tmp_path: Path, two: Path) -> None:
    copies = [save(gpt2(3, n_layer=1), tmp_path / name) for name in ("one", "two", "three")]
    result = run("barriers", *copies, *few(two, "--points", 3), "--align", "random", "--json")
    chord = [row for row in rows(result, "barrier") if row["definition"] == "chord"]
    assert len(chord) == 3 and all(row["distance"] > 1 for row in chord)


def test_typos_in_alignment_are_named(tmp_path: Path) -> None:
    runs(tmp_path, seeds=2, steps=(0,))
    for measure, sentence in (
        ('align = ["wieghts"]', r"measure.0.align.0: no way to align is called 'wieghts'; did you mean weights"),
        (
            'align = "weights"\nalignment = { symmetry_grup = "all" }',
            r"alignment.symmetry_grup: unknown setting; did you mean symmetry_group",
        ),
        ('align = "activations"', r'align = "activations" needs a text: give alignment = \{ text'),
        (
            'align = "weights"\nalignment = { text = "other.txt" }',
            "alignment.text is for align = activations and learned: leave it out",
        ),
        ('alignment = { symmetry_group = "permutations" }', "alignment says how checkpoints are aligned: give align"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_study(study(tmp_path, measure=measure))
    file = study(tmp_path, measure='align = "activations"\nalignment = { text = "text.txt", sequences = 20 }')
    result = CliRunner().invoke(cli, ["run", str(file)])
    assert "is the text of [data]" in str(result.exception)


def test_settings_decide_keys_and_nothing_else_does() -> None:
    one = Barriers.model_validate({"kind": "barriers", "align": "weights"})
    assert one.align == ("weights",) and one.aligned is not None
    assert one.aligned.deciding() == {
        "method": "weights", "symmetry_group": "all", "groups": ["*"], "seed": 0, "starts": None,
    }  # fmt: skip
    many = Alignment(groups=("*.ffn", "stream"), starts=3, steps=7, rate=0.6, seed=9, text="other.txt", sequences=11)
    shared = {"symmetry_group": "all", "groups": ["*.ffn", "stream"], "seed": 9}
    learned = Aligned(method="learned", alignment=many).deciding()
    assert learned == {"method": "learned", **shared, "starts": 3, "steps": 7, "rate": 0.6}
    for method in ("activations", "random"):
        assert Aligned(method=method, alignment=many).deciding() == {"method": method, **shared}
    data = Data(objective="causal-lm", text="text.txt", sequences=20, length=13, seed=4)
    assert many.on(data) == Data(objective="causal-lm", text="other.txt", sequences=11, length=13, seed=4)
    assert one.deciding()["aligned"] == one.aligned.deciding() and not {"align", "alignment"} & one.deciding().keys()
    raw = Barriers.model_validate({"kind": "barriers"}).deciding()
    assert not {"align", "alignment", "aligned"} & raw.keys()
