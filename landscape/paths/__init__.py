"""Paths: maps from t in [0, 1] to coefficients over anchors. A kind is one file and one line here."""

from collections.abc import Callable, Sequence

from torch import Tensor

from landscape.paths.kinds import bezier, linear, polychain, spherical

Coefficients = Callable[[Tensor, int], Tensor]
Arc = Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor]

KINDS: dict[str, Coefficients] = {
    "linear": linear.coefficients,
    "bezier": bezier.coefficients,
    "polychain": polychain.coefficients,
}
"""Kinds whose coefficients depend on t alone."""

ARCS: dict[str, Arc] = {"spherical": spherical.spherical, "geodesic": spherical.geodesic}
"""Kinds between two ends whose coefficients depend on these; by tensor or not."""


def pieces(kind: str, anchors: int) -> int:
    """How many smooth pieces a path has."""
    return anchors - 1 if kind == "polychain" else 1
