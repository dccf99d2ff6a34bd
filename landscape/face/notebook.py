"""What notebooks show: progress while a call runs. Elsewhere nothing is shown.

The display protocol of IPython is used and no widget, so that it works wherever notebooks do.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Protocol, cast

OFTEN = 0.2
"""Seconds between two updates, at least."""


class Handle(Protocol):
    """A display that can be changed."""

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Show something else."""


Display = Callable[..., Handle]


def is_notebook() -> bool:
    """Whether the program runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


if is_notebook():
    warnings.filterwarnings("ignore", message="IProgress not found")  # of the hub's client; no widget is used here


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[str], None]]:
    """Show progress over some pieces, in a notebook.

    Args:
        title: What is done.
        total: Number of pieces.

    Yields:
        A function to call once for each finished piece, with what it was.
    """
    if not is_notebook():
        yield lambda label: None
        return
    display = cast("Display", import_module("IPython.display").display)
    begin = last = time.monotonic()
    handle, done = display(_shown(title, 0, total, 0.0, ""), raw=True, display_id=True), 0

    def advance(label: str) -> None:
        nonlocal done, last
        done, now = done + 1, time.monotonic()
        if done == total or now - last > OFTEN:
            last = now
            handle.update(_shown(title, done, total, now - begin, label), raw=True)

    yield advance


def _shown(title: str, done: int, total: int, seconds: float, label: str) -> dict[str, str]:
    """A line of progress, in HTML and as plain text.

    Args:
        title: What is done.
        done: Number of finished pieces.
        total: Number of pieces.
        seconds: Time that they took.
        label: The last of them.
    """
    left = f", about {seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
    text = f"{title}: {done} of {total} in {seconds:.0f} s{left}{f', last {label}' if label else ''}"
    bar = f'<progress value="{done}" max="{total}"></progress>'
    return {"text/html": f"<div>{bar} {escape(text)}</div>", "text/plain": text}
