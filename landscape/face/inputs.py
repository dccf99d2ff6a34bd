"""What all one-shot calls take: checkpoints, the data that they are evaluated on, and a device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from landscape import catalogue
from landscape.errors import InputError
from landscape.lazy import much_imported
from landscape.own import is_own
from landscape.spec import ChoiceOrOwn, Settings, one_or_several
from landscape.study.checkpoint import NO_CONFIG, Checkpoint, of_one_kind, steps_at
from landscape.study.file import mistakes
from landscape.study.kinds.alignment import reads_text
from landscape.study.measure import Grid
from landscape.study.sections import Data
from landscape.texts import TRAINING_TEXT

if TYPE_CHECKING:
    from torch import Tensor, nn

    from landscape.session.session import InMemory

    Model = str | Path | nn.Module | Mapping[str, Tensor]
    """A reference, or a model or state dict in memory."""
    Loss = Callable[[Any, Mapping[str, Tensor]], Tensor | Mapping[str, Tensor]]
    """Of the outputs of a model and a batch: the loss of each example; or more numbers of each, ``loss`` among them."""
    Batches = Sequence[Mapping[str, Tensor]] | Mapping[str, Tensor]
    """One batch or several; tensors whose first axis is the example."""
    Statistics = Batches | str | Path
    """Batches, or images of the training data."""


LOG = logging.getLogger("landscape")
PACKAGED = "No text is given: evaluating on the packaged novel, Jane Austen's Persuasion."
FEW = 30
"""Examples below which a bootstrap is not to be trusted."""


def _one_word_or_steps(value: object) -> object:
    """``all`` or ``last``, also as an option has it, ``["last"]``; or steps, of which one alone is a list of one.

    Raises:
        ValueError: If it is neither.
    """
    parts = list(value) if isinstance(value, list | tuple) else [value]
    if len(parts) == 1 and parts[0] in ("all", "last"):
        return parts[0]
    try:
        return tuple(int(str(part)) for part in parts)
    except ValueError as error:
        raise ValueError("all, last, or steps such as 100,200 are wanted") from error


At = Annotated[tuple[int, ...] | Literal["all", "last"], BeforeValidator(_one_word_or_steps)]
"""Steps of each run."""


class Inputs(Settings):
    """The data that checkpoints are evaluated on, and where.

    Attributes:
        text: Text to evaluate on, or the field text of JSON lines, CSV or Parquet; with labels for classification and
            regression, with input and target for seq2seq; images for image-classification: a folder with a folder for
            each class, an .npz or a Parquet file; left out, the packaged novel.
        where: Which records of the text, such as ``heuristic == 'lexical_overlap'``; left out, all.
        objective: The loss; left out, that of the model's class; or a function of a file of your own, as
            ``mine.py:build``, that returns model, batches and loss.
        sequences: Number of examples.
        length: Tokens of an example.
        tokenizer: Folder of the tokenizer; left out, that of the first checkpoint.
        bos: Whether texts begin with the start token (causal-lm only); auto does as the tokenizer does.
        buffers: Learned buffers between checkpoints that differ in them: those of the nearest, or their mean.
        statistics: For image models with BatchNorm: images of the training data, on which its statistics are estimated
            anew at every point.
        config: Folder of config.json, for weights that have none beside them.
        adapter: Of adapters of PEFT: merged into their base, or factors, whose space is that of the adapter alone.
        at: Of references to several steps of a run, such as its folder: all of them, the last, or these.
        device: Device of torch: cpu, cuda, cuda:1.
        device_map: auto spreads each model over all GPUs that are seen, and the files that it is read from.
    """

    text: str | None = None
    where: str | None = None
    objective: Annotated[str, AfterValidator(ChoiceOrOwn(catalogue.OBJECTIVES))] | None = None
    sequences: int = Field(128, ge=2)
    length: int = Field(64, ge=2)
    tokenizer: str | None = None
    bos: bool | Literal["auto"] = "auto"
    buffers: Literal["nearest", "interpolated"] = "nearest"
    statistics: str | None = None
    config: str = ""
    adapter: Literal["merged", "factors"] = "merged"
    at: At = "all"
    device: str = "cpu"
    device_map: Literal["auto"] | None = None

    @property
    def own(self) -> bool:
        """Whether model, batches and loss are those of a function of the user's own."""
        return self.objective is not None and is_own(self.objective)


@dataclass(frozen=True)
class Models:
    """Checkpoints of a call, with what they are evaluated on.

    Attributes:
        checkpoints: The checkpoints, in the order in which they were given.
        data: The fixed batches.
        device: Where to compute.
        memory: Models in memory, which the checkpoints stand for.
        device_map: Whether each model is spread over devices.
    """

    checkpoints: tuple[Checkpoint, ...]
    data: Data
    device: str
    memory: InMemory | None = None
    device_map: Literal["auto"] | None = None

    @property
    def grid(self) -> Grid:
        """The checkpoints as a study has them."""
        return Grid(self.checkpoints)

    def among(self, checkpoints: Sequence[Checkpoint]) -> Models:
        """The same for some of the checkpoints."""
        return replace(self, checkpoints=tuple(checkpoints))


