"""Docstrings: what three or more arguments mean, and the unit or scale of every number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import lint
import pytest

FEW = 2
"""Arguments that need no section of their own."""
UNITS = (
    # units
    r"units?", "nats", "bits", "seconds?", "bytes", "[GM]iB", "degrees?", "radians", "steps?", "tokens?", "examples?",
    "epochs?",
    # scales
    r"in \[-?[01], [01]\]", r"from -?[01] to [01]", "shares?", "fractions?", "probabilit(?:y|ies)", "p-values?",
    "ratios?", "factors?", "percent", "accurac(?:y|ies)", "correlations?", "standardi[sz]ed", "standard errors?",
    "z-scores?", "log", "logits?", "relative", "counts?", "numbers? of", "squared",
    # positions in the space of an architecture
    "points?", "coordinates?", "coefficients?", "weights?", "gradients?", "losses",
)  # fmt: skip
"""Words that name a unit or a scale. A loss is in nats per token or per example, so what says "losses" has one."""
UNIT = re.compile(r"(?<![\w-])(?:" + "|".join(UNITS) + r")(?![\w-])", re.IGNORECASE)
PACKAGES = lint.packages(lint.python_files())


def is_number(annotation: ast.expr | None) -> bool:
    """Whether an annotation is a float, an array of floats, or a container of them; functions are neither."""
    if annotation is None:
        return False
    text = ast.unparse(annotation)
    text = text.strip("'\"")
    return "Callable" not in text and re.search(r"(?<!\w)(?:float|Float)(?!\w)", text) is not None


def is_command(node: lint.Function) -> bool:
    """Whether a function is a command, whose docstring is its help."""
    return any(re.match(r"(?:\w+\.)?command(?:_of)?\(", one) or "click." in one for one in lint.decorators(node))


def without_arguments(tree: ast.Module) -> list[str]:
    """Public functions of three or more arguments that do not document them; an override has those of its base."""
    return [
        f"{node.name} documents none of {lint.arguments(node)}"
        for node, owner in lint.public(tree)
        if isinstance(node, lint.Function)
        and len(lint.arguments(node)) > FEW
        and not is_command(node)
        and not (owner and any(node.name in lint.documented().get(ast.unparse(base), ()) for base in owner.bases))
        and "Args:" not in (ast.get_docstring(node) or "")
    ]


def without_unit(tree: ast.Module) -> list[str]:
    """Public functions that return numbers, and dataclasses that hold numbers, whose docstrings name no unit."""
    out = []
    for node, _ in lint.public(tree):
        docstring = ast.get_docstring(node) or ""
        if isinstance(node, lint.Function):
            numbers = is_number(node.returns)
        else:
            fields = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
            numbers = any("dataclass" in one for one in lint.decorators(node)) and any(map(is_number, fields))
        if numbers and not UNIT.search(docstring):
            out.append(f"{node.name} names no unit or scale of its numbers")
    return out


def faults(files: list[Path], root: Path = lint.ROOT) -> list[str]:
    out = []
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        name = file.relative_to(root)
        out += [f"{name}: {fault}" for fault in [*without_arguments(tree), *without_unit(tree)]]
    return out


@pytest.mark.parametrize("package", PACKAGES)
def test_arguments_and_units_are_documented(package: str) -> None:
    assert faults(PACKAGES[package]) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('def f(a, b, *, c):\n    """Sum."""', "f documents none of ['a', 'b', 'c']"),
        (
            'class C:\n    """C."""\n    def f(self, a, b, c):\n        """Sum."""',
            "f documents none of ['a', 'b', 'c']",
        ),
        (
            'class C(Measure):\n    """C."""\n    def others(self, a, b, c):\n        """None of the base."""',
            "others documents none of ['a', 'b', 'c']",
        ),
        ('def f(a) -> float:\n    """How far it is."""', "f names no unit or scale of its numbers"),
        (
            'def f() -> "tuple[str, Float[Tensor, \' n\']]":\n    """How far."""',
            "f names no unit or scale of its numbers",
        ),
        (
            '@dataclass(frozen=True)\nclass C:\n    """C.\n\n    Attributes:\n        x: Far.\n    """\n    x: float',
            "C names no unit or scale of its numbers",
        ),
    ],
)
def test_a_fault_is_seen(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "x.py").write_text(code)
    assert faults([tmp_path / "x.py"], tmp_path) == [f"x.py: {said}"]


@pytest.mark.parametrize(
    "code",
    [
        'def f(a, b, *more, **others):\n    """Two."""',
        'def _f(a, b, c):\n    """Private."""',
        'def f(a, b, c):\n    """Sum.\n\n    Args:\n        a: One.\n        b: Two.\n        c: Three.\n    """',
        '@click.command()\ndef command(a, b, c):\n    """Help."""',
        '@command_of(Inputs)\ndef command(a, b, c):\n    """Help."""',
        'class C(Measure):\n    """C."""\n    def tasks(self, a, b, c):\n        """As in the base."""',
        'class C(Along):\n    """C."""\n    def tasks(self, a, b, c):\n        """As in the base of the base."""',
        'def f() -> float:\n    """How far, in nats per token."""',
        'def f() -> "Callable[[float], float]":\n    """A curve."""',
        'class C:\n    """No dataclass."""\n    x: float',
    ],
)
def test_what_is_no_fault_is_not_one(tmp_path: Path, code: str) -> None:
    (tmp_path / "x.py").write_text(code)
    assert faults([tmp_path / "x.py"], tmp_path) == []
