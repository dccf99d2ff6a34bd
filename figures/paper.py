"""The figures of a report for papers and slides, each with the rows that it is drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterator

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.sections import sections
from landscape.figures.style import style
from landscape.figures.tables import csv

COLUMN, TEXT = 3.25, 6.75
"""Widths of a column and of both columns of a page, in inches."""
LOWEST = 0.68
"""Smallest height of a figure of one column, as a share of its width: its letters do not shrink with it."""


def figures(frames: Frames) -> dict[str, Figure]:
    """The figures of the report by name, in its style.

    Args:
        frames: Frames of rows and findings.
    """
    with style():
        return {section.name: section.figure for section in sections(frames)}


def files(frames: Frames, kind: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file: figures, their rows as CSV, captions as text, and the Python that draws them.

    A figure of one panel is as wide as a column, others as the text. Its caption is a file of its own.

    Args:
        frames: Frames of rows and findings.
        kind: ``pdf``, ``svg`` or ``png``.
    """
    with style(paper=True):
        for section in sections(frames):
            yield f"{section.name}.{kind}", _drawn(section, kind)
            yield f"{section.name}.txt", f"{section.title}. {section.text}\n\n{section.note}\n".encode()
            yield f"{section.name}.py", section.code.encode()
            for name, rows in section.rows.items():
                if len(rows.columns):
                    yield section.file(name), csv(rows).encode()


def _drawn(section: Section, kind: str) -> bytes:
    """The figure without its caption, in the size of a paper."""
    figure = section.figure
    figure.supxlabel("")
    wide, high = figure.get_size_inches()
    bars = {drawn.colorbar.ax for ax in figure.axes for drawn in (*ax.collections, *ax.images) if drawn.colorbar}
    width = TEXT if len(figure.axes) - len(bars) > 1 else COLUMN
    figure.set_size_inches(width, max(width * high / wide, LOWEST * width if width == COLUMN else 0.0))
    stream = io.BytesIO()
    date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    figure.savefig(stream, format=kind, metadata=date)
    plt.close(figure)
    return stream.getvalue()
