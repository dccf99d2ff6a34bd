"""What people see while tasks run: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable
from unicodedata import category

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

QUIET = 30.0
"""Seconds between two plain lines."""
KNOWN = 0.05
"""Share of the pieces that must be finished before the time left is estimated."""

WIDE = 320
HIDDEN = ("Cc", "Cf", "Cs")
"""Categories of characters that a terminal obeys, does not show, or cannot be given."""


def shown(text: str) -> str:
    """The text with control characters written out, so that a name cannot move the cursor or break an encoding."""
    return "".join(c if c in "\n\t" or category(c) not in HIDDEN else repr(c)[1:-1] for c in text)


class PlainConsole(Console):
    """A console that shows texts as what they are: names of folders may look like markup."""

    def render_str(self, text: str, **how: Any) -> Text:
        """The text without markup or control characters."""
        return super().render_str(shown(text), **{**how, "markup": False})


class PlainFormatter(logging.Formatter):
    """Log lines as what they are."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without control characters."""
        return shown(super().format(record))


class ConsoleHandler(logging.Handler):
    """Prints log lines on the console, so that they stand between the lines of a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line."""
        console.print(self.format(record), markup=False)


console = PlainConsole(
    stderr=True, highlight=False, emoji=False, soft_wrap=True, width=None if sys.stderr.isatty() else WIDE
)


def listen() -> None:
    """Show what the library says, such as what it fetches, as plain lines; the hub client's many bars are left out."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    log = logging.getLogger("landscape")
    if not log.handlers:
        handler = ConsoleHandler()
        handler.setFormatter(PlainFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def in_words(seconds: float) -> str:
    """A time, as people say it.

    >>> in_words(75), in_words(600), in_words(9000)
    ('75 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@runtime_checkable
class Advance(Protocol):
    """Called once for each finished piece, with what it was."""

    def __call__(self, label: str) -> None:
        """Show it."""
        ...


@contextmanager
def progress(title: str, total: int) -> Generator[Advance]:
    """Show progress over ``total`` pieces on stderr."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn(), TextColumn("{task.fields[label]}", markup=False))  # fmt: skip
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, label="")
            yield lambda label: bar.update(task, advance=1, label=shown(label))
        return
    done, begin, last = 0, time.monotonic(), time.monotonic()

    def advance(label: str) -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last > QUIET or done == total:
            last = time.monotonic()
            left = (
                f", about {in_words((last - begin) / done * (total - done))} left"
                if total > done >= KNOWN * total
                else ""
            )
            console.print(f"{title}: {done} of {total} in {in_words(last - begin)}{left}, last {label}", markup=False)

    yield advance
