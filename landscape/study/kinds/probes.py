"""What checkpoints can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import model_validator

from landscape.study.kinds.among import Among, among, none_of
from landscape.study.kinds.asking import PREDICTIONS, Asking
from landscape.study.measure import Grid, Group, Hashes
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task


class Probes(Asking):
    """What each checkpoint can do.

    Attributes:
        kind: Always ``probes``.
        among: As for llc.
    """

    kind: Literal["probes"] = "probes"
    among: Among = "runs"

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """Probes that need nothing that is not there."""
        if there.probes:
            text = {"train_text": there.train_text} if there.train_text else {}
            yield Proposal("what the models can do", {"names": there.probes, **text})

    @model_validator(mode="after")
    def _predictions_are_no_probe(self) -> Probes:
        if PREDICTIONS in self.names:
            raise ValueError(f'{PREDICTIONS} are compared, pair by pair: give kind = "behaviour"')
        return self

    def groups(self, grid: Grid) -> Iterator[Group]:
        """Each checkpoint by itself."""
        yield from ([checkpoint] for checkpoint in among(self.among, self.at_steps, grid))

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """One for each checkpoint and probe."""
        return self.answers(self, group, hashes, on)

    def nothing(self, grid: Grid) -> str:
        """There is no checkpoint."""
        return none_of(self.kind, grid)

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """The scores of the probes over training."""
        if self.among != "branches":
            yield from self.names
