"""Paths: maps from t in [0, 1] to coefficients over anchors. A kind is one file and one line in ``KINDS``."""

from collections.abc import Callable

from torch import Tensor

from landscape.paths import bezier, linear, polychain

Coefficients = Callable[[Tensor, int], Tensor]

KINDS: dict[str, Coefficients] = {
    "linear": linear.coefficients,
    "bezier": bezier.coefficients,
    "polychain": polychain.coefficients,
}
