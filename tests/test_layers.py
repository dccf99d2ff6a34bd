"""The picture of the architecture: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    # the foundation, in three courses
    "landscape.lazy landscape.where landscape.foreign landscape.errors landscape.shapes landscape.texts "
    "landscape.catalogue landscape.columns",
    "landscape.files landscape.space landscape.shared_columns",
    "landscape.rows",
    "landscape.own",
    "landscape.spec",
    "landscape.anchor landscape.memory landscape.progress",
    "landscape.stages.settings landscape.llc.settings landscape.symmetry.settings",
    "landscape.profile",
    "landscape.stages landscape.study",
    "landscape.checkpoints landscape.objectives landscape.paths",
    "landscape.points",
    "landscape.symmetry landscape.llc landscape.probes",
    "landscape.session",
    "landscape.measure landscape.engines",
    "landscape.figures",
    "landscape.face",
    "landscape",
    "landscape.demo",
    "landscape.cli",
    "landscape.__main__",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
NO_TORCH = [
    "landscape.lazy", "landscape.where", "landscape.errors", "landscape.catalogue", "landscape.spec", "landscape.files",
    "landscape.columns", "landscape.shared_columns", "landscape.rows", "landscape.face", "landscape.memory",
    "landscape.progress",
    "landscape.profile", "landscape.stages", "landscape.study", "landscape.llc.settings", "landscape.llc.samplers",
    "landscape.symmetry.settings",
    "landscape.checkpoints.local", "landscape.checkpoints.grid", "landscape.checkpoints.formats",
    "landscape.session.cache", "landscape.engines", "landscape.figures", "landscape.cli",
]  # fmt: skip
WITH_TORCH = {"landscape.face.memory"}
"""Parts of these that are imported only where there are models in memory."""
ALONE = {
    "figures": ("landscape.figures", "landscape.catalogue", "landscape.rows"),
    "engines": ("landscape.engines", "landscape.errors", "landscape.catalogue", "landscape.spec"),
}


def module(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    parts = parts if parts[0] == "landscape" else ("landscape", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(name: str) -> str | None:
    """The longest known prefix of a module's name."""
    while name and name not in RANK:
        name = name.rpartition(".")[0]
    return name or None


def imports(tree: ast.AST, top: bool = False) -> list[str]:
    """Modules imported; ``top`` leaves out those inside functions and for type checking."""
    nodes = list(ast.walk(tree))
    if top:
        nodes = [n for n in ast.iter_child_nodes(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def faults(root: Path) -> list[str]:
    out = []
    for folder in ("landscape", "cli", "figures"):
        for file in sorted((root / folder).rglob("*.py")):
            name, tree = module(file, root), ast.parse(file.read_text())
            here = place(name)
            if here is None or (here == "landscape" and name != "landscape"):
                out.append(f"give {name} a layer")
                continue
            own = [i for i in imports(tree) if i.startswith("landscape.")]
            for there in filter(None, map(place, own)):
                if there != here and RANK[there] >= RANK[here]:
                    out.append(f"{name} must not import {there}")
            for part, allowed in ALONE.items():
                if here == f"landscape.{part}":
                    out += [f"{name} must not import {i}" for i in own if not i.startswith(allowed)]
            if name not in WITH_TORCH and any(name == n or name.startswith(f"{n}.") for n in NO_TORCH):
                heavy = {i.split(".")[0] for i in imports(tree, top=True)} & {"torch", "transformers"}
                out += [f"{name} must not import {h}" for h in sorted(heavy)]
    return out


def test_imports_go_down_only() -> None:
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (
            "landscape/space.py",
            "from landscape.points.evaluate import losses",
            "landscape.space must not import landscape.points",
        ),
        (
            "landscape/paths/x.py",
            "import landscape.objectives.text",
            "landscape.paths.x must not import landscape.objectives",
        ),
        ("landscape/study/store.py", "import torch", "landscape.study.store must not import torch"),
        (
            "figures/x.py",
            "from landscape.study.store import Store",
            "landscape.figures.x must not import landscape.study.store.Store",
        ),
        ("landscape/new.py", "", "give landscape.new a layer"),
        ("landscape/face/x.py", "import torch", "landscape.face.x must not import torch"),
        (
            "landscape/face/y.py",
            "import landscape.cli.frame",
            "landscape.face.y must not import landscape.cli",
        ),
    ],
)
def test_a_fault_is_seen(tmp_path: Path, file: str, line: str, said: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line)
    assert faults(tmp_path) == [said]
