"""A section of a report."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from landscape.figures.style import note


@dataclass(frozen=True)
class Section:
    """A figure with its texts.

    Attributes:
        title: Heading of the section, and name of the figure.
        text: What the figure shows, for readers who do not know the method.
        figure: The figure.
        note: How its numbers were made; the caption of the figure.
    """

    title: str
    text: str
    figure: Figure
    note: str

    @classmethod
    def of(cls, title: str, text: str, figure: Figure, caption: str) -> Section:
        """A section whose figure carries its caption, so that it can be read alone.

        Args:
            title: Heading of the section, and name of the figure.
            text: What the figure shows.
            figure: The figure.
            caption: How its numbers were made.
        """
        note(figure.axes[0], caption)
        return cls(title, text, figure, caption)
