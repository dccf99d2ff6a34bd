"""Write the notebooks of ``docs/examples`` from the scripts beside them: python docs/notebooks.py.

A script has cells, each after a line ``# %%``; in those after ``# %% [markdown]`` every line is a comment. The
notebooks have no output. A test checks that they are up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "examples"
MARK = re.compile(r"^# %%(.*)\n", re.MULTILINE)


def cells(script: str) -> Iterator[dict[str, object]]:
    """The cells of a script, as a notebook has them."""
    _, *parts = MARK.split(script)
    for number, (mark, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        is_text = "[markdown]" in mark
        source = re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE) if is_text else text.strip()
        own = {} if is_text else {"execution_count": None, "outputs": []}
        yield {"cell_type": "markdown" if is_text else "code", "id": f"cell-{number}", "metadata": {},
               "source": source.splitlines(keepends=True), **own}  # fmt: skip


def notebook(script: str) -> str:
    """The notebook of a script."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": list(cells(script)), "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all notebooks."""
    for script in sorted(FOLDER.glob("*.py")):
        script.with_suffix(".ipynb").write_text(notebook(script.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
