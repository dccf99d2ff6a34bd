"""A checkpoint as a model of transformers, a tokenizer, a point."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn

from landscape.checkpoints import formats, names
from landscape.checkpoints.identity import CONFIG
from landscape.errors import InputError, StorageError
from landscape.shapes import Float
from landscape.space import Space, learned_buffers

INCIDENTAL = {
    "_name_or_path", "_commit_hash", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache",
    "initializer_range",
}  # fmt: skip
"""What a config holds that is no part of the function."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model")


def skeleton(folder: Path, auto: str, *, untied: bool = False) -> nn.Module:
    """A freshly initialised float32 model of the checkpoint's architecture.

    Args:
        folder: The checkpoint; only its config is read.
        auto: Name of the transformers class, such as ``AutoModelForCausalLM``.
        untied: Whether a head that is tied to the embedding becomes a parameter of its own.

    Raises:
        InputError: If the config cannot be read, or its architecture has no such class.
    """
    config = fused(read_config(folder))
    if untied:
        config.tie_word_embeddings = False
    try:
        model: nn.Module = getattr(transformers, auto).from_config(config, dtype=torch.float32)
    except ValueError as error:
        kind = config.model_type
        raise InputError(f"{folder} is a {kind}, which {auto} cannot make; choose another objective") from error
    return model.eval()


def fused(config: Any) -> Any:
    """The config with transformers' one-kernel activation in place of its eight-kernel one of the same formula.

    ``gelu_new`` and ``gelu_fast`` write out the tanh approximation of GELU; ``gelu_pytorch_tanh`` is the same function
    to rounding, and made whole forward passes of small GPT-2s 1.1 to 1.4 times as fast.
    """
    for name in ("activation_function", "hidden_act"):
        if getattr(config, name, None) in ("gelu_new", "gelu_fast"):
            setattr(config, name, "gelu_pytorch_tanh")
    return config


def read_config(folder: Path) -> Any:
    """The checkpoint's configuration.

    Raises:
        InputError: If it cannot be read, or asks for code of its own.
    """
    file = folder / CONFIG
    try:
        if "auto_map" in json.loads(file.read_text()):
            raise InputError(f"{folder} needs code of its own (auto_map), which is never run; convert it first")
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); give a folder written by save_pretrained") from error


def settings(folder: Path) -> dict[str, object]:
    """The settings that change the function in evaluation mode, however old the file that holds them.

    Raises:
        InputError: If the config cannot be read.
    """
    read = read_config(folder)
    config: dict[str, object] = read.to_dict()
    if read.problem_type is None:
        config["problem_type"] = "regression" if read.num_labels == 1 else "single_label_classification"
    return {name: value for name, value in config.items() if name not in INCIDENTAL and "drop" not in name}


def tokenizer(folder: Path) -> Any:
    """The tokenizer that lies in a folder.

    Raises:
        InputError: If there is none.
    """
    lost = InputError(
        f'{folder} holds no tokenizer; save it beside the weights, or name its folder: tokenizer = "..." in [data], or '
        "--tokenizer"
    )
    # Without files of its own, AutoTokenizer makes an empty tokenizer of the model's kind.
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise lost
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise lost from error


def default_objective(folder: Path) -> str:
    """The objective that the checkpoint's own class was trained with.

    Raises:
        InputError: If the class does not say.
    """
    names = read_config(folder).architectures or ["no class"]
    for ending, objective in {
        "CausalLM": "causal-lm", "LMHeadModel": "causal-lm", "MaskedLM": "masked-lm", "PreTraining": "masked-lm",
        "SequenceClassification": "classification",
    }.items():  # fmt: skip
        if names[0].endswith(ending):
            return objective
    raise InputError(f"{folder} was saved from {names[0]}, which suggests no objective; give --objective")


