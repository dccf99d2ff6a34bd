"""One arc of a circle for the whole point: the great circle through both ends."""

from collections.abc import Sequence

from torch import Tensor

from landscape.anchor import Anchor
from landscape.paths import arcs
from landscape.shapes import Float


def coefficients(t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]) -> Float[Tensor, "t 2"]:
    """Weight of each end, with one angle for all coordinates.

    Args:
        t: Values in [0, 1].
        anchors: The two ends.
        sizes: Not used: the point is one vector.

    Raises:
        ValueError: If there are not two anchors.
        InputError: If the ends point opposite ways.
    """
    return arcs.between(t, anchors, [len(anchors[0])])[:, 0]


def pieces(count: int) -> int:
    """Number of smooth pieces of a path over ``count`` anchors."""
    return 1
