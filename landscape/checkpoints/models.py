"""Checkpoints as models of transformers, and as points."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers.initialization import no_init_weights

from landscape.checkpoints import formats, names
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.configs import OWN, fused, read_config, text_part
from landscape.checkpoints.formats.tensors import require_float
from landscape.checkpoints.hollow import without_memory
from landscape.checkpoints.identity import CONFIG
from landscape.checkpoints.objective_of import instead
from landscape.errors import InputError
from landscape.foreign import Config, Pretrained
from landscape.shapes import Float
from landscape.space import Space, learned_buffers

OF_TEXT = "AutoModelForCausalLM"
"""The class as which models of texts and images are taken by their text part."""
SPARE, MAX_TENSORS = 1_000, 100_000
"""Number of parameter tensors that a model may have beyond four times those of its files; and without files."""


def skeleton(
    folder: Path, auto: str, *, untied: bool = False, weights: Path | None = None, hollow: bool = False
) -> nn.Module:
    """A freshly initialised float32 model of the checkpoint's architecture.

    It is first made without memory, and its shapes are compared with the header of the weights. So a config that is
    damaged or belongs to other weights costs nothing.

    Args:
        folder: The checkpoint; only its config is read.
        auto: Name of the transformers class, such as ``AutoModelForCausalLM``.
        untied: Whether a head that is tied to the embedding becomes a separate parameter.
        weights: Weights of the architecture, if they are on this disk.
        hollow: Whether its parameters take no memory; see :mod:`landscape.checkpoints.hollow`.

    Raises:
        InputError: If the config cannot be read, its architecture has no such class, or it has other parameters.
    """
    config, model_class = _known(folder, auto)
    stored = {} if weights is None else formats.index(weights)
    shapes = _shapes(model_class, config, folder, len(stored))
    if weights is not None:
        with suppress(names.NeedsConversion):
            names.locate(stored, shapes, Space.of(shapes), weights)
        _require_room(shapes, sum(one.bytes for one in stored.values()), folder)
    if untied:
        config.tie_word_embeddings = False
    with without_memory() if hollow else nullcontext():
        return _made(model_class, config, folder).eval()


def measured(folder: Path, auto: str, weights: Path | None) -> tuple[int, bool]:
    """The number of parameters of a checkpoint's model, and whether its tensors are parameters as they are stored.

    Nothing takes memory for this.

    Args:
        folder: The folder of its config.
        auto: Name of the transformers class.
        weights: Its weights, if they are on this disk.
    """
    config, model_class = _known(folder, auto)
    stored = {} if weights is None else formats.index(weights)
    shapes = _shapes(model_class, config, folder, len(stored))
    space = Space.of(shapes)
    try:
        if weights is not None:
            names.locate(stored, shapes, space, weights)
    except names.NeedsConversion:
        return space.size, False
    return space.size, True


def _known(folder: Path, auto: str) -> tuple[Any, Any]:
    """A config, and the class of transformers that makes its model.

    Raises:
        InputError: If the class cannot make a model of this architecture.
    """
    config = fused(read_config(folder))
    model_class: Pretrained = getattr(transformers, auto)
    if auto == OF_TEXT and type(text := text_part(config)) in model_class._model_mapping:
        config = fused(text)
    if type(config) not in model_class._model_mapping:
        raise InputError(f"{folder} is a {config.model_type}, which {auto} cannot make; {instead(config)}")
    return config, model_class


def _shapes(model_class: Pretrained, config: Config, folder: Path, stored: int) -> nn.Module:
    """The model without memory, with a bound on its number of tensors from the number of stored ones, if known."""
    largest = SPARE + 4 * stored if stored else MAX_TENSORS
    with torch.device("meta"), no_init_weights(), _at_most(largest, folder):
        shapes: Pretrained = _made(model_class, config, folder)
        shapes.tie_weights()  # part of the initialization that is left out
    return shapes  # type: ignore[no-any-return]


def _made(model_class: Pretrained, config: Config, folder: Path) -> nn.Module:
    """The model of a config.

    Raises:
        InputError: If transformers cannot make it.
    """
    with blamed(f"{folder / CONFIG} describes no model", OWN):
        model: nn.Module = model_class.from_config(
            config, dtype=torch.float32, trust_remote_code=False, attn_implementation=None, experts_implementation=None
        )
    return model


@contextmanager
def _at_most(parameters: int, folder: Path) -> Generator[None]:
    """Within this context, no more parameters than this are made: a config can request a billion layers."""
    made = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        made += 1
        if made > parameters:
            raise InputError(
                f"{folder / CONFIG} asks for more than {parameters} parameter tensors, which the weights do not hold; "
                f"give the {CONFIG} that was saved with them"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _require_room(model: nn.Module, stored: int, folder: Path) -> None:
    """Refuse a model with more values than its files have bytes, where names could not be compared.

    Raises:
        InputError: If it has; the message gives both numbers.
    """
    if (size := Space.of(model).size) > stored:
        raise InputError(
            f"{folder / CONFIG} asks for {size:,} parameters and the weights have {stored:,} bytes; give the {CONFIG} "
            "that was saved with them"
        )


def load(
    path: Path, model: nn.Module, out: Float[Tensor, " P"] | None = None, *, look: bool = True
) -> Float[Tensor, " P"]:
    """The coordinates of a checkpoint, float32 whatever is stored, in separate memory.

    Args:
        path: A folder or file with weights.
        model: A model of its class, whose parameters are the coordinates; its values are not used.
        out: Memory to read into, a float32 tensor that is no longer needed; new memory takes ten times as long as the
            reading.
        look: Whether to check that all values are finite; not needed for content that was checked before.

    Raises:
        InputError: If a parameter is missing, of another shape, or not finite.
    """
    space = Space.of(model)
    try:
        tensors = names.locate(formats.index(path), model, space, path)
        point = torch.empty(space.size, dtype=torch.float32) if out is None else out
        finite = formats.read(point.numpy(), tensors, look=look)
    except names.NeedsConversion:
        point = _converted(path, model, space)
        finite = bool(point.isfinite().all())
    if not finite:
        for name, values in space.params(point).items():
            if bad := int((~values.isfinite()).sum()):
                raise InputError(
                    f"{path}: {bad} of {values.numel()} values of parameter {name!r} are NaN or infinite; leave this "
                    "checkpoint out"
                )
    return point


def buffers(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The learned buffers of a model in a checkpoint, by name; see :func:`landscape.space.learned_buffers`.

    Args:
        path: A folder or file with weights.
        model: A model of its class.

    Raises:
        InputError: If one is of another shape, or not finite.
    """
    own = learned_buffers(model)
    stored = names.beside(formats.index(path), model, Space.of(model), path).buffers if own else {}
    values_by_name = {}
    for name, tensor in stored.items():
        if tensor.shape != (shape := tuple(own[name].shape)):
            raise InputError(f"{path}: buffer {name!r} is {tensor.shape} on disk and {shape} in its model")
        values = torch.empty(own[name].shape)
        if not formats.read(values.view(-1).numpy(), {name: tensor}):
            raise InputError(
                f"{path}: the buffer {name!r} has values that are NaN or infinite; leave this checkpoint out"
            )
        values_by_name[name] = values
    return values_by_name


