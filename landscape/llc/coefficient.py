"""The local learning coefficient of one checkpoint: from a model to a number, its error and its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.llc import curvature, sampling
from landscape.llc.curvature import Sharpness
from landscape.llc.estimate import Estimate, estimate, extrapolated
from landscape.llc.parameters import chosen
from landscape.llc.run import Run
from landscape.llc.sampling import Chain
from landscape.llc.settings import ChainSettings
from landscape.objectives import Objective
from landscape.shapes import Float

ROUNDING = 1e-6
"""Share of a checkpoint's length that rounding in float32 hides."""


@dataclass(frozen=True)
class Coefficient:
    """A local learning coefficient with its 95 % interval.

    Attributes:
        estimate: Value, Monte Carlo error, diagnostics and warnings.
        low: Lower end of the interval, with the Monte Carlo error, divided by the step bias.
        high: Upper end of the interval, with the Monte Carlo error.
        step_size: Step size of the chains; the smallest, where ``auto`` gave some a shorter one.
        step_bias: Largest factor by which the step may overstate the value; nan if unknown or extrapolated away.
    """

    estimate: Estimate
    low: float
    high: float
    step_size: float
    step_bias: float


def coefficient(objective: Objective, point: Float[Tensor, " P"], settings: ChainSettings) -> Coefficient:
    """``n_beta (E[L(w)] - L(w*))`` with w drawn around the checkpoint w*; Lau et al. 2023, arXiv:2308.12108.

    ``L`` is the mean loss over all examples of the objective, in nats. Squared errors are right only as a negative
    log-likelihood, ``|y - f|^2 / (2 sigma^2)``.

    Args:
        objective: Model, batches and measure.
        point: The checkpoint.
        settings: Settings of the chains.

    Raises:
        InputError: If the point is not one of the objective's space, or settings do not fit.
    """
    if point.shape != (objective.space.size,):
        raise InputError(
            f"the point has shape {tuple(point.shape)} and the model {objective.space.size} parameters; give them as "
            "one vector, in the order of model.parameters()"
        )
    sharp = curvature.sharpness(objective, point, settings.parameters, seed=settings.seed)
    parts, chains = [], list[Chain]()
    for halved in (False, True)[: 1 + settings.extrapolate]:
        traces, seen, _ = sampling.sample_checked(objective, [point], settings, [sharp.curvature], halved=halved)
        chains += seen
        draws = traces.distances[:, -settings.draws * (1 + halved) :]
        parts.append((traces.losses, np.sqrt(np.mean(draws**2, axis=1))))
    moving = chosen(objective.model, objective.space, settings.parameters)
    length = float(torch.linalg.vector_norm(point if moving is None else point[moving.to(point.device)]))
    baseline = sampling.baseline(objective, point, settings)
    return from_traces(parts, baseline, settings, chains, sharp, objective.examples, length)


def from_traces(
    parts: Sequence[tuple[Float[np.ndarray, "chains _"], Float[np.ndarray, " chains"]]],
    baseline: float,
    settings: ChainSettings,
    chains: Sequence[Chain],
    sharp: Sharpness,
    examples: int,
    length: float = 0.0,
) -> Coefficient:
    """The coefficient from the traces of its chains.

    Args:
        parts: Losses along chains, and root mean square distances of their draws: for the step size, and to extrapolate
            also for half of it.
        baseline: ``L(w*)``.
        settings: Settings of the chains.
        chains: Step size and curvature of each chain of all parts.
        sharp: The top Hessian eigenvector at the checkpoint.
        examples: Number of examples.
        length: Euclidean norm of the checkpoint, in the coordinates that move.
    """
    batch = examples if settings.batch == "all" else min(settings.batch, examples)
    n_beta, pull = sampling.inverse_temperature(settings, examples), settings.localisation
    variance = np.nanmax([sharp.variance, *(chain.sharp.variance for chain in chains)])
    noise = float(variance) / batch * (1 - batch / examples)  # of a mean without replacement
    step = min(chain.step_size for chain in chains)
    shares = [c.step_size * (n_beta * np.fmax(sharp.curvature, c.sharp.curvature) + pull) for c in chains]
    sharpness = (max(shares) / step - pull) / n_beta  # with the smallest step, as far from stable as the worst chain
    grows = any(chain.sharp.curvature > sampling.STEEPER * sharp.curvature for chain in chains)
    found, runs = [], []
    for times, (losses, distances) in enumerate(parts, start=1):
        runs.append(Run(
            n_beta=n_beta, localisation=pull, step_size=step / times, burn_in=settings.burn_in * times,
            parameters=sharp.parameters, sampler=settings.sampler, curvature=float(sharpness), noise=noise,
            resolution=ROUNDING * length, noisy=batch < examples or settings.mode == "training",
            quartic=grows,
        ))  # fmt: skip
        found.append(estimate(losses, baseline, runs[-1], distances))
    value = extrapolated(*found) if len(found) == 2 else found[0]
    if len(found) == 2 and len({chain.step_size for chain in chains}) > 1:
        said = f"chains took different steps: give a step size of {step:.3g}"
        value = replace(value, warnings=(*value.warnings, said))
    bias = float("nan") if len(found) == 2 else runs[0].bias
    return Coefficient(value, *value.interval(bias), step, bias)
