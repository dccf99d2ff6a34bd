"""What a study measures: the settings of each kind of ``[[measure]]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from landscape.settings import MOST_SEED, BesideStudy, Data, Settings, one_or_several


def _points(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 3 <= value <= 1001):
        return value
    raise ValueError('"auto" or a whole number from 3 to 1001 is wanted')


PREDICTIONS = "predictions"
"""In place of a probe, for distances: what the models predict on the examples of the study."""
MOST_ITEMS = 1_000_000
Steps = tuple[int, ...] | Literal["all", "last"]
Between = Literal["seeds", "children", "all", "neighbours", "last"]
Symmetry = Literal["none", "weights", "activations", "learned", "random"]
ON_TEXT = ("activations", "learned")
"""Ways to match that need batches."""
Points = Annotated[int | Literal["auto"], BeforeValidator(_points)]


class Matching(Settings):
    """How the symmetries of an architecture are taken out.

    Attributes:
        freedoms: All that are exact, rotations of the stream and of heads among them, or permutations only.
        groups: Patterns of the names of groups that may change, such as ``*.ffn``, ``*.heads``, ``stream``.
        text: For ``activations`` and ``learned``: what to match on, another text than that of ``[data]``.
        sequences: Examples of it.
        starts: Starts of matching by weights; None is chosen by the size of the model.
        steps: Of ``learned``.
        rate: Of ``learned``.
        seed: Of all that is random.
    """

    freedoms: Literal["all", "permutations"] = "all"
    groups: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = ("*",)
    text: BesideStudy | None = None
    sequences: int = Field(256, ge=8)
    starts: int | None = Field(None, ge=1, le=1000)
    steps: int = Field(200, ge=1)
    rate: float = Field(0.3, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)

    def matched_on(self, data: Data) -> Data:
        """The batches that are matched on."""
        return data.model_copy(update={"text": self.text, "sequences": self.sequences})

    def settings(self, symmetry: str) -> dict[str, Any]:
        """What decides the numbers of one method, the text aside."""
        shared = {"freedoms", "groups", "seed"}
        own = {"weights": {"starts"}, "learned": {"starts", "steps", "rate"}}.get(symmetry, set())
        return {"symmetry": symmetry, **self.model_dump(mode="json", include=shared | own)}


class _Along(Settings):
    """Pairs of checkpoints, and how to look along the paths between them.

    Attributes:
        between: ``seeds`` pairs the seeds at each step; ``children`` the children that parted at the same step;
            ``neighbours`` each step of a seed with the next; ``last`` each step of a seed with its last; ``all`` every
            two checkpoints.
        at_steps: Only at these training steps; ``last`` is the last of all.
        points: ``auto`` for as many points as the profile asks for, or the size of an even t grid, ends included.
        tolerance: With ``auto``: error of the profile between the points, in nats, that is good enough.
        precision: With ``auto``: half-width of the interval at which a barrier is known well enough, in nats; None
            evaluates all examples at every point.
        numerics: Precision of the forward pass; points are always combined in float32.
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
    match: Matching = Field(default_factory=lambda: Matching.model_validate({}))
    points: Points = "auto"
    tolerance: float = Field(0.005, gt=0)
    precision: float | None = Field(None, gt=0)
    numerics: Literal["float32", "bfloat16"] = "float32"
    resamples: int = Field(1000, ge=100)
    keep_losses: bool = True
    tile: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _precision_is_adaptive(self) -> _Along:
        if self.precision is not None and self.points != "auto":
            raise ValueError('precision needs points = "auto"')
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
        return self.model_dump(exclude=without | (set() if self.points == "auto" else {"tolerance", "precision"}))


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


