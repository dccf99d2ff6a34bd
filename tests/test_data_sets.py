"""Several data sets, subsets by a condition, their series, and their section of the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import landscape as ls
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.figures.data_sets import section
from landscape.objectives.corpus import read_corpus, read_examples
from landscape.stages.series.observed import from_tables
from landscape.stages.series.others import patterns, wanted, with_others
from landscape.stages.settings import Stages
from landscape.study.file import read_study
from landscape.study.store import Store
from landscape.where import parse

RECORD = {"kind": "a", "size": 7, "share": "0.25", "gone": None, "odd": True}


@pytest.mark.parametrize(("text", "wanted"), [
    ("kind == 'a'", True), ("kind != 'a'", False), ("size > 6", True), ("size >= 8", False), ("share < 0.3", True),
    ("share == 0.25", True), ("share == '0.25'", True), ("size in [1, 7]", True), ("kind not in ('a', 'b')", False),
    ("not kind == 'b' and size <= 7", True), ("kind == 'b' or size == 7", True), ("gone < 3", False),
    ("gone == None", True), ("kind < 3", False), ("odd == True", True), ("size == -7", False),
])  # fmt: skip
def test_conditions_mean_what_python_means(text: str, wanted: bool) -> None:
    assert parse(text)(RECORD) is wanted


@pytest.mark.parametrize(("text", "said"), [
    ("kind", "'kind' in 'kind' is no comparison of a field; write it as heuristic == 'lexical_overlap'"),
    ("kind = 'a'", "is no condition; write it as"), ("kind == size", "'size' in 'kind == size' is no text and no numb"),
    ("__import__('os').remove('x') == 1", "is no comparison of a field"), ("1 < size < 3", "is no comparison of a fi"),
    ("size in 3", "'3' in 'size in 3' is no list"), ("kind is None", "compares in a way that is not known"),
    ("kind == [1]", "is no text and no number"), ("(" * 5000, "a condition has at most 2000 letters, and this has 50"),
])  # fmt: skip
def test_what_is_no_condition_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse(text)


ROWS = [{"text": f"w{n} w{n + 1} w{n + 2}", "heuristic": ("overlap", "none")[n % 2], "label": n % 3} for n in range(9)]


def files(folder: Path) -> dict[str, Path]:
    """The same records in every format."""
    out = {name: folder / f"rows.{name}" for name in ("jsonl", "csv", "parquet", "json")}
    out["jsonl"].write_text("\n".join(map(json.dumps, ROWS)))
    out["json"].write_text(json.dumps(ROWS))
    with out["csv"].open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), out["parquet"])
    return out


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "json"])
def test_records_that_meet_a_condition_are_read(tmp_path: Path, name: str) -> None:
    file, condition = files(tmp_path)[name], "heuristic == 'overlap' and label in [0, 1]"
    chosen = [row for row in ROWS if row["heuristic"] == "overlap" and row["label"] in (0, 1)]
    assert read_corpus(file, condition) == "\n\n".join(str(row["text"]) for row in chosen)
    found = [json.loads(line) for line in read_examples(file, condition).splitlines()]
    assert [(row["text"], int(row["label"])) for row in found] == [(row["text"], row["label"]) for row in chosen]


@pytest.mark.parametrize(("condition", "said"), [
    ("heuristc == 'x'", "record 1 of the text .* has no field 'heuristc'; its fields are 'text', 'heuristic', 'label'"),
    ("label > 7", "where = label > 7 is met by none of the 9 records of the text"),
])  # fmt: skip
def test_conditions_that_fit_no_record_are_refused(tmp_path: Path, condition: str, said: str) -> None:
    for read in (read_corpus, read_examples):
        with pytest.raises(InputError, match=said):
            read(files(tmp_path)["jsonl"], condition)
    (tmp_path / "plain.txt").write_text("no fields here")
    with pytest.raises(InputError, match="chooses records by their fields, and the text .* has none"):
        read_corpus(tmp_path / "plain.txt", condition)


def test_a_wrong_condition_is_named_with_its_place(tmp_path: Path) -> None:
    file = cases.study(tmp_path, where='"kind ="')
    with pytest.raises(InputError, match=r"data.where: 'kind =' is no condition; write it as heuristic == "):
        read_study(file)


def records(folder: Path) -> tuple[Path, Path]:
    """A file of records of two kinds, and one of those of the second kind."""
    rows = [{"text": " ".join(f"w{(n * n + k) % 53}" for k in range(40)), "kind": ("easy", "hard")[n % 2]}
            for n in range(1, 60)]  # fmt: skip
    both, hard = folder / "both.jsonl", folder / "hard.jsonl"
    both.write_text("\n".join(map(json.dumps, rows)))
    hard.write_text("\n".join(json.dumps(row) for row in rows if row["kind"] == "hard"))
    return both, hard


def test_a_subset_is_measured_as_a_file_of_it(few_runs: Path, tmp_path: Path) -> None:
    """By face and command; the whole is something else."""
    both, hard = records(tmp_path)
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    given = {"sequences": 5, "length": 12, "points": 3, "resamples": 100}
    alone = ls.barriers(refs, text=str(hard), **given).frame
    subset = ls.barriers(refs, text=str(both), where="kind == 'hard'", **given).frame
    same = [name for name in alone.columns if name != "seconds"]
    pd.testing.assert_frame_equal(subset[same], alone[same])
    whole = ls.barriers(refs, text=str(both), **given).frame
    assert (whole["loss_a"] - alone["loss_a"]).abs().min() > 1e-3
    options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = ["barriers", *refs, "--text", str(both), "--where", "kind == 'hard'", *options, "--json"]
    ended = CliRunner().invoke(cli, command)
    assert ended.exit_code == 0, ended.output
    rows = pd.DataFrame([json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")])
    rows = rows[rows["table"] == "barrier"]
    assert_allclose(rows["barrier"].astype(float), alone["barrier"], atol=1e-6)


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of three seeds and three steps on all records and on the hard ones."""
    folder = cases.runs(tmp_path_factory.mktemp("sets"), steps=(0, 10, 20))
    records(folder)
    file = cases.study(folder, text='"both.jsonl"', sequences="4", measure='on = ["main", "hans"]\ntile = 3')
    hans = "[data.hans]\nwhere = \"kind == 'hard'\"\n[[measure]]"
    probes = '[[measure]]\nkind = "probes"\nnames = "in-context"\non = ["main", "hans"]\n'
    stages = '[stages]\nconnectivity = ["barrier*", "barrier:seed@hans"]\ndraws = 50\n'
    file.write_text(file.read_text().replace("[[measure]]", hans) + probes + stages)
    assert run_study(read_study(file), folder, device="cpu", workers=1) == {}
    return folder


