"""What is measured along the paths between pairs of checkpoints."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from landscape.spec import MOST_SEED, BesideStudy, Settings, one_or_several
from landscape.study.kinds.alignment import ON_TEXT, Alignment, Symmetry
from landscape.study.sections import Data


def _points(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 3 <= value <= 1001):
        return value
    raise ValueError('"auto" or a whole number from 3 to 1001 is wanted')


Steps = tuple[int, ...] | Literal["all", "last"]
Between = Literal["seeds", "branches", "all", "neighbours", "last"]
Points = Annotated[int | Literal["auto"], BeforeValidator(_points)]


class _Along(Settings):
    """Pairs of checkpoints, and how to look along the paths between them.

    Attributes:
        between: ``seeds`` pairs the seeds at each step; ``branches`` the branches that parted at the same step;
            ``neighbours`` each step of a seed with the next; ``last`` each step of a seed with its last; ``all`` every
            two checkpoints.
        at_steps: Only at these training steps; ``last`` is the last of all.
        points: ``auto`` for as many points as the profile asks for, or the size of an even t grid, ends included.
        tolerance: With ``auto``: error of the profile between the points, in nats, that is good enough.
        halfwidth: With ``auto``: half-width of the interval at which a barrier is known well enough, in nats; None
            makes it at most a tenth wider than all examples at every point would.
        target: With a halfwidth: whether it is that of each pair, or of the mean over the pairs of a tile, which takes
            fewer examples.
        dtype: Precision of the forward pass; points are always combined in float32. ``tf32`` needs a GPU. ``auto``
            is the fastest on this machine whose error, seen against float32, is below a tenth of the interval.
        resamples: Bootstrap resamples.
        keep_losses: Whether to keep the loss of every example, for other definitions later.
        tile: Seeds on each side of a tile; a tile is one task.
        symmetry: What is done about symmetries, any of: ``none``; ``weights``, ``activations``, ``learned``, by which
            all are brought into the coordinates of the first; ``random``, a random one for each, as a control.
        match: How.
    """

    between: Between = "seeds"
    at_steps: Steps = "all"
    symmetry: Annotated[tuple[Symmetry, ...], Field(min_length=1), BeforeValidator(one_or_several)] = ("none",)
    match: Alignment = Field(default_factory=lambda: Alignment.model_validate({}))
    points: Points = "auto"
    tolerance: float = Field(0.002, gt=0)
    halfwidth: float | None = Field(None, gt=0)
    target: Literal["pairs", "mean"] = "pairs"
    dtype: Literal["float32", "tf32", "bfloat16", "auto"] = "float32"
    resamples: int = Field(1000, ge=100)
    keep_losses: bool = True
    tile: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _precision_is_adaptive(self) -> _Along:
        if self.halfwidth is not None and self.points != "auto":
            raise ValueError('halfwidth needs points = "auto"')
        if self.target == "mean" and self.halfwidth is None:
            raise ValueError('target = "mean" needs a halfwidth, such as halfwidth = 0.02')
        return self

    @model_validator(mode="after")
    def _match_says_how_and_symmetry_what(self) -> _Along:
        if set(self.symmetry) == {"none"} and self.match != Alignment.model_validate({}):
            raise ValueError('match says how symmetries are taken out: give symmetry = "weights" or another way')
        return self

    @model_validator(mode="after")
    def _matched_on_another_text(self) -> _Along:
        if self.match.text is None and (by := [name for name in self.symmetry if name in ON_TEXT]):
            raise ValueError(f'symmetry = "{by[0]}" is matched on a text: give match = {{ text = "FILE" }}')
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers, the fitting text and symmetries aside."""
        without = {"kind", "tile", "keep_losses", "at_steps", "fit_text", "fit_sequences", "symmetry", "match"}
        adaptive = {"tolerance", "halfwidth", "target"}
        return self.model_dump(exclude=without | (set() if self.points == "auto" else adaptive))


class Barriers(_Along):
    """Barriers between pairs of checkpoints.

    Attributes:
        kind: Always ``barriers``.
        path: A straight line, an arc for each tensor, or one arc for the whole point.
    """

    kind: Literal["barriers"]
    path: Literal["linear", "spherical", "geodesic"] = "linear"


class Curves(_Along):
    """Learned curves between pairs of checkpoints, judged beside the straight line.

    Attributes:
        kind: Always ``curves``.
        path: Kind of curve.
        bends: Anchors between the ends.
        fit_steps: Optimizer steps.
        fit_batch: Examples of a step.
        fit_parts: Positions of t in a step, one in each of as many equal stretches; 1 is Garipov et al.'s.
        rate: Learning rate.
        decay: Weight decay of the sampled point.
        seed: Of batches and positions.
        control: Whether to also bend a path from the first end to a random point, with the same budget.
        fit_text: What to fit on: another text than that of ``[data]``.
        fit_sequences: Examples to fit on.
    """

    kind: Literal["curves"]
    path: Literal["bezier", "polychain"] = "bezier"
    bends: int = Field(1, ge=1, le=8)
    fit_steps: int = Field(600, ge=1)
    fit_batch: int = Field(32, ge=1)
    fit_parts: int = Field(2, ge=1)
    rate: float = Field(2e-3, gt=0)
    decay: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    control: bool = True
    fit_text: BesideStudy
    fit_sequences: int = Field(1024, ge=2)
    tile: int = Field(2, ge=1)

    def fitted_on(self, data: Data) -> Data:
        """The batches that curves are fitted on."""
        return data.model_copy(update={"text": self.fit_text, "sequences": self.fit_sequences})

    @property
    def line(self) -> Barriers:
        """The same pairs along the straight line."""
        shared = self.model_dump(include=set(_Along.model_fields))
        return Barriers.model_validate({"kind": "barriers", **shared})
