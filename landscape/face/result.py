"""What calls of the face return: frames of rows, which draw themselves and show themselves in notebooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.study.checkpoint import Checkpoint

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_SHOWN = 20
"""Rows that a notebook shows."""
SIZE, RESOLUTION = (5.0, 3.6), 100
"""Of the figure that a notebook shows, in inches and dots per inch."""
Z = 1.96
"""Standard errors of a 95 % interval."""


@dataclass(frozen=True)
class Result(ABC):
    """Rows of a call.

    Attributes:
        checkpoints: What it was about, in the order in which it was given.
        frame: The rows of its main table; ``landscape.rows`` says what the columns are.
        failed: Message of each task that failed, by key.
    """

    checkpoints: tuple[Checkpoint, ...]
    frame: pd.DataFrame
    failed: Mapping[str, str]

    @abstractmethod
    def tables(self) -> dict[str, pd.DataFrame]:
        """All rows by table."""

    @abstractmethod
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the main numbers; None is the current axes."""

    @abstractmethod
    def summary(self) -> pd.DataFrame:
        """The main numbers, a row for each thing that was measured."""

    def _repr_html_(self) -> str:
        """A figure, the main numbers as a table, and what failed."""
        failed = ""
        if self.failed:
            why = escape(first_line(self.failed))
            failed = f"<p>{len(self.failed)} tasks failed, such as: {why}; see <code>failed</code></p>"
        shown: str = self.summary().head(MOST_SHOWN).to_html(index=False, float_format=lambda x: f"{x:.4g}")
        return self._figure() + shown + failed

    def _figure(self) -> str:
        """The figure as an image of HTML; empty if there is nothing to draw."""
        from matplotlib.figure import Figure

        from landscape.figures.style import style

        with style():
            figure = Figure(figsize=SIZE, layout="compressed")  # not of pyplot, which would show it once more
            try:
                self.plot(figure.subplots())
            except InputError:
                return ""
            out = BytesIO()
            figure.savefig(out, format="png", dpi=RESOLUTION)
        data = b64encode(out.getvalue()).decode()
        return f'<img alt="figure of the table below" src="data:image/png;base64,{data}"/>'


def first_line(failed: Mapping[str, str]) -> str:
    """The message of the first failed task, in a line."""
    return next(iter(failed.values()), "").partition("\n")[0]


def no_rows() -> pd.DataFrame:
    """The rows of a table that has none."""
    import pandas as pd

    return pd.DataFrame()


def require_rows(result: Result, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows to draw.

    Args:
        result: Whose they are.
        rows: Rows.

    Raises:
        InputError: If there is none.
    """
    if rows.empty:
        raise InputError(f"there is nothing to draw: {first_line(result.failed) or 'no row was measured'}")
    return rows


def axes(ax: Axes | None) -> Axes:
    """The axes to draw on."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.gca()


def plot_profile(rows: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw the loss along the paths of a pair.

    Args:
        rows: Rows of the table ``profile``.
        ax: Where to draw.
    """
    from landscape.figures.curves import loss_by_path

    shown = rows.assign(loss_low=rows["loss"] - Z * rows["error"], loss_high=rows["loss"] + Z * rows["error"])
    return loss_by_path(shown, unit=str(rows["unit"].iloc[0]), ax=axes(ax))
