"""What people see on a terminal."""

from __future__ import annotations

import io
import shlex
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from landscape.checkpoints.audit import hashes
from landscape.cli import matrix, progress
from landscape.cli.help import EXAMPLES
from landscape.cli.main import COMMANDS, cli, main
from landscape.errors import InputError
from landscape.face.inputs import Inputs, settings
from landscape.study.checkpoint import Checkpoint, labels, steps_at


def barriers(count: int) -> tuple[pd.DataFrame, list[str]]:
    names = [f"runs/{n}" for n in range(count)]
    random = np.random.default_rng(0)
    rows = [
        {"a": a, "b": b, "barrier": value, "low": value - 0.1, "high": value + 0.1, "below_floor": False,
         "loss_a": 2.5, "loss_b": 2.5}
        for a, b in combinations(names, 2) for value in [float(random.uniform(0.1, 0.9))]
    ]  # fmt: skip
    return pd.DataFrame(rows), names


def drawn(count: int, width: int, *, terminal: bool = True, **how: object) -> str:
    rows, names = barriers(count)
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None, **how
    )  # type: ignore[arg-type]
    for table in matrix.tables(rows, names, "title", width):
        console.print(table)
    return out.getvalue()


@pytest.mark.parametrize(("count", "width"), [(3, 80), (5, 80), (14, 80), (14, 200), (40, 60)])
def test_a_matrix_fits_the_terminal_and_has_every_pair(count: int, width: int) -> None:
    text = drawn(count, width, terminal=False)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    rows, _ = barriers(count)
    assert [value for value in rows["barrier"] if f"{value:.3f}" not in text] == []
    assert text.count("2.500") == count and " ".join(text.split()).count("on the diagonal") == 1


def test_intervals_are_there_where_there_is_room() -> None:
    assert " to " in drawn(3, 80) and " to " not in drawn(14, 80)


def test_numbers_too_large_for_a_cell_have_three_digits_and_what_is_missing_is_named() -> None:
    rows = barriers(3)[0].assign(barrier=[0.25, 1234567.0, 8.8e92], low=[0.2, -9e5, 0.0], high=[0.3, 2e6, 5.4e93])
    rows.loc[2, "loss_b"] = 2e6
    out = io.StringIO()
    for metric in ("loss", "perplexity"):
        for table in matrix.tables(rows, ["runs/0", "runs/1", "runs/2", "runs/3"], "title", 200, metric):
            Console(file=out, width=200).print(table)
    text = " ".join(out.getvalue().split())
    said = ("0.200 to 0.300", "1.23e+06", "-900000.000 to 2e+06", "8.8e+92", "0.000 to 5.4e+93", "2e+06 │")
    assert [one for one in said if one not in text] == []
    assert (text.count("failed"), text.count("none")) == (1, 1)


def test_colour_is_for_terminals_that_want_it() -> None:
    assert "\x1b[38;" in drawn(3, 80) or "\x1b[30;48;2;" in drawn(3, 80)
    assert "48;2;" not in drawn(3, 80, no_color=True)
    assert "\x1b" not in drawn(3, 80, terminal=False)


def run(seed: int, *steps: int | None) -> list[Checkpoint]:
    return [Checkpoint(f"{seed}/{step}", labels({"seed": seed, "step": step})) for step in steps]


def test_the_last_step_is_that_of_each_run() -> None:
    every = [*run(0, 1, 2, 8), *run(1, 1, 4)]
    assert [c.ref for c in steps_at("last", every)] == ["0/8", "1/4"]
    assert [c.ref for c in steps_at("last", run(0, 1, None))] == ["0/None"]
    assert [c.ref for c in steps_at((1, 4), every)] == ["0/1", "1/1", "1/4"]
    assert steps_at("all", every) == every and steps_at("last", run(0, 3)) == run(0, 3)
    with pytest.raises(InputError, match="at step 3; their steps are 1, 2, 4, 8"):
        steps_at((3,), every)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("last", "last"), (["last"], "last"), (["100", "200"], (100, 200)), (100, (100,)), ((1, 2), (1, 2))],
)
def test_steps_are_a_word_or_a_list(given: object, wanted: object) -> None:
    assert settings(Inputs, {"at": given}).at == wanted


def test_other_words_are_refused() -> None:
    with pytest.raises(InputError, match="at: all, last, or steps such as 100,200 are wanted"):
        settings(Inputs, {"at": ["lst"]})


def unreachable(*_: object) -> None:
    raise InputError("the hub cannot be reached")


