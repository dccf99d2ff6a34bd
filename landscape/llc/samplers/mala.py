"""Langevin steps that are accepted or not (Roberts and Tweedie 1996): exact at any step size, on full batches."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.llc.samplers.state import Dynamics, Noise, Slopes, State, drift
from landscape.shapes import Float


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points, nothing accepted yet."""
    nothing = points.new_full(points.shape[:1], torch.inf)
    return State(points, (points.clone(), torch.zeros_like(points), nothing, nothing, torch.zeros_like(nothing)))


def step(state: State, slopes: Slopes, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics) -> State:
    """Accept what was proposed, or stay; then propose anew from there.

    A state's points are proposals; what was accepted last, its drift, energy and loss, and the chance of the last
    acceptance are the memory. The loss must be that of all examples, or nothing is exact.
    """
    at, before, energy, loss, _ = state.memory
    here = drift(state.points, slopes, centres, dynamics)
    away = (state.points - centres).square().sum(dim=1)
    new = dynamics.n_beta * slopes.losses + dynamics.localisation / 2 * away
    step = dynamics.step_size
    there, back = state.points - at + step / 2 * before, at - state.points + step / 2 * here
    turn = ((there.square() - back.square()) / (2 * step)).sum(dim=1)
    chance = (energy - new + turn).exp().clamp(max=1).nan_to_num(nan=0.0)
    taken = noise.uniform < chance
    at = torch.where(taken[:, None], state.points, at)
    before = torch.where(taken[:, None], here, before)
    proposal = at - step / 2 * before + noise.normal * step**0.5
    return State(
        proposal, (at, before, torch.where(taken, new, energy), torch.where(taken, slopes.losses, loss), chance)
    )


def draw(before: State, slopes: Slopes, after: State) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: what was accepted last."""
    return after.memory[0], after.memory[3]
