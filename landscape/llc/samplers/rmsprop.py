"""SGLD preconditioned by the running size of the gradient (Li et al. 2016, arXiv:1512.07666)."""

from __future__ import annotations

import math

from landscape.llc.samplers.state import Dynamics, LossAndGradient, Noise, State, Tensor, drift
from landscape.shapes import Float

FULL_BATCH = False
EXTRAPOLATES = True
REJECTS = False
STABLE = math.nan
KEPT = 0.99
FLOOR = 0.1
BIAS = 1.15
"""The derivative of the preconditioner is left out; this made the coefficient 5 to 10 % too large."""


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points, with a preconditioner of 1."""
    return State(points, (points.new_full(points.shape, (1 - FLOOR) ** 2),))


def step(
    state: State, value: LossAndGradient, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> State:
    """``w - epsilon / 2 * G * drift + sqrt(epsilon G) * normal`` with ``G = 1 / (sqrt(V) + 0.1)``.

    ``V`` is the running mean of the squared gradient of the mean loss. As in other implementations, the term with the
    derivative of G is left out, so the density is right only as far as G changes slowly.

    Args:
        state: Where chains are.
        value: Loss and gradient at its points.
        noise: Randomness of the step.
        centres: Centre of each chain.
        dynamics: Density and step size.
    """
    (before,) = state.memory
    size = before.lerp(value.gradients.square(), 1 - KEPT)
    scale = size.sqrt().add_(FLOOR).reciprocal_()
    step = scale.mul_(dynamics.step_size)
    moved = state.points.addcmul(step, drift(state.points, value, centres, dynamics), value=-0.5)
    return State(moved.addcmul_(step.sqrt_(), noise.normal), (size,))


def draw(
    before: State, value: LossAndGradient, after: State
) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: those before it.

    Args:
        before: State before the step.
        value: Loss and gradient at its points.
        after: State after the step.
    """
    return before.points, value.losses


def step_bias(share: float, heat: float, quartic: bool) -> float:
    """Factor by which the step may overstate the variance: an allowance that held where it was measured.

    Args:
        share: Not used: the preconditioner sets the scale of the step.
        heat: Not used.
        quartic: Not used.
    """
    return BIAS


def relaxation_rate(pull: float) -> float:
    """Infinite: the steps have another unit, so the settings do not determine a time."""
    return math.inf


def pull_at(rate: float) -> float:
    """0, the ``step_size localisation`` per step: the settings do not determine a smallest pull."""
    return 0.0
