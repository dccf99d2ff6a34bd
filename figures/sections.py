"""The sections of a report, in the order of the catalogue."""

from __future__ import annotations

from landscape.catalogue import FIGURES
from landscape.figures.frames import Frames
from landscape.figures.section import Section


def sections(frames: Frames) -> list[Section]:
    """The sections that have rows to show. The module of each has a function ``section(frames) -> Section | None``."""
    return [section for name in FIGURES if (section := FIGURES.load(name).section(frames)) is not None]
