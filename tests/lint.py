"""What the tests of style share: which files they read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TO_DO: tuple[str, ...] = ()
"""Files and folders that are not held to the style yet."""


def is_done(name: str) -> bool:
    """Whether a file, by its path from the root, is held to the style."""
    return not any(name == item or name.startswith(f"{item}/") for item in TO_DO)


def python_files(root: Path = ROOT) -> list[Path]:
    """The Python files of the package that are held to the style."""
    found = [file for folder in ("landscape", "cli", "figures") for file in sorted((root / folder).rglob("*.py"))]
    return [file for file in found if is_done(file.relative_to(root).as_posix())]


def packages(files: list[Path], root: Path = ROOT) -> dict[str, list[Path]]:
    """The files of each folder, by its path from the root."""
    by_folder: dict[str, list[Path]] = {}
    for file in files:
        by_folder.setdefault(file.parent.relative_to(root).as_posix(), []).append(file)
    return by_folder


Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module) -> Iterator[tuple[Function | ast.ClassDef, ast.ClassDef | None]]:
    """Public functions and classes of a module, and the public methods of these; each with its class."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node, None
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, Function) and not inner.name.startswith("_"):
                        yield inner, node


@cache
def documented(root: Path = ROOT) -> dict[str, set[str]]:
    """The methods of each class of the package, those of its bases among them, whose arguments are documented."""
    classes: dict[str, ast.ClassDef] = {}
    for folder in ("landscape", "cli", "figures"):
        for file in (root / folder).rglob("*.py"):
            tree = ast.parse(file.read_text("utf-8"))
            classes |= {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    def methods(name: str) -> set[str]:
        if name not in classes:
            return set()
        inner = (node for node in classes[name].body if isinstance(node, Function))
        own = {node.name for node in inner if "Args:" in (ast.get_docstring(node) or "")}
        return own.union(*(methods(ast.unparse(base)) for base in classes[name].bases))

    return {name: methods(name) for name in classes}


def arguments(node: Function) -> list[str]:
    """Names of the arguments of a function, without ``self``, ``cls`` and those that are collected."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [one.arg for one in every if one.arg not in ("self", "cls")]


def decorators(node: Function | ast.ClassDef) -> list[str]:
    """The decorators of a function or class, as they are written."""
    return [ast.unparse(one) for one in node.decorator_list]
