"""``landscape stages``, the table ``[stages]`` of a study, and the report."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cases
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import worlds
from click.testing import CliRunner, Result
from simulated import OCTAVES
from worlds import coupled

from landscape.cli.main import cli, main
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.face.stages import of_results
from landscape.figures.frames import Frames
from landscape.figures.matrix import barrier_matrix
from landscape.figures.page import page
from landscape.figures.stages import shown, stages_over_training
from landscape.figures.tables import NOT_SHOWN
from landscape.figures.together import section as together
from landscape.stages.analysis import analyse
from landscape.stages.findings.sentences import sentences
from landscape.stages.settings import Stages
from landscape.study.file import read_study
from landscape.study.store import Store

curves_once = worlds.curves_once
STEPS = (0, 1, 2, 5, 10, 20)
STUDY = """
version = 1
name = "stages"
[checkpoints]
folder = "seed_{seed}/step_{step}"
[data]
objective = "causal-lm"
text = "text.txt"
sequences = 20
length = 12
[[measure]]
kind = "barriers"
points = 5
resamples = 200
[[measure]]
kind = "barriers"
between = "last"
points = 5
resamples = 200
[[measure]]
kind = "barriers"
between = "neighbours"
points = 3
resamples = 200
[stages]
draws = 50
primary = { connectivity = "barrier:last", behaviour = "loss", test = "onset" }
behaviour = ["loss"]
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds whose models go from one point to another."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "text.txt").write_text(cases.TEXT)
    for seed in range(3):
        start, end = cases.gpt2(seed), cases.gpt2(seed + 100)
        for n, step in enumerate(STEPS):
            place = folder / f"seed_{seed}" / f"step_{step}"
            share = n / (len(STEPS) - 1)
            model = cases.gpt2(seed)
            pairs = zip(start.parameters(), end.parameters(), strict=True)
            for parameter, (a, b) in zip(model.parameters(), pairs, strict=True):
                parameter.data = a.data + share * (b.data - a.data)
            model.save_pretrained(place)
            cases.tokenizer().save_pretrained(place)
    (folder / "study.toml").write_text(STUDY)
    assert run_study(read_study(folder / "study.toml"), folder, device="cpu", workers=1) == {}
    return folder


@pytest.fixture(scope="module")
def printed(finished: Path) -> Result:
    return invoke("stages", finished, "--json")


def test_findings_of_a_study_are_printed_and_written(finished: Path, printed: Result) -> None:
    result = printed
    assert result.exit_code == 0, (result.output, result.exception)
    said = result.stderr
    assert "Tables are in" in said and "note: 3 seeds: with three seeds no test of the seed hypothesis can be" in said
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["table"] for row in rows} >= {"event", "association"}
    assert invoke("stages", finished).exit_code == 0
    events = pd.read_csv(finished / "stages" / "event.csv")
    assert set(events["series"]) >= {"barrier:last", "loss"}
    steps = {row["series"]: row for row in rows if row["table"] == "event"}
    assert steps["barrier:last"]["step"] is None or 0 <= steps["barrier:last"]["step"] <= 20
    parquet = invoke("stages", finished, "--format", "parquet", "--connectivity", "barrier:last")
    assert parquet.exit_code == 0, parquet.output
    tests = pd.read_parquet(finished / "stages" / "association.parquet")
    assert set(tests["connectivity"]) == {"barrier:last"}


def test_pairs_of_one_run_become_series(finished: Path) -> None:
    store = Store(finished / "results")
    rows = store.rows("barrier", [task["key"] for task in store.record()["tasks"]])
    chord = rows[rows["definition"] == "chord"]
    last = chord[chord["between"] == "last"]
    assert len(last) == 3 * 5 and (last["seed_a"] == last["seed_b"]).all() and (last["step_b"] == 20).all()
    near = chord[chord["between"] == "neighbours"]
    assert sorted(zip(near["step_a"], near["step_b"], strict=True))[::3] == list(zip(STEPS, STEPS[1:], strict=False))


