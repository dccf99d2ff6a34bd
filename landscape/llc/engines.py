"""Engines of chains: one after the other, all in one batch, or one recorded batch. All give the same chains."""

from __future__ import annotations

import time
from functools import partial
from typing import Literal

from torch import Tensor

from landscape.llc.langevin import ValueAndGrad
from landscape.llc.parameters import names_of
from landscape.objectives import Objective
from landscape.points import gradients, recorded
from landscape.points.strategy import affordable
from landscape.shapes import Float, Int

Engine = Literal["loop", "vmap", "recorded"]

LARGE = 100_000_000
"""Coordinates of all chains together above which one batch is not tried, because arithmetic fills the device."""
LONG = 0.1
"""Seconds per step of all chains above which a step is timed once only."""
SMALL = 0.01
"""Seconds per step of all chains below which recording is tried."""
RECORDING = 100
"""Approximate cost of a recording, in steps."""


def value_and_grad(
    engine: Engine,
    objective: Objective,
    full: Float[Tensor, "chains P"],
    moving: Int[Tensor, " moving"] | None,
    batch: Int[Tensor, "chains batch"],
    at_once: int,
) -> ValueAndGrad:
    """The function that gives losses of chains, and gradients in the coordinates that move.

    Args:
        engine: How the chains of a step are run.
        objective: The loss.
        full: The checkpoint of each chain, which sets the coordinates that do not move.
        moving: Coordinates that move; None is all.
        batch: Examples of a step; all steps have batches of this size.
        at_once: Examples per pass.

    Raises:
        RuntimeError: If the model cannot be recorded.
    """
    names = names_of(objective.space, moving)
    inner: ValueAndGrad
    if engine == "recorded":
        inner = recorded.record(objective, full, batch, names)
    else:
        inner = partial(gradients.values_and_grads, objective, kind=engine, at_once=at_once, names=names)
    if moving is None:
        return inner

    def restricted(points: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        losses, found = inner(full.index_copy(1, moving, points), examples)
        return losses, found[:, moving]

    return restricted


def fastest(
    objective: Objective,
    full: Float[Tensor, "chains P"],
    moving: Int[Tensor, " moving"] | None,
    batch: Int[Tensor, "chains batch"],
    at_once: int,
    steps: int,
) -> tuple[Engine, ValueAndGrad]:
    """The fastest engine and its :func:`value_and_grad` for all chains, by timing. Few steps are looped without timing.

    Args:
        objective: The loss.
        full: The checkpoint of each chain.
        moving: Coordinates that move; None is all.
        batch: Examples of a step.
        at_once: Examples per pass.
        steps: Number of steps to come.

    Raises:
        RuntimeError: If the model itself does not run.
    """
    points = full if moving is None else full[:, moving]
    if not affordable(2 * 2, steps):
        return "loop", value_and_grad("loop", objective, full, moving, batch, at_once)
    seconds: dict[Engine, float] = {}
    functions: dict[Engine, ValueAndGrad] = {}

    def clock(engine: Engine) -> None:
        begin = time.perf_counter()
        functions[engine] = value_and_grad(engine, objective, full, moving, batch, at_once)
        made = time.perf_counter() - begin
        for _ in range(2):  # the first call warms up, which does not matter if a step is long
            begin = time.perf_counter()
            float(functions[engine](points, batch)[0].sum())
            seconds[engine] = time.perf_counter() - begin + made / steps
            if seconds[engine] > LONG:
                break

    clock("loop")
    for engine in ("vmap", "recorded"):
        quick = seconds.get("vmap", SMALL) < SMALL and steps > RECORDING and batch.shape[1] <= at_once
        if engine == "vmap" or quick:
            try:
                clock(engine)
            except RuntimeError:  # out of memory, or what vmap or a recording cannot do
                seconds.pop(engine, None)
    best = min(seconds, key=lambda engine: seconds[engine])
    return best, functions[best]
