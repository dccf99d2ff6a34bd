"""What all measures along paths between pairs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from landscape import catalogue
from landscape.spec import Choice, WholeOr, one_or_several
from landscape.study.kinds.alignment import NONE, Align, Aligned, Alignment, alignment_text, require_alignment
from landscape.study.kinds.losses import AnyDtype, after_ends
from landscape.study.measure import Between, Grid, Group, Hashes, Measure, paired, tiles
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task

AUTO_PASSES = 4
"""Passes over all examples that ``auto`` takes for most profiles."""
ADAPTIVE = frozenset({"tolerance", "halfwidth", "target", "precise"})
"""Settings that a fixed grid does not read."""


class Along(Measure):
    """Pairs of checkpoints, and how the paths between them are evaluated.

    Attributes:
        path: Kind of path.
        between: ``seed``, or any other label or list of labels, pairs the checkpoints that differ in it alone;
            ``neighbours`` each step of a run with the next; ``last`` and ``first`` each step of a run with its last or
            first; ``all`` every two checkpoints.
        align: What is done about symmetries, any of: ``none``; ``weights``, ``activations``, ``learned``, by which all
            are aligned to the first; ``random``, a random element of the symmetry group for each, as a control.
        alignment: How checkpoints are aligned: a table of the settings of alignment.
        points: ``auto`` for as many points as the profile needs, or the size of an even t grid, ends included.
        tolerance: With ``auto``: error of the profile between the points, in nats, that is good enough; so is a quarter
            of the width of the interval.
        halfwidth: With ``auto``: half-width of the 95 % interval at which a barrier is known well enough, in nats; left
            out, intervals are a few percent wider than with all examples at every point.
        precise: With ``auto``: definitions of a barrier whose intervals are nearly as narrow as from all examples, by
            default those of the loss at one point above the ends. Intervals of ``area`` and ``convexity_gap`` are then
            wider, on average 1.2 and 1.1 times; naming these too takes about two fifths more evaluations.
        target: With a halfwidth: whether it is that of each pair, or of the mean over the pairs of one task, which
            takes fewer examples.
        dtype: Of the forward pass; points are always combined in float32. ``tf32`` needs a GPU. ``auto`` is the fastest
            on this machine whose error, measured against float32, is below a tenth of the interval.
        resamples: Bootstrap resamples.
        keep_losses: Whether to keep the loss of every example, for other definitions later.
        tile: Checkpoints on each side of a tile; a tile is one task.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({
        "kind", "tile", "keep_losses", "at_steps", "on", "align", "alignment",
    })  # fmt: skip

    path: str
    between: Between = ("seed",)
    align: Annotated[tuple[Align, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (NONE,)
    alignment: Alignment = Field(default_factory=lambda: Alignment.model_validate({}))
    points: Annotated[int | Literal["auto"], AfterValidator(WholeOr("auto", 3, 1001))] = "auto"
    tolerance: float = Field(0.002, gt=0)
    halfwidth: float | None = Field(None, gt=0)
    precise: Annotated[
        tuple[Annotated[str, AfterValidator(Choice(catalogue.DEFINITIONS))], ...],
        Field(min_length=1), BeforeValidator(one_or_several),
    ] = catalogue.PRECISE  # fmt: skip
    target: Literal["pairs", "mean"] = "pairs"
    dtype: AnyDtype = "float32"
    resamples: int = Field(1000, ge=100)
    keep_losses: bool = True
    tile: int = Field(4, ge=1)

    @property
    def own_table(self) -> str | None:
        """The table of its settings of alignment."""
        return self.alignment.table

    @model_validator(mode="after")
    def _halfwidth_is_adaptive(self) -> Along:
        given = ADAPTIVE & self.model_fields_set
        if self.points != "auto" and (fixed := [name for name in sorted(given) if getattr(self, name) is not None]):
            raise ValueError(
                f"{fixed[0]} chooses where to evaluate, and points = {self.points} fixes it: leave one out"
            )
        if self.target == "mean" and self.halfwidth is None:
            raise ValueError('target = "mean" needs a halfwidth, such as halfwidth = 0.02')
        return self

    @model_validator(mode="after")
    def _alignment_is_of_a_method(self) -> Along:
        require_alignment(self.align, self.alignment)
        return self

    @property
    def aligned(self) -> Aligned | None:
        """How the checkpoints of a task are aligned, whose settings name one way; None if they are not."""
        (method,) = self.align
        return None if method == NONE else Aligned(method=method, alignment=self.alignment)

    def deciding(self) -> dict[str, JsonValue]:
        """Without settings that a fixed grid does not read, or the usual definitions; with those of the alignment."""
        without = set(self.ELSEWHERE) | (set() if self.points == "auto" else set(ADAPTIVE))
        without |= {"precise"} if self.precise == catalogue.PRECISE else set()
        aligned = self.aligned
        more: dict[str, JsonValue] = {"aligned": aligned.deciding()} if aligned else {}
        return {**self.model_dump(mode="json", exclude=without), **more}

    def passes(self, task: Task[Spec]) -> int:
        """Those between the ends."""
        return self.paths(task) * (AUTO_PASSES if self.points == "auto" else self.points - 2)

    def vectors(self, task: Task[Spec]) -> int:
        """Where they are aligned, each once more."""
        return 0 if self.align == (NONE,) else len(task.checkpoints)

    def paths(self, task: Task[Spec]) -> int:
        """Paths of a task."""
        return len(task.pairs)

    def words(self) -> tuple[str, ...]:
        """How they are aligned."""
        return () if self.align == (NONE,) else self.align

    def groups(self, grid: Grid) -> Iterator[Group]:
        """Those of which pairs are wanted."""
        return paired(self.between, self.at_steps, grid)

    def texts(self, hashes: Hashes, on: str) -> tuple[tuple[str, str], ...]:
        """Hashes of what its tasks read beside the batches of a data set."""
        return ()

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """The tiles of a group, once for each way to align."""
        for method in self.align:
            spec = self.model_copy(update={"align": (method,)})
            aligned = list(spec.aligned.tasks(group, hashes, on)) if spec.aligned else []
            texts = (*self.texts(hashes, on), *(text for task in aligned for text in task.texts))
            for anchors, pairs in tiles(group, self.tile, self.between):
                task = Task(spec, anchors, pairs, hashes.main(on), on, texts)
                yield from after_ends(task, self.dtype, *aligned)

    def nothing(self, grid: Grid) -> str:
        """There is no pair."""
        branches = f" and {len(grid.branches)} branches" if grid.branches else ""
        return (
            f"a measure of {self.kind} has nothing to pair between {', '.join(self.between)}: {len(grid.runs)} "
            f"checkpoints{branches} share no step; give at least two at one step"
        )

    def other_data(self, data: Data) -> Iterator[tuple[str, Data]]:
        """What is aligned on."""
        yield from alignment_text(self.align, self.alignment, data)