def test_the_primary_is_the_one_that_was_preregistered(finished: Path, tmp_path: Path) -> None:
    """It counts if it was preregistered at the first run; changed after results, it is exploratory."""
    record = Store(finished / "results").record()
    primary = {"connectivity": "barrier:last", "behaviour": "loss", "test": "onset"}
    assert record["preregistered"]["primary"] == primary and record["preregistered"]["draws"] == 50
    study = finished / "study.toml"
    old = study.read_text()
    try:
        study.write_text(old.replace('test = "onset"', 'test = "matrix"').replace('"barrier:last"', '"barrier:seed"'))
        assert run_study(read_study(study), finished, device="cpu", workers=1) == {}
        record = Store(finished / "results").record()
        first, now = (part["primary"]["test"] for part in (record["preregistered"], record["study"]["stages"]))
        assert (first, now) == ("onset", "matrix")
        said = invoke("stages", finished).stderr
        assert "the primary association of the study (barrier:seed with loss, by matrix) was not preregistered" in said
        assert "exploratory; preregistered was barrier:last with loss, by onset" in said
    finally:
        study.write_text(old)
        run_study(read_study(study), finished, device="cpu", workers=1)


def test_the_primary_counts_only_with_its_preregistered_settings(finished: Path, printed: Result) -> None:
    """Another threshold or definition is another test."""
    assert "\nPreregistered: loss with barrier:last" in printed.stderr
    other = invoke("stages", finished, "--threshold", "0.3", "--definition", "mean_ends").stderr
    assert (
        "Primary, preregistered" not in other
        and (
            "was preregistered with other settings (threshold 0.3, preregistered: left out; definition "
            "mean_ends, preregistered: chord), so it is exploratory"
        )
        in other
    )


