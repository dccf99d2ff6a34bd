"""Barriers between pairs of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator

from landscape import catalogue
from landscape.spec import Choice
from landscape.study.kinds.alignment import NONE
from landscape.study.kinds.along import Along

AS_SERIES = (("seed",), ("branch",), ("last",), ("neighbours",))
"""Pairs whose barriers are series over training."""


class Barriers(Along):
    """Barriers between pairs of checkpoints.

    Attributes:
        kind: Always ``barriers``.
        path: A straight line, an arc for each tensor, or one arc for the whole point.
    """

    kind: Literal["barriers"] = "barriers"
    path: Annotated[str, AfterValidator(Choice(catalogue.PATHS))] = "linear"

    @property
    def combines(self) -> bool:
        """If they are not aligned, which moves whole points."""
        return self.align == (NONE,)

    def connectivity(self) -> Iterator[str]:
        """The barrier over training, along straight lines."""
        if self.path == "linear" and self.between in AS_SERIES:
            yield f"barrier:{self.between[0]}"
