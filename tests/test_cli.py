import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import pytest
import xarray
from safetensors.torch import load_file, save_file

from landscape.cli.main import COMMANDS, cli, main
from landscape.measure import session
from landscape.store import Store
from landscape.strategy import Strategy, Tuner
from landscape.task import Task


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


def poison(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    stored["transformer.ln_f.bias"][0] = float("nan")
    save_file(stored, folder / "model.safetensors")


def test_a_study_from_plan_to_report(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
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

    assert call(capfd, "report", runs)[0] == 0
    assert "Barrier matrices" in (runs / "report.html").read_text()
    assert call(capfd, "report", runs, "--definition", "mean_ends")[0] == 0
    assert "above the mean of the ends" in (runs / "report.html").read_text()

    rows = Store(runs / "results").rows("barrier", [t["key"] for t in Store(runs / "results").record()["tasks"]])
    for kind, read in (
        ("csv", pd.read_csv),
        ("parquet", pd.read_parquet),
        ("netcdf", lambda file: xarray.load_dataset(file, engine="scipy").to_dataframe()),
    ):
        assert call(capfd, "export", runs, "--format", kind)[0] == 0
        found = read(runs / "export" / f"barrier.{'nc' if kind == 'netcdf' else kind}")
        assert sorted(found.columns) == sorted(rows.columns) and len(found) == 36
        np.testing.assert_allclose(found["barrier"], rows["barrier"])


def test_barriers_now(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (runs / "text.txt").write_text(cases.TEXT)
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10", runs / "seed_0" / "step_10"]
    options = ["--text", runs / "text.txt", "--length", 12, "--sequences", 10, "--points", 5]
    code, out, err = call(capfd, "barriers", *refs, *options, "--json")
    rows = pd.DataFrame([json.loads(line) for line in out.splitlines()])
    assert code == 0 and len(rows) == 3 * 6 + 3 * 5
    same = rows[(rows["table"] == "barrier") & (rows["a"] == rows["b"])]
    assert len(same) == 6 and (same["barrier"] == 0).all()
    assert "largest rise of the loss above the chord; t grid: 5 even points" in err
    assert "10 examples of 12 tokens" in err
    code, _, err = call(capfd, "barriers", runs / "seed_0" / "{step}", *options)
    assert code == 2
    code, _, err = call(capfd, "barriers", f"{runs}/seed_{{seed}}/step_10", *options)
    assert code == 0 and "3 " in err


@pytest.mark.slow
def test_without_text_the_packaged_one_is_used_and_said(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its words are unknown to this tokenizer, so that examples differ by the rounding of their batch only."""
    refs = [runs / "seed_0" / "step_10", runs / "seed_1" / "step_10"]
    monkeypatch.setattr(session, "Tuner", lambda examples, *_, **__: Tuner(examples, 0, Strategy(examples=3)))
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
    Store(runs / "results").open("somebody else's", {})
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
        (empty_folder, "Error: .*empty is no checkpoint: it is empty, and not model.safetensors"),
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
        (missing_step, "Error: no checkpoint with step 11 matches"),
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


def test_nan_is_recorded_and_mended_by_a_second_run(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = shutil.copy(runs / "seed_2" / "step_10" / "model.safetensors", runs / "good")
    poison(runs / "seed_2" / "step_10")
    study = cases.study(runs)
    code, _, err = call(capfd, "run", study)
    assert code == 3 and "6 tasks done, 2 failed" in err
    assert "1 of 12 values of parameter 'transformer.ln_f.bias' are NaN or infinite" in err
    code, _, err = call(capfd, "status", runs)
    assert code == 0 and "6 done, 2 failed, 0 left" in err and "NaN" in err
    assert call(capfd, "report", runs)[0] == 0
    assert "2 of 8 tasks have no result" in (runs / "report.html").read_text()
    shutil.copy(good, runs / "seed_2" / "step_10" / "model.safetensors")
    code, _, err = call(capfd, "run", study)
    assert code == 0 and "2 of 8 tasks to do" in err


@pytest.mark.slow
def test_lost_losses_are_made_again_when_they_are_needed(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs)
    assert call(capfd, "run", study)[0] == 0
    shutil.rmtree(runs / "results" / "losses")
    assert "to do" not in call(capfd, "run", study)[2]
    tile = next(t["key"] for t in Store(runs / "results").record()["tasks"] if t["kind"] == "barriers")
    (runs / "results" / "rows" / f"{tile}.parquet").unlink()
    code, _, err = call(capfd, "run", study)
    assert code == 0 and "4 of 8 tasks to do" in err


def test_damaged_results_get_a_sentence(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs)
    assert call(capfd, "run", study)[0] == 0
    file = next((runs / "results" / "rows").iterdir())
    whole = file.read_bytes()
    os.truncate(file, 100)
    assert "7 done, 0 failed, 1 left" in call(capfd, "status", runs)[2]
    file.write_bytes(bytes(len(whole) - 4) + b"PAR1")
    code, _, err = call(capfd, "export", runs)
    assert code == 2 and f"{file} cannot be read" in err and "delete it and run the study again" in err
    os.truncate(file, 100)
    (runs / "results" / "study.json").write_text("{")
    code, _, err = call(capfd, "status", runs)
    assert code == 2 and "study.json is damaged" in err
    (runs / "results" / "study.json").unlink()
    code, _, err = call(capfd, "run", study)
    assert code == 0 and " of 8 tasks to do" in err and "8 of 8" not in err
    (runs / "seed_2" / "step_10" / "config.json").write_text("{garbage")
    code, _, err = call(capfd, "run", study)
    assert code == 2 and "config.json cannot be read" in err


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


def test_light_commands_import_no_torch(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(runs)
    assert call(capfd, "run", study)[0] == 0
    commands = [["--help"], ["run", "--help"], ["plan", str(study)]]
    commands += [[name, str(runs)] for name in ("status", "report", "export")]
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


@pytest.mark.parametrize(("name", "said"), [("match", "begins anew"), ("barriers", "begins anew"), ("run", "to go on")])
def test_what_running_again_does_is_said(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", stop)
    code, _, err = call(capfd, name, "x")
    assert code == 130 and said in err


def test_usage_errors_exit_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "plam")[0] == 2
    assert call(capfd, "run")[0] == 2
    assert "is one checkpoint" not in call(capfd, "barriers")[2]


def test_task_labels_are_for_people() -> None:
    from landscape.task import Checkpoint

    task = Task("barriers", (Checkpoint("a", 1, 5), Checkpoint("b", 0, 5)), ((0, 1),), (), "")
    assert task.label == "barriers seed 0,1 step 5"
    assert Task("losses", (Checkpoint("here"),), (), (), "").label == "losses here"