@dataclass(frozen=True)
class Memory:
    """What comes with models in memory.

    Attributes:
        loss: ``loss(outputs, batch)``: one number for each example.
        batches: What it is evaluated on.
        model: A model that takes the state dicts.
        statistics: For models with BatchNorm: batches of training data, on which its statistics are estimated anew at
            every point; of image models that are references, images.
        fit_batches: What curves are fitted on.
    """

    loss: Loss | None = None
    batches: Batches | None = None
    model: nn.Module | None = None
    statistics: Statistics | None = None
    fit_batches: Batches | None = None


NOTHING = Memory()
S = TypeVar("S", bound=Settings)
M = TypeVar("M")


def settings(model: type[S], given: Mapping[str, object]) -> S:
    """Settings of a call.

    Args:
        model: Which settings.
        given: Their values by name.

    Raises:
        InputError: If a name or a value is not as wanted, or settings do not go together.
    """
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InputError(mistakes(error, [model, Inputs], whole="")) from error


def split(given: Mapping[str, object], spec: type[S], **fixed: object) -> tuple[Inputs, S]:
    """Keyword arguments of a call as its inputs and its spec.

    Args:
        given: The keyword arguments; of names that are no input, the spec says which it knows.
        spec: The spec.
        fixed: Values of the spec that the call decides.

    Raises:
        InputError: If a name or a value is not as wanted, or settings do not go together.
    """
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    inputs = {name: value for name, value in plain.items() if name in Inputs.model_fields}
    others = {name: value for name, value in plain.items() if name not in inputs}
    return settings(Inputs, inputs), settings(spec, with_align_text(spec, {**fixed, **others}, inputs.get("text")))


def with_align_text(model: type[Settings], given: Mapping[str, object], text: object) -> Mapping[str, object]:
    """Settings with the packaged novel to align on, if a way to align needs a text and none is given.

    Args:
        model: Which settings.
        given: Their values by name.
        text: The text that barriers are measured on; None is the packaged novel for that.

    Raises:
        InputError: If a text to measure on is given, and none to align on.
    """
    if "alignment" not in model.model_fields:
        return given
    methods, alignment = one_or_several(given.get("align")), given.get("alignment") or {}
    wanted = isinstance(methods, tuple | list) and any(reads_text(m) for m in methods if m in catalogue.MATCHERS)
    if not wanted or not isinstance(alignment, Mapping) or alignment.get("text"):
        return given
    if text is not None:
        raise InputError("text is what barriers are measured on; give alignment.text too, another text to align on")
    return {**given, "alignment": {**alignment, "text": str(TRAINING_TEXT)}}


def listed(models: Sequence[M] | M) -> list[M]:
    """One model, or several, as a list."""
    return list(models) if isinstance(models, list | tuple) else [cast("M", models)]


def find(models: Sequence[Model] | Model, inputs: Inputs, memory: Memory = NOTHING) -> Models:
    """The checkpoints of a call.

    Args:
        models: References, or models or state dicts in memory.
        inputs: What they are evaluated on.
        memory: What comes with models in memory.

    Raises:
        InputError: If a checkpoint is not there, or loss or batches are missing.
    """
    every: list[Model] = listed(models)
    if not every:
        raise InputError("no checkpoint is given; give references, such as folders written by save_pretrained")
    refs = [model for model in every if isinstance(model, str | Path)]
    if len(refs) == len(every):
        if isinstance(memory.statistics, str | Path):
            inputs = inputs.model_copy(update={"statistics": str(memory.statistics)})
            memory = replace(memory, statistics=None)
        if memory != NOTHING:
            raise InputError("loss and batches are for models in memory; references are evaluated on a text")
        return _found([str(ref) for ref in refs], inputs)
    if refs:
        raise InputError(f"{refs[0]} is a reference, and other models are in memory; give all in one way")
    from landscape.face.memory import found

    return found(every, inputs, memory)


def _found(refs: Sequence[str], inputs: Inputs) -> Models:
    """Checkpoints on disk or on the hub; of those on this disk it is known that they have a config.

    Raises:
        InputError: If one is not there, or has none.
    """
    from landscape.checkpoints import fetch, sources

    if inputs.own and inputs.config:
        raise InputError("config is for models of transformers, and the objective is your own; leave it out")
    config = NO_CONFIG if inputs.own else inputs.config
    each = [steps_at(inputs.at, sources.find(ref, config)) for ref in refs]
    every = of_one_kind([replace(c, config=config, adapter=inputs.adapter) for some in each for c in some])
    if inputs.own:
        assert inputs.objective is not None
        return Models(tuple(every), data(inputs, inputs.objective), inputs.device, device_map=inputs.device_map)
    for checkpoint in every:
        if checkpoint.place is None:
            fetch.described(checkpoint)
    with much_imported():  # torch among it: what is refused is refused before
        from landscape.checkpoints.objective_of import default_objective
    objective = inputs.objective or default_objective(fetch.described(every[0]))
    found = Models(tuple(every), data(inputs, objective), inputs.device, device_map=inputs.device_map)
    if inputs.text is None:
        LOG.info(PACKAGED)
    if inputs.sequences < FEW:
        LOG.info("%d examples are few: intervals are too narrow below about %d.", inputs.sequences, FEW)
    return found


def data(inputs: Inputs, objective: str) -> Data:
    """The fixed batches of a call.

    Args:
        inputs: Its inputs.
        objective: The loss.

    Raises:
        InputError: If options do not go together.
    """
    fields = inputs.model_dump(include=set(Data.model_fields), exclude_unset=inputs.own)
    return settings(Data, {**fields, "objective": objective})
