"""A section of a report."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter

from landscape.figures.style import note

MAX_NAMED = 200
"""Points up to which each of a curve is said under the pointer."""


@dataclass(frozen=True)
class Line:
    """A curve of a detail.

    Attributes:
        name: What it is called.
        x: Positions on the horizontal axis, in its unit.
        y: Values, in the unit of the vertical axis.
        low: Lower end of a band; empty for none.
        high: Upper end of the band.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Detail:
    """A small chart and a table that a page shows beside a figure for what the pointer is over.

    Attributes:
        title: What they are of.
        xlabel: Label of the horizontal axis.
        ylabel: Label of the vertical axis.
        lines: The curves.
        ticks: Positions, in its unit, and labels of the horizontal axis; empty for a plain axis.
        slider: What a slider chooses among the curves; empty if all are equally shown.
        columns: Columns of the table.
        rows: Its rows.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]] = ()
    slider: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Spots:
    """Points of a figure of which a page says more under the pointer.

    Attributes:
        ax: Axes on which they lie.
        x: Positions, in the data coordinates of the axes.
        y: The same.
        text: What is said of each.
        detail: Name of the detail of each, and the number of its curve there; empty for none.
        reach: How far from it the pointer may be: near; within a cell of one by one; anywhere in the panel.
    """

    ax: Axes
    x: Sequence[float]
    y: Sequence[float]
    text: Sequence[str]
    detail: Sequence[tuple[str, int]] = ()
    reach: Literal["near", "cell", "panel"] = "near"


def spots(ax: Axes, rows: pd.DataFrame, x: str, y: str, text: Callable[[Mapping[Hashable, Any]], str]) -> Spots:
    """Spots of the rows of a table.

    Args:
        ax: Axes on which they lie.
        rows: The rows.
        x: Column of the horizontal axis.
        y: Column of the vertical axis.
        text: What is said of a row.
    """
    rows = rows[rows[x].notna() & rows[y].notna()]
    every = rows.to_dict("records")
    return Spots(ax, rows[x].astype(float).tolist(), rows[y].astype(float).tolist(), [text(row) for row in every])


def _named(ax: Axes) -> Spots:
    """The points of the curves that have a name; if none has, those of all, with the category below them."""
    handles, names = ax.get_legend_handles_labels()
    named = [(_line(drawn), name) for drawn, name in zip(handles, names, strict=True)]
    if not any(line for line, _ in named):
        named = [(line, "") for line in ax.lines]
    categories = {round(at): tick.get_text() for at, tick in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)}
    fixed = isinstance(ax.xaxis.get_major_formatter(), FixedFormatter) and ax.get_xscale() == "linear"
    x: list[float] = []
    y: list[float] = []
    text: list[str] = []
    for line, name in named:
        if line is None or line.get_transform() != ax.transData:
            continue
        at = np.asarray(line.get_xydata(), dtype=float)
        for one, other in at if len(at) <= MAX_NAMED else ():
            where = categories.get(round(one), "").replace("\n", " ") if fixed and np.isfinite(one) else f"at {one:.4g}"
            x.append(float(one))
            y.append(float(other))
            text.append(": ".join(part for part in (name, f"{other:.4g} {where}") if part).replace(r"\$", "$"))
    return Spots(ax, x, y, text)


def _line(drawn: object) -> Line2D | None:
    """The line of what a legend names."""
    line = drawn.lines[0] if isinstance(drawn, ErrorbarContainer) else drawn
    return line if isinstance(line, Line2D) else None


@dataclass(frozen=True)
class Section:
    """A figure with its texts and its rows.

    Attributes:
        title: Heading of the section, and name of the figure.
        text: What the figure shows, for readers who do not know the method.
        figure: The figure.
        note: How its numbers were made; the caption of the figure.
        rows: The rows that it is drawn from, by name.
        draw: The call that draws it from these names, with its module: ``"loss.loss_over_training(rows)"``.
        spots: What is said under the pointer.
        details: Charts that spots name.
        lead: How well it answers in one figure what is connected and when; the largest leads the page.
    """

    title: str
    text: str
    figure: Figure
    note: str
    rows: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    draw: str = ""
    spots: Sequence[Spots] = ()
    details: Mapping[str, Detail] = field(default_factory=dict)
    lead: int = 0

    @classmethod
    def of(
        cls, title: str, text: str, figure: Figure, caption: str, *, rows: Mapping[str, pd.DataFrame], draw: str,
        spots: Sequence[Spots] = (), details: Mapping[str, Detail] | None = None,
    ) -> Section:  # fmt: skip
        """A section whose figure carries its caption, so that it can be read alone.

        Args:
            title: Heading of the section, and name of the figure.
            text: What the figure shows.
            figure: The figure.
            caption: How its numbers were made.
            rows: The rows that it is drawn from, by name.
            draw: The call that draws it from these names, with its module.
            spots: What is said under the pointer.
            details: Charts that spots name.
        """
        note(figure.axes[0], caption)
        known = {id(one.ax) for one in spots}
        more = [_named(ax) for ax in figure.axes if id(ax) not in known]
        return cls(title, text, figure, caption, rows, draw, [*spots, *more], details or {})

    @property
    def name(self) -> str:
        """Name of its files."""
        return re.sub(r"\W+", "_", self.title.lower())

    def file(self, rows: str) -> str:
        """Name of the CSV file of some of its rows."""
        return f"{self.name}.csv" if len(self.rows) == 1 else f"{self.name}_{rows}.csv"

    @property
    def code(self) -> str:
        """Lines of Python that draw the figure from its CSV files."""
        reads = "\n".join(
            f'{name} = pd.read_csv("{self.file(name)}")' if len(rows.columns) else f"{name} = pd.DataFrame()"
            for name, rows in self.rows.items()
        )
        module = self.draw.partition(".")[0]
        return (
            f"import matplotlib.pyplot as plt\nimport pandas as pd\nfrom landscape.figures import {module}\n"
            f"from landscape.figures.style import style\n\n{reads}\nwith style():\n    {self.draw}\n"
            f'    plt.savefig("{self.name}.pdf")\n'
        )