def test_series_of_another_data_set_have_its_name(two_sets: Path) -> None:
    """Their values are those of the analysis of this data set; what is not named is left out."""
    both, alone = ls.stages(two_sets), ls.stages(two_sets, data="hans", connectivity="barrier*")
    names = set(both.series["series"])
    assert "barrier:seed@hans" in names and not {"loss@hans"} & names
    found = both.series[both.series["series"] == "barrier:seed@hans"].sort_values(["seed", "step"])
    wanted_rows = alone.series[alone.series["series"] == "barrier:seed"].sort_values(["seed", "step"])
    assert len(found) == 9
    assert_allclose(found["value"], wanted_rows["value"])
    main = both.series[both.series["series"] == "barrier:seed"].sort_values(["seed", "step"])
    assert (np.abs(main["value"].to_numpy() - found["value"].to_numpy()) > 1e-6).any()


def test_only_named_data_sets_are_wanted() -> None:
    settings = Stages.model_validate({"connectivity": ["barrier*", "barrier:*@h*"], "behaviour": "loss@other"})
    assert patterns(settings) == ("barrier:*@h*", "loss@other")
    assert wanted(settings, ["hans", "main", "other", "x"]) == ["hans", "other"]
    assert wanted(Stages.model_validate({}), ["hans"]) == []
    losses = pd.DataFrame({
        "seed": [0, 0],
        "step": [1, 2],
        "branch_step": [None, None],
        "loss": [2.0, 1.0],
        "error": [0.1, 0.1],
    })
    one = from_tables({"loss": losses})
    found = with_others(one, {"other": one, "hans": one}, settings)
    assert found.series["series"].tolist() == ["loss", "loss", "loss@other", "loss@other"]


