"""How differently checkpoints behave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from landscape.spec import BesideStudy
from landscape.study.kinds.asking import KL, NO_PROBES, PREDICTIONS, Asking, Names
from landscape.study.kinds.probes import Probes
from landscape.study.measure import Between, Grid, Group, Hashes, paired, tiles
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task

NOT_OF_PROBES = {"kind", "between", "tile", "names", "tags"}
TAGS = "tags"
"""Purpose of the file that ``kl`` reads."""


class Behaviour(Asking):
    """How differently the checkpoints of a pair behave.

    Attributes:
        kind: Always ``behaviour``.
        between: As for barriers.
        names: ``predictions`` on the examples of ``[data]``, ``kl`` of these, or probes with choices.
        tile: As for barriers.
        tags: For ``kl``: a file of words with their parts of speech, a word, a tab and its tag in each line.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = Asking.ELSEWHERE | {"tags"}

    kind: Literal["behaviour"] = "behaviour"
    between: Between = ("seed",)
    names: Names = (PREDICTIONS,)
    tile: int = Field(4, ge=1)
    tags: BesideStudy | None = None

    @model_validator(mode="after")
    def _tags_are_for_kl(self) -> Behaviour:
        if self.tags is not None and KL not in self.names:
            raise ValueError(f'tags are read by "{KL}" alone, which is not among the names; add it, or leave tags out')
        return self

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
        asked = [name for name in self.names if name not in NO_PROBES]
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
                elif name == KL:
                    texts = ((TAGS, hashes.of_file(self.tags)),) if self.tags else ()
                    yield replace(tile, data=hashes.main(on), texts=texts)
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
