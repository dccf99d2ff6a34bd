"""The sections of a report, in its order: each of a module that draws it, or none where there are no rows for it."""

from __future__ import annotations

from landscape.figures import (
    behaviour,
    branching,
    curves,
    interpolation,
    llc,
    loss,
    matrix,
    plane,
    simplex,
    stages,
    symmetry,
    together,
    traces,
    training,
)
from landscape.figures.frames import Frames
from landscape.figures.section import Section

MODULES = (
    stages, matrix, symmetry, training, interpolation, curves, plane, simplex, branching, loss, llc, traces, together,
    behaviour,
)  # fmt: skip


def sections(frames: Frames) -> list[Section]:
    """What there is to be shown."""
    return [section for module in MODULES if (section := module.section(frames)) is not None]
