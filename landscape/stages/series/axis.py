"""The axis of training on which series are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float

DIGITS = 6
"""Decimals of a step, in units of the axis: rounding errors must not show in the step of a checkpoint."""


@dataclass(frozen=True)
class Axis:
    """``x = log(step / unit + 1)``: linear up to the first positive step, logarithmic beyond it.

    The unit is the first positive step. Dates then do not depend on whether steps count updates, examples or tokens.
    With a unit of 1 the axis is ``log(step + 1)``.

    Attributes:
        unit: Training steps per unit of the axis.
    """

    unit: float = 1.0

    def x(self, step: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Coordinates of training steps on the axis; no unit."""
        return np.log1p(np.asarray(step, dtype=float) / self.unit)

    def step(self, x: float) -> float:
        """The training step at a coordinate, rounded so that the step of a checkpoint is exact."""
        return float(round(float(np.expm1(x)), DIGITS) * self.unit)

    def steps(self, x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The training steps at coordinates, not rounded."""
        return np.asarray(np.expm1(x) * self.unit)


def of(steps: Float[np.ndarray, " n"]) -> Axis:
    """The axis whose unit is the smallest positive step; 1 if there is none."""
    positive = steps[steps > 0]
    return Axis(float(positive.min()) if len(positive) else 1.0)
