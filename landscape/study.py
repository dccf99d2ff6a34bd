"""A study: a declared grid of checkpoints and measurements, and the tasks it expands to."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import combinations, groupby, product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from landscape.errors import InputError
from landscape.task import Checkpoint, Task

REMOTE = re.compile(r"hf://.*|[\w.-]+:[^/]*=[^/]*")
"""References that are no paths: a place on the hub, a checkpoint of a family."""


def _beside_the_study(value: str, info: Any) -> str:
    base = (info.context or {}).get("base")
    return str(Path(base) / value) if base and not REMOTE.fullmatch(value) else value


BesideStudy = Annotated[str, AfterValidator(_beside_the_study)]


MOST_SEED = 2**31 - 1


def _points(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 3 <= value <= 1001):
        return value
    raise ValueError('"auto" or a whole number from 3 to 1001 is wanted')


Steps = tuple[int, ...] | Literal["all", "last"]
Points = Annotated[int | Literal["auto"], BeforeValidator(_points)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Children(_Settings):
    """Runs that share a prefix of training up to ``parted`` and then see other data orders."""

    folder: BesideStudy
    seeds: tuple[int, ...] | None = None
    parted: tuple[int, ...] | None = None
    children: tuple[int, ...] | None = None
    steps: tuple[int, ...] | None = None


class Checkpoints(_Settings):
    """Which checkpoints; a list left out takes all that exist.

    Attributes:
        family: A family of public checkpoints.
        folder: Or a pattern of paths, or of places on the hub.
        seeds: Which seeds.
        steps: Which steps.
        config: The folder of ``config.json``, for weights that have none beside them.
        children: Runs that share a prefix.
    """

    family: str | None = None
    folder: BesideStudy | None = None
    seeds: tuple[int, ...] | None = None
    steps: tuple[int, ...] | None = None
    config: BesideStudy | None = None
    children: Children | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Checkpoints:
        if (self.family is None) == (self.folder is None):
            raise ValueError("give either family or folder")
        return self


class Data(_Settings):
    """The fixed batches: the same tokens and masks for every point of a study.

    Attributes:
        objective: The loss.
        text: A text file, or for classification a file of JSON lines; None is the packaged held-out text.
        sequences: Number of examples, spread evenly over the text.
        length: Tokens of an example.
        mask: Share of tokens to predict (masked-lm only).
        seed: Chooses the masks.
        tokenizer: A folder; None is the folder of the first checkpoint.
    """

    objective: Literal["causal-lm", "masked-lm", "classification"]
    text: BesideStudy | None = None
    sequences: int = Field(256, ge=2)
    length: int = Field(128, ge=2)
    mask: float = Field(0.15, gt=0, lt=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    tokenizer: BesideStudy | None = None

    @model_validator(mode="after")
    def _labels_are_given(self) -> Data:
        if self.objective == "classification" and self.text is None:
            raise ValueError('classification needs labelled examples: text = "FILE" of JSON lines')
        return self


class _Along(_Settings):
    """Pairs of checkpoints, and how to look along the paths between them.

    Attributes:
        between: ``seeds`` pairs the seeds at each step; ``children`` the children that parted at the same step;
            ``all`` every two checkpoints.
        at_steps: Only at these training steps; ``last`` is the last of all.
        points: ``auto`` for as many points as the profile asks for, or the size of an even t grid, ends included.
        tolerance: With ``auto``: error of the profile between the points, in nats, that is good enough.
        precision: With ``auto``: half-width of the interval at which a barrier is known well enough, in nats; None
            evaluates all examples at every point.
        numerics: Precision of the forward pass; points are always combined in float32.
        resamples: Bootstrap resamples.
        keep_losses: Whether to keep the loss of every example, for other definitions later.
        tile: Seeds on each side of a tile; a tile is one task.
    """

    between: Literal["seeds", "children", "all"] = "seeds"
    at_steps: Steps = "all"
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

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers, the fitting text aside."""
        without = {"kind", "tile", "keep_losses", "at_steps", "fit_text", "fit_sequences"}
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


class Simplices(_Settings):
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


class Planes(_Settings):
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


