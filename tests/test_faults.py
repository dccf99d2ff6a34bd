"""The lists of planted faults fit the sources; ``make faults`` plants them."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTS = sorted((ROOT / "tests" / "faults").glob("*.toml"))


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.stem)
def test_every_fault_can_be_planted(file: Path) -> None:
    faults = tomllib.loads(file.read_text())["fault"]
    names = [fault["name"] for fault in faults]
    assert len(names) == len(set(names))
    for fault in faults:
        assert (ROOT / fault["file"]).read_text().count(fault["old"]) == 1, fault["name"]
        assert fault["old"] != fault["new"], fault["name"]
        assert all((ROOT / test.partition("::")[0]).exists() for test in fault["tests"]), fault["name"]


@cache
def slow(file: str) -> set[str]:
    """The tests of a file that are marked slow as a whole."""
    functions = [node for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if "pytest.mark.slow" in map(ast.unparse, f.decorator_list)}


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.stem)
def test_the_fast_suite_has_the_tests_of_every_fault(file: Path) -> None:
    named = [test.split("::") for fault in tomllib.loads(file.read_text())["fault"] for test in fault["tests"]]
    assert [name for file, *names in named for name in names if name in slow(file)] == []


def test_faults_are_planted_in_every_package() -> None:
    every = [fault for file in LISTS for fault in tomllib.loads(file.read_text())["fault"]]
    packages = {
        "landscape/" + Path(fault["file"]).parts[1] for fault in every if fault["file"].startswith("landscape/")
    }
    wanted = {
        f"landscape/{folder.name}" for folder in (ROOT / "landscape").iterdir() if (folder / "__init__.py").exists()
    }
    links = {"landscape/cli", "landscape/figures", "landscape/texts"}
    assert len(every) >= 80 and wanted - links - packages == set()
    assert {"cli", "figures"} <= {Path(fault["file"]).parts[0] for fault in every}
