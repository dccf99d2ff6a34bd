import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from landscape.catalogue import PRECISE
from landscape.cli import frame, report
from landscape.cli.main import COMMANDS, Stopped, cli, main
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.face import barriers as face_barriers
from landscape.figures.frames import Frames
from landscape.figures.page import Missing
from landscape.points import strategy
from landscape.points.strategy import Strategy, Tuner
from landscape.session import evaluator
from landscape.study.file import read_study
from landscape.study.store import EMPTY, Store


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        out, err = capfd.readouterr()
        return int(end.code or 0), out, " ".join(err.split())
    finally:
        signal.signal(signal.SIGTERM, before)
    raise AssertionError("main always exits")


@pytest.fixture
def runs(few_runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(few_runs, tmp_path / "runs"))


@pytest.fixture(scope="module")
def done(few_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of three seeds; not to be written to."""
    folder = Path(shutil.copytree(few_runs, tmp_path_factory.mktemp("done") / "runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategy, "TRIAL_SHARE", 0.0)
        assert run_study(read_study(cases.study(folder)), folder, device="cpu", workers=1) == {}
    return folder


@pytest.fixture
def finished_runs(done: Path, tmp_path: Path) -> Path:
    """A copy of it to write to."""
    return Path(shutil.copytree(done, tmp_path / "runs"))


class Pages:
    """In place of the drawing of a report: what it was to be made of."""

    def __init__(self) -> None:
        self.frames: list[Frames] = []
        self.missing: list[list[Missing]] = []

    def __call__(self, frames: Frames, record: object, missing: list[Missing]) -> str:
        self.frames.append(frames)
        self.missing.append(missing)
        return "<html>"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    found = Pages()
    monkeypatch.setattr(report, "page", found)
    monkeypatch.setattr(report, "_stages", lambda *_: {})
    return found


def poison(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    stored["transformer.ln_f.bias"][0] = float("nan")
    save_file(stored, folder / "model.safetensors")


def test_a_study_is_planned_run_once_and_told(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs)
    code, out, err = call(capfd, "plan", study, "--json")
    totals = json.loads(out.splitlines()[-1])
    assert code == 0 and "8 tasks over 6 checkpoints" in err
    assert (totals["tasks"], totals["points"], totals["loads"]) == (8, 6 + 2 * 3 * 3, 6)
    assert totals["flops"] == 2 * totals["parameters"] * totals["points"] * 20 * 12
    assert not (runs / "results").exists()

    code, out, err = call(capfd, "run", study, "--workers", 1, "--json")
    assert code == 0 and [json.loads(line)["event"] for line in out.splitlines()] == ["done"] * 8
    before = {file: file.stat().st_mtime_ns for file in (runs / "results" / "rows").iterdir()}
    code, out, err = call(capfd, "run", study, "--json")
    assert code == 0 and out == "" and "8 tasks done" in err
    assert {file: file.stat().st_mtime_ns for file in (runs / "results" / "rows").iterdir()} == before

    code, out, err = call(capfd, "status", runs, "--json")
    assert code == 0 and "8 done, 0 failed, 0 left" in err
    assert {json.loads(line)["state"] for line in out.splitlines()} == {"done"}


def test_a_data_set_that_no_measure_reads_is_said(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs)
    given = study.read_text()
    said = 'warning: [data.short] is read by no measure; a measure reads it with on = ["main", "short"]'
    for on, times in (("", 1), ('\non = ["main", "short"]', 0)):
        study.write_text(given.replace("[[measure]]", f"[data.short]\nsequences = 4\n\n[[measure]]{on}", 1))
        code, _, err = call(capfd, "plan", study)
        assert code == 0 and " ".join(err.split()).count(said) == times, err


@pytest.mark.slow
def test_a_report_is_drawn(finished_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "report", finished_runs, "--definition", "mean_ends")[0] == 0
    html = (finished_runs / "report.html").read_text()
    assert "<h2>Barrier matrices</h2>" in html and "largest loss above the mean of the ends" in html


def test_a_report_is_of_one_definition(finished_runs: Path, capfd: pytest.CaptureFixture[str], pages: Pages) -> None:
    assert call(capfd, "report", finished_runs, "--definition", "mean_ends")[0] == 0
    (frames,) = pages.frames
    assert set(frames.barriers["definition"]) == {"mean_ends"} and len(frames.barriers) == 6
    assert pages.missing == [[]] and (finished_runs / "report.html").read_text() == "<html>"


@pytest.mark.parametrize(
    ("kind", "read"),
    [("csv", pd.read_csv), ("parquet", pd.read_parquet)],
)
def test_rows_are_exported_in_every_format(
    finished_runs: Path, capfd: pytest.CaptureFixture[str], kind: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    runs = finished_runs
    rows = Store(runs / "results").rows("barrier", [t["key"] for t in Store(runs / "results").record()["tasks"]])
    assert call(capfd, "export", runs, "--format", kind, "--definition", "rows")[0] == 0
    found = read(runs / "export" / f"barrier.{kind}")
    assert sorted(found.columns) == sorted(rows.columns) and len(found) == 36
    np.testing.assert_allclose(found["barrier"], rows["barrier"])
    assert found["seed_b"].tolist() == rows["seed_b"].tolist()
    assert found["definition"].tolist() == rows["definition"].tolist()


def test_barriers_now(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (runs / "text.txt").write_text(cases.TEXT)
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10", runs / "seed_0" / "step_10"]
    options = ["--text", runs / "text.txt", "--length", 12, "--sequences", 10, "--points", 5]
    code, out, err = call(capfd, "barriers", *refs, *options, "--json")
    rows = pd.DataFrame([json.loads(line) for line in out.splitlines()])
    assert code == 0 and len(rows) == 2 * (3 * 6 + 3 * 5)
    same = rows[(rows["table"] == "barrier") & (rows["a"] == rows["b"])]
    assert len(same) == 6 and (same["barrier"] == 0).all()
    assert "largest rise of the loss above the chord; t grid: 5 even points" in err
    assert "10 examples of 12 tokens" in err
    code, _, err = call(capfd, "barriers", runs / "seed_0" / "{step}", *options)
    assert code == 2
    code, out, _ = call(capfd, "barriers", f"{runs}/seed_{{seed}}/step_10", *options, "--json")
    rows = pd.DataFrame([json.loads(line) for line in out.splitlines()]).query(
        "definition == 'chord' and table == 'barrier'"
    )
    assert code == 0 and rows[["seed_a", "seed_b"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]


def test_adaptive_points_and_the_chosen_dtype_are_said(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of metrics too, between whose points no error is known. So little work is not spent on trials of a dtype."""
    (runs / "text.txt").write_text(cases.TEXT)
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10"]
    options = ["--text", runs / "text.txt", "--length", 12, "--sequences", 10]
    code, out, err = call(capfd, "barriers", *refs, *options, "--dtype", "auto", "--metric", "perplexity", "--json")
    rows = pd.DataFrame([json.loads(line) for line in out.splitlines()])
    assert code == 0 and set(rows.loc[rows["table"] != "align", "grid"]) == {"adaptive"}
    of_metrics = rows["table"].str.startswith("metric")
    assert of_metrics.any() and rows.loc[of_metrics, "t_error"].isna().all()
    assert rows.loc[rows["table"] == "barrier", "t_error"].notna().all()
    assert "9 Chebyshev points, the error between them is not known" in " ".join(err.split())
    assert re.search("dtype auto: float32; (no other is faster here|this processor has no fast)", " ".join(err.split()))
    code, _, err = call(capfd, "barriers", *refs, *options)
    assert code == 0 and "9 Chebyshev points, error between them up to" in " ".join(err.split())
    assert "dtype auto" not in err


def test_the_line_about_a_chosen_dtype() -> None:
    rows = pd.DataFrame({"dtype": ["float32", "bfloat16"]})
    assert frame.chosen_dtype(rows).startswith("dtype auto: bfloat16 and float32; the fastest here")


def test_what_is_shown_has_narrow_intervals(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[tuple[str, ...]] = []

    def one_shot(kind: str, models: Any, specs: list[Any], *_: Any) -> None:
        wanted.append(specs[0].precise)
        raise InputError("enough")

    monkeypatch.setattr(face_barriers, "one_shot", one_shot)
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10"]
    for options in (["--definition", "area"], [], ["--precise", "chord,area"], ["--definition", "area", "--points", 5]):
        assert call(capfd, "barriers", *refs, *options)[0] == 2
    assert wanted == [(*PRECISE, "area"), PRECISE, ("chord", "area"), PRECISE]
    assert "precise chooses where to evaluate" in call(capfd, "barriers", *refs, "--precise", "area", "--points", 5)[2]
    assert "no definition of a barrier" in call(capfd, "barriers", *refs, "--precise", "height")[2]


@pytest.mark.parametrize(
    ("definition", "points", "needs"),
    [("midpoint", 4, "t = 1/2 on the grid: an odd number of points"), ("convexity_gap", 43, "at most 41 points")],
)
def test_a_grid_that_a_definition_cannot_use_is_refused_before_it_is_measured(
    runs: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    definition: str,
    points: int,
    needs: str,
) -> None:
    def one_shot(*_: Any) -> None:
        raise InputError("measured")

    monkeypatch.setattr(face_barriers, "one_shot", one_shot)
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10"]
    code, _, said = call(capfd, "barriers", *refs, "--definition", definition, "--points", points)
    assert code == 2 and f"the {definition} barrier needs {needs}; got points = {points}" in " ".join(said.split())
    assert "measured" in call(capfd, "barriers", *refs, "--definition", definition, "--points", 5)[2]


@pytest.mark.slow
def test_without_text_the_packaged_one_is_used_and_said(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its words are unknown to this tokenizer, so that examples differ by the rounding of their batch only."""
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10"]
    fixed = Strategy(examples=3)
    monkeypatch.setattr(evaluator, "tuner", lambda objective, *_: Tuner(objective.examples, 0, fixed))
    code, _, err = call(capfd, "barriers", *refs, "--length", 12, "--sequences", 10, "--points", 3)
    assert code == 0 and "No text is given: evaluating on the packaged novel" in err


def bad_folder(runs: Path) -> list[object]:
    return ["barriers", runs / "gone", runs / "seed_0" / "step_0"]


def empty_folder(runs: Path) -> list[object]:
    (runs / "empty").mkdir()
    return ["barriers", runs / "empty", runs / "seed_0" / "step_0"]


def truncated(runs: Path) -> list[object]:
    os.truncate(runs / "seed_1" / "step_10" / "model.safetensors", 3000)
    return ["run", cases.study(runs)]


def architectures(runs: Path) -> list[object]:
    cases.save(cases.gpt2(1, n_embd=15), runs / "seed_3" / "step_10")
    return ["run", cases.study(runs)]


def vocabulary(runs: Path) -> list[object]:
    shutil.rmtree(runs / "seed_0" / "step_0")
    cases.save(cases.gpt2(1, vocab_size=20), runs / "seed_0" / "step_0")
    return ["run", cases.study(runs)]


def short_text(runs: Path) -> list[object]:
    study = cases.study(runs)
    (runs / "text.txt").write_text("w1 w2 w3")
    return ["run", study]


def missing_text(runs: Path) -> list[object]:
    study = cases.study(runs)
    (runs / "text.txt").unlink()
    return ["run", study]


def typo(runs: Path) -> list[object]:
    study = cases.study(runs)
    study.write_text(study.read_text().replace("sequences", "sequnces"))
    return ["plan", study]


def missing_step(runs: Path) -> list[object]:
    study = cases.study(runs)
    study.write_text(study.read_text().replace("[data]", "seeds = [0, 1]\nsteps = [0, 11]\n[data]"))
    return ["plan", study]


def other_study(runs: Path) -> list[object]:
    Store(runs / "results").open({**EMPTY, "name": "somebody else's"})
    return ["run", cases.study(runs)]


def no_results(runs: Path) -> list[object]:
    return ["report", runs]


def out_is_a_file(runs: Path) -> list[object]:
    (runs / "out").write_text("")
    return ["run", cases.study(runs), "--out", runs / "out" / "deeper"]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (bad_folder, "Error: no folder .*gone: a checkpoint is a folder written by save_pretrained; check the path"),
        (empty_folder, "Error: .*empty is not a checkpoint: it is empty, and not model.safetensors"),
        (
            truncated,
            "Error: .*model.safetensors is truncated: 3000 bytes, and its header promises .*; copy or download",
        ),
        (
            architectures,
            r"Error: two architectures: n_embd is 12 in .* and 15 in ",
        ),
        (vocabulary, "Error: the text has the token id 57 and the model's vocabulary ends at 19; give the tokenizer"),
        (short_text, "Error: the text has 3 tokens and one sequence takes 12; give a longer text"),
        (missing_text, "Error: cannot read the text .*text.txt"),
        (typo, "Error: .*study.toml: data.sequnces: unknown setting; did you mean sequences\\?"),
        (missing_step, "Error: no checkpoint with step 11 fits"),
        (other_study, 'Error: .*results holds the results of another study, "somebody else\'s"'),
        (no_results, "Error: .*results holds no results; make some with: landscape run STUDY.toml"),
        (out_is_a_file, "Error: cannot write .*out.*: Not a directory"),
    ],
)
def test_bad_input_gets_one_sentence(runs: Path, capfd: pytest.CaptureFixture[str], case: object, said: str) -> None:
    import re

    code, out, err = call(capfd, *case(runs))  # type: ignore[operator]
    assert code == 2 and out == ""
    assert re.fullmatch(said + r"[^\n]*", err[err.index("Error") :]), err
    assert "Traceback" not in err


def test_nan_is_recorded_and_mended_by_a_second_run(
    runs: Path, capfd: pytest.CaptureFixture[str], pages: Pages
) -> None:
    good = shutil.copy(runs / "seed_2" / "step_10" / "model.safetensors", runs / "good")
    poison(runs / "seed_2" / "step_10")
    study = cases.study(runs)
    code, _, err = call(capfd, "run", study)
    assert code == 3 and "6 tasks done, 2 failed" in err
    assert "1 of 12 values of parameter 'transformer.ln_f.bias' are NaN or infinite" in err
    code, out, err = call(capfd, "status", runs, "--json")
    assert code == 0 and "6 done, 2 failed, 0 left" in err and "NaN" in err
    told = [json.loads(line) for line in out.splitlines()]
    assert {task["label"] for task in told if "are NaN" in task["message"]} == {
        task["label"] for task in told if task["state"] == "failed"
    } == {"losses seed 2 step 10", "barriers seed 0,1,2 step 10"}  # fmt: skip
    assert call(capfd, "report", runs)[0] == 0
    (missing,), (frames,) = pages.missing, pages.frames
    assert set(frames.barriers["definition"]) == {"chord"} and len(frames.barriers) == 3
    assert {(task.kind, task.label) for task in missing} == {
        ("losses", "losses seed 2 step 10"), ("barriers", "barriers seed 0,1,2 step 10")
    }  # fmt: skip
    assert all("values of parameter 'transformer.ln_f.bias' are NaN" in task.failure for task in missing)
    shutil.copy(good, runs / "seed_2" / "step_10" / "model.safetensors")
    code, _, err = call(capfd, "run", study)
    assert code == 0 and "2 of 8 tasks to do" in err


@pytest.mark.slow
def test_lost_losses_are_made_again_when_they_are_needed(
    finished_runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, study = finished_runs, finished_runs / "study.toml"
    shutil.rmtree(runs / "results" / "losses")
    assert "to do" not in call(capfd, "run", study)[2]
    tile = next(t["key"] for t in Store(runs / "results").record()["tasks"] if t["kind"] == "barriers")
    (runs / "results" / "rows" / f"{tile}.parquet").unlink()
    code, _, err = call(capfd, "run", study)
    assert code == 0 and "4 of 8 tasks to do" in err


def test_damaged_results_get_a_sentence(finished_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs, study = finished_runs, finished_runs / "study.toml"
    file = next((runs / "results" / "rows").iterdir())
    whole = file.read_bytes()
    os.truncate(file, 100)
    assert "7 done, 0 failed, 1 left" in call(capfd, "status", runs)[2]
    file.write_bytes(b"PAR1")
    assert "7 done, 0 failed, 1 left" in call(capfd, "status", runs)[2]
    for place in range(len(whole) // 3, len(whole)):  # what is seen of a page is its content
        flipped = bytearray(whole)
        flipped[place] ^= 16
        file.write_bytes(flipped)
        if Store(runs / "results").damaged([file.stem]):
            break
    code, _, err = call(capfd, "export", runs)
    assert code == 2 and f"{file} is damaged" in err and "landscape status FOLDER --check" in err
    shutil.copytree(runs, runs.with_name("copy"))
    said = call(capfd, "status", runs.with_name("copy"), "--check")[2]
    assert "1 damaged, kept under" in said and "7 done, 0 failed, 1 left" in said and " damaged: " in said
    assert "0 damaged " in call(capfd, "status", runs.with_name("copy"), "--check")[2]
    code, _, err = call(capfd, "run", study)
    assert code == 0 and f"damaged and kept under {runs / 'results' / 'damaged'}" in err and "1 of 8 tasks to do" in err
    assert file.exists() and (runs / "results" / "damaged" / "rows" / file.name).read_bytes() == flipped
    other = next(place for place in (runs / "results" / "rows").iterdir() if place != file)
    file.write_bytes(other.read_bytes())
    assert "7 done, 0 failed, 1 left" in call(capfd, "status", runs)[2]
    os.truncate(file, 100)
    for content in ("{", "[]", '{"name": "x"}', "null"):
        (runs / "results" / "study.json").write_text(content)
        code, _, err = call(capfd, "status", runs)
        assert code == 2 and "study.json is damaged" in err, content
    (runs / "results" / "study.json").unlink()
    code, _, err = call(capfd, "run", study)
    assert code == 0 and " of 8 tasks to do" in err and "8 of 8" not in err
    (runs / "seed_2" / "step_10" / "config.json").write_text("{garbage")
    code, _, err = call(capfd, "run", study)
    assert code == 2 and "config.json cannot be read" in err


@pytest.mark.slow
def test_every_two_checkpoints_are_reported(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs, measure='between = "all"')
    assert call(capfd, "run", study)[0] == 0
    assert call(capfd, "report", runs)[0] == 0
    assert "Barrier matrices" in (runs / "report.html").read_text()


def test_a_full_disk_ends_with_a_sentence_and_loses_nothing(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Store.write, list[str]()

    def until_full(self: Store, key: str, *rest: object) -> None:
        if len(written) == 3:
            (self.folder / "rows").rename(self.folder / "kept")
            (self.folder / "rows").touch()
        write(self, key, *rest)  # type: ignore[arg-type]
        written.append(key)

    monkeypatch.setattr(Store, "write", until_full)
    code, _, err = call(capfd, "run", cases.study(runs))
    assert code == 2 and "nothing finished is lost" in err
    (runs / "results" / "rows").unlink()
    (runs / "results" / "kept").rename(runs / "results" / "rows")
    monkeypatch.undo()
    assert len(list((runs / "results" / "rows").iterdir())) == 3
    code, _, err = call(capfd, "run", cases.study(runs))
    assert code == 0 and "5 of 8 tasks to do" in err


@pytest.mark.parametrize("names", [("status",), pytest.param(("plan", "export", "report"), marks=pytest.mark.slow)])
def test_light_commands_import_no_torch(finished_runs: Path, names: tuple[str, ...]) -> None:
    commands = [["--help"], ["run", "--help"]]
    commands += [[name, str(finished_runs / ("study.toml" if name == "plan" else ""))] for name in names]
    script = (
        "import sys; from landscape.cli.main import main\n"
        f"for command in {commands!r}:\n"
        "    try: main(command)\n"
        "    except SystemExit as end: assert not end.code, command\n"
        "    assert not {'torch', 'transformers'} & sys.modules.keys(), command\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_help_names_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capfd, "--help")
    assert code == 0 and all(name in out for name in COMMANDS)
    for name in COMMANDS:
        assert call(capfd, name, "--help")[0] == 0


@pytest.mark.parametrize(("name", "said"), [("align", "begins anew"), ("barriers", "begins anew"), ("run", "to go on")])
@pytest.mark.parametrize(("stopped", "ended"), [(KeyboardInterrupt, 130), (Stopped, 75)])
def test_what_running_again_does_is_said(
    name: str,
    said: str,
    stopped: type[BaseException],
    ended: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise stopped

    monkeypatch.setattr(cli, "main", stop)
    code, _, err = call(capfd, name, "x")
    assert code == ended and said in err


def test_a_gradient_costs_three_passes(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two steps of three pairs: a curve of 9 points inside and 7 fits of 4 examples, and its straight line."""
    study = cases.study(runs)
    head = study.read_text().split("[[measure]]")[0]
    more = 'kind = "curves"\nfit_text = "other.txt"\npoints = 11\nfit_steps = 7\nfit_batch = 4\ncontrol = false\n'
    study.write_text(f"{head}[[measure]]\n{more}")
    _, out, _ = call(capfd, "plan", study, "--json", "--tflops", 0.5)
    totals = json.loads(out.splitlines()[-1])
    points = 6 + 2 * 2 * 3 * 9
    assert totals["points"] == points and totals["seconds"] == totals["flops"] / 0.5e12
    assert totals["flops"] == 2 * totals["parameters"] * 12 * (points * 20 + 3 * 2 * 3 * 7 * 4)


def test_numbers_are_finite_and_intervals_are_held_against_their_halves(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capfd, "barriers", "a", "b", "--halfwidth", "nan")
    assert code == 2 and "halfwidth: Input should be a finite number (got 'nan')" in err
    rows = [{"evaluations": 90, "low": 0.1, "high": high} for high in (0.115, 0.125)]
    said = frame.saved(pd.DataFrame(rows), 10, 0.01)
    assert "180 evaluations" in said and "100% of the 180 of" in said
    assert said.endswith("; 1 of 2 barriers need more than these 10 examples")


def test_usage_errors_exit_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "plam")[0] == 2
    assert call(capfd, "run")[0] == 2
    assert "is one checkpoint" not in call(capfd, "barriers")[2]


def test_task_labels_are_for_people() -> None:
    from landscape.study.checkpoint import Checkpoint, labels
    from landscape.study.kinds.barriers import Barriers
    from landscape.study.kinds.losses import Losses
    from landscape.study.tasks import Task

    a, b = (Checkpoint(ref, labels({"seed": seed, "step": 5})) for ref, seed in (("a", 1), ("b", 0)))
    assert Task(Barriers(), (a, b), ((0, 1),)).label == "barriers seed 0,1 step 5"
    assert Task(Losses(), (Checkpoint("here"),)).label == "losses here"
    words = [Checkpoint(name, labels({"optimizer": name, "step": 5})) for name in ("sgd", "adam")]
    assert Task(Barriers(), tuple(words), ((0, 1),)).label == "barriers step 5 optimizer adam,sgd"
    assert Task(Losses(), (a,), on="hans").label == "losses on hans seed 1 step 5"


@pytest.mark.slow
def test_a_precision_of_the_mean_is_said_in_a_sentence(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (runs / "text.txt").write_text(cases.TEXT)
    refs = sorted(runs.glob("seed_*/step_10"))
    words = ["barriers", *refs, "--text", runs / "text.txt", "--sequences", "33", "--length", "12", "--target", "mean"]
    code, _, err = call(capfd, *words, "--halfwidth", "5")
    pairs = len(refs) * (len(refs) - 1) // 2
    assert code == 0 and f"mean chord barrier of {pairs} pairs, not aligned: " in err, err
    assert "an interval over other checkpoints needs 5 of them" in err and "need more than these" not in err
    code, _, err = call(capfd, *words)
    assert code == 2 and 'target = "mean" needs a halfwidth' in err
