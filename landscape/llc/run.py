"""How chains were run, and what follows from it before any of their numbers: step bias and time to equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass

from landscape.llc import samplers

EQUILIBRIUM = 5.0
"""Relaxation times of the localisation that a burn-in should last; after them ``exp(-5)`` of the spread is missing."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """How traces were made, and where.

    Attributes:
        n_beta: Factor on the mean loss.
        localisation: Strength of the pull to the centre.
        step_size: As the sampler takes it.
        burn_in: Steps to leave out.
        parameters: Number of coordinates that moved; half of it is the coefficient of a regular minimum.
        sampler: Name of the sampler.
        curvature: Largest at the checkpoint, in units of the loss per squared distance; nan if unknown.
        noise: Variance of a minibatch's gradient along the top Hessian eigenvector.
        resolution: Distance from the checkpoint below which rounding of its weights hides any move.
        noisy: Whether the loss of a draw is that of a minibatch, or has dropout on.
        quartic: Whether the loss grows faster than a square, so that the curvature is larger where chains are.
    """

    n_beta: float
    localisation: float
    step_size: float
    burn_in: int
    parameters: int
    sampler: str = "sgld"
    curvature: float = math.nan
    noise: float = 0.0
    resolution: float = 0.0
    noisy: bool = True
    quartic: bool = False

    @property
    def bias(self) -> float:
        """Factor by which the step overstates the top Hessian eigenvector; nan if the curvature is unknown.

        See ``step_bias`` of the sampler. It is infinite where the step is unstable.
        """
        sampler = samplers.load(self.sampler)
        share = self.step_size * (self.n_beta * self.curvature + self.localisation) / sampler.STABLE
        heat = self.step_size * self.n_beta**2 * self.noise
        return sampler.step_bias(share, heat, self.quartic)

    @property
    def equilibrium(self) -> int:
        """Steps after which directions without curvature have spread."""
        return equilibrium(self.sampler, self.step_size, self.localisation)


def equilibrium(sampler: str, step_size: float, localisation: float) -> int:
    """Steps after which the variance of directions without curvature is within ``exp(-5)`` of its end value.

    Args:
        sampler: Its name.
        step_size: As the sampler takes it.
        localisation: Strength of the pull to the centre.
    """
    return math.ceil(EQUILIBRIUM / samplers.load(sampler).relaxation_rate(step_size * localisation))