class Llc(_Settings):
    """The local learning coefficient of each checkpoint.

    Attributes:
        kind: Always ``llc``.
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
        parameters: Names of the parameters that move, with ``*``; the others are frozen. None moves all.
        seed: Of noise and batches.
    """

    kind: Literal["llc"]
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
    parameters: str | None = None
    seed: int = Field(0, ge=0, le=MOST_SEED)
    numerics: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _metropolis_takes_all(self) -> Llc:
        if self.sampler == "mala" and self.batch != "all":
            raise ValueError('sampler = "mala" is exact on full batches only: give batch = "all"')
        if self.n_beta == "log_batch" and self.batch == "all":
            raise ValueError('n_beta = "log_batch" needs a batch; with batch = "all" it is "log_n"')
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        return self.model_dump(exclude={"kind", "at_steps"})


Measure = Annotated[Barriers | Curves | Simplices | Planes | Llc, Field(discriminator="kind")]
AnyMeasure = Barriers | Curves | Simplices | Planes | Llc


class Study(_Settings):
    """A study file, validated."""

    version: Literal[1]
    name: str
    checkpoints: Checkpoints
    data: Data
    measure: tuple[Measure, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _children_are_named(self) -> Study:
        if (
            any(not isinstance(m, Planes | Llc) and m.between == "children" for m in self.measure)
            and self.checkpoints.children is None
        ):
            raise ValueError('a measure between = "children" needs the table [checkpoints.children]')
        return self


def read_study(path: Path) -> Study:
    """Read and check a study file; paths in it are relative to the file.

    Raises:
        InputError: With the place of the first mistake.
    """
    try:
        return Study.model_validate(tomllib.loads(path.read_text("utf-8")), context={"base": path.parent})
    except OSError as error:
        raise InputError(f"cannot read the study {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {_first_mistake(error)}") from error


def _first_mistake(error: ValidationError) -> str:
    first = error.errors()[0]
    kinds: dict[str, type[BaseModel]] = {
        "barriers": Barriers,
        "curves": Curves,
        "simplices": Simplices,
        "planes": Planes,
        "llc": Llc,
    }
    place = ".".join(str(part) for part in first["loc"] if part not in kinds) or "study"
    if first["type"] == "extra_forbidden":
        within = [kinds[str(part)] for part in first["loc"] if part in kinds]
        within = within or [Study, Checkpoints, Children, Data]
        settings = {name for kind in within for name in kind.model_fields}
        return f"{place}: unknown setting{_near(str(first['loc'][-1]), settings)}"
    if first["type"] == "union_tag_invalid":
        given = str(first["ctx"]["tag"])
        return (
            f"{place}: no kind of measure is called {given!r}{_near(given, set(kinds))}; there are {', '.join(kinds)}"
        )
    said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    given = f" (got {first['input']!r:.80})"
    plain = first["type"] == "missing" or first["input"] is None or isinstance(first["input"], dict)
    return f"{place}: {said}{'' if plain else given}"


def _near(given: str, known: set[str]) -> str:
    near = get_close_matches(given, known - {given}, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def tasks(
    study: Study,
    seeds: Sequence[Checkpoint],
    children: Sequence[Checkpoint] = (),
    fingerprint: Callable[[Data], str] = lambda data: "",
) -> list[Task]:
    """The tasks of a study, in the order in which they should be run.

    The loss of every checkpoint is a task of its own, so an end is evaluated once however many pairs and tiles
    it is part of. The tiles of one matrix follow one another, so that a tile finds half of its anchors in memory.

    Args:
        study: The study.
        seeds: Its checkpoints.
        children: The checkpoints of ``checkpoints.children``.
        fingerprint: Of fixed batches.

    Returns:
        Tasks; each comes after those it needs.

    Raises:
        InputError: If a measure finds no two checkpoints to pair, or curves are judged on what they are fitted on.
    """
    planned: dict[str, Task] = {}
    data = fingerprint(study.data)
    for measure in _with_lines(study):
        found = False
        for group in _groups(measure, seeds, children):
            for task in _of_group(measure, group, data, fingerprint, study.data):
                found = True
                needs = []
                for checkpoint in () if isinstance(measure, Planes) else task.checkpoints:
                    end = Task("losses", (checkpoint,), (), (("numerics", measure.numerics),), data)
                    needs.append(planned.setdefault(end.key, end).key)
                planned.setdefault(task.key, replace(task, needs=tuple(needs)))
        if not found:
            raise InputError(_nothing(measure, len(seeds), len(children)))
    return list(planned.values())


def _of_group(
    measure: AnyMeasure,
    group: Sequence[Checkpoint],
    data: str,
    fingerprint: Callable[[Data], str],
    fixed: Data,
) -> Iterator[Task]:
    """The tasks of a measure on one set of checkpoints; ``needs`` are not known yet."""
    settings = measure.settings
    if isinstance(measure, Llc):
        yield Task(measure.kind, tuple(group), (), tuple(settings.items()), data)
        return
    if isinstance(measure, Simplices | Planes):
        least = 2 if isinstance(measure, Simplices) else 1 if measure.plane == "random" else 3
        parts = measure.parts if isinstance(measure, Planes) else 1
        for part in range(parts if len(group) >= least else 0):
            more = {"part": part} if isinstance(measure, Planes) else {}
            yield Task(measure.kind, tuple(group), (), tuple({**settings, **more}.items()), data)
        return
    if isinstance(measure, Curves):
        settings["fitted_on"] = fingerprint(measure.fitted_on(fixed))
    for anchors, pairs in _tiles(group, measure.tile):
        yield Task(measure.kind, anchors, pairs, tuple(settings.items()), data)


def _nothing(measure: AnyMeasure, seeds: int, children: int) -> str:
    if isinstance(measure, Llc):
        return f"no checkpoint among {seeds} is at the steps of a measure of llc; change at_steps"
    if isinstance(measure, Planes):
        return (
            f'a measure of planes with plane = "{measure.plane}" finds no three checkpoints that belong together among '
            f"{seeds}: three seeds at one step make a plane through them, three steps of one seed a trajectory"
        )
    return (
        f"nothing to pair between {measure.between}: {seeds} checkpoints"
        f"{f' and {children} children' if children else ''} share no step; give at least two at one step"
    )


def _with_lines(study: Study) -> Iterator[AnyMeasure]:
    """The measures, and for curves between pairs whose straight lines are not wanted anyway, also these."""
    lines = {m.between for m in study.measure if isinstance(m, Barriers) and m.path == "linear"}
    for measure in study.measure:
        if isinstance(measure, Curves) and measure.between not in lines:
            lines.add(measure.between)
            yield measure.line
        yield measure


def _groups(
    measure: AnyMeasure, seeds: Sequence[Checkpoint], children: Sequence[Checkpoint]
) -> Iterator[list[Checkpoint]]:
    """The sets of checkpoints of which all pairs are wanted."""
    seeds, children = (_at(measure.at_steps, checkpoints) for checkpoints in (seeds, children))
    if isinstance(measure, Llc):
        yield from ([checkpoint] for checkpoint in [*seeds, *children])
        return
    if isinstance(measure, Planes):
        yield from _plane_groups(measure, seeds)
        return
    match measure.between:
        case "all":
            yield list(seeds)
        case "seeds":
            yield from _by(seeds, lambda c: (c.step is None, c.step or 0))
        case "children":
            yield from _by(children, lambda c: (c.seed or 0, c.parted or 0, c.step is None, c.step or 0))


def _plane_groups(measure: Planes, seeds: Sequence[Checkpoint]) -> Iterator[list[Checkpoint]]:
    if measure.plane == "random":
        yield from ([checkpoint] for checkpoint in seeds)
    elif measure.among == "all":
        yield list(seeds)
    elif measure.plane == "through":
        yield from (group[:3] for group in _by(seeds, lambda c: (c.step is None, c.step or 0)))
    else:
        yield from _by(seeds, lambda c: (c.seed is None, c.seed or 0))


def _at(steps: Steps, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The checkpoints of some training steps."""
    if steps == "last":
        steps = (max((c.step for c in checkpoints if c.step is not None), default=0),)
    return [c for c in checkpoints if steps == "all" or c.step in steps]


def _by(checkpoints: Sequence[Checkpoint], key: Callable[[Checkpoint], Any]) -> Iterator[list[Checkpoint]]:
    for _, group in groupby(sorted(checkpoints, key=key), key=key):
        yield list(group)


def _tiles(
    group: Sequence[Checkpoint], size: int
) -> Iterator[tuple[tuple[Checkpoint, ...], tuple[tuple[int, int], ...]]]:
    """Blocks of pairs, in snake order, so that neighbours share a side."""
    blocks = [range(i, min(i + size, len(group))) for i in range(0, len(group), size)]
    for row, block in enumerate(blocks):
        columns = blocks[row:]
        if row % 2:
            columns = [*columns[:1:-1], columns[0], *columns[1:2]]
        for other in columns:
            pairs: Iterable[tuple[int, int]] = combinations(block, 2) if other is block else product(block, other)
            wanted = sorted(pairs)
            if wanted:
                used = sorted({i for pair in wanted for i in pair})
                place = {i: n for n, i in enumerate(used)}
                yield tuple(group[i] for i in used), tuple((place[i], place[j]) for i, j in wanted)
