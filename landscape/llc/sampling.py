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
from landscape.llc import curvature, engines, langevin, samplers
from landscape.llc.curvature import Sharpness
from landscape.llc.engines import Engine
from landscape.llc.langevin import Plan, Traces, ValueAndGrad
from landscape.llc.parameters import chosen
from landscape.llc.samplers import Dynamics
from landscape.llc.settings import ChainSettings
from landscape.objectives import Objective
from landscape.objectives.objective import norms
from landscape.points import gradients
from landscape.shapes import Float, Int

AT_ONCE = 128
"""Examples per pass where batches are all examples."""
PASSES = 8
"""Passes over all examples that are averaged for the baseline with dropout on."""
GLANCE, GLANCED = 0.15, 32
"""Residual of the top eigenvector and number of examples at the end of a chain: an error of a tenth or two of the
eigenvalue is acceptable there."""
STEEPER = 2.0
"""Largest ratio of the automatic step to that of the curvature at the end of a chain; at two its bias is 1.25."""
SHORTER = 4.0
"""Factor by which the automatic step is divided after a chain diverged."""
TRIES = 10
"""Largest number of runs of a chain, each with a shorter step."""


def plan(settings: ChainSettings, examples: int) -> Plan:
    """Sampler and numbers of steps for a number of examples.

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


@dataclass(frozen=True)
class _Chains:
    """All chains of a call: their objective, centres, step sizes and seeds, a row per chain."""

    objective: Objective
    settings: ChainSettings
    plan: Plan
    points: Sequence[Float[Tensor, " P"]]
    which: Sequence[int]
    step_sizes: Sequence[float]
    seeds: Sequence[tuple[int, ...]]
    moving: Int[Tensor, " moving"] | None

    @property
    def at_once(self) -> int:
        """Examples per pass."""
        return self.plan.batch or AT_ONCE

    @property
    def one_by_one(self) -> bool:
        """Whether chains have to run one after the other, or are so large that they should."""
        count = len(self.which)
        large = count * len(self.points[0]) > engines.LARGE
        return count == 1 or large or self.settings.mode == "training" or bool(self.objective.statistics)

    def full(self, rows: slice) -> Float[Tensor, "rows P"]:
        """The checkpoints of some chains."""
        return torch.stack([self.points[number] for number in self.which[rows]])

    def batch(self, rows: int) -> Int[Tensor, "rows batch"]:
        """Examples of a step, of the size of all steps."""
        count = self.plan.batch or self.objective.examples
        return torch.arange(count, device=self.points[0].device).expand(rows, -1)

    def run(self, rows: slice, value_and_grad: ValueAndGrad | None = None) -> Traces:
        """Run some chains in one batch; without a function, by one loop over them."""
        full, n = self.full(rows), self.objective.examples
        centres = full if self.moving is None else full[:, self.moving]
        sizes = torch.tensor(self.step_sizes[rows], dtype=full.dtype, device=full.device)[:, None]
        with mode(self.objective, training=self.settings.mode == "training", seed=self.seeds[rows][0]):
            value_and_grad = value_and_grad or engines.value_and_grad(
                "loop", self.objective, full, self.moving, self.batch(len(full)), self.at_once
            )
            n_beta = inverse_temperature(self.settings, n)
            dynamics = Dynamics(n_beta=n_beta, localisation=self.settings.localisation, step_size=sizes)
            return langevin.run(centres, value_and_grad, n, dynamics, self.plan, self.seeds[rows])


def sample(
    objective: Objective,
    points: Sequence[Float[Tensor, " P"]],
    settings: ChainSettings,
    step_sizes: Sequence[float],
    *,
    chains: Sequence[int] | None = None,
    halved: bool = False,
    engine: Engine | None = None,
) -> tuple[Traces, str]:
    """Chains around checkpoints.

    Args:
        objective: The loss.
        points: The checkpoints.
        settings: Settings of the chains.
        step_sizes: Step size at each checkpoint.
        chains: Numbers of the chains to run; None is all.
        halved: Take half of each step size and twice as many steps.
        engine: How chains are run; None is chosen by timing.

    Returns:
        Traces, with the chains of a checkpoint in sequence; and how they were run, in words.
    """
    times = 2 if halved else 1
    todo = plan(settings, objective.examples)
    todo = replace(todo, draws=times * todo.draws, burn_in=times * todo.burn_in, keep=times * todo.keep)
    numbers = list(range(settings.chains) if chains is None else chains)
    which = [k for k in range(len(points)) for _ in numbers]
    seeds = [(settings.seed, number, int(halved)) for _ in points for number in numbers]
    moving = chosen(objective.model, objective.space, settings.parameters)
    every, function = slice(None), None
    batch = _Chains(
        objective, settings, todo, points, which, [step_sizes[k] / times for k in which], seeds,
        None if moving is None else moving.to(points[0].device),
    )  # fmt: skip
    about = (objective, batch.full(every), batch.moving, batch.batch(len(which)), batch.at_once)
    if engine is None and not batch.one_by_one:
        engine, function = engines.fastest(*about, todo.draws + todo.burn_in)
    elif engine in ("vmap", "recorded"):
        function = engines.value_and_grad(engine, *about)
    if engine in (None, "loop"):
        return joined([batch.run(slice(k, k + 1)) for k in range(len(which))]), "one chain after the other"
    return batch.run(every, function), f"{len(which)} chains at once{', recorded' if engine == 'recorded' else ''}"


@dataclass(frozen=True)
class Chain:
    """What is known of a chain besides its traces.

    Attributes:
        step_size: Its step size, before any halving.
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
    chain that diverged, or ended where its step is too large, is run again with a shorter step. Each chain decides this
    from its own end, so it is the same chain whichever others run with it.

    Args:
        objective: The loss.
        points: The checkpoints.
        settings: Settings of the chains.
        sharp: Largest curvature at each checkpoint; None where the step size is given.
        chains: As for :func:`sample`.
        halved: As for :func:`sample`.

    Returns:
        Traces and what is known of each chain, with the chains of a checkpoint in sequence; and how they were run.
    """
    n_beta = inverse_temperature(settings, objective.examples)
    numbers = list(range(settings.chains) if chains is None else chains)
    fixed = None if settings.step_size == "auto" else settings.step_size
    sizes = [fixed or curvature.step_size(h or 0.0, n_beta, settings.localisation) for h in sharp]
    traces, how = sample(objective, points, settings, sizes, chains=numbers, halved=halved)
    ran, parts = list[Chain](), list[Traces]()
    for row, (k, number) in enumerate((k, number) for k in range(len(points)) for number in numbers):
        own, size = traces.only(row), sizes[k]
        seen = _sharpness_at_end(objective, points[k], own, settings)
        for _ in range(TRIES - 1):
            wanted = curvature.step_size(seen.curvature, n_beta, settings.localisation)
            if fixed or size <= STEEPER * wanted:
                break
            size = size / SHORTER if math.isnan(wanted) else wanted
            own, _ = sample(objective, [points[k]], settings, [size], chains=[number], halved=halved)
            seen = _sharpness_at_end(objective, points[k], own, settings)
        ran.append(Chain(size, seen))
        parts.append(own)
    return joined(parts), ran, how


def _sharpness_at_end(
    objective: Objective, point: Float[Tensor, " P"], own: Traces, settings: ChainSettings
) -> Sharpness:
    """The top Hessian eigenvector at the end of a chain; nan if it diverged, or if no step of it was accepted."""
    end = own.ends[0]
    stuck = samplers.load(settings.sampler).REJECTS and np.ptp(own.losses) == 0
    if stuck or not np.isfinite(own.losses).all() or not bool(torch.isfinite(end).all()):
        return Sharpness(curvature=math.nan, variance=math.nan, parameters=len(end))
    moving = chosen(objective.model, objective.space, settings.parameters)
    full = end if moving is None else point.index_copy(0, moving.to(point.device), end)
    return curvature.sharpness(
        objective, full, settings.parameters, seed=settings.seed, tolerance=GLANCE, count=GLANCED
    )


def joined(parts: Sequence[Traces]) -> Traces:
    """Traces of several sets of chains as one."""
    return Traces(
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.distances for part in parts]),
        torch.cat([part.points for part in parts]),
        torch.cat([part.ends for part in parts]),
    )


def baseline(objective: Objective, point: Float[Tensor, " P"], settings: ChainSettings) -> float:
    """Loss of the checkpoint over all examples, in the mode of the chains and in the units of the objective.

    Args:
        objective: The loss.
        point: The checkpoint.
        settings: Settings of the chains.
    """
    everything = torch.arange(objective.examples)
    if settings.mode == "evaluation":
        return gradients.value_and_grad(objective, point, everything, names=frozenset())[0]
    with mode(objective, training=True, seed=(settings.seed,)):
        passes = [gradients.value_and_grad(objective, point, everything, names=frozenset())[0] for _ in range(PASSES)]
    return sum(passes) / PASSES


@contextmanager
def mode(objective: Objective, *, training: bool, seed: Sequence[int]) -> Generator[None]:
    """Within this, dropout is on if ``training``, with its noise decided by the seed; norms are not touched.

    Args:
        objective: Whose model is changed for the time.
        training: Whether dropout is on.
        seed: Seed of its noise.
    """
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
