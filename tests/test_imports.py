"""A command imports what it needs, and nothing else of the project."""

import re
import subprocess
import sys
from pathlib import Path

import cases
import pytest

ROOT = Path(__file__).parent.parent
UNUSED = re.compile(
    r"landscape\.(probes|symmetry\.(matchers|search|tables|align)|llc\.(?!settings)|stages\.(?!settings)|face\.(?!cautions|barriers"
    r"|inputs|running|result|work|where|downloads|notebook)|measure\.(?!prepare|losses|barriers|pairs)|figures\.(?!captions)|"
    r"engines\.(?:ray|submitit))|"
    r"(sklearn|seaborn|matplotlib|arviz_stats|statsmodels)$"
)
"""Modules that a matrix of barriers along straight lines has no use for."""


def imported(*arguments: str) -> set[str]:
    """Modules that a command has imported when it ends; importtime leaves those out that are imported by name."""
    program = (
        "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr)); "
        f"sys.path.insert(0, {str(ROOT)!r}); from landscape.cli.main import main; "
        f"sys.argv = ['landscape', *{list(arguments)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stderr.rpartition("MODULES ")[2].split())


@pytest.mark.slow
def test_a_matrix_imports_no_probe_and_no_way_to_align(tmp_path: Path) -> None:
    runs = cases.runs(tmp_path, seeds=2, steps=(0,))
    refs = sorted(str(file.parent) for file in runs.rglob("model.safetensors"))
    seen = imported("barriers", *refs, "--sequences", "16", "--length", "16", "--points", "3")
    assert "landscape.measure.barriers" in seen and "torch" in seen
    assert sorted(filter(UNUSED.match, seen)) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [["--help"], ["barriers", "--help"], ["families"]])
def test_help_imports_no_torch(command: list[str]) -> None:
    seen = imported(*command)
    assert "landscape.cli.main" in seen and not seen & {"torch", "transformers", "scipy.stats", "matplotlib"}
