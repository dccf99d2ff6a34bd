"""Fits of learned curves that are saved on the way, and go on where they stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.paths import fit, saved
from landscape.points import gradients
from landscape.shapes import Float

SAVE_EVERY = 15.0
"""Seconds after which a fit is saved."""
TELL_EVERY = 30.0
"""Seconds between two lines on progress."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """One curve to learn.

    Attributes:
        file: Where it is kept; a fit that was stopped goes on from here.
        ends: Content ids of the ends, and what it is fitted on.
        settings: How.
        seed: Of batches and positions.
    """

    file: Path
    ends: tuple[str, ...]
    settings: fit.FitSettings
    seed: int


def teller(label: str, paths: int, steps: int) -> Callable[[int, float], None]:
    """What says now and then how far the fits of a task are.

    Args:
        label: Of the task.
        paths: Number of its fits.
        steps: Steps of each.
    """
    done, last = 0, time.monotonic()

    def tell(step: int, loss: float) -> None:
        nonlocal done, last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            LOG.info("%s: path %d of %d, step %d of %d, loss %.3f", label, done + 1, paths, step + 1, steps, loss)
        done += step + 1 == steps

    return tell


def learn(
    objective: Objective,
    ends: Float[Tensor, "pairs 2 P"],
    wanted: Sequence[Wanted],
    report: Callable[[int, float], None],
) -> Float[Tensor, "pairs anchors P"]:
    """The anchors of learned curves; saved now and then, and when the fit is stopped.

    Curves are fitted in one batch if gradients are faster that way on this device, else one after the other.

    Args:
        objective: The loss, on the training examples.
        ends: The two ends of each curve.
        wanted: Which curves; of one settings and seed.
        report: Called with each step and its loss.

    Raises:
        InputError: If a file holds another curve.
    """
    settings = wanted[0].settings
    states = [_before(pair, want) for pair, want in zip(ends, wanted, strict=True)]
    open_ones = [n for n, state in enumerate(states) if state.step < settings.steps]
    kind: Literal["loop", "vmap"] = "loop"
    if len(open_ones) > 1:
        some = torch.arange(min(settings.batch, 32, objective.examples))
        kind = gradients.loop_or_vmap(objective, ends[open_ones, 0], some, settings.steps)
    value_and_grad = partial(gradients.values_and_grads, objective, kind=kind)
    for _, group in groupby(open_ones, key=lambda n: states[n].step if kind == "vmap" else n):
        together = list(group)
        inner, first, second = (
            torch.stack([getattr(states[n], name) for n in together]) for name in ("inner", "first", "second")
        )
        state = fit.State(inner, first, second, states[together[0]].step)
        state = _fit(objective.examples, ends[together], [wanted[n] for n in together], state, value_and_grad, report)
        for place, n in enumerate(together):
            states[n] = fit.State(state.inner[place], state.first[place], state.second[place], state.step)
    return torch.stack([saved.joined(pair, state) for pair, state in zip(ends, states, strict=True)])


def _before(ends: Float[Tensor, "2 P"], wanted: Wanted) -> fit.State:
    """Where a fit stands on disk, or its start.

    Raises:
        InputError: If the file holds another curve.
    """
    if not wanted.file.exists():
        return fit.start(ends, wanted.settings.bends)
    before = saved.load(wanted.file)
    if (before.ends, before.settings) != (wanted.ends, wanted.settings):
        raise InputError(f"{wanted.file} holds another curve, of other ends, text or settings; choose another --out")
    return before.state.to(ends.device)


def _fit(
    examples: int,
    ends: Float[Tensor, "pairs 2 P"],
    wanted: Sequence[Wanted],
    state: fit.State,
    value_and_grad: fit.ValueAndGrad,
    report: Callable[[int, float], None],
) -> fit.State:
    """Fit to the last step, saving on the way.

    Raises:
        InputError: If it diverges.
    """
    settings, stretch = wanted[0].settings, 1

    def keep() -> None:
        for place, want in enumerate(wanted):
            own = fit.State(state.inner[place], state.first[place], state.second[place], state.step)
            saved.save(want.file, saved.Saved(want.ends, settings, saved.joined(ends[place], own), own))

    while state.step < settings.steps:
        begin = time.monotonic()
        try:
            state = fit.fit(ends, value_and_grad, examples, settings, state, seed=wanted[0].seed,
                            until=state.step + stretch, report=report)  # fmt: skip
        except InputError:  # it diverged: what is on disk is on the way to that
            for want in wanted:
                want.file.unlink(missing_ok=True)
            raise
        except BaseException:
            keep()
            raise
        seconds = time.monotonic() - begin
        stretch = max(1, round(stretch * min(4.0, SAVE_EVERY / max(seconds, 1e-3))))
        keep()
    return state