def test_known_defects_are_told_without_a_network(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hashes, "listed", unreachable)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "pythia-2.8b"])
    signal.signal(signal.SIGTERM, before)
    said = capfd.readouterr().err
    assert "pythia-2.8b: 3 known defects" in said and "EleutherAI/pythia#205" in said and "(76 labels)" in said
    assert "only what is known is listed: the hub cannot be reached" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_parse(name: str) -> None:
    help_text = CliRunner().invoke(cli, [name, "--help"]).output
    assert "Examples:" in help_text and EXAMPLES[name]
    for line in EXAMPLES[name]:
        assert f"    {line}" in help_text.splitlines()
        own, *arguments = shlex.split(line)[1:]
        with click.Context(cli, info_name="landscape") as parent:
            command = cli.get_command(parent, own)
            assert command is not None and own == name
            command.make_context(own, arguments, parent=parent)


def test_options_are_in_groups() -> None:
    text = CliRunner().invoke(cli, ["barriers", "--help"]).output
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Checkpoints and data", "What is measured", "Alignment", "Output", "Trust", "Other options"]
    assert text.index("--sequences") < text.index("What is measured") < text.index("--tolerance")


STUDY = """
version = 1
name = "typos"
[checkpoints]
folder = "runs/seed_{seed}/step_{step}"
[data]
objective = "causal-lm"
[[measure]]
kind = "barriers"
between = "seed"
"""
TYPOS = {
    "command": (["barreirs", "a"], "did you mean barriers?"),
    "option": (["barriers", "a", "b", "--lenght", "3"], "--length"),
    "choice": (["barriers", "a", "b", "--definition", "chrod"], "did you mean chord?"),
    "path": (["barriers", "a", "b", "--path", "liner"], "'geodesic'; did you mean linear?"),
    "way to align": (["barriers", "a", "b", "--align", "wieghts"], "did you mean weights?"),
    "probe": (["probe", "runs/seed_0/step_10", "--names", "inductoin", "--length", "8"], "did you mean induction?"),
    "family": (["families", "pythia-14n"], "did you mean pythia-14m?"),
    "reference": (["barriers", "multibert:seed=1"], "did you mean multiberts?"),
    "label of a family": (["barriers", "multiberts:sed=1"], "did you mean seed?"),
    "table": (["columns", "profil"], "did you mean profile?"),
    "kind": (("barriers", "bariers"), "did you mean barriers?"),
    "field": (("between", "betwen"), "did you mean between?"),
    "section": (("[data]", "[dta]"), "did you mean data?"),
    "objective": (("causal-lm", "casual-lm"), "did you mean causal-lm?"),
    "label": (('"seed"', '"sede"'), "did you mean seed?"),
    "value of a label": (('{step}"', '{step}"\nlabels = { sed = [1] }'), "did you mean seed?"),
    "data set": (('"seed"', '"seed"\non = "mian"'), "did you mean main?"),
}


@pytest.mark.parametrize("what", TYPOS)
def test_a_typo_is_answered(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(few_runs)
    arguments, said = TYPOS[what]
    if isinstance(arguments, tuple):
        (tmp_path / "study.toml").write_text(STUDY.replace(*arguments))
        arguments = ["plan", "study.toml"]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    signal.signal(signal.SIGTERM, before)
    assert said in " ".join(capfd.readouterr().err.split())


def test_commands_are_completed_without_their_modules() -> None:
    code = (
        "import sys; from landscape.cli.main import cli; import click; "
        "found = cli.shell_complete(click.Context(cli), 'ba'); print([item.value for item in found], "
        "'pandas' in sys.modules, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['barriers'] False False"


def test_progress_without_a_terminal_says_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), iter([0.0, 0.0, 40.0, 40.0, 50.0, 60.0, 100.0, 100.0, *[200.0] * 2, *[240.0] * 4])
    monkeypatch.setattr(progress, "console", progress.PlainConsole(file=out, width=200))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress.progress("measuring", 4) as advance:
        for name in "abcd":
            advance(name)
    lines = out.getvalue().splitlines()
    assert lines[0] == "measuring: 1 of 4 in 40 s, about 2 min left, last a" and "\r" not in out.getvalue()
    assert lines[-1].startswith("measuring: 4 of 4 in") and "left" not in lines[-1]
    with progress.progress("measuring", 92) as advance:
        advance("a")
    assert "1 of 92" in out.getvalue().splitlines()[-1] and "left" not in out.getvalue().splitlines()[-1]
