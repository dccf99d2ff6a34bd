"""What people see on a terminal."""

from __future__ import annotations

import io
import signal
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from landscape.checkpoints.audit import hashes
from landscape.cli import matrix
from landscape.cli.main import main
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
