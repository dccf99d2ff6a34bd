"""Worker processes that do not run the user's script again."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

MAIN = "__main__"


@contextmanager
def without_main() -> Generator[None]:
    """Context in which a process that is spawned does not import the main module.

    A worker needs nothing of it. Spawned processes import it by default, so that a script which calls
    ``landscape.barriers`` outside ``if __name__ == "__main__"`` would be run again by each of its workers.
    """
    main = sys.modules[MAIN]
    sys.modules[MAIN] = ModuleType(MAIN)
    try:
        yield
    finally:
        sys.modules[MAIN] = main
