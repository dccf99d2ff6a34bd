"""Names of folders and studies are shown as what they are."""

from __future__ import annotations

import io
import logging
import shutil
from pathlib import Path

import cases
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from rich.table import Table
from test_cli import call

from landscape.cli import progress
from landscape.cli.export import _files, _write_csv
from landscape.figures.matrix import barrier_matrix
from landscape.figures.style import note
from landscape.study.store import EMPTY

MARKUP = ["run[/red]x", "[lr=0.1]", "[bold]", ":smile:"]


@pytest.mark.parametrize("name", MARKUP)
def test_markup_in_a_name_is_a_name(name: str) -> None:
    console = progress.PlainConsole(file=io.StringIO(), width=90, emoji=False)
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    console.print(table)
    console.print(name)
    assert console.file.getvalue().count(name) == 5


def test_nothing_a_terminal_obeys_is_printed() -> None:
    console = progress.PlainConsole(file=io.StringIO(), width=90)
    console.print("a\x1b[2Jb\x07 \u202ec \udc80 ü–\n\td")
    assert console.file.getvalue() == "a\\x1b[2Jb\\x07 \\u202ec \\udc80 ü–\n        d\n"
    record = logging.LogRecord("landscape", 30, "", 1, "%s is here", ("x\x1b]0;y",), None)
    assert progress.PlainFormatter().format(record) == "x\\x1b]0;y is here"


def test_a_bar_takes_any_label(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = progress.PlainConsole(file=io.StringIO(), force_terminal=True, width=140)
    monkeypatch.setattr(progress, "console", terminal)
    with progress.progress("measuring", 2) as advance:
        for _ in range(2):
            advance("probes run[/red]x\x1b[2J")
    assert "run[/red]x\\x1b[2J" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_commands_show_names_as_they_are(few_runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refs = [tmp_path / "run[/red]x", tmp_path / "[lr=0.1]\x1b[2J"]
    for n, ref in enumerate(refs):
        shutil.copytree(few_runs / f"seed_{n}/step_0", ref)
    (tmp_path / "t").write_text(cases.TEXT)
    options = ("--text", tmp_path / "t", "--sequences", 4, "--length", 9)
    code, _, err = call(capfd, "probe", *refs, "--names", "in-context", *options)
    assert code == 0 and "\x1b" not in err
    squeezed = "".join(err.split())
    assert "run[/red]x" in squeezed.replace("│", "") and "[lr=0.1]\\x1b[2J" in squeezed.replace("│", "")
    code, _, err = call(capfd, "barriers", refs[0], tmp_path / "no\x1b[2J", *options)
    assert code == 2 and "no\\x1b[2J" in err and "\x1b" not in err


def test_dollars_are_no_mathematics() -> None:
    rows = pd.DataFrame([{
        "a": r"runs/$\frac$", "b": "runs/b$x$", "barrier": 0.2, "low": 0.1, "high": 0.3, "unit": "nats", "step_a": None,
        "step_b": None, "seed_a": None, "seed_b": None,
    }])  # fmt: skip
    figure, ax = plt.subplots()
    barrier_matrix(rows, ax=ax)
    note(ax, r"of $\frac$")
    figure.canvas.draw()
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), figure._supxlabel]
    assert [text._preprocess_math(text.get_text()) for text in texts] == [
        (r"$\frac$", False), ("b$x$", False), (r"of $\frac$", False),
    ]  # fmt: skip


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": ["=1+1", "@x", "plain-", None], "b": ["-2", "+x", "'=1", "b"], "n": [-1.5, 2, 3, 4]})
    _write_csv(rows, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "a,b,n\n'=1+1,'-2,-1.5\n'@x,'+x,2.0\nplain-,'=1,3.0\n,b,4.0\n"
    ((name, count, write),) = _files("mine", rows, "parquet", "columns", EMPTY)
    write(tmp_path / f"{name}.parquet")
    assert count == len(rows)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "mine.parquet"), rows)