def test_other_settings_in_the_file_than_at_the_last_run_are_noted(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of_results(Store(finished / "results"))
    monkeypatch.setattr("landscape.stages.analysis.analyse", lambda *_: replace(found, notes=()))
    study = finished / "study.toml"
    old = study.read_text()

    def notes() -> tuple[str, ...]:
        return of_results(Store(finished / "results")).notes

    said = f"{study} has other [stages] settings than the last run; run the study again to use them"
    try:
        assert said not in notes()
        study.write_text(old.replace("draws = 50", "draws = 60"))
        assert said in notes()
        study.write_text(old.replace("draws = 50", "draws = 60").replace('name = "stages"', 'name = "another"'))
        assert said not in notes()
        study.write_text("no = ")
        assert said not in notes()
    finally:
        study.write_text(old)


def test_settings_of_stages_change_no_task(finished: Path) -> None:
    before = {task["key"] for task in Store(finished / "results").record()["tasks"]}
    study = read_study(finished / "study.toml")
    other = study.model_copy(update={"stages": Stages.model_validate({"seed": 5})})
    run_study(other, finished, device="cpu", workers=1)
    assert {task["key"] for task in Store(finished / "results").record()["tasks"]} == before
    run_study(study, finished, device="cpu", workers=1)


def test_one_pattern_is_a_list_of_one() -> None:
    one = Stages.model_validate({"behaviour": "p:*", "connectivity": "barrier:last"})
    assert (one.behaviour, one.connectivity) == (("p:*",), ("barrier:last",))
    assert Stages.model_validate({}).behaviour is None


def test_a_misspelt_setting_is_named(finished: Path, tmp_path: Path) -> None:
    for old, new, said in (
        ("draws = 50", "drawz = 50", "stages.drawz: unknown setting; did you mean draws?"),
        ('test = "onset"', 'test = "correlation"', "stages.primary.test: Input should be 'onset'"),
    ):
        (tmp_path / "study.toml").write_text(STUDY.replace(old, new))
        result = invoke("run", tmp_path / "study.toml")
        assert said in str(result.exception)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    values = coupled()
    series = worlds.observed({"barrier": values["barrier:last"], "good": values["good"]}, OCTAVES).series
    series = series[["series", "seed", "step", "value"]]
    series.to_csv(folder / "mine.csv", index=False)
    random = np.random.default_rng(0)
    pd.DataFrame([
        {"series": "barrier pairs", "seed_a": a, "seed_b": b, "step": step, "value": random.uniform(0.4, 0.6)}
        for step in OCTAVES[6:] for a in range(6) for b in range(a)
    ]).to_csv(folder / "pairs.csv", index=False)  # fmt: skip
    return folder


def test_series_of_others_are_taken_too(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.stages.association.clusters.NULLS", 19)
    arguments = ["stages", files / "mine.csv", "--pairs", files / "pairs.csv", "--threshold", "0.5"]
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "good with barrier: onsets are rank-correlated over the seeds" in result.stderr
    assert "none is significant in barrier pairs at step 1,024 (p " in result.stderr
    clusters = pd.read_csv(files / "mine_stages" / "cluster.csv")
    assert clusters["step"].nunique() == 12 and clusters["step"].max() == 1024 and len(clusters) == 12 * 6
    assert clusters["step"].min() == OCTAVES[6]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no file or folder nowhere"),
        (["{folder}"], "holds no results"),
        (["{file}", "--permutations", "99999999"], "permutations: Input should be less than or equal to 1000000"),
        (["{file}", "--threshold", "nan"], "threshold: Input should be a finite number"),
        (["{folder}", "--pairs", "{file}"], "pairs belong to a file of series, and a folder of results has its own"),
        (["{short}"], "a curve needs 5: no events"),
    ],
)
def test_what_cannot_be_analysed_is_said(
    files: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"series": "a", "seed": 0, "step": [0, 1], "value": [0.5, 0.7]}).to_csv(
        files / "short.csv", index=False
    )
    places = {"folder": files, "file": files / "mine.csv", "short": files / "short.csv"}
    with pytest.raises(SystemExit, match="2"):
        main(["stages", *(argument.format(**places) for argument in arguments)])
    assert said in capsys.readouterr().err


def test_tables_of_a_file_overwrite_nothing(files: Path, tmp_path: Path) -> None:
    """Neither a file without an ending nor a folder of its name; and no name becomes a picture."""
    series = pd.read_csv(files / "mine.csv").replace("good", "a:key:")
    series.to_csv(tmp_path / "mine", index=False)
    result = invoke("stages", tmp_path / "mine", "--behaviour", "a:key:")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "(t50): barrier, a fall, at step" in result.stderr and "a:key:, a rise, at step" in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "mine_stages"]


def test_settings_that_do_not_fit_are_said(finished: Path) -> None:
    with pytest.raises(InputError, match=r"stages cannot be found by these settings: draws: .* \(got 7\)"):
        of_results(Store(finished / "results"), given={"draws": 7})


