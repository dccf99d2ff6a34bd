"""Samplers: pure steps on ``[chains, P]`` vectors with the noise passed in. One file and one catalogue line each.

No file of this folder imports torch, so that the validators of settings can read what a sampler needs.
"""

from typing import Protocol, cast, runtime_checkable

from landscape.catalogue import SAMPLERS
from landscape.llc.samplers.state import Dynamics, LossAndGradient, Noise, State, Tensor

__all__ = ["Dynamics", "LossAndGradient", "Noise", "Sampler", "State", "load"]


@runtime_checkable
class Sampler(Protocol):
    """What every sampler's file has.

    Attributes:
        FULL_BATCH: Whether it is right only if every step sees all examples.
        EXTRAPOLATES: Whether its bias is proportional to a small step size, so that two step sizes extrapolate to 0.
        REJECTS: Whether a chain may stay where it is.
        STABLE: Step size times kappa from which a step is unstable on a quadratic; nan if it is not known.
    """

    FULL_BATCH: bool
    EXTRAPOLATES: bool
    REJECTS: bool
    STABLE: float

    def start(self, points: Tensor) -> State:
        """Chains at these points."""

    def step(self, state: State, value: LossAndGradient, noise: Noise, centres: Tensor, dynamics: Dynamics) -> State:
        """The next state.

        Args:
            state: The state of each chain.
            value: Loss and gradient of each chain at given points.
            noise: The noise of this step.
            centres: The checkpoint of each chain.
            dynamics: Step size and the other constants.
        """

    def draw(self, before: State, value: LossAndGradient, after: State) -> tuple[Tensor, Tensor]:
        """Point and loss of the draw that a step made.

        Args:
            before: The state before the step.
            value: Loss and gradient of each chain at given points.
            after: The state after the step.
        """

    def step_bias(self, share: float, heat: float, quartic: bool) -> float:
        """Factor by which the step size overstates the variance in the top Hessian eigenvector, at least 1.

        Args:
            share: ``step_size kappa / STABLE``, the step size in units of the largest stable one.
            heat: ``step_size n_beta^2 noise``, where ``noise`` is the variance of a minibatch's gradient along it.
            quartic: Whether the loss grows as a fourth power there, so that the factor is squared.
        """

    def relaxation_rate(self, pull: float) -> float:
        """Rate per step at which the variance of flat directions relaxes, for ``pull = step_size localisation``."""

    def pull_at(self, rate: float) -> float:
        """The ``step_size localisation`` at which the variance of flat directions relaxes at this rate per step."""


def load(name: str) -> Sampler:
    """The sampler of this name.

    Raises:
        ValueError: If there is no such sampler.
    """
    return cast(Sampler, SAMPLERS.load(name))
