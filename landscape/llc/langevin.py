"""Chains: draws of a sampler around a checkpoint, all chains at once, and what was seen on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.llc.samplers import KINDS, Dynamics, Noise, Slopes
from landscape.shapes import Float, Int

Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Mean losses at points ``[chains, P]``, each on its own examples ``[chains, batch]``, and the gradients there."""


@dataclass(frozen=True)
class Plan:
    """How chains are run.

    Attributes:
        sampler: A name in ``samplers.KINDS``.
        chains: Independent chains.
        draws: Steps that are kept.
        burn_in: Steps before them, which enter no mean.
        batch: Examples of a step, each chain its own; None is all.
        seed: Of noise and batches.
    """

    sampler: str = "sgld"
    chains: int = 4
    draws: int = 200
    burn_in: int = 200
    batch: int | None = 32
    seed: int = 0


@dataclass(frozen=True)
class Traces:
    """What chains did.

    Attributes:
        losses: Mean loss at the draw of every step, on its own batch.
        distances: Its distance from the centre.
    """

    losses: Float[np.ndarray, "chains steps"]
    distances: Float[np.ndarray, "chains steps"]


def run(centre: Float[Tensor, " P"], slope: Slope, examples: int, dynamics: Dynamics, plan: Plan) -> Traces:
    """Run chains from the centre.

    A chain whose loss is no longer finite goes on as nan, and the others do not feel it.

    Args:
        centre: The checkpoint, or the coordinates of it that move.
        slope: The loss there.
        examples: How many there are to draw batches from.
        dynamics: What is sampled.
        plan: How.
    """
    random = torch.Generator(centre.device).manual_seed(plan.seed)
    kind = KINDS[plan.sampler]
    state = kind.start(centre.repeat(plan.chains, 1))
    losses, distances = [], []
    for _ in range(plan.burn_in + plan.draws):
        chosen = _batches(plan, examples, random)
        found = Slopes(*slope(state.points, chosen))
        noise = Noise(
            torch.randn(state.points.shape, generator=random, dtype=centre.dtype, device=centre.device),
            torch.rand(plan.chains, generator=random, dtype=centre.dtype, device=centre.device),
        )
        after = kind.step(state, found, noise, centre, dynamics)
        at, loss = kind.draw(state, found, after)
        losses.append(loss)
        distances.append(torch.linalg.vector_norm(at - centre, dim=1))
        state = after
    return Traces(*(torch.stack(values, dim=1).double().cpu().numpy() for values in (losses, distances)))


def _batches(plan: Plan, examples: int, random: torch.Generator) -> Int[Tensor, "chains batch"]:
    """Examples of a step: for each chain its own, none twice."""
    if plan.batch is None or plan.batch >= examples:
        return torch.arange(examples, device=random.device).expand(plan.chains, -1)
    order = torch.rand(plan.chains, examples, generator=random, device=random.device)
    return order.topk(plan.batch, dim=1).indices
