"""What a study is about: checkpoints and fixed batches, as its file declares them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MOST_SEED = 2**31 - 1
MOST_PERMUTATIONS = 1_000_000
REMOTE = re.compile(r"hf://.*|[\w.-]+:[^/]*=[^/]*")
"""References that are no paths: a place on the hub, a checkpoint of a family."""


def _beside_the_study(value: str, info: Any) -> str:
    """The path, from the first folder of the study's in which it begins; a study file may be a link to another."""
    bases = (info.context or {}).get("bases", ())
    if not bases or REMOTE.fullmatch(value):
        return value
    paths = [str(Path(base) / value) for base in bases]
    return paths[0] if len(paths) == 1 else next(filter(_is_there, paths), paths[0])


def _is_there(path: str) -> bool:
    """Whether a path exists; of a pattern, a folder that begins as it does before its first field."""
    fixed, field, _ = path.partition("{")
    if not field:
        return Path(path).exists()
    folder, _, begin = fixed.rpartition("/")
    return any(other.is_dir() and other.name.startswith(begin) for other in Path(folder or ".").glob("*"))


def one_or_several(value: Any) -> Any:
    """A name alone is a list of one."""
    return (value,) if isinstance(value, str) else value


BesideStudy = Annotated[str, AfterValidator(_beside_the_study)]


class Settings(BaseModel):
    """A table of a study file: a misspelt name is refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Children(Settings):
    """Runs that share a prefix of training up to ``parted`` and then see other data orders."""

    folder: BesideStudy
    seeds: tuple[int, ...] | None = None
    parted: tuple[int, ...] | None = None
    children: tuple[int, ...] | None = None
    steps: tuple[int, ...] | None = None


class Checkpoints(Settings):
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


class Data(Settings):
    """The fixed batches: the same tokens and masks for every point of a study.

    Attributes:
        objective: The loss.
        text: A text file, or the field ``text`` of JSON lines, CSV or Parquet; for classification one of these with
            labels; None is the packaged held-out text.
        sequences: Number of examples, spread evenly over the text.
        length: Tokens of an example.
        mask: Share of tokens to predict (masked-lm only).
        seed: Chooses the masks.
        tokenizer: A folder; None is the folder of the first checkpoint.
        bos: Whether a text begins with the token for that (causal-lm only); auto is as the tokenizer does by default.
        buffers: Learned buffers between checkpoints that differ in them: those of the nearest, or their mean.
    """

    objective: Literal["causal-lm", "masked-lm", "classification"]
    text: BesideStudy | None = None
    sequences: int = Field(256, ge=2)
    length: int = Field(128, ge=2)
    mask: float = Field(0.15, gt=0, lt=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    tokenizer: BesideStudy | None = None
    bos: bool | Literal["auto"] = "auto"
    buffers: Literal["nearest", "interpolated"] = "nearest"

    @model_validator(mode="after")
    def _labels_are_given(self) -> Data:
        if self.objective == "classification" and self.text is None:
            raise ValueError('classification needs labelled examples: text = "FILE" of JSON lines')
        return self

    @model_validator(mode="after")
    def _bos_is_for_causal_models(self) -> Data:
        if self.bos != "auto" and self.objective != "causal-lm":
            raise ValueError(f"bos is for causal-lm, and the objective is {self.objective}; leave it out")
        return self


class Primary(Settings):
    """The one association that a study is about; it is tested by itself, all others are exploration."""

    connectivity: str
    behaviour: str
    test: Literal["onset", "onset given loss", "matrix", "matrix given loss"] = "onset"


class Stages(Settings):
    """How changes over training are dated, and how connectivity is laid beside behaviour.

    Attributes:
        boundaries: The series whose extrema and plateaus bound the stages; None is ``llc``, or ``loss`` without it.
        engine: What bounds the stages: ``curve``, extrema and plateaus; ``breaks`` of slope; ``states`` of all series.
        connectivity: Names of series of connectivity, with ``*``.
        behaviour: Names of the series beside them, with ``*``; None takes the headlines of the probes, and ``llc``.
        threshold: Barrier below which two checkpoints are connected; None is 2 % of the fall of the loss in training.
        floor: Change of a barrier that never counts, in the unit of the loss; None is 0.01 nats, or 1 % of the largest
            loss in another unit.
        least_change: Least height of an extremum, and least rise beside a plateau, of what bounds the stages.
        window: An event comes before another if the other's step is at most so many times its own.
        primary: The association that the study is about; it counts as declared only if it was so at the first run.
        permutations: Orders of the seeds that are drawn, where there are more than seven seeds.
        draws: Of every curve.
        coupling: Correlation that the power is computed for.
        seed: Of draws and permutations.
    """

    boundaries: str | None = None
    engine: Literal["curve", "breaks", "states"] = "curve"
    connectivity: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ("barrier*",)
    behaviour: Annotated[tuple[str, ...] | None, BeforeValidator(one_or_several)] = None
    threshold: float | None = Field(None, gt=0)
    floor: float | None = Field(None, ge=0)
    least_change: float = Field(0.0, ge=0)
    window: float = Field(2.0, gt=1)
    primary: Primary | None = None
    permutations: int = Field(9999, ge=99, le=MOST_PERMUTATIONS)
    draws: int = Field(400, ge=50, le=10_000)
    coupling: float = Field(0.9, gt=0, le=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
