"""The simulations of coverage, level, power and recall: their table, that they run, and the rates that should hold."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from scipy import stats

FOLDER = Path(__file__).parent.parent / "validation"


def script(name: str) -> ModuleType:
    """A script as a module; its siblings are found as they are when it is run."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location(f"validation_{name}", FOLDER / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


SCRIPTS = {name: script(name) for name in ("barriers", "llc", "stages", "associations")}
TABLE = SCRIPTS["barriers"].table
CHEAP = {
    "barriers": "additive, 5 seeds", "llc": "SGLD, unstable step, curvature not known",
    "stages": "four branches of one run", "associations": "leads, 5 seeds",
}  # fmt: skip


@pytest.mark.parametrize(("hits", "worlds"), [(0, 10), (1, 29), (81, 263), (300, 300)])
def test_the_interval_is_wilsons(hits: int, worlds: int) -> None:
    known = stats.binomtest(hits, worlds).proportion_ci(method="wilson")
    assert TABLE.wilson(hits, worlds) == pytest.approx((known.low, known.high), abs=1e-12)
    if (hits, worlds) == (81, 263):  # Newcombe 1998, table I
        assert TABLE.wilson(hits, worlds) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def row(hits: int, worlds: int, wanted: tuple[float, float] | None):
    return TABLE.Row("Group", "a case", "interval", hits, worlds, wanted)


def test_a_row_says_whether_its_rate_holds() -> None:
    said = [row(hits, 100, (0.9, 1.0)).holds for hits in (50, 86, 90, 100)]
    assert said == ["no", "no, within error", "yes", "yes"]
    assert [row(hits, 100, (0.0, 0.05)).holds for hits in (5, 9, 20)] == ["yes", "no, within error", "no"]
    assert (row(5, 100, None).holds, row(0, 0, (0.9, 1.0)).holds) == ("", "no worlds")
    assert row(78, 100, (0.9, 1.0)).within(4) and not row(77, 100, (0.9, 1.0)).within(4)
    assert row(13, 100, (0.0, 0.05)).within(4) and not row(14, 100, (0.0, 0.05)).within(4)


def test_the_table_is_markdown_with_a_heading_for_each_group() -> None:
    text = TABLE.markdown([row(93, 100, (0.93, 1.0)), replace(row(7, 100, None), group="Other")])
    lines = text.splitlines()
    assert lines[:2] == ["## Group", ""] and lines[6:8] == ["## Other", ""]
    assert lines[2] == "| case | rate of | estimate | error | 95 % interval | worlds | wanted | holds |"
    assert lines[3] == "|---|---|---|---|---|---|---|---|"
    assert lines[4] == "| a case | interval | 0.930 | 0.026 | 0.863 to 0.966 | 100 | at least 0.93 | yes |"
    assert lines[10] == "| a case | interval | 0.070 | 0.026 | 0.034 to 0.137 | 100 |  |  |"


@pytest.mark.parametrize("name", SCRIPTS)
def test_numbers_of_cases_are_their_own_and_wanted_quantities_exist(name: str) -> None:
    cases = SCRIPTS[name].CASES
    assert len({case.number for case in cases}) == len({(case.group, case.name) for case in cases}) == len(cases)
    assert all(case.faults <= set(case.wanted) for case in cases)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_writes_its_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = SCRIPTS[name]
    cheap = [case for case in module.CASES if case.name == CHEAP[name]]
    monkeypatch.setattr(module, "CASES", [replace(case, share=1.0) for case in cheap])
    module.main(["--worlds", "3", "--seed", "5", "--out", str(tmp_path)])
    text = (tmp_path / f"{name}.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert f"`python validation/{name}.py --worlds 3 --seed 5`: 3 worlds" in text and "commit " in text
    rows = [line for line in text.splitlines() if line.startswith(f"| {CHEAP[name]} |")]
    assert rows and all(line.split(" | ")[5] == "3" for line in rows)
    module.main(["--short", "--worlds", "3", "--seed", "5"])
    assert body(capsys.readouterr().out) == body(text), "the seed decides all numbers"
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.md"]


def body(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_page_shows_the_tables_that_are_there() -> None:
    page = script("page")
    text = page.PAGE.read_text()
    assert page.filled(text) == text, "run python validation/page.py"
    assert all(body((FOLDER / "tables" / f"{name}.md").read_text()) for name in page.NAMES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_most_cases_have_rates_that_should_hold(name: str) -> None:
    wanted = [quantity for case in SCRIPTS[name].CASES for quantity in case.wanted if quantity not in case.faults]
    assert len(wanted) > 25


def test_a_rate_that_does_not_hold_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the table is printed; what is known not to hold, and still may, is no error."""
    module = SCRIPTS["barriers"]
    case = next(case for case in module.CASES if case.name == CHEAP["barriers"])
    never = dict.fromkeys(case.wanted, (0.0, 0.01))
    monkeypatch.setattr(module, "CASES", [replace(case, share=1.0, wanted=never, faults=frozenset())])
    with pytest.raises(SystemExit, match=f"more than four standard errors: {case.name}: "):
        module.main(["--short", "--worlds", "30"])
    monkeypatch.setattr(module, "CASES", [replace(case, share=1.0, wanted=never, faults=frozenset(never))])
    module.main(["--short", "--worlds", "30"])
