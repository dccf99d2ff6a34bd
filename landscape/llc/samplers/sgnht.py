"""The stochastic-gradient Nose-Hoover thermostat (Ding et al. 2014, NeurIPS, algorithm 2)."""

from __future__ import annotations

from torch import Tensor

from landscape.llc.samplers.state import Dynamics, Noise, Slopes, State, drift
from landscape.shapes import Float

FRICTION = 0.05


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points, at rest, with the thermostat at the friction of the injected noise."""
    return State(points, (points.new_zeros(points.shape), points.new_full(points.shape[:1], FRICTION)))


def step(state: State, slopes: Slopes, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics) -> State:
    """Momentum, position, and a thermostat that holds the mean squared momentum at ``epsilon``.

    ``v <- (1 - xi) v - epsilon * drift + sqrt(2 a epsilon) * normal``, ``w <- w + v``,
    ``xi <- xi + |v|^2 / P - epsilon``: minibatch noise of unknown size is taken up by ``xi``.
    """
    velocity, friction = state.memory
    velocity = velocity * (1 - friction)[:, None]
    step = dynamics.step_size
    velocity.sub_(drift(state.points, slopes, centres, dynamics).mul_(step))
    velocity.add_(noise.normal * (2 * FRICTION * step) ** 0.5)
    friction = friction + (velocity.square() - step).mean(dim=1)
    return State(state.points + velocity, (velocity, friction))


def draw(before: State, slopes: Slopes, after: State) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: those before it."""
    return before.points, slopes.losses
