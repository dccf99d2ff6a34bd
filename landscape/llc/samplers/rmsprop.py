"""SGLD preconditioned by the running size of the gradient (Li et al. 2016, arXiv:1512.07666)."""

from __future__ import annotations

from torch import Tensor

from landscape.llc.samplers.state import Dynamics, Noise, Slopes, State, drift
from landscape.shapes import Float

KEPT = 0.99
FLOOR = 0.1


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points, with a preconditioner of 1."""
    return State(points, (points.new_full(points.shape, (1 - FLOOR) ** 2),))


def step(state: State, slopes: Slopes, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics) -> State:
    """``w - epsilon / 2 * G * drift + sqrt(epsilon G) * normal`` with ``G = 1 / (sqrt(V) + 0.1)``.

    ``V`` is the running mean of the squared gradient of the mean loss. As others do, the term of the derivative of G is
    left out: G changes slowly, and the density is right only as far as it does.
    """
    (before,) = state.memory
    size = before.lerp(slopes.gradients.square(), 1 - KEPT)
    scale = size.sqrt().add_(FLOOR).reciprocal_()
    step = scale.mul_(dynamics.step_size)
    moved = state.points.addcmul(step, drift(state.points, slopes, centres, dynamics), value=-0.5)
    return State(moved.addcmul_(step.sqrt_(), noise.normal), (size,))


def draw(before: State, slopes: Slopes, after: State) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: those before it."""
    return before.points, slopes.losses
