"""Measures of single checkpoints: of which of them."""

from __future__ import annotations

from typing import Literal

from landscape.study.checkpoint import Checkpoint
from landscape.study.measure import Grid, Steps, at_steps

Among = Literal["runs", "branches", "all"]


def among(which: Among, steps: Steps, grid: Grid) -> list[Checkpoint]:
    """The checkpoints that a measure of single checkpoints is about.

    Args:
        which: Those of runs, of branches, or both.
        steps: Only at these steps.
        grid: The checkpoints of the study.
    """
    runs = at_steps(steps, grid.runs) if which != "branches" else []
    return [*runs, *(at_steps(steps, grid.branches) if which != "runs" else [])]


def none_of(kind: str, grid: Grid) -> str:
    """The message where there is no checkpoint."""
    return (
        f"a measure of {kind} finds no checkpoint: there are {len(grid.runs)} of runs and {len(grid.branches)} of "
        "branches; change at_steps or among"
    )
