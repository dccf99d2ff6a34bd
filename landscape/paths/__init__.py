"""Paths: maps from t in [0, 1] to coefficients over anchors. A kind is one file in ``kinds`` and one catalogue line."""

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from landscape.anchor import Anchor
from landscape.catalogue import CURVES, PATHS, Members

ALL = Members("path", {**PATHS, **CURVES})


@runtime_checkable
class Kind(Protocol):
    """What every file in ``kinds`` has."""

    def coefficients(self, t: Tensor, anchors: Sequence[Anchor], sizes: Sequence[int]) -> Tensor:
        """Coefficients over the anchors at each t, for the whole point or for each tensor.

        Args:
            t: Positions on the path, in [0, 1].
            anchors: What the path is made of.
            sizes: Sizes of the tensors of a point.
        """

    def pieces(self, count: int) -> int:
        """Number of smooth pieces of a path over ``count`` anchors."""


def kind(name: str) -> Kind:
    """The kind of path of this name, given by its ends or learned.

    Raises:
        ValueError: If there is no such kind.
    """
    return cast(Kind, ALL.load(name))
