"""How differently checkpoints behave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from pydantic import Field

from landscape.study.kinds.asking import PREDICTIONS, Asking, Names
from landscape.study.kinds.probes import Probes
from landscape.study.measure import Between, Grid, Group, Hashes, paired, tiles
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task

NOT_OF_PROBES = {"kind", "between", "tile", "names"}


class Behaviour(Asking):
    """How differently the checkpoints of a pair behave.

    Attributes:
        kind: Always ``behaviour``.
        between: As for barriers.
        names: ``predictions`` on the examples of ``[data]``, or probes with choices.
        tile: As for barriers.
    """

    kind: Literal["behaviour"] = "behaviour"
    between: Between = ("seed",)
    names: Names = (PREDICTIONS,)
    tile: int = Field(4, ge=1)

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """At the last step."""
        where = {"between": there.pairing[0], **there.last}
        yield Proposal("how differently the checkpoints of a pair predict, to compare with their barriers", where)

    def groups(self, grid: Grid) -> Iterator[Group]:
        """Those of which pairs are wanted."""
        return paired(self.between, self.at_steps, grid)

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The outcomes of probes for each checkpoint, then the tiles of pairs, which read them."""
        if len(group) < 2:
            return
        outcomes = dict[tuple[str, str], str]()
        asked = [name for name in self.names if name != PREDICTIONS]
        if asked:
            probes = Probes.model_validate({**self.model_dump(exclude=NOT_OF_PROBES), "names": asked})
            for task in self.answers(probes, group, hashes, on):
                outcomes[task.checkpoints[0].ref, task.spec.words()[0]] = task.key
                yield task
        for anchors, pairs in tiles(group, self.tile, self.between):
            for name in self.names:
                tile = Task(self.of_one(name), anchors, pairs, on=on)
                if name == PREDICTIONS:
                    yield replace(tile, data=hashes.main(on))
                else:
                    data, files = hashes.of_probes(hashes.data[on]), self.files(hashes)
                    needs = tuple(outcomes[c.ref, name] for c in anchors)
                    yield replace(tile, data=data, texts=files, needs=needs)

    def nothing(self, grid: Grid) -> str:
        """There is no pair."""
        return (
            f"a measure of behaviour has nothing to pair between {', '.join(self.between)}: {len(grid.runs)} "
            f"checkpoints{f' and {len(grid.branches)} branches' if grid.branches else ''} share no step; give at least "
            "two at one step"
        )

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """The matrices of distances between seeds."""
        if distances and self.between == ("seed",):
            yield from (f"distance:{name}" for name in self.names)
