"""Progress in notebooks, by IPython's display protocol: IPython itself need not be there."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import pytest

from landscape.face import notebook
from landscape.face.running import SILENT


class Shown:
    """A notebook's output: what was displayed, and each change of it."""

    def __init__(self) -> None:
        self.states: list[dict[str, str]] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Shown:
        assert raw and display_id
        self.states.append(data)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.states.append(data)


def install(monkeypatch: pytest.MonkeyPatch, shell: object) -> Shown:
    shown = Shown()
    top, display = ModuleType("IPython"), ModuleType("IPython.display")
    top.get_ipython = lambda: shell  # type: ignore[attr-defined]
    display.display = shown.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", top)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


KERNEL = SimpleNamespace(kernel=None)


def test_progress_is_shown_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, clock = install(monkeypatch, KERNEL), iter([0.0, 2.0, 2.1, 6.0])
    monkeypatch.setattr(notebook, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with SILENT.progress("measuring <a>", 3) as advance:
        for label in ("one", "two", "<b>"):
            advance(label)
    assert [state["text/plain"] for state in shown.states] == [
        "measuring <a>: 0 of 3 in 0 s",
        "measuring <a>: 1 of 3 in 2 s, about 4 s left, last one",
        "measuring <a>: 3 of 3 in 6 s, last <b>",
    ]
    bars = [ElementTree.fromstring(state["text/html"]).find("progress") for state in shown.states]
    assert [(bar.get("value"), bar.get("max")) for bar in bars if bar is not None] == [
        ("0", "3"),
        ("1", "3"),
        ("3", "3"),
    ]


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["a script", "IPython on a terminal"])
def test_elsewhere_nothing_is_shown(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    shown = install(monkeypatch, shell)
    with notebook.progress("measuring", 1) as advance:
        advance("one")
    assert shown.states == []


def test_without_ipython_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not notebook.is_notebook() and "IPython" not in sys.modules
