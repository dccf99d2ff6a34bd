"""Ways to the same chains: one after the other, all in one batch, or in one batch that was recorded; by the clock."""

from __future__ import annotations

import time
from functools import partial
from typing import Literal

from torch import Tensor

from landscape.llc.langevin import Slope
from landscape.llc.parameters import names_of
from landscape.objectives import Objective
from landscape.points import gradients, recorded
from landscape.points.strategy import affordable
from landscape.shapes import Float, Int

Kind = Literal["loop", "vmap", "recorded"]

LARGE = 100_000_000
"""Coordinates of all chains together above which they are not tried in one batch: arithmetic fills the device."""
LONG = 0.1
"""Seconds of a step of all chains that need no second look."""
SMALL = 0.01
"""Seconds of a step of all chains below which recording is tried."""
RECORDING = 100
"""Steps that a recording costs, about."""


def slope(
    kind: Kind,
    objective: Objective,
    full: Float[Tensor, "chains P"],
    moving: Int[Tensor, " moving"] | None,
    batch: Int[Tensor, "chains batch"],
    at_once: int,
) -> Slope:
    """Losses of chains, and gradients in the coordinates that move; the others are those of ``full``, and have none.

    Args:
        kind: Which way.
        objective: The loss.
        full: The checkpoint of each chain.
        moving: Coordinates that move; None is all.
        batch: Examples of a step, of the size of all steps to come.
        at_once: Examples in one pass.

    Raises:
        RuntimeError: If the model cannot be recorded.
    """
    names = names_of(objective.space, moving)
    inner: Slope
    if kind == "recorded":
        inner = recorded.record(objective, full, batch, names)
    else:
        inner = partial(gradients.slopes, objective, kind=kind, at_once=at_once, names=names)
    if moving is None:
        return inner

    def restricted(points: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        losses, found = inner(full.index_copy(1, moving, points), examples)
        return losses, found[:, moving]

    return restricted


def choose(
    objective: Objective,
    full: Float[Tensor, "chains P"],
    moving: Int[Tensor, " moving"] | None,
    batch: Int[Tensor, "chains batch"],
    at_once: int,
    steps: int,
) -> tuple[Kind, Slope]:
    """The way that is fastest for so many steps, and its :func:`slope` for all chains; few steps are looped untimed.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    points = full if moving is None else full[:, moving]
    if not affordable(2 * 2, steps):
        return "loop", slope("loop", objective, full, moving, batch, at_once)
    seconds: dict[Kind, float] = {}
    ways: dict[Kind, Slope] = {}

    def clock(kind: Kind) -> None:
        begin = time.perf_counter()
        ways[kind] = slope(kind, objective, full, moving, batch, at_once)
        made = time.perf_counter() - begin
        for _ in range(2):  # the first warms up, which is nothing beside a long step
            begin = time.perf_counter()
            float(ways[kind](points, batch)[0].sum())
            seconds[kind] = time.perf_counter() - begin + made / steps
            if seconds[kind] > LONG:
                break

    clock("loop")
    for kind in ("vmap", "recorded"):
        quick = seconds.get("vmap", SMALL) < SMALL and steps > RECORDING and batch.shape[1] <= at_once
        if kind == "vmap" or quick:
            try:
                clock(kind)
            except RuntimeError:  # out of memory, or what vmap or a recording cannot do
                seconds.pop(kind, None)
    best = min(seconds, key=lambda kind: seconds[kind])
    return best, ways[best]
