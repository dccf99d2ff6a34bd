"""Chains: draws of a sampler around checkpoints, with their losses and distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Generator, Tensor

from landscape.llc import samplers
from landscape.llc.samplers import Dynamics, LossAndGradient, Noise
from landscape.shapes import Float, Int

ValueAndGrad = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Mean losses at points ``[chains, P]``, each on its own examples ``[chains, batch]``, and the gradients there."""
Seed = tuple[int, ...]

AHEAD = 16_384
"""Random numbers that a chain draws at once, because single calls would dominate the time of small chains."""
CUT = 64
"""Steps whose random numbers are split at once, so that short chains do not split what they never use."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How chains are run.

    Attributes:
        sampler: A name in ``catalogue.SAMPLERS``.
        draws: Steps per chain that are kept.
        burn_in: Steps before them, which are discarded.
        batch: Examples per step, drawn for each chain on its own; None is all.
        keep: Points are kept of every n-th draw; 0 keeps none.
    """

    sampler: str = "sgld"
    draws: int = 200
    burn_in: int = 200
    batch: int | None = 32
    keep: int = 0


@dataclass(frozen=True)
class Traces:
    """Traces of chains.

    Attributes:
        losses: Mean loss at the draw of every step, on the batch of that step.
        distances: Euclidean distance of the draw from the centre.
        points: Kept draws.
        ends: The last draw of each chain.
    """

    losses: Float[np.ndarray, "chains steps"]
    distances: Float[np.ndarray, "chains steps"]
    points: Float[Tensor, "chains kept P"]
    ends: Float[Tensor, "chains P"]

    def only(self, chain: int) -> Traces:
        """Traces of one chain."""
        one = slice(chain, chain + 1)
        return Traces(self.losses[one], self.distances[one], self.points[one], self.ends[one])


def run(
    centres: Float[Tensor, "chains P"],
    value_and_grad: ValueAndGrad,
    examples: int,
    dynamics: Dynamics,
    plan: Plan,
    seeds: Sequence[Seed],
) -> Traces:
    """Run chains, each from its own centre and with its own random numbers.

    A chain is the same, up to rounding, whichever others run with it: one after the other, all at once, or in several
    processes. A chain whose loss is no longer finite continues as nan.

    Args:
        centres: The checkpoint of each chain, or those of its coordinates that move.
        value_and_grad: Loss and gradient at points.
        examples: Number of examples to draw batches from.
        dynamics: Density and step size.
        plan: Sampler and numbers of steps.
        seeds: Seed of the noise and the batches of each chain.
    """
    chains, size = centres.shape
    steps = _streams(centres, examples, plan.batch, seeds)
    sampler = samplers.load(plan.sampler)
    state = sampler.start(centres.clone())
    losses, distances, points, at = [], [], [], centres
    for number in range(plan.burn_in + plan.draws):
        batches, noise = next(steps)
        value = LossAndGradient(*value_and_grad(state.points, batches))
        after = sampler.step(state, value, noise, centres, dynamics)
        at, loss = sampler.draw(state, value, after)
        losses.append(loss)
        distances.append(torch.linalg.vector_norm(at - centres, dim=1))
        if plan.keep and number >= plan.burn_in and (number - plan.burn_in) % plan.keep == plan.keep - 1:
            points.append(at.cpu())
        state = after
    seen = [torch.stack(values, dim=1).double().cpu().numpy() for values in (losses, distances)]
    kept = torch.stack(points, dim=1) if points else centres.new_empty(chains, 0, size)
    return Traces(seen[0], seen[1], kept, at)


def _streams(
    like: Float[Tensor, "chains P"], examples: int, batch: int | None, seeds: Sequence[Seed]
) -> Iterator[tuple[Int[Tensor, "chains batch"], Noise]]:
    """Batches and noise, step by step."""
    chains, size = like.shape
    whole = batch is None or batch >= examples
    batches: Iterator[Tensor] = repeat(torch.arange(examples, device=like.device).expand(chains, -1))
    if not whole:
        batches = _batches(examples, batch or examples, seeds, like.device)

    def ahead(purpose: int, draw: Callable[[int, Generator], Tensor], width: int) -> Iterator[Tensor]:
        generators = []
        for seed in seeds:
            low, high = np.random.SeedSequence((*seed, purpose)).generate_state(2).tolist()
            generators.append(Generator(like.device).manual_seed(low + (high << 31)))
        block = max(1, AHEAD // width)
        while True:
            drawn = [draw(block, generator) for generator in generators]
            joined = torch.stack(drawn, dim=1) if chains > 1 else drawn[0].unsqueeze(1)
            for part in torch.split(joined, CUT):
                yield from part

    normal = ahead(
        0, lambda count, g: torch.randn(count, size, generator=g, dtype=like.dtype, device=like.device), size
    )
    uniform = ahead(1, lambda count, g: torch.rand(count, generator=g, dtype=like.dtype, device=like.device), 1)
    while True:
        yield next(batches), Noise(next(normal), next(uniform))


def _batches(
    examples: int, batch: int, seeds: Sequence[Seed], device: torch.device
) -> Iterator[Int[Tensor, "chains batch"]]:
    """Batches of each chain, drawn without replacement; the same on every device."""
    generators = [np.random.default_rng((*seed, 2)) for seed in seeds]
    while True:
        drawn = np.stack([g.choice(examples, batch, replace=False, shuffle=False) for g in generators])
        yield torch.from_numpy(drawn).to(device, non_blocking=True)
