"""A script without a guard is run once, however many workers it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from landscape.engines.spawning import without_main

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from functools import partial
from pathlib import Path
from landscape.engines import local
from test_engine import Errand, start
print("run")
errands = [Errand("a"), Errand("b")]
print(local.run(errands, partial(start, Path({folder!r})), lambda event: None, devices=["cpu"] * 2))
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True).stdout
    assert said.split() == ["run", "{}"]
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()


def test_the_main_module_is_put_back() -> None:
    main = sys.modules["__main__"]
    with pytest.raises(ZeroDivisionError, match="x"), without_main():
        assert not hasattr(sys.modules["__main__"], "__file__")
        raise ZeroDivisionError("x")
    assert sys.modules["__main__"] is main
