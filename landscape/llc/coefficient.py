"""The local learning coefficient of one checkpoint: from a model to a number, its error, and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.llc import curvature, sampling
from landscape.llc.curvature import Steepest
from landscape.llc.estimate import Estimate, Run, estimate, extrapolated
from landscape.llc.parameters import chosen
from landscape.measures import Llc
from landscape.objectives import Objective
from landscape.shapes import Float

ROUNDING = 1e-6
"""Share of a checkpoint's length that float32 can no longer tell."""


@dataclass(frozen=True)
class Coefficient:
    """A local learning coefficient with its 95 % interval.

    Attributes:
        estimate: Value, Monte Carlo error, diagnostics and alarms.
        low: Lower end: less the Monte Carlo error, and divided by what the step may add.
        high: Upper end: the Monte Carlo error.
        step_size: Of the chains.
        step_bias: Factor by which the step may overstate the value at most; nan if unknown or extrapolated away.
    """

    estimate: Estimate
    low: float
    high: float
    step_size: float
    step_bias: float


def coefficient(objective: Objective, point: Float[Tensor, " P"], settings: Llc) -> Coefficient:
    """``n_beta (E[L(w)] - L(w*))`` with w drawn around the checkpoint w*; Lau et al. 2023, arXiv:2308.12108.

    ``L`` is the mean loss of an example over all examples of the objective, in nats; with squared errors it is only
    right as a negative log-likelihood, ``|y - f|^2 / (2 sigma^2)``.

    Args:
        objective: Model, batches and measure.
        point: The checkpoint.
        settings: How, as in a study.

    Raises:
        InputError: If the point is not one of the objective's space, or settings do not fit.
    """
    if point.shape != (objective.space.size,):
        raise InputError(
            f"the point has shape {tuple(point.shape)} and the model {objective.space.size} parameters; give them as "
            "one vector, in the order of model.parameters()"
        )
    sharp = curvature.steepest(objective, point, settings.parameters, seed=settings.seed)
    step = settings.step_size
    if step == "auto":
        n_beta = sampling.inverse_temperature(settings, objective.examples)
        step = curvature.step_size(sharp.curvature, n_beta, settings.localisation)
    parts = []
    for halved in (False, True)[: 1 + settings.extrapolate]:
        traces, _ = sampling.sample(objective, [point], settings, [step], halved=halved)
        draws = traces.distances[:, -settings.draws * (1 + halved) :]
        parts.append((traces.losses, np.sqrt(np.mean(draws**2, axis=1))))
    moving = chosen(objective.model, objective.space, settings.parameters)
    length = float(torch.linalg.vector_norm(point if moving is None else point[moving.to(point.device)]))
    baseline = sampling.baseline(objective, point, settings)
    return judged(parts, baseline, settings, step, sharp, objective.examples, length)


def judged(
    parts: Sequence[tuple[Float[np.ndarray, "chains _"], Float[np.ndarray, " chains"]]],
    baseline: float,
    settings: Llc,
    step_size: float,
    sharp: Steepest,
    examples: int,
    length: float = 0.0,
) -> Coefficient:
    """The coefficient from its chains.

    Args:
        parts: Losses along chains, and root mean square distances of their draws; for the step size, and for half of
            it to extrapolate.
        baseline: ``L(w*)``.
        settings: How they were run.
        step_size: Of the first part.
        sharp: The steepest direction.
        examples: How many there are.
        length: Of the checkpoint as a vector, in the coordinates that move.
    """
    batch = examples if settings.batch == "all" else min(settings.batch, examples)
    noise = sharp.variance / batch * (1 - batch / examples)  # of a mean without replacement
    found, runs = [], []
    for times, (losses, distances) in enumerate(parts, start=1):
        runs.append(Run(
            n_beta=sampling.inverse_temperature(settings, examples), localisation=settings.localisation,
            step_size=step_size / times, burn_in=settings.burn_in * times, parameters=sharp.parameters,
            sampler=settings.sampler, curvature=sharp.curvature, noise=noise,
            resolution=ROUNDING * length,
        ))  # fmt: skip
        found.append(estimate(losses, baseline, runs[-1], distances))
    value = extrapolated(*found) if len(found) == 2 else found[0]
    bias = float("nan") if len(found) == 2 else runs[0].bias
    return Coefficient(value, *value.interval(bias), step_size, bias)
