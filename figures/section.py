"""A section of a report."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from landscape.figures.style import note


@dataclass(frozen=True)
class Section:
    """A figure with its words."""

    title: str
    text: str
    figure: Figure
    note: str

    @classmethod
    def of(cls, title: str, text: str, figure: Figure, caption: str) -> Section:
        """A section whose figure carries its caption, so that it can be read alone."""
        note(figure.axes[0], caption)
        return cls(title, text, figure, caption)
