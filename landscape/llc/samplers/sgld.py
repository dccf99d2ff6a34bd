"""Stochastic-gradient Langevin dynamics (Welling and Teh 2011), localised (Lau et al. 2023, arXiv:2308.12108)."""

from __future__ import annotations

from landscape.llc.samplers.state import Dynamics, LossAndGradient, Noise, State, Tensor, drift, widened
from landscape.shapes import Float

FULL_BATCH = False
EXTRAPOLATES = True
REJECTS = False
STABLE = 4.0


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points."""
    return State(points)


def step(
    state: State, value: LossAndGradient, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> State:
    """``w - epsilon / 2 * drift + sqrt(epsilon) * normal``.

    Args:
        state: Where chains are.
        value: Loss and gradient at its points.
        noise: Randomness of the step.
        centres: Centre of each chain.
        dynamics: Density and step size.
    """
    step = dynamics.step_size
    moved = drift(state.points, value, centres, dynamics).mul_(step / -2).add_(state.points)
    return State(moved.add_(noise.normal * step**0.5))


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
    """Factor by which the step size overstates the variance: ``(1 + heat / 4) / (1 - share)``.

    Exact on a quadratic of curvature h. With ``kappa = n_beta h + localisation`` the stationary variance is
    ``1 / (kappa (1 - epsilon kappa / 4))``: too wide by the second factor, and unstable from ``epsilon kappa = 4``.

    Args:
        share: Step size in units of the largest stable one.
        heat: ``step_size n_beta^2`` times the variance of a minibatch's gradient.
        quartic: Whether the loss grows as a fourth power.
    """
    return widened(share, heat / 4, quartic)


def relaxation_rate(pull: float) -> float:
    """Rate per step at which the variance of flat directions relaxes, for ``pull = step_size localisation``."""
    return pull


def pull_at(rate: float) -> float:
    """The ``step_size localisation`` at which flat directions relax at this rate per step."""
    return rate
