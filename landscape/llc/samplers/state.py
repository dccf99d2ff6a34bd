"""What all samplers share: the density, the state of chains, and the noise of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.shapes import Float

if TYPE_CHECKING:
    from torch import Tensor as Tensor
else:
    Tensor = Any


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """The density ``exp(-n_beta L(w) - localisation / 2 |w - centre|^2)``, and the step size.

    Attributes:
        n_beta: Inverse temperature times number of examples: the factor on the mean loss ``L``.
        localisation: Strength of the pull to the centre, often called gamma.
        step_size: Often called epsilon; one for all chains, or one each. Every sampler says how it uses it.
    """

    n_beta: float
    localisation: float
    step_size: float | Float[Tensor, "chains 1"]


@dataclass(frozen=True)
class State:
    """The state of chains.

    Attributes:
        points: Where the loss is evaluated next.
        memory: What else the sampler keeps.
    """

    points: Float[Tensor, "chains P"]
    memory: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class LossAndGradient:
    """Loss and gradient at the points of a state.

    Attributes:
        losses: Mean loss, perhaps over a minibatch.
        gradients: Its gradient.
    """

    losses: Float[Tensor, " chains"]
    gradients: Float[Tensor, "chains P"]


@dataclass(frozen=True)
class Noise:
    """Randomness of a step.

    Attributes:
        normal: Standard normal numbers.
        uniform: Numbers in [0, 1), for accepting.
    """

    normal: Float[Tensor, "chains P"]
    uniform: Float[Tensor, " chains"]


def drift(
    points: Tensor, value: LossAndGradient, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> Float[Tensor, "chains P"]:
    """Gradient of the negative log density.

    Args:
        points: Points of the chains.
        value: Loss and gradient there.
        centres: Centre of each chain.
        dynamics: The density.
    """
    return (points - centres).mul_(dynamics.localisation).add_(value.gradients, alpha=dynamics.n_beta)


def widened(share: float, heat: float, quartic: bool) -> float:
    """``(1 + heat) / (1 - share)``: by how much a step widens a direction; infinite where it is unstable.

    Args:
        share: The step size in units of the largest stable one.
        heat: What the noise of minibatches adds to the variance, as a share of it.
        quartic: Whether the loss grows as a fourth power, as a product of two factors; both are widened, and the factor
            is squared.
    """
    return math.inf if share >= 1 else ((1 + heat) / (1 - share)) ** (2 if quartic else 1)
