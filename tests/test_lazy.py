"""What is imported when it is first used."""

from __future__ import annotations

import gc
import subprocess
import sys
from threading import Event

import pytest

from landscape import lazy
from landscape.lazy import much_imported

COMMAND = """
import gc
from landscape.cli.main import main
try:
    main(["columns", "barrier"])
except SystemExit as end:
    left = len(gc.get_objects())
    assert end.code == 0 and gc.isenabled() and gc.get_freeze_count() > 10_000 and left < 20, left
"""


@pytest.mark.parametrize("ours", [False, True])
def test_no_garbage_is_collected_while_much_is_imported(ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And afterwards as before; in a process of others nothing of theirs is kept."""
    monkeypatch.setattr(lazy, "OWN_PROCESS", Event())
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        if ours:
            lazy.OWN_PROCESS.set()
        with pytest.raises(ImportError, match="not there"), much_imported():
            assert not gc.isenabled()
            raise ImportError("not there")
        assert gc.isenabled() and (gc.get_freeze_count() > before) is ours
        gc.disable()
        with much_imported():
            pass
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_a_command_ends_without_a_look_for_garbage() -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