def load(
    path: Path, model: nn.Module, out: Float[Tensor, " P"] | None = None, *, look: bool = True
) -> Float[Tensor, " P"]:
    """The point that a checkpoint is: float32 whatever is stored, in memory of its own.

    Args:
        path: A folder or file with weights.
        model: A model of its class, whose parameters are the coordinates; its own values are not used.
        out: Memory to read into, a float32 tensor that is no longer needed; fresh memory costs ten times the reading.
        look: Whether to look for values that are not finite; not needed for content that was looked at before.

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
                raise InputError(f"{path}: {bad} of {values.numel()} values of parameter {name!r} are NaN or infinite")
    return point


def buffers(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The learned buffers that a checkpoint holds of a model, by name; see :func:`landscape.space.learned_buffers`.

    Args:
        path: A folder or file with weights.
        model: A model of its class.

    Raises:
        InputError: If one is of another shape, or not finite.
    """
    own = learned_buffers(model)
    stored = names.beside(formats.index(path), model, Space.of(model), path).buffers if own else {}
    found = {}
    for name, place in stored.items():
        if place.shape != (shape := tuple(own[name].shape)):
            raise InputError(f"{path}: buffer {name!r} is {place.shape} on disk and {shape} in its model")
        values = torch.empty(own[name].shape)
        if not formats.read(values.view(-1).numpy(), {name: place}):
            raise InputError(f"{path}: the buffer {name!r} has values that are NaN or infinite")
        found[name] = values
    return found


def has_learned_buffers(folder: Path, auto: str) -> bool:
    """Whether a checkpoint's model has buffers that are part of its function; only its config is read."""
    config = read_config(folder)
    return _learns_buffers(json.dumps(config.to_dict(), sort_keys=True, default=str), folder, auto)


@lru_cache(maxsize=64)
def _learns_buffers(config: str, folder: Path, auto: str) -> bool:
    with torch.device("meta"):
        return bool(learned_buffers(skeleton(folder, auto)))


def unused(path: Path, model: nn.Module) -> tuple[str, ...]:
    """Names of the tensors of a checkpoint that the model has no place for, an adapter's beside it among them."""
    beside = names.beside(formats.index(path), model, Space.of(model), path).unused
    adapters = sorted(path.glob("adapter_model.*")) if path.is_dir() else []
    return (*beside, *(name for file in adapters if formats.has_weights(file) for name in formats.index(file)))


def write(out: Path, point: Float[Tensor, " P"], model: nn.Module, folder: Path) -> None:
    """A point as a folder that ``from_pretrained`` loads, whole or not at all.

    Args:
        out: The folder; one that was written before is replaced.
        point: The point.
        model: A model of transformers whose parameters are the coordinates; its own values are lost.
        folder: Whose config and tokenizer, if it has one, go with it.

    Raises:
        StorageError: If it cannot be written.
    """
    kind: Any = model
    config = read_config(folder)
    config.architectures, config.dtype = [type(model).__name__], "float32"
    config.tie_word_embeddings = kind.config.tie_word_embeddings
    for name, value in Space.of(model).params(point).items():
        model.get_parameter(name).data.copy_(value)
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        kind.save_pretrained(part)
        config.save_pretrained(part)
        with suppress(InputError):
            tokenizer(folder).save_pretrained(part)
        shutil.rmtree(out, ignore_errors=True)
        part.rename(out)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {out}: {error}; make room or choose another --out") from error


def require_fit(path: Path, model: nn.Module, space: Space) -> None:
    """Refuse a checkpoint whose headers show that it cannot be a point of the space.

    Raises:
        InputError: If a parameter is missing or of another shape.
    """
    with suppress(names.NeedsConversion):
        names.locate(formats.index(path), model, space, path)


def _converted(path: Path, model: Any, space: Space) -> Float[Tensor, " P"]:
    """The slow way, for architectures whose files transformers splits or merges (mixtures of experts).

    Raises:
        InputError: If a parameter is missing.
    """
    try:
        loaded, report = type(model).from_pretrained(
            path, config=model.config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except OSError as error:
        raise InputError(f"{path} must be converted, which needs a folder written by save_pretrained") from error
    if lost := sorted(set(report["missing_keys"]) & set(space.names)):
        raise InputError(f"{path} lacks the parameter {lost[0]!r} of its own model class")
    return space.vector(dict(loaded.named_parameters())).detach()
