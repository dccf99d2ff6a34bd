"""What checkpoints can do, and what points on paths between them can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from landscape import catalogue
from landscape.spec import BesideStudy, Choice, one_or_several
from landscape.study.kinds.alignment import NONE, Align, Aligned, Alignment, alignment_text, require_alignment
from landscape.study.kinds.among import Among, among, none_of
from landscape.study.kinds.asking import NO_PROBES, Asking
from landscape.study.kinds.curves import Curves
from landscape.study.kinds.losses import after_ends
from landscape.study.measure import Between, Grid, Group, Hashes, paired, tiles
from landscape.study.proposal import Inventory, Proposal
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task

OF_PATHS = frozenset({"along", "between", "align", "alignment", "curve", "points", "resamples", "tile"})
"""Settings that are read along paths only."""
ITEMS, CURVE = "items of probes", "curve"
"""Purposes of what is read along paths."""


class Probes(Asking):
    """What each checkpoint can do; with ``along``, what points on paths between pairs can do.

    Attributes:
        kind: Always ``probes``.
        among: As for llc.
        along: Kind of path between the checkpoints of a pair; left out, checkpoints are asked.
        between: With ``along``: as for barriers.
        align: With ``along``: as for barriers.
        alignment: With ``along``: as for barriers.
        curve: Along a curve: a file that ``landscape curve`` wrote, for the pair that it joins; or a table of the
            settings of ``curves``, such as ``fit_text``, by which one is learned for each pair.
        points: With ``along``: size of the even t grid, ends included.
        resamples: With ``along``: bootstrap resamples.
        tile: As for barriers.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = Asking.ELSEWHERE | {"align", "alignment", "curve"}

    kind: Literal["probes"] = "probes"
    among: Among = "runs"
    along: Annotated[str, AfterValidator(Choice(catalogue.PATHS, *catalogue.CURVES))] | None = None
    between: Between = ("seed",)
    align: Annotated[tuple[Align, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (NONE,)
    alignment: Alignment = Field(default_factory=lambda: Alignment.model_validate({}))
    curve: BesideStudy | Curves | None = None
    points: int = Field(5, ge=3, le=101)
    resamples: int = Field(1000, ge=100)
    tile: int = Field(4, ge=1)

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """Probes that need nothing that is not there."""
        if there.probes:
            text = {"train_text": there.train_text} if there.train_text else {}
            yield Proposal("what the models can do", {"names": there.probes, **text})

    @property
    def own_table(self) -> str | None:
        """The table of its settings of alignment."""
        return self.alignment.table

    @model_validator(mode="after")
    def _predictions_are_no_probe(self) -> Probes:
        for name in NO_PROBES:
            if name in self.names:
                are = "are" if name.endswith("s") else "is of predictions that are"
                raise ValueError(f'{name} {are} compared, pair by pair: give kind = "behaviour"')
        return self

    @model_validator(mode="after")
    def _settings_are_of_a_path(self) -> Probes:
        given = sorted((OF_PATHS - {"along", "tile"}) & self.model_fields_set)
        if self.along is None and given:
            raise ValueError(f'{given[0]} is for paths between checkpoints: give along = "linear" or another path')
        if self.along is not None and "among" in self.model_fields_set:
            raise ValueError("among is for single checkpoints, and along pairs them: leave one out")
        if (self.along in catalogue.CURVES) != (self.curve is not None):
            curves = " or ".join(catalogue.CURVES)
            raise ValueError(
                f"along = {self.along} needs a curve: a file of landscape curve, or a table with fit_text"
                if self.curve is None else f"curve is for along = {curves}: leave one out"
            )  # fmt: skip
        require_alignment(self.align, self.alignment)
        return self

    @property
    def aligned(self) -> Aligned | None:
        """How the checkpoints of a task are aligned, whose settings name one way; None if they are not."""
        (method,) = self.align
        return None if method == NONE else Aligned(method=method, alignment=self.alignment)

    @property
    def learned(self) -> Curves | None:
        """How the curves between its pairs are learned; None if none is."""
        if not isinstance(self.curve, Curves):
            return None
        shared = {"path": self.along, "between": self.between, "align": self.align, "alignment": self.alignment}
        return self.curve.model_copy(update=shared)

    @property
    def of_checkpoints(self) -> Probes:
        """The same probes, asked of checkpoints."""
        kept = self.model_fields_set - OF_PATHS
        return Probes.model_validate(self.model_dump(include=kept))

    def deciding(self) -> dict[str, JsonValue]:
        """Of checkpoints, without the settings of paths; of paths, with how points are aligned or learned."""
        if self.along is None:
            return self.model_dump(mode="json", exclude=set(self.ELSEWHERE | OF_PATHS))
        aligned, learned = self.aligned, self.learned
        more: dict[str, JsonValue] = {"aligned": aligned.deciding()} if aligned else {}
        return {**super().deciding(), **more, **({"learned": learned.deciding()} if learned else {})}

    def passes(self, task: Task[Spec]) -> int:
        """One for each checkpoint; along a path a probe and the loss at each t."""
        return super().passes(task) if self.along is None else 2 * self.points * len(task.pairs)

    def vectors(self, task: Task[Spec]) -> int:
        """Along a path the point, and where they are aligned each once more."""
        return 0 if self.along is None else 2 + (0 if self.align == (NONE,) else len(task.checkpoints))

    def words(self) -> tuple[str, ...]:
        """The probes, and the path."""
        if self.along is None:
            return self.names
        return (*self.names, "along", self.along, *(() if self.align == (NONE,) else self.align))

    def groups(self, grid: Grid) -> Iterator[Group]:
        """Each checkpoint by itself, or those of which pairs are wanted."""
        if self.along is not None:
            return paired(self.between, self.at_steps, grid)
        return iter([[checkpoint] for checkpoint in among(self.among, self.at_steps, grid)])

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """One for each checkpoint and probe; along paths one for each tile of pairs, way to align and probe."""
        if self.along is None:
            return self.answers(self, group, hashes, on)
        return self._along(group, hashes, on) if len(group) > 1 else iter(())

    def _along(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        for method in self.align:
            spec = self.model_copy(update={"align": (method,)})
            made = spec.learned or spec.aligned
            before = list(made.tasks(group, hashes, on)) if made else []
            yield from before
            needs = [task for task in before if made and task.kind == made.kind]
            file = self.curve if isinstance(self.curve, str) else None
            texts = (
                (ITEMS, hashes.of_probes(hashes.data[on])), (CURVE, hashes.of_file(file)), *self.files(hashes),
                *(text for task in needs for text in task.texts),
            )  # fmt: skip
            for anchors, pairs in tiles(group, self.tile, self.between):
                for name in self.names:
                    one = spec.model_copy(update={"names": (name,)})
                    task = Task(one, anchors, pairs, hashes.main(on), on, texts)
                    yield from after_ends(task, "float32", *needs)

    def other_data(self, data: Data) -> Iterator[tuple[str, Data]]:
        """What is aligned on, and what curves are fitted on."""
        if self.learned is not None:
            yield from self.learned.other_data(data)
        elif self.along is not None:
            yield from alignment_text(self.align, self.alignment, data)

    def nothing(self, grid: Grid) -> str:
        """There is no checkpoint, or no pair."""
        if self.along is None:
            return none_of(self.kind, grid)
        return (
            f"a measure of {self.kind} along paths has nothing to pair between {', '.join(self.between)}: "
            f"{len(grid.runs)} checkpoints share no step; give at least two at one step"
        )

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """The scores of the probes over training."""
        if self.among != "branches" and self.along is None:
            yield from self.names