def test_a_primary_association_may_be_on_another_data_set(two_sets: Path) -> None:
    text = (two_sets / "study.toml").read_text()
    primary = 'primary = {{ connectivity = "barrier:seed@{}", behaviour = "in-context:score" }}\n'
    good = two_sets / "good.toml"
    good.write_text(text + primary.format("hans"))
    assert read_study(good).stages.primary is not None
    good.write_text(text + primary.format("hnas"))
    with pytest.raises(InputError, match="no measure makes the series 'barrier:seed@hnas'; known: barrier:seed, barr"):
        read_study(good)


def test_the_report_shows_data_sets_side_by_side(two_sets: Path) -> None:
    found = frames(Store(two_sets / "results"))
    assert list(found.data_sets) == ["main", "hans"]
    made = section(found)
    assert made is not None and made.note.startswith("data sets: main, hans; ")
    loss, barrier, rise = made.figure.axes
    for ax in (loss, barrier, rise):
        assert [line.get_label() for line in ax.get_lines()] == ["main", "hans"]
    hans = found.data_sets["hans"].training.sort_values("step")
    assert_allclose(barrier.get_lines()[1].get_ydata(), hans["barrier"])
    assert barrier.get_ylabel() == "barrier (nats per token)"


KINDS = """
[[measure]]
kind = "curves"
at_steps = "last"
points = 3
resamples = 100
fit_text = "fit.txt"
fit_steps = 2
fit_batch = 4
fit_sequences = 8
[[measure]]
kind = "llc"
at_steps = "last"
chains = 2
draws = 6
burn_in = 2
batch = 4
[[measure]]
kind = "planes"
plane = "through"
at_steps = "last"
resolution = 5
[[measure]]
kind = "simplices"
at_steps = "last"
[[measure]]
kind = "trajectory"
points = 3
[[measure]]
kind = "components"
at_steps = "last"
points = 3
[[measure]]
kind = "behaviour"
at_steps = "last"
"""


@pytest.mark.slow
def test_every_kind_of_measure_is_on_each_data_set(tmp_path: Path) -> None:
    """Each table has rows of both, and they differ."""
    cases.runs(tmp_path, steps=(0, 10))
    records(tmp_path)
    (tmp_path / "fit.txt").write_text(cases.TEXT[::-1])
    file = cases.study(tmp_path, text='"both.jsonl"', sequences="6", measure='on = ["main", "hans"]')
    hans = "[data.hans]\nwhere = \"kind == 'hard'\"\n[[measure]]"
    both = KINDS.replace("[[measure]]", '[[measure]]\non = ["main", "hans"]')
    file.write_text(file.read_text().replace("[[measure]]", hans) + both)
    assert run_study(read_study(file), tmp_path, device="cpu", workers=1) == {}
    store = Store(tmp_path / "results")
    tables = store.tables(task["key"] for task in store.record()["tasks"])
    numbers = {"barrier": "barrier", "profile": "loss", "llc": "baseline", "plane": "loss", "mixture": "loss",
               "line": "loss", "component": "loss_moved", "behaviour": "value", "loss": "loss"}  # fmt: skip
    for table, number in numbers.items():
        rows = tables[table]
        main, other = (rows[rows["data"] == name][number].to_numpy(float) for name in ("main", "hans"))
        assert len(main) == len(other) > 0 and (main != other).any(), table
    for name in ("main", "hans"):
        assert section(frames(store, data=name)) is not None
