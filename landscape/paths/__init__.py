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


def coefficients(kind: str, t: Tensor, anchors: Sequence[Tensor], sizes: Sequence[int] = ()) -> Tensor:
    """Coefficients of a kind of path over its anchors at some t.

    Args:
        kind: Kind of path.
        t: Positions in [0, 1].
        anchors: Its anchors.
        sizes: Sizes of the tensors of a point.
    """
    return KINDS[kind](t, len(anchors)) if kind in KINDS else ARCS[kind](t, anchors[0], anchors[1], sizes)