class Simplices(Settings):
    """Mixtures of all checkpoints of a group: edges, centre and inside of their simplex.

    Attributes:
        kind: Always ``simplices``.
        between: As for barriers: which checkpoints make a simplex.
        at_steps: As for barriers.
        mixtures: Random mixtures, drawn evenly from the simplex.
        seed: Of these.
        numerics: As for barriers.
        keep_losses: As for barriers.
    """

    kind: Literal["simplices"]
    between: Literal["seeds", "children", "all"] = "seeds"
    at_steps: Steps = "all"
    mixtures: int = Field(16, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    numerics: Literal["float32", "bfloat16"] = "float32"
    keep_losses: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        return self.model_dump(include={"between", "mixtures", "seed", "numerics"})


class Planes(Settings):
    """The loss on planes.

    Attributes:
        kind: Always ``planes``.
        plane: ``through`` three checkpoints; ``random`` around each; ``trajectory``, the two principal components.
        among: ``seeds`` takes the first three seeds at each step, or for a trajectory the steps of each seed; ``all``
            takes all checkpoints.
        at_steps: As for barriers.
        resolution: Places along the longer side.
        margin: Room around the checkpoints, in widths of their extent.
        span: For ``random``: half of the width, in lengths of the directions, 1 being that of the checkpoint's filters.
        seed: For ``random``: of the directions.
        numerics: As for barriers.
        parts: Tasks that a plane is cut into.
    """

    kind: Literal["planes"]
    plane: Literal["through", "random", "trajectory"]
    among: Literal["seeds", "all"] = "seeds"
    at_steps: Steps = "all"
    resolution: int = Field(21, ge=3, le=501)
    margin: float = Field(0.3, ge=0, le=10)
    span: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    numerics: Literal["float32", "bfloat16"] = "float32"
    parts: int = Field(4, ge=1)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        names = {"plane", "resolution", "numerics", "parts"}
        return self.model_dump(include=names | ({"span", "seed"} if self.plane == "random" else {"margin"}))


class Llc(Settings):
    """The local learning coefficient of each checkpoint.

    Attributes:
        kind: Always ``llc``.
        among: Of the seeds, of the children, or of both.
        at_steps: As for barriers.
        sampler: How draws are made.
        chains: Independent chains.
        draws: Steps that are kept.
        burn_in: Steps before them, which enter no number.
        batch: Examples of a step; ``all`` for full batches, which ``mala`` needs.
        n_beta: Factor on the mean loss: a number, ``log_n`` for n / ln n of all examples, ``log_batch`` of a batch.
        localisation: Strength of the pull to the checkpoint.
        step_size: A number, or ``auto``: from the largest curvature.
        extrapolate: Whether to run half the step too, and take the bias of the step away; costs three times as much.
        parameters: What moves, the rest being frozen: names with ``*``, parts as ``NAME[0:16, :]``, or ``head 0.3``;
            left out, all moves.
        mode: ``training`` has dropout on.
        keep_draws: Keep the point of every so many draws, in a file of its own; 0 keeps none.
        seed: Of noise and batches.
        parts: Tasks that the chains of a checkpoint are cut into, for several workers at one checkpoint.
        tile: Checkpoints whose chains may run in one batch, for small models; a tile is one task.
    """

    kind: Literal["llc"]
    among: Literal["seeds", "children", "all"] = "seeds"
    at_steps: Steps = "all"
    sampler: Literal["sgld", "rmsprop", "sgnht", "mala"] = "sgld"
    chains: int = Field(4, ge=1)
    draws: int = Field(200, ge=4)
    burn_in: int = Field(200, ge=0)
    batch: Annotated[int, Field(ge=1)] | Literal["all"] = 32
    n_beta: Annotated[float, Field(gt=0)] | Literal["log_n", "log_batch"] = "log_n"
    localisation: float = Field(100.0, gt=0)
    step_size: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    extrapolate: bool = False
    parameters: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] | None = None
    mode: Literal["evaluation", "training"] = "evaluation"
    keep_draws: int = Field(0, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    numerics: Literal["float32"] = "float32"
    parts: int = Field(1, ge=1)
    tile: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _metropolis_takes_all(self) -> Llc:
        if self.sampler == "mala" and self.batch != "all":
            raise ValueError('sampler = "mala" is exact on full batches only: give batch = "all"')
        if self.n_beta == "log_batch" and self.batch == "all":
            raise ValueError('n_beta = "log_batch" needs a batch; with batch = "all" it is "log_n"')
        if self.n_beta == "log_batch" and self.batch == 1:
            raise ValueError('n_beta = "log_batch" needs a batch of two or more: ln 1 is 0')
        if self.extrapolate and self.sampler == "mala":
            raise ValueError('sampler = "mala" has no bias of the step to take away: leave out extrapolate')
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        return self.model_dump(exclude={"kind", "among", "at_steps", "parts", "tile"})


class _Asking(Settings):
    """Probes, and what they are asked with.

    Attributes:
        names: Which probes; ``harness:TASK`` is a task of lm-evaluation-harness.
        count: Items to make or to take; left out, as many as a probe finds right.
        items: The user's own items, of one probe: a file, or a folder of them.
        train_text: What the models were trained on, or a text like it; ``ngrams`` needs it.
        labels: Classes of a classifier of sentence pairs in the order of its outputs, if its config does not name them.
        pll: Which pseudo-log-likelihood masked models are scored with.
        seed: Of what is random in the items.
        at_steps: As for barriers.
        numerics: Always float32.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)]
    count: int | None = Field(None, ge=2, le=MOST_ITEMS)
    items: BesideStudy | None = None
    train_text: BesideStudy | None = None
    labels: tuple[str, ...] | None = None
    pll: Literal["within_word_l2r", "original"] = "within_word_l2r"
    seed: int = Field(0, ge=0, le=MOST_SEED)
    at_steps: Steps = "all"
    numerics: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _items_are_of_one_probe(self) -> _Asking:
        if self.items is not None and len(self.names) > 1:
            raise ValueError("items are those of one probe: give each probe with items a [[measure]] of its own")
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """What decides the answer of any of the probes, the contents of files aside."""
        return self.model_dump(include={"count", "labels", "pll", "seed", "numerics"})


class Probes(_Asking):
    """What each checkpoint can do.

    Attributes:
        kind: Always ``probes``.
        among: As for llc.
    """

    kind: Literal["probes"]
    among: Literal["seeds", "children", "all"] = "seeds"

    @model_validator(mode="after")
    def _predictions_are_no_probe(self) -> Probes:
        if PREDICTIONS in self.names:
            raise ValueError(f'{PREDICTIONS} are compared, pair by pair: give kind = "behaviour"')
        return self


class Behaviour(_Asking):
    """How differently the checkpoints of a pair behave.

    Attributes:
        kind: Always ``behaviour``.
        between: As for barriers.
        names: ``predictions`` on the examples of ``[data]``, or probes that ask for choices.
        tile: As for barriers.
    """

    kind: Literal["behaviour"]
    between: Between = "seeds"
    names: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (PREDICTIONS,)
    tile: int = Field(4, ge=1)


Measure = Annotated[Barriers | Curves | Simplices | Planes | Llc | Probes | Behaviour, Field(discriminator="kind")]
AnyMeasure = Barriers | Curves | Simplices | Planes | Llc | Probes | Behaviour
