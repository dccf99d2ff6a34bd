"""Barriers between pairs of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator

from landscape import catalogue
from landscape.spec import Choice
from landscape.study.kinds.alignment import NONE, reads_text
from landscape.study.kinds.along import Along
from landscape.study.proposal import Inventory, Proposal

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

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """Between runs, before and after alignment; between branches; and along each run."""
        for name in there.pairing:
            what = "every two checkpoints" if name == "all" else f"checkpoints that differ in {name} alone"
            yield Proposal(f"barriers between {what}", {"between": name})
        if there.alignable:
            ways = [way for way in catalogue.MATCHERS if not reads_text(way)]
            yield Proposal(
                "what is left of them at the last step once symmetries are aligned, and a control",
                {"between": there.pairing[0], **there.last, "align": ways},
            )
        yield Proposal("barriers between branches, by the step they were spawned at", {"between": "branch"})
        yield Proposal("when does a run enter the basin that it ends in?", {"between": "last"})

    @property
    def combines(self) -> bool:
        """If they are not aligned, which moves whole points."""
        return self.align == (NONE,)

    def connectivity(self) -> Iterator[str]:
        """The barrier over training, along straight lines."""
        if self.path == "linear" and self.between in AS_SERIES:
            yield f"barrier:{self.between[0]}"
