"""The loss on planes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from landscape.spec import MOST_SEED
from landscape.study.kinds.losses import Dtype
from landscape.study.measure import Grid, Group, Hashes, Measure, at_steps, by
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task


class Planes(Measure):
    """The loss on planes.

    Attributes:
        kind: Always ``planes``.
        plane: ``through`` three checkpoints; ``random`` around each; ``trajectory``, the two principal components;
            ``auto``, with ``among = "all"``, by the number of checkpoints: one, three, or more.
        among: ``runs`` takes the first three seeds at each step, or for a trajectory the steps of each run; ``all``
            takes all checkpoints.
        resolution: Points along the longer side.
        margin: Room around the checkpoints, in widths of their extent.
        span: For ``random``: half of the width, in lengths of the directions, 1 being that of the checkpoint's filters.
        seed: For ``random``: of the directions.
        dtype: As for barriers.
        parts: Tasks that a plane is cut into.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({"kind", "at_steps", "on", "among"})

    kind: Literal["planes"] = "planes"
    plane: Literal["through", "random", "trajectory", "auto"]
    among: Literal["runs", "all"] = "runs"
    resolution: int = Field(21, ge=3, le=501)
    margin: float = Field(0.3, ge=0, le=10)
    span: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Dtype = "float32"
    parts: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _auto_is_of_all(self) -> Planes:
        if self.plane == "auto" and self.among != "all":
            raise ValueError('plane = "auto" goes by the number of checkpoints: give among = "all" too')
        return self

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """Through three runs at the last step, or along each run."""
        yield Proposal("a picture of the loss on the plane through three seeds", {"plane": "through", **there.last},
                       on=False)  # fmt: skip
        yield Proposal("the way of each run, on the plane of its two principal components", {"plane": "trajectory"},
                       on=False)  # fmt: skip

    def of(self, count: int) -> Planes:
        """The same for so many checkpoints: which plane is decided then."""
        usual = {1: "random", 3: "through"}.get(count, "trajectory")
        return self.model_copy(update={"plane": usual}) if self.plane == "auto" else self

    def deciding(self) -> dict[str, JsonValue]:
        """Without what this kind of plane does not read."""
        unread = {"margin"} if self.plane == "random" else {"span", "seed"}
        return self.model_dump(mode="json", exclude=set(self.ELSEWHERE) | unread)

    def groups(self, grid: Grid) -> Iterator[Group]:
        """The checkpoints of each plane."""
        runs = at_steps(self.at_steps, grid.runs)
        others = dict.fromkeys(name for c in runs for name, _ in c.labels if name != "step")
        if self.plane == "random":
            yield from ([checkpoint] for checkpoint in runs)
        elif self.among == "all":
            yield runs
        elif self.plane == "through":
            yield from (group[:3] for group in by(runs, [*(n for n in others if n != "seed"), "step"]))
        else:
            yield from by(runs, others)

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The parts of a plane."""
        spec = self.of(len(group))
        if len(group) >= (1 if spec.plane == "random" else 3):
            for part in range(self.parts):
                yield Task(PlanePart(plane=spec, part=part), tuple(group), data=hashes.main(on), on=on)

    def nothing(self, grid: Grid) -> str:
        """There are no checkpoints that span a plane."""
        return (
            f'a measure of planes with plane = "{self.plane}" finds no three checkpoints that belong together among '
            f"{len(grid.runs)}: three seeds at one step make a plane through them, three steps of one seed a trajectory"
        )


class PlanePart(Spec):
    """A part of a plane.

    Attributes:
        kind: Always ``planes``.
        plane: The settings of the plane.
        part: Which of its parts.
    """

    kind: Literal["planes"] = "planes"
    plane: Planes
    part: int

    def deciding(self) -> dict[str, JsonValue]:
        """Those of the plane, and the part."""
        return {**self.plane.deciding(), "part": self.part}

    def passes(self, task: Task[Spec]) -> int:
        """About, for planes that are not square."""
        return self.plane.resolution**2 // self.plane.parts
