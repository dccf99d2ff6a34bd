"""A section of a report."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """A figure with its words."""

    title: str
    text: str
    figure: Figure
    note: str
