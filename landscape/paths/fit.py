"""Learned paths: gradient descent on the anchors between two fixed ends lowers the loss along the path.

Garipov et al. 2018 (arXiv:1802.10026), with the chain rule written out: at ``w(t) = sum_k c_k(t) a_k`` the gradient of
anchor k is ``c_k(t)`` times the gradient at the point, so a step costs one gradient of one point. The caller supplies
the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.paths import kind
from landscape.shapes import Float, Int

ValueAndGrad = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Losses at points ``[*pairs, P]`` on some examples, ``[*pairs]``, and the gradients there."""

DECAY_FROM, DECAY_TO = 0.5, 0.9
"""Shares of the steps between which the learning rate falls."""
LAST_RATE = 0.01
"""The last learning rate as a share of the first."""


@dataclass(frozen=True)
class FitSettings:
    """How a path is fitted.

    Attributes:
        kind: Kind of curve.
        bends: Number of anchors between the ends.
        steps: Number of optimizer steps.
        batch: Examples per step.
        parts: Number of t values per step. The examples of a step are split into this many parts, each evaluated at its
            own t. [0, 1] is cut into as many equal stretches, and each part draws its t from one of them. Garipov et
            al. use 1.
        rate: Learning rate of Adam, constant for half of the steps, then falling to a hundredth.
        decay: Weight decay ``decay / 2 |w(t)|^2`` of the sampled point. The anchors themselves need not be small.
    """

    kind: str = "bezier"
    bends: int = 1
    steps: int = 400
    batch: int = 32
    parts: int = 2
    rate: float = 2e-3
    decay: float = 0.0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, by the schedule of Garipov et al."""
        done = step / self.steps
        share = min(1.0, max(0.0, (done - DECAY_FROM) / (DECAY_TO - DECAY_FROM)))
        return self.rate * (1 - share * (1 - LAST_RATE))


@dataclass(frozen=True)
class State:
    """State of a fit: all that is needed to continue it.

    Attributes:
        inner: Anchors between the ends.
        first: Adam's mean of gradients.
        second: Adam's mean of squared gradients.
        step: Number of steps taken.
    """

    inner: Float[Tensor, "*pairs bends P"]
    first: Float[Tensor, "*pairs bends P"]
    second: Float[Tensor, "*pairs bends P"]
    step: int = 0

    def to(self, device: torch.device) -> State:
        """The same state on another device."""
        return State(self.inner.to(device), self.first.to(device), self.second.to(device), self.step)


def start(ends: Float[Tensor, "*pairs 2 P"], bends: int) -> State:
    """Anchors evenly spaced on the straight line, so that a path of any kind is that line.

    Args:
        ends: The two fixed anchors of each path.
        bends: Number of anchors between them.
    """
    shares = torch.arange(1, bends + 1, dtype=ends.dtype, device=ends.device)[:, None] / (bends + 1)
    inner = torch.lerp(ends[..., :1, :], ends[..., 1:, :], shares)
    return State(inner, torch.zeros_like(inner), torch.zeros_like(inner))


def fit(
    ends: Float[Tensor, "*pairs 2 P"],
    value_and_grad: ValueAndGrad,
    examples: int,
    settings: FitSettings,
    state: State,
    *,
    seed: int,
    until: int | None = None,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> State:
    """Take optimizer steps on the inner anchors; the ends stay fixed.

    Several paths can be fitted together. They share batches and values of t, and each gets the result that it would get
    alone.

    Args:
        ends: The two fixed anchors of each path.
        value_and_grad: Losses and gradients at a point of each path on some of the training examples.
        examples: Number of training examples.
        settings: How to fit.
        state: Where to start or continue.
        seed: Decides the batches and the t of each step, so that a fit that is stopped and continued gives the same
            result.
        until: Stop at this step; None is the last.
        report: Called with the number of each step and its mean loss over the paths.

    Raises:
        InputError: If the loss is not finite.
    """
    last = settings.steps if until is None else min(until, settings.steps)
    coefficients = kind(settings.kind).coefficients
    inner, first, second = (tensor.clone() for tensor in (state.inner, state.first, state.second))
    for step in range(state.step, last):
        t, batches = draw(settings, examples, seed, step)
        anchors = [ends[..., 0, :], *inner.unbind(-2), ends[..., 1, :]]
        rows = coefficients(t, anchors, [ends.shape[-1]]).to(ends)
        total, loss = _gradient(ends, inner, rows, batches, value_and_grad, settings)
        if not math.isfinite(loss):
            raise InputError(
                f"the loss of the fit is not finite at step {step + 1} with rate {settings.rate:g}; give a lower rate"
            )
        _adam(inner, total, first, second, step, settings.rate_at(step))
        report(step, loss)
    return State(inner, first, second, last)


def _gradient(
    ends: Float[Tensor, "*pairs 2 P"],
    inner: Float[Tensor, "*pairs bends P"],
    rows: Float[Tensor, "parts anchors"],
    batches: Sequence[Int[Tensor, " _"]],
    value_and_grad: ValueAndGrad,
    settings: FitSettings,
) -> tuple[Float[Tensor, "*pairs bends P"], float]:
    """Gradient of the inner anchors in one step, and the mean loss over points and paths."""
    total, loss = torch.zeros_like(inner), 0.0
    for row, batch in zip(rows, batches, strict=True):
        share = len(batch) / sum(len(b) for b in batches)
        point = row[0] * ends[..., 0, :] + row[-1] * ends[..., 1, :]
        for k, weight in enumerate(row[1:-1].tolist()):
            point.add_(inner[..., k, :], alpha=weight)
        value, gradient = value_and_grad(point, batch)
        gradient = gradient.add(point, alpha=settings.decay)
        for k, weight in enumerate(row[1:-1].tolist()):
            total[..., k, :].add_(gradient, alpha=share * weight)
        loss += share * float(value.mean())
    return total, loss


def draw(
    settings: FitSettings, examples: int, seed: int, step: int
) -> tuple[Float[Tensor, " parts"], list[Int[Tensor, " n"]]]:
    """The values of t of a step, one in each equal stretch of [0, 1], and the examples at each.

    The examples run through the data in epochs, each in its own random order.

    Args:
        settings: How to fit.
        examples: Number of training examples.
        seed: Seed of the fit.
        step: Number of the step.
    """
    random = torch.Generator().manual_seed(seed * 1_000_003 + step)
    size = min(settings.batch, examples)
    parts = min(settings.parts, size)
    t = (torch.arange(parts) + torch.rand(parts, generator=random, dtype=torch.float64)) / parts
    per_epoch = examples // size
    epoch, number = divmod(step, per_epoch)
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed * 1_000_003 + 500_009 * (epoch + 1)))
    chosen = order[number * size : (number + 1) * size]
    return t, list(chosen.tensor_split(parts))


def _adam(inner: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: int, rate: float) -> None:
    """One step of Adam (Kingma and Ba 2015), in place."""
    first.lerp_(gradient, 0.1)
    second.lerp_(gradient.square(), 0.001)
    mean, scale = first / (1 - 0.9 ** (step + 1)), (second / (1 - 0.999 ** (step + 1))).sqrt_()
    inner.addcdiv_(mean, scale.add_(1e-8), value=-rate)


def controls(ends: Float[Tensor, "2 P"], seed: int) -> Float[Tensor, "2 P"]:
    """Ends of a control curve: the first end, and a random point at the distance of the second.

    A control is fitted with the same budget. If a curve of low loss joins these ends too, training a bend alone
    explains the result.
    """
    random = torch.Generator().manual_seed(seed)
    way = torch.randn(ends.shape[1], generator=random, dtype=torch.float64).to(ends)
    apart = torch.linalg.vector_norm(ends[1] - ends[0])
    return torch.stack([ends[0], ends[0] + way * (apart / torch.linalg.vector_norm(way))])
