"""An arc of a circle for each tensor."""

from collections.abc import Sequence

from torch import Tensor

from landscape.anchor import Anchor
from landscape.paths import arcs
from landscape.shapes import Float


def coefficients(
    t: Float[Tensor, " t"], anchors: Sequence[Anchor], sizes: Sequence[int]
) -> Float[Tensor, "t tensors 2"]:
    """Weight of each end on the arc of each tensor.

    Args:
        t: Values in [0, 1].
        anchors: The two ends.
        sizes: Number of coordinates of each tensor, in order.

    Raises:
        ValueError: If there are not two anchors.
        InputError: If a tensor of one end points opposite to that of the other.
    """
    return arcs.between(t, anchors, sizes)


def pieces(count: int) -> int:
    """Number of smooth pieces of a path over ``count`` anchors."""
    return 1
