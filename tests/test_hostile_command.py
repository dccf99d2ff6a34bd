"""The command line: bad files end it with one sentence and exit code 2, before anything that takes long."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import cases
import pytest
import torch
from click.testing import CliRunner

from landscape.checkpoints.formats import unpickle
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.objectives.text import read_file
from landscape.probes.inference import read as read_pairs
from landscape.study.file import read_study

COMMANDS = {
    "barriers": ["x.pt", "x.pt"], "curve": ["x.pt", "x.pt", "--out", "o"], "llc": ["x.pt"], "probe": ["x.pt"],
    "align": ["x.pt", "x.pt", "--out", "o"], "plane": ["x.pt", "--out", "o"], "simplex": ["x.pt", "x.pt"],
    "components": ["x.pt", "x.pt"], "point": ["x.pt", "x.pt", "--t", "0.5", "--out", "o"],
    "trajectory": ["x.pt", "x.pt"],
}  # fmt: skip
LOOK = """
import sys
from landscape.cli.main import main
for command, given in {commands!r}.items():
    try:
        main([command, *given])
    except SystemExit as end:
        assert end.code == 2, command
    assert "torch" not in sys.modules and "transformers" not in sys.modules, command
"""


def test_weights_without_a_config_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "x.pt").touch()
    code = LOOK.format(commands=COMMANDS)
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("Error: . holds no config.json, so the model of x.pt is not known") == len(COMMANDS)


def test_a_class_is_allowed_by_its_name(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = few_runs / "seed_0" / "step_0"
    state = {"model": cases.gpt2(1).state_dict(), "args": argparse.Namespace(lr=1)}
    torch.save(state, tmp_path / "x.pt")
    monkeypatch.setenv(unpickle.ALLOW, "")
    given = ["barriers", str(tmp_path / "x.pt"), str(few_runs / "seed_1" / "step_0"), "--config", str(first),
             "--sequences", "4", "--length", "8", "--points", "3"]  # fmt: skip
    (tmp_path / "t.txt").write_text(cases.TEXT)
    given += ["--text", str(tmp_path / "t.txt")]
    refused = CliRunner().invoke(cli, given)
    assert isinstance(refused.exception, InputError) and "--allow-class argparse.Namespace" in str(refused.exception)
    assert CliRunner().invoke(cli, [*given, "--allow-class", "argparse.Namespace"]).exit_code == 0
    assert os.environ[unpickle.ALLOW] == "argparse.Namespace"


@pytest.mark.slow
def test_texts_without_an_end_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(InputError, match="a device or a pipe; give a "):
            read_file(path)
        with pytest.raises(InputError, match="a device or a pipe; give a "):
            read_study(path)
    with (tmp_path / "large.txt").open("wb") as stream:
        stream.truncate(1 << 33)
    with pytest.raises(InputError, match="large.txt is larger than the 268 MB that such a file may have"):
        read_file(tmp_path / "large.txt")
    (tmp_path / "t.txt").write_bytes(b"one\r\ntwo\rthree\n")
    assert read_file(tmp_path / "t.txt") == (tmp_path / "t.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "a = " + "{b=" * 20_000])
def test_study_files_that_are_deep_or_wide_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(InputError, match="cannot read the study .*(nested too deep|integer string)|is not valid TOML"):
        read_study(tmp_path / "study.toml")


@pytest.mark.parametrize("line", ['{"premise": ' + "[" * 100_000, '{"label": 1e400}', '{"label": NaN}'])
def test_items_that_are_no_json_are_one_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(line)
    with pytest.raises(InputError, match="is neither HANS' file nor JSON lines"):
        read_pairs(tmp_path / "pairs.jsonl")
