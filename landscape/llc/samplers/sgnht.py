"""The stochastic-gradient Nose-Hoover thermostat (Ding et al. 2014, NeurIPS, algorithm 2)."""

from __future__ import annotations

from landscape.llc.samplers.state import Dynamics, LossAndGradient, Noise, State, Tensor, drift, widened
from landscape.shapes import Float

FULL_BATCH = False
EXTRAPOLATES = True
REJECTS = False
STABLE = 4.0
FRICTION = 0.05


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at rest at these points, with the thermostat at the friction of the injected noise."""
    return State(points, (points.new_zeros(points.shape), points.new_full(points.shape[:1], FRICTION)))


def step(
    state: State, value: LossAndGradient, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> State:
    """Momentum, position, and a thermostat that holds the mean squared momentum at ``epsilon``.

    ``v <- (1 - xi) v - epsilon * drift + sqrt(2 a epsilon) * normal``, ``w <- w + v``,
    ``xi <- xi + |v|^2 / P - epsilon``: ``xi`` absorbs minibatch noise of unknown size.

    Args:
        state: Where chains are.
        value: Loss and gradient at its points.
        noise: Randomness of the step.
        centres: Centre of each chain.
        dynamics: Density and step size.
    """
    velocity, friction = state.memory
    velocity = velocity * (1 - friction)[:, None]
    step = dynamics.step_size
    velocity.sub_(drift(state.points, value, centres, dynamics).mul_(step))
    velocity.add_(noise.normal * (2 * FRICTION * step) ** 0.5)
    friction = friction + (velocity.square() - step).mean(dim=1)
    return State(state.points + velocity, (velocity, friction))


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
    """Factor by which the step size may overstate the variance: ``(1 + heat / (2 friction)) / (1 - share)``.

    The thermostat is one for all directions, so noise in one of them heats it by up to ``heat / (2 friction)``.

    Args:
        share: Step size in units of the largest stable one.
        heat: ``step_size n_beta^2`` times the variance of a minibatch's gradient.
        quartic: Whether the loss grows as a fourth power.
    """
    return widened(share, heat / (2 * FRICTION), quartic)


def relaxation_rate(pull: float) -> float:
    """Rate per step at which the variance of flat directions relaxes, for ``pull = step_size localisation``.

    The friction ``a`` damps the velocity, so the rate is ``2 pull / a``, and at most ``a``.
    """
    return min(2 * pull / FRICTION, FRICTION)


def pull_at(rate: float) -> float:
    """The ``step_size localisation`` at which flat directions relax at this rate per step."""
    return rate * (FRICTION / 2)