@pytest.mark.slow
def test_no_torch_is_loaded(files: Path) -> None:
    pd.DataFrame({"series": "loss", "seed": 0, "step": OCTAVES, "value": np.linspace(3, 1, len(OCTAVES))}).to_csv(
        files / "one.csv", index=False
    )
    code = (
        "import sys; from landscape.cli.main import cli; "
        f"cli(['stages', {str(files / 'one.csv')!r}], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def findings() -> Frames:
    found = analyse(worlds.observed(coupled(), OCTAVES), Stages.model_validate({"threshold": 0.5, "draws": 50}))
    names = ("series", "curve", "event", "stage", "association", "outlier", "boundaries", "unreliable", "notes")
    return Frames(**{name: getattr(found, name) for name in names}, sentences=tuple(sentences(found)))


def test_the_main_figure_draws_stages_bands_and_onsets(findings: Frames) -> None:
    figure = stages_over_training(
        findings.series, findings.curve, findings.event, findings.stage, boundaries=findings.boundaries
    )
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["loss", "barrier:last", "good", "contrary"]
    loss, last, good, _ = figure.axes
    bands = findings.stage[(findings.stage["seed"] == "all") & (findings.stage["series"] == "loss")]
    edges = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in good.patches]
    np.testing.assert_allclose(edges, bands[["start", "end"]].to_numpy(), atol=1e-5)
    assert [text.get_text() for text in loss.texts] == ["stage 1", "stage 2"]
    begin, end, middle = (
        loss.transData.transform(np.column_stack([places, np.zeros(2)]))[:, 0]
        for places in (bands["start"], bands["end"], [text.get_position()[0] for text in loss.texts])
    )
    np.testing.assert_allclose(middle, (begin + end) / 2, err_msg="as drawn")
    onset = findings.event[(findings.event["series"] == "good") & (findings.event["seed"] == "all")]
    onset = onset[onset["event"] == "half_rise"].iloc[0]
    spots = [line for line in good.lines if line.get_marker() == "D"]
    assert [float(spot.get_xdata()[0]) for spot in spots] == [onset["step"]]
    interval = [line for line in good.lines if line.get_linewidth() == 1.6]
    assert list(interval[0].get_xdata()) == [onset["low"], onset["high"]]
    assert len([line for line in good.lines if line.get_linewidth() == 0.6]) == 6
    stable = findings.event[(findings.event["event"] == "stable") & (findings.event["seed"] == "all")].iloc[0]
    spots = [line for line in last.lines if line.get_marker() == "D"]
    assert [float(spot.get_xdata()[0]) for spot in spots] == [stable["step"]]
    interval = [line for line in last.lines if line.get_linewidth() == 1.6]
    assert list(interval[0].get_xdata()) == [stable["low"], stable["high"]]


@pytest.mark.parametrize(("censored", "marks"), [("no", 1), ("right", 0), ("left", 0)])
def test_only_what_happens_in_training_has_a_mark(censored: str, marks: int) -> None:
    steps = np.array([0.0, 4.0, 30.0])
    series = pd.DataFrame({"series": "a", "seed": "0", "step": steps, "value": [0.1, 0.4, 0.9]})
    curve = pd.DataFrame({"series": "a", "step": steps, "value": [0.1, 0.4, 0.9], "low": 0.0, "high": 1.0})
    at = {"series": "a", "event": "half_rise", "way": "rise", "step": 5.0, "low": 3.0, "high": np.inf, "happened": 1.0}
    event = pd.DataFrame([{**at, "seed": seed, "censored": censored} for seed in ("0", "all")])
    (ax,) = stages_over_training(series, curve, event, pd.DataFrame(), boundaries="").axes
    assert [line.get_marker() for line in ax.lines].count("D") == marks
    assert [line.get_linewidth() for line in ax.lines].count(1.6) == marks


def test_probes_are_drawn_with_the_loss_of_checkpoints_alone() -> None:
    """Two steps are a line; losses of branches are left out; one step makes no figure."""
    at = {"branch_step": None, "seed": 0, "unit": "nats per token", "error": 0.1}
    losses = pd.DataFrame([{**at, "step": 0, "loss": 3.0}, {**at, "step": 8, "loss": 2.0},
                           {**at, "step": 9, "loss": 7.0, "branch_step": 4}])  # fmt: skip
    score = {**at, "probe": "in-context", "metric": "score", "subset": "", "headline": True, "better": "higher"}
    score |= {"chance": 0.5, "items": 9, "version": "1", "about": "of this", "value": 0.6, "low": 0.5, "high": 0.7}
    probe = pd.DataFrame([{**score, "step": 0}, {**score, "step": 8}])
    made = together(Frames(probe=probe, losses=losses))
    assert made is not None and together(Frames(probe=probe[:1], losses=losses)) is None
    loss, _ = [ax for ax in plt.gcf().axes if ax.get_ylabel()]
    assert {float(x) for line in loss.lines for x in line.get_xdata()} == {0, 8}


