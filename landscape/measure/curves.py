"""Learned curves between two checkpoints: fitted on some text, judged on other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from landscape import paths
from landscape.errors import InputError
from landscape.measure import barriers
from landscape.objectives import Objective
from landscape.paths import fit, saved
from landscape.points import evaluate, gradients
from landscape.profile import adaptive as along
from landscape.profile import paired
from landscape.profile.adaptive import Found, Grid, Profile
from landscape.profile.rows import tables, trapezoid
from landscape.rows import Row
from landscape.session.session import Evaluator, Result, Session
from landscape.shapes import Float, Int
from landscape.space import distance
from landscape.study.tasks import AUTO, Task

SAVE_EVERY = 15.0
"""Seconds after which a fit is saved."""
FINE = 1025
"""Points by which the length of a path is measured."""
TELL_EVERY = 30.0
"""Seconds between two lines on how far a fit is."""
CONTROL = "control"
"""What a path to a random point is called in the column ``path``."""
log = logging.getLogger(__name__)

See = Callable[[list[Tensor], Tensor, Int[np.ndarray, " n"]], Found]
"""Losses and metrics of some examples at the points of some coefficients over anchors."""


@dataclass(frozen=True)
class Wanted:
    """One curve to learn.

    Attributes:
        file: Where it is kept; a fit that was stopped goes on from here.
        ends: Content ids of the ends, and what it is fitted on.
        recipe: How.
        seed: Of batches and positions.
    """

    file: Path
    ends: tuple[str, ...]
    recipe: fit.FitSettings
    seed: int


def run(task: Task, session: Session) -> Result:
    """Rows of ``barrier`` and ``profile`` for a learned curve between each pair of a tile, and for its control."""
    settings: dict[str, Any] = dict(task.settings)
    grid = barriers.grid(settings)
    recipe = fit.FitSettings(settings["path"], settings["bends"], settings["fit_steps"], settings["fit_batch"],
                        settings["fit_parts"], settings["rate"], settings["decay"])  # fmt: skip
    anchors, matching = session.matched(task), settings.get("matching")
    fitted = session.fitting(settings["fitted_on"], untied=session.unties(matching))
    session.buffers.give_common(task.checkpoints, "a learned curve", fitted.model)
    jobs = list(_jobs(task, session, anchors, recipe))
    if not jobs:
        return Result([])
    ends = torch.stack([pair for _, _, pair in jobs])
    wanted = [want for _, want, _ in jobs]
    curves = learn(fitted, ends, wanted, _teller(task.label, len(jobs), recipe.steps))
    evaluator = Evaluator(session, settings["dtype"], task.checkpoints[:1], matching)
    out: list[Row] = []
    losses = []
    for ((i, j), want, _), curve in zip(jobs, curves, strict=True):
        control = want.ends[-1] == CONTROL
        known = None if control else barriers.ends_of((i, j), task, session)
        profile, found, shown = judge(
            evaluator.evaluate, list(curve), recipe.kind, grid, session.objective.examples, known
        )
        pair = barriers.pair(task.checkpoints[i], task.checkpoints[j], settings)
        shared = {**pair, **session.settings(task, evaluator.dtype, evaluator.dtype_error)}
        name: Row = {"curve": f"curves/{want.file.name}", **({"path": CONTROL} if control else {})}
        out += ({**shared, **row, **evaluator.how, **name} for row in found)
        out += ({**shared, **row, **name} for row in shown)
        losses.append(profile.losses)
    return Result(out, np.concatenate(losses).astype(np.float32) if session.keep_losses else None)


def _jobs(
    task: Task, session: Session, anchors: list[Tensor], recipe: fit.FitSettings
) -> Iterator[tuple[tuple[int, int], Wanted, Tensor]]:
    """Pairs of positions with the curves that they want: each its own, and perhaps a control; none for one point."""
    settings: dict[str, Any] = dict(task.settings)
    for i, j in task.pairs:
        a, b = (task.checkpoints[k] for k in (i, j))
        if a.content == b.content:
            log.warning("%s and %s hold the same weights: no curve is learned between them", a.ref, b.ref)
            continue
        ends = torch.stack([anchors[i], anchors[j]])
        ids = (a.content, b.content, settings["fitted_on"], str(settings["seed"]))
        moved = task.needs[len(task.checkpoints) :]  # the ends are others then
        folder = session.store.folder / "curves"
        for more in ((), (CONTROL,)) if settings["control"] else ((),):
            more = (*(key[:12] for key in moved), *more)
            key = "_".join([*(part[:12] for part in ids[:3]), str(settings["seed"]), saved.key(recipe), *more])
            here = fit.controls(ends.cpu(), settings["seed"]).to(ends.device) if CONTROL in more else ends
            yield (i, j), Wanted(folder / f"{key}.safetensors", (*ids, *more), recipe, settings["seed"]), here


def _teller(label: str, paths: int, steps: int) -> Callable[[int, float], None]:
    """Says now and then how far the fits of a task are."""
    done, last = 0, time.monotonic()

    def tell(step: int, loss: float) -> None:
        nonlocal done, last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            log.info("%s: path %d of %d, step %d of %d, loss %.3f", label, done + 1, paths, step + 1, steps, loss)
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
        wanted: Which curves; of one recipe and seed.
        report: Called with each step and its loss.

    Raises:
        InputError: If a file holds another curve.
    """
    recipe = wanted[0].recipe
    states = [_before(pair, want) for pair, want in zip(ends, wanted, strict=True)]
    open_ones = [n for n, state in enumerate(states) if state.step < recipe.steps]
    kind: Literal["loop", "vmap"] = "loop"
    if len(open_ones) > 1:
        some = torch.arange(min(recipe.batch, 32, objective.examples))
        kind = gradients.loop_or_vmap(objective, ends[open_ones, 0], some, recipe.steps)
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
        return fit.start(ends, wanted.recipe.bends)
    before = saved.load(wanted.file)
    if (before.ends, before.settings) != (wanted.ends, wanted.recipe):
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
    recipe, stretch = wanted[0].recipe, 1

    def keep() -> None:
        for place, want in enumerate(wanted):
            own = fit.State(state.inner[place], state.first[place], state.second[place], state.step)
            saved.save(want.file, saved.Saved(want.ends, recipe, saved.joined(ends[place], own), own))

    while state.step < recipe.steps:
        begin = time.monotonic()
        try:
            state = fit.fit(ends, value_and_grad, examples, recipe, state, seed=wanted[0].seed,
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


def looking(objective: Objective) -> See:
    """What evaluates points of an objective on some of its examples, by the strategy that is fastest here.

    What it gives raises an ``InputError`` where a loss is not finite.
    """
    search = evaluate.tuner(objective, AUTO * objective.examples)

    def see(anchors: list[Tensor], rows: Tensor, examples: Int[np.ndarray, " n"]) -> Found:
        part = objective.take(torch.from_numpy(examples))
        values = evaluate.evaluate(part, anchors, rows, strategy=search)
        arrays = {name: value.double().numpy() for name, value in values.items()}
        if bad := int((~np.isfinite(arrays["loss"])).any(axis=1).sum()):
            raise InputError(f"the loss is not finite at {bad} of {len(rows)} points of the path")
        return arrays.pop("loss"), arrays

    return see


def judge(
    see: See,
    anchors: list[Tensor],
    kind: str,
    grid: Grid,
    examples: int,
    ends: along.Path | None = None,
) -> tuple[Profile, list[Row], list[Row]]:
    """A path on held-out examples: a ``barrier`` row for each definition, a ``profile`` row for each t shown.

    Beside what all paths have, a row has the path's length, the distance of its ends, and the arc-length-weighted mean
    loss along it, ``int L ds / int ds``, with its standard error.

    Args:
        see: Evaluates points on examples that the path was not fitted on.
        anchors: The path's anchors.
        kind: Kind of path.
        grid: Where and how well to look.
        examples: How many there are.
        ends: What was measured at the ends, where it is known.
    """
    everything = np.arange(examples)

    def rows(times: list[float]) -> Tensor:
        return paths.kind(kind).coefficients(torch.tensor(times, dtype=torch.float64), anchors, ())

    if ends is None:
        known, metrics = see(anchors, rows([0.0, 1.0]), everything)
        ends = along.Path(known, {name: values.mean(axis=1) for name, values in metrics.items()})
    path = replace(ends, pieces=paths.kind(kind).pieces(len(anchors)))
    (profile,) = along.profiles([path], lambda wanted, some: see(anchors, rows([t for _, t in wanted]), some), grid)
    found, shown = tables(profile, grid)
    shared = {
        "path": kind if len(anchors) > 2 else "linear",
        "bends": len(anchors) - 2,
        **_shape(profile, anchors, kind),
    }
    return profile, [{**row, **shared} for row in found], [{**row, "path": shared["path"]} for row in shown]


def _shape(profile: Profile, anchors: list[Tensor], kind: str) -> Row:
    """Length of a path, and its mean loss by arc length."""
    coefficients = paths.kind(kind).coefficients
    t = torch.linspace(0, 1, FINE, dtype=torch.float64)
    length = _steps(anchors, coefficients(t, anchors, ())).sum()
    steps = _steps(anchors, coefficients(torch.from_numpy(profile.interpolation.t), anchors, ()))
    weights = trapezoid(steps)[None] / steps.sum()
    found = paired.functionals(weights, profile.t, profile.losses, profile.interpolation)
    return {
        "path_length": float(length),
        "distance": distance(anchors[0], anchors[-1]),
        "arc_mean_loss": float(found.value[0]),
        "arc_mean_loss_error": float(found.error[0]),
    }


def _steps(anchors: list[Tensor], rows: Float[Tensor, "t anchors"]) -> Float[np.ndarray, " steps"]:
    """Distances from each point of a path to the next, by way of the anchors' inner products."""
    away = [(anchor - anchors[0]).double() for anchor in anchors]
    gram = torch.tensor([[float(a @ b) for b in away] for a in away], dtype=torch.float64)
    moves = rows[1:] - rows[:-1]
    return torch.einsum("ti,ij,tj->t", moves, gram, moves).clamp(min=0).sqrt().numpy()
