"""Stochastic-gradient Langevin dynamics (Welling and Teh 2011), localised (Lau et al. 2023, arXiv:2308.12108)."""

from __future__ import annotations

from torch import Tensor

from landscape.llc.samplers.state import Dynamics, Noise, Slopes, State, drift
from landscape.shapes import Float


def start(points: Float[Tensor, "chains P"]) -> State:
    """Chains at these points."""
    return State(points)


def step(state: State, slopes: Slopes, noise: Noise, centres: Float[Tensor, "chains P"], dynamics: Dynamics) -> State:
    """``w - epsilon / 2 * drift + sqrt(epsilon) * normal``.

    On a quadratic of curvature h with ``kappa = n_beta h + localisation`` its stationary variance is
    ``1 / (kappa (1 - epsilon kappa / 4))``: too wide by the second factor, and unstable from ``epsilon kappa = 4``.
    """
    step = dynamics.step_size
    moved = drift(state.points, slopes, centres, dynamics).mul_(step / -2).add_(state.points)
    return State(moved.add_(noise.normal * step**0.5))


def draw(before: State, slopes: Slopes, after: State) -> tuple[Float[Tensor, "chains P"], Float[Tensor, " chains"]]:
    """Point and loss of the draw that a step made: those before it."""
    return before.points, slopes.losses