def test_there_is_room_for_nine_panels_in_the_order_of_onsets() -> None:
    curve = pd.DataFrame({"series": [*"abcdefghij", "barrier:x", "loss", "llc"]})
    event = pd.DataFrame({"series": [*"fab"], "seed": "all", "event": "half_rise", "step": [3.0, np.nan, 9.0]})
    assert shown(curve, event, "llc") == ["loss", "llc", "barrier:x", *"fbacde"]


def test_the_page_shows_findings_and_tests_escaped(findings: Frames) -> None:
    versions = dict.fromkeys(("landscape-toolkit", "torch", "transformers"), "0")
    record = {"name": "<i>x</i>", "checkpoints": [], "parameters": 5, "tasks": [], "versions": versions}
    record["study"] = {"stages": {"coupling": 0.9}}
    frames_ = Frames(**{**vars(findings), "sentences": ("  <b>bold</b>",)})
    html = page(frames_, record, [])
    assert "&lt;b&gt;bold&lt;/b&gt;" in html and "<b>bold" not in html and "<i>x" not in html
    powerless = findings.association["verdict"].str.startswith(NOT_SHOWN)
    assert html.count("of the seed hypothesis: a seed whose connectivity is early") == len(set(powerless))
    assert "coupled (exploratory)" in html


def test_the_report_of_a_study_has_the_stages(finished: Path) -> None:
    made = frames(Store(finished / "results"))
    assert set(made.curve["series"]) >= {"loss", "barrier:last"} and made.sentences and made.boundaries == "loss"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_findings_and_reports_are_of_one_data_set_and_seeds_may_be_words(few_runs: Path, tmp_path: Path) -> None:
    """Two data sets with the same pairs, whose rows are kept apart."""
    for seed, word in enumerate(("ada", "bob", "eve")):
        (tmp_path / f"seed_{word}").symlink_to(few_runs / f"seed_{seed}")
    (tmp_path / "other.txt").write_text(cases.TEXT[::-1])
    file = cases.study(tmp_path, sequences="20", length="8", measure='on = ["main", "hans"]')
    file.write_text(file.read_text().replace("[[measure]]", '[data.hans]\ntext = "other.txt"\n[[measure]]'))
    assert run_study(read_study(file), tmp_path, device="cpu", workers=1) == {}
    store = Store(tmp_path / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    losses = store.rows("loss", keys)
    means = losses.groupby("data")["loss"].mean()
    assert abs(means["main"] - means["hans"]) > 1e-3 and losses.groupby("data").size().tolist() == [6, 6]
    for name, wanted in means.items():
        series = of_results(store, data=str(name)).series
        assert series.loc[series["series"] == "loss", "value"].mean() == pytest.approx(wanted)
        assert set(series["seed"]) == {"ada", "bob", "eve"}
        assert (series.groupby(["series", "seed", "step"]).size() == 1).all()
        made = frames(store, data=str(name))
        assert len(made.barriers) == 3 * 2 and made.losses["loss"].mean() == pytest.approx(wanted)
        assert invoke("report", tmp_path, "--data", name).exit_code == 0
        html = (tmp_path / "report.html").read_text()
        assert "<h2>Barrier matrices</h2>" in html and "<h2>Loss over training</h2>" in html
    matrix = barrier_matrix(made.barriers[made.barriers["step_a"] == 10])
    assert [text.get_text() for text in matrix.get_xticklabels()] == ["ada", "bob"], "each pair stands once"
    assert [text.get_text() for text in matrix.get_yticklabels()] == ["bob", "eve"]
    none = str(invoke("stages", tmp_path, "--data", "snli").exception)
    assert "no row is measured on the data set snli; there are hans, main: give data" in none
