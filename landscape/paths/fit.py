"""Learned paths: the anchors between two fixed ends are moved until the loss along the path is low.

Garipov et al. 2018 (arXiv:1802.10026), with the chain rule written out: at ``w(t) = sum_k c_k(t) a_k`` the gradient of
anchor k is ``c_k(t)`` times the gradient at the point, so a step costs one gradient of one point. What loss and which
model is the caller's affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.paths import KINDS
from landscape.shapes import Float, Int

Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Losses at points ``[*pairs, P]`` on some examples, ``[*pairs]``, and the gradients there."""

DECAY_FROM, DECAY_TO, LEAST = 0.5, 0.9, 0.01


@dataclass(frozen=True)
class Recipe:
    """How a path is fitted.

    Attributes:
        kind: Kind of path.
        bends: Anchors between the ends.
        steps: Optimizer steps.
        batch: Examples of a step.
        parts: Positions of a step: its examples are split into so many parts, each at its own ``t``, one from each of
            as many equal stretches of [0, 1]. One is Garipov et al.'s.
        rate: Learning rate of Adam; constant for half of the steps, then falling to a hundredth.
        decay: Weight decay of the sampled point, ``decay / 2 |w(t)|^2``; not of the anchors, which need not be small.
    """

    kind: str = "bezier"
    bends: int = 1
    steps: int = 400
    batch: int = 32
    parts: int = 2
    rate: float = 2e-3
    decay: float = 0.0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: Garipov et al.'s schedule."""
        done = step / self.steps
        share = min(1.0, max(0.0, (done - DECAY_FROM) / (DECAY_TO - DECAY_FROM)))
        return self.rate * (1 - share * (1 - LEAST))


@dataclass(frozen=True)
class State:
    """Where a fit stands; all that going on needs.

    Attributes:
        inner: The anchors between the ends.
        first: Adam's mean of gradients.
        second: Adam's mean of squared gradients.
        step: Steps taken.
    """

    inner: Float[Tensor, "*pairs bends P"]
    first: Float[Tensor, "*pairs bends P"]
    second: Float[Tensor, "*pairs bends P"]
    step: int = 0

    def to(self, device: torch.device) -> State:
        """The same state on a device."""
        return State(self.inner.to(device), self.first.to(device), self.second.to(device), self.step)


def start(ends: Float[Tensor, "*pairs 2 P"], bends: int) -> State:
    """Anchors evenly on the straight line, where every kind of path is that line."""
    shares = torch.arange(1, bends + 1, dtype=ends.dtype, device=ends.device)[:, None] / (bends + 1)
    inner = torch.lerp(ends[..., :1, :], ends[..., 1:, :], shares)
    return State(inner, torch.zeros_like(inner), torch.zeros_like(inner))


def fit(
    ends: Float[Tensor, "*pairs 2 P"],
    slope: Slope,
    examples: int,
    recipe: Recipe,
    state: State,
    *,
    seed: int,
    until: int | None = None,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> State:
    """Take optimizer steps on the inner anchors; the ends stay.

    Several paths are fitted as one: each as if it were alone, with the same batches and positions.

    Args:
        ends: The two fixed anchors of each path.
        slope: Losses and gradients at a point of each path on some of the training examples.
        examples: How many training examples there are.
        recipe: How to fit.
        state: Where to start or go on.
        seed: Decides batches and positions, step by step, so that a fit that was stopped goes on as if it had not been.
        until: Stop at this step; None is the recipe's last.
        report: Called with each step and its mean loss over the paths.

    Raises:
        InputError: If the loss is not finite.
    """
    last = recipe.steps if until is None else min(until, recipe.steps)
    inner, first, second = (tensor.clone() for tensor in (state.inner, state.first, state.second))
    for step in range(state.step, last):
        t, batches = draw(recipe, examples, seed, step)
        rows = KINDS[recipe.kind](t, recipe.bends + 2).to(ends)
        gradient, loss = torch.zeros_like(inner), 0.0
        for row, batch in zip(rows, batches, strict=True):
            share = len(batch) / sum(len(b) for b in batches)
            point = row[0] * ends[..., 0, :] + row[-1] * ends[..., 1, :]
            for k, weight in enumerate(row[1:-1].tolist()):
                point.add_(inner[..., k, :], alpha=weight)
            here, slopes = slope(point, batch)
            slopes = slopes.add(point, alpha=recipe.decay)
            for k, weight in enumerate(row[1:-1].tolist()):
                gradient[..., k, :].add_(slopes, alpha=share * weight)
            loss += share * float(here.mean())
        if not math.isfinite(loss):
            raise InputError(
                f"the loss of the fit is not finite at step {step + 1} with rate {recipe.rate:g}; give a lower rate"
            )
        _adam(inner, gradient, first, second, step, recipe.rate_at(step))
        report(step, loss)
    return State(inner, first, second, last)


def draw(
    recipe: Recipe, examples: int, seed: int, step: int
) -> tuple[Float[Tensor, " parts"], list[Int[Tensor, " n"]]]:
    """Positions of a step, one in each equal stretch, and the examples at each.

    The examples go through the data in epochs, each in an order of its own.
    """
    random = torch.Generator().manual_seed(seed * 1_000_003 + step)
    size = min(recipe.batch, examples)
    parts = min(recipe.parts, size)
    t = (torch.arange(parts) + torch.rand(parts, generator=random, dtype=torch.float64)) / parts
    per_epoch = examples // size
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed * 1_000_003 + 500_009 * (epoch + 1)))
    chosen = order[place * size : (place + 1) * size]
    return t, list(chosen.tensor_split(parts))


def _adam(inner: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: int, rate: float) -> None:
    """One step of Adam (Kingma and Ba 2015), in place."""
    first.lerp_(gradient, 0.1)
    second.lerp_(gradient.square(), 0.001)
    mean, scale = first / (1 - 0.9 ** (step + 1)), (second / (1 - 0.999 ** (step + 1))).sqrt_()
    inner.addcdiv_(mean, scale.add_(1e-8), value=-rate)


def controls(ends: Float[Tensor, "2 P"], seed: int) -> Float[Tensor, "2 P"]:
    """Ends for a control of equal budget: the first end, and a random point as far from it as the second.

    A bend that joins this pair too shows what training a bend does by itself.
    """
    random = torch.Generator().manual_seed(seed)
    way = torch.randn(ends.shape[1], generator=random, dtype=torch.float64).to(ends)
    apart = torch.linalg.vector_norm(ends[1] - ends[0])
    return torch.stack([ends[0], ends[0] + way * (apart / torch.linalg.vector_norm(way))])