def has_learned_buffers(folder: Path, auto: str, weights: Path | None = None) -> bool:
    """Whether the model of a checkpoint has learned buffers; no weight is read.

    Args:
        folder: The folder of its config.
        auto: Name of the transformers class.
        weights: Its weights, if they are on this disk.
    """
    config = read_config(folder)
    stored = 0 if weights is None else len(formats.index(weights))
    return _learns_buffers(json.dumps(config.to_dict(), sort_keys=True, default=str), folder, auto, stored)


@lru_cache(maxsize=64)
def _learns_buffers(config: str, folder: Path, auto: str, stored: int) -> bool:
    made, model_class = _known(folder, auto)
    return bool(learned_buffers(_shapes(model_class, made, folder, stored)))


def unused(path: Path, model: nn.Module) -> tuple[str, ...]:
    """Names of the tensors of a checkpoint that the model does not use, those of an adapter next to it included."""
    beside = names.beside(formats.index(path), model, Space.of(model), path).unused
    adapters = sorted(path.glob("adapter_model.*")) if path.is_dir() and not formats.is_adapter(path) else []
    return (*beside, *(name for file in adapters if formats.has_weights(file) for name in formats.index(file)))


def require_fit(path: Path, model: nn.Module, space: Space) -> None:
    """Refuse a checkpoint whose headers show that it is not a point of the space.

    Args:
        path: A folder or file with weights.
        model: A model of the space.
        space: The space.

    Raises:
        InputError: If a parameter is missing, of another shape, or not a float.
    """
    with suppress(names.NeedsConversion):
        for name, stored in names.locate(formats.index(path), model, space, path).items():
            require_float(name, stored)


def _converted(path: Path, model: Pretrained, space: Space) -> Float[Tensor, " P"]:
    """The slow path, for architectures whose tensors transformers splits or merges (mixtures of experts).

    Raises:
        InputError: If a parameter is missing.
    """
    with blamed(f"{path} must be converted", "give a folder written by save_pretrained"):
        loaded, report = type(model).from_pretrained(
            path, config=model.config, dtype=torch.float32, local_files_only=True, output_loading_info=True,
            trust_remote_code=False,
        )  # fmt: skip
    if lost := sorted(set(report["missing_keys"]) & set(space.names)):
        raise InputError(f"{path} lacks the parameter {lost[0]!r} of its own model class")
    return space.vector(dict(loaded.named_parameters())).detach()
