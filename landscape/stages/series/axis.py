"""The axis of training on which series are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float

DIGITS = 6
"""Of a step in units of the axis, so that the last checkpoint is written as it is."""


@dataclass(frozen=True)
class Axis:
    """``x = log(step / unit + 1)``: even up to the first checkpoint after the start, logarithmic beyond it.

    With the first positive step as the unit, no date depends on whether steps count updates, examples or tokens, and
    step 0 is as far from the first checkpoint as this is from a step three times as late. With a unit of 1 it is
    ``log(step + 1)``.

    Attributes:
        unit: Steps.
    """

    unit: float = 1.0

    def x(self, step: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Places of some steps."""
        return np.log1p(np.asarray(step, dtype=float) / self.unit)

    def step(self, x: float) -> float:
        """The step at a place, rounded so that a checkpoint is written as it is."""
        return float(round(float(np.expm1(x)), DIGITS) * self.unit)

    def steps(self, x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The steps at some places, not rounded."""
        return np.asarray(np.expm1(x) * self.unit)


def of(steps: Float[np.ndarray, " n"]) -> Axis:
    """The axis whose unit is the first of these steps after 0; 1 if there is none."""
    positive = steps[steps > 0]
    return Axis(float(positive.min()) if len(positive) else 1.0)
