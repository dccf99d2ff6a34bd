"""Paths: maps from t in [0, 1] to coefficients over anchors."""

from collections.abc import Callable

from torch import Tensor

from landscape.paths import linear

Coefficients = Callable[[Tensor, int], Tensor]

KINDS: dict[str, Coefficients] = {"linear": linear.coefficients}
