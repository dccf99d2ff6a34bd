"""What all samplers share: what is sampled, where chains stand, and the noise of a step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from landscape.shapes import Float


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """The density ``exp(-n_beta L(w) - localisation / 2 |w - centre|^2)``, and how far a step goes.

    Attributes:
        n_beta: Inverse temperature times number of examples; the whole factor on the mean loss ``L``.
        localisation: Strength of the pull to the centre, often called gamma.
        step_size: Often called epsilon, for all chains or each its own; every sampler says what it makes of it.
    """

    n_beta: float
    localisation: float
    step_size: float | Float[Tensor, "chains 1"]


@dataclass(frozen=True)
class State:
    """Where chains stand.

    Attributes:
        points: Where the loss is to be evaluated next.
        memory: What the sampler remembers beside.
    """

    points: Float[Tensor, "chains P"]
    memory: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Slopes:
    """What was found at the points of a state.

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
        uniform: Numbers from [0, 1), for accepting.
    """

    normal: Float[Tensor, "chains P"]
    uniform: Float[Tensor, " chains"]


def drift(
    points: Tensor, slopes: Slopes, centres: Float[Tensor, "chains P"], dynamics: Dynamics
) -> Float[Tensor, "chains P"]:
    """Gradient of the negative log density."""
    return (points - centres).mul_(dynamics.localisation).add_(slopes.gradients, alpha=dynamics.n_beta)
