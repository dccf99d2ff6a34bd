"""Metropolis-adjusted Langevin steps (Roberts and Tweedie 1996): exact at any step size, on full batches."""

from __future__ import annotations

import math

from landscape.llc.samplers.state import Dynamics, LossAndGradient, Noise, State, Tensor, drift
from landscape.shapes import Float

FULL_BATCH = True
EXTRAPOLATES = False
REJECTS = True
STABLE = math.inf


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points, with nothing accepted yet."""
    nothing = points.new_full(points.shape[:1], math.inf)
    nowhere = points.new_zeros(points.shape)
    return State(points, (points.clone(), nowhere, nothing, nothing, points.new_zeros(points.shape[:1])))


def step(
    state: State, value: LossAndGradient, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> State:
    """Accept the proposal or stay, then make a new proposal from there.

    The points of a state are proposals. Its memory holds the last accepted points, their drift, energy and loss, and
    the probability of the last acceptance. The loss must be that of all examples; otherwise nothing is exact.

    Args:
        state: Proposals and memory.
        value: Loss and gradient at the proposals.
        noise: Randomness of the step.
        centres: Centre of each chain.
        dynamics: Density and step size.
    """
    at, before, energy, loss, _ = state.memory
    here = drift(state.points, value, centres, dynamics)
    away = (state.points - centres).square().sum(dim=1)
    new = dynamics.n_beta * value.losses + dynamics.localisation / 2 * away
    step = dynamics.step_size
    there, back = state.points - at + step / 2 * before, at - state.points + step / 2 * here
    turn = ((there.square() - back.square()) / (2 * step)).sum(dim=1)
    chance = (energy - new + turn).exp().clamp(max=1).nan_to_num(nan=0.0)
    taken = noise.uniform < chance
    at = state.points.where(taken[:, None], at)
    before = here.where(taken[:, None], before)
    proposal = at - step / 2 * before + noise.normal * step**0.5
    return State(proposal, (at, before, new.where(taken, energy), value.losses.where(taken, loss), chance))


def draw(
    before: State, value: LossAndGradient, after: State
) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: those last accepted.

    Args:
        before: State before the step.
        value: Loss and gradient at its points.
        after: State after the step.
    """
    return after.memory[0], after.memory[3]


def step_bias(share: float, heat: float, quartic: bool) -> float:
    """1: accepting or rejecting removes the bias.

    Args:
        share: Not used.
        heat: Not used.
        quartic: Not used.
    """
    return 1.0


def relaxation_rate(pull: float) -> float:
    """Rate per step at which the variance of flat directions relaxes, for ``pull = step_size localisation``."""
    return pull


def pull_at(rate: float) -> float:
    """The ``step_size localisation`` at which flat directions relax at this rate per step."""
    return rate
