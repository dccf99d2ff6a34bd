"""From checkpoints and settings to traces: which engine, which coordinates, which mode."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.llc import curvature, engines, langevin
from landscape.llc.curvature import Sharpness
from landscape.llc.engines import Kind
from landscape.llc.langevin import Plan, Slope, Traces
from landscape.llc.parameters import chosen
from landscape.llc.samplers import Dynamics
from landscape.llc.settings import ChainSettings
from landscape.objectives import Objective
from landscape.objectives.objective import norms
from landscape.points import gradients
from landscape.shapes import Float, Int

AT_ONCE = 128
"""Examples in one pass where batches are all examples."""
PASSES = 8
"""Passes over all examples that are averaged for the baseline where dropout is on."""
GLANCE = {"iterations": 10, "count": 32}
"""How the curvature is taken at the end of a chain: within a tenth or two is enough there."""
STEEPER = 2.0
"""How many times the automatic step may be that of the curvature where the chain is; at two its bias is 1.25."""
SHORTER = 4.0
"""By what the automatic step is divided where a chain diverged."""
TRIES = 10
"""Runs of a chain at most, each of a shorter step."""


def plan(settings: ChainSettings, examples: int) -> Plan:
    """How chains are run on so many examples.

    Raises:
        InputError: If a batch is larger than the data.
    """
    batch = None if settings.batch == "all" else settings.batch
    if batch is not None and batch > examples:
        raise InputError(
            f"a batch of {batch} examples is wanted and there are {examples}; lower batch or give more data"
        )
    return Plan(
        sampler=settings.sampler, draws=settings.draws, burn_in=settings.burn_in, batch=batch, keep=settings.keep_draws
    )


def inverse_temperature(settings: ChainSettings, examples: int) -> float:
    """``n_beta`` by number or by name: ``log_n`` is n / ln n of all examples, ``log_batch`` of a batch."""
    if isinstance(settings.n_beta, str):
        count = examples if settings.n_beta == "log_n" or settings.batch == "all" else settings.batch
        return count / math.log(count)
    return settings.n_beta


def sample(
    objective: Objective,
    points: Sequence[Float[Tensor, " P"]],
    settings: ChainSettings,
    step_sizes: Sequence[float],
    *,
    chains: Sequence[int] | None = None,
    halved: bool = False,
    kind: Kind | None = None,
) -> tuple[Traces, str]:
    """Chains around checkpoints.

    Args:
        objective: The loss.
        points: The checkpoints.
        settings: How.
        step_sizes: Of each checkpoint.
        chains: Which of the chains; None is all.
        halved: Take half of each step size and twice as many steps.
        kind: Chains one after the other, or all in one batch; None is by the clock.

    Returns:
        Traces, the chains of a checkpoint together; and how they were run.
    """
    times, n = 2 if halved else 1, objective.examples
    todo = plan(settings, n)
    todo = replace(todo, draws=times * todo.draws, burn_in=times * todo.burn_in, keep=times * todo.keep)
    numbers = list(range(settings.chains) if chains is None else chains)
    which = [place for place in range(len(points)) for _ in numbers]
    seeds = [(settings.seed, number, int(halved)) for _ in points for number in numbers]
    steps = [step_sizes[place] / times for place in which]
    device, at_once = points[0].device, todo.batch or AT_ONCE
    moving = chosen(objective.model, objective.space, settings.parameters)
    moving = None if moving is None else moving.to(device)
    n_beta, dropout = inverse_temperature(settings, n), settings.mode == "training"

    def batch_of(rows: int) -> Int[Tensor, "rows batch"]:
        return torch.arange(todo.batch or n, device=device).expand(rows, -1)

    def full(rows: slice) -> Float[Tensor, "rows P"]:
        return torch.stack([points[place] for place in which[rows]])

    def together(rows: slice, slope: Slope | None = None) -> Traces:
        here = full(rows)
        centres = here if moving is None else here[:, moving]
        sizes = torch.tensor(steps[rows], dtype=here.dtype, device=device)[:, None]
        with mode(objective, training=dropout, seed=seeds[rows][0]):
            slope = slope or engines.slope("loop", objective, here, moving, batch_of(len(here)), at_once)
            dynamics = Dynamics(n_beta=n_beta, localisation=settings.localisation, step_size=sizes)
            return langevin.run(centres, slope, n, dynamics, todo, seeds[rows])

    every, slope = slice(None), None
    alone = len(which) == 1 or len(which) * len(points[0]) > engines.LARGE or dropout or bool(objective.statistics)
    if kind is None and not alone:
        length = todo.draws + todo.burn_in
        kind, slope = engines.choose(objective, full(every), moving, batch_of(len(which)), at_once, length)
    elif kind in ("vmap", "recorded"):
        slope = engines.slope(kind, objective, full(every), moving, batch_of(len(which)), at_once)
    if kind in (None, "loop"):
        return joined([together(slice(row, row + 1)) for row in range(len(which))]), "one chain after the other"
    return together(every, slope), f"{len(which)} chains at once{', recorded' if kind == 'recorded' else ''}"


@dataclass(frozen=True)
class Chain:
    """Where a chain was, beside its traces.

    Attributes:
        step_size: With which it was run, before any halving.
        sharp: The top Hessian eigenvector at its last draw; nan if it diverged or never moved.
    """

    step_size: float
    sharp: Sharpness


def sample_checked(
    objective: Objective,
    points: Sequence[Float[Tensor, " P"]],
    settings: ChainSettings,
    sharp: Sequence[float | None],
    *,
    chains: Sequence[int] | None = None,
    halved: bool = False,
) -> tuple[Traces, list[Chain], str]:
    """Chains around checkpoints, with the curvature where they ended.

    Where the curvature grows away from the checkpoint, as at a degenerate minimum, the automatic step is too large. A
    chain that diverged or ended where the step is too large is then run again with a shorter one, each chain by what
    it saw itself: so it is the same chain, whichever others run beside it.

    Args:
        objective: The loss.
        points: The checkpoints.
        settings: How.
        sharp: The largest curvature of each; None where the step size is given.
        chains: As for :func:`sample`.
        halved: As for :func:`sample`.

    Returns:
        Traces, and what is known of each chain, those of a checkpoint together; and how they were run.
    """
    n_beta = inverse_temperature(settings, objective.examples)
    numbers = list(range(settings.chains) if chains is None else chains)
    fixed = None if settings.step_size == "auto" else settings.step_size
    sizes = [fixed or curvature.step_size(h or 0.0, n_beta, settings.localisation) for h in sharp]
    traces, how = sample(objective, points, settings, sizes, chains=numbers, halved=halved)
    found, parts = list[Chain](), list[Traces]()
    for row, (place, number) in enumerate((place, number) for place in range(len(points)) for number in numbers):
        own, size = traces.only(row), sizes[place]
        seen = _seen(objective, points[place], own, settings)
        for _ in range(TRIES - 1):
            wanted = curvature.step_size(seen.curvature, n_beta, settings.localisation)
            if fixed or size <= STEEPER * wanted:
                break
            size = size / SHORTER if math.isnan(wanted) else wanted
            own, _ = sample(objective, [points[place]], settings, [size], chains=[number], halved=halved)
            seen = _seen(objective, points[place], own, settings)
        found.append(Chain(size, seen))
        parts.append(own)
    return joined(parts), found, how


def _seen(objective: Objective, point: Float[Tensor, " P"], own: Traces, settings: ChainSettings) -> Sharpness:
    """The top Hessian eigenvector at the end of a chain; nan if it diverged, or if no step of it was accepted."""
    end = own.ends[0]
    stuck = settings.sampler == "mala" and np.ptp(own.losses) == 0
    if stuck or not np.isfinite(own.losses).all() or not bool(torch.isfinite(end).all()):
        return Sharpness(curvature=math.nan, variance=math.nan, parameters=len(end))
    moving = chosen(objective.model, objective.space, settings.parameters)
    full = end if moving is None else point.index_copy(0, moving.to(point.device), end)
    return curvature.sharpness(objective, full, settings.parameters, seed=settings.seed, **GLANCE)


def joined(parts: Sequence[Traces]) -> Traces:
    """Traces of some chains, and of some more."""
    return Traces(
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.distances for part in parts]),
        torch.cat([part.points for part in parts]),
        torch.cat([part.ends for part in parts]),
    )


def baseline(objective: Objective, point: Float[Tensor, " P"], settings: ChainSettings) -> float:
    """Loss of the checkpoint over all examples, in the mode of the chains."""
    everything = torch.arange(objective.examples)
    if settings.mode == "evaluation":
        return gradients.slope(objective, point, everything, names=frozenset())[0]
    with mode(objective, training=True, seed=(settings.seed,)):
        passes = [gradients.slope(objective, point, everything, names=frozenset())[0] for _ in range(PASSES)]
    return sum(passes) / PASSES


@contextmanager
def mode(objective: Objective, *, training: bool, seed: Sequence[int]) -> Generator[None]:
    """With ``training``: dropout on, and its noise decided by the seed; norms keep to what the objective says."""
    if not training:
        yield
        return
    still = set(norms(objective.model).values())
    moved = [module for module in objective.model.modules() if module not in still]
    device = next(iter(objective.batch.values())).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence(tuple(seed)).generate_state(1)[0]))
        for module in moved:
            module.training = True
        try:
            yield
        finally:
            objective.model.eval()
