"""Sizes: lines of a file and of a function, and arguments of a function."""

from __future__ import annotations

import ast
from pathlib import Path

import lint
import pytest

FILE, FUNCTION, ARGUMENTS = 300, 50, 8
"""The most lines of a file, lines of a function without its docstring, and arguments of a function."""
PACKAGES = lint.packages(lint.python_files())


def lines(node: lint.Function) -> int:
    """Lines of a function, without decorators and docstring."""
    first = node.body[0]
    docstring = first if ast.get_docstring(node, clean=False) is not None else None
    own = (node.end_lineno or node.lineno) - node.lineno + 1
    return own - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def faults(files: list[Path], root: Path = lint.ROOT) -> list[str]:
    out = []
    for file in files:
        text, name = file.read_text("utf-8"), file.relative_to(root)
        if (count := len(text.splitlines())) > FILE:
            out.append(f"{name} has {count} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, lint.Function):
                if (count := lines(node)) > FUNCTION:
                    out.append(f"{name}: {node.name} has {count} lines")
                if (count := len(lint.arguments(node))) > ARGUMENTS:
                    out.append(f"{name}: {node.name} has {count} arguments")
    return out


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_are_small(package: str) -> None:
    assert faults(PACKAGES[package]) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n" * 301, " has 301 lines"),
        ("def f():\n" + "    x = 1\n" * 50, ": f has 51 lines"),
        ("class C:\n    def f(self, a, b, c, d, e, *, g, h, i, j): ...\n", ": f has 9 arguments"),
    ],
)
def test_a_fault_is_seen(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "x.py").write_text(code)
    assert faults([tmp_path / "x.py"], tmp_path) == [f"x.py{said}"]


def test_a_docstring_and_self_do_not_count(tmp_path: Path) -> None:
    docstring = '    """One.\n' + "\n" * 60 + '    """\n'
    (tmp_path / "x.py").write_text("def f(self, a, b, c, d, e, g, h, i, *more):\n" + docstring + "    x = 1\n" * 48)
    assert faults([tmp_path / "x.py"], tmp_path) == []
