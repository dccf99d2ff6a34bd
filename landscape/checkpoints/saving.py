"""Points as folders that ``from_pretrained`` loads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import Tensor, nn

from landscape.checkpoints import processors, tokenizers
from landscape.checkpoints.adapters import is_factored
from landscape.checkpoints.adapters import save as save_factors
from landscape.checkpoints.configs import read_config, text_part
from landscape.errors import InputError, StorageError
from landscape.files import replacing_folder
from landscape.foreign import Pretrained
from landscape.shapes import Float
from landscape.space import Space

WEIGHTS = "model.safetensors"
"""Weights of a model that has no config."""


def write(out: Path, point: Float[Tensor, " P"], model: nn.Module, folder: Path | None) -> None:
    """Write a point as a folder that ``from_pretrained`` loads, atomically.

    Args:
        out: The folder; an existing one is replaced.
        point: The point.
        model: A model whose parameters are the coordinates; its values are overwritten.
        folder: A checkpoint whose config is copied, and its tokenizer, if it has one; None for a model that is not of
            transformers, whose folder holds a state dict.

    Raises:
        StorageError: If it cannot be written.
    """
    with storing(out), replacing_folder(out) as new:
        save(new, point, model, folder)


@contextmanager
def storing(out: Path) -> Generator[None]:
    """Turn errors of writing checkpoints into one sentence.

    Raises:
        StorageError: If there is one.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {out}: {error}; make room or choose another --out") from error


def save(out: Path, point: Float[Tensor, " P"], model: nn.Module, folder: Path | None) -> None:
    """Write a point into a new folder.

    Args:
        out: The folder.
        point: As in :func:`write`.
        model: As in :func:`write`.
        folder: As in :func:`write`.
    """
    for name, value in Space.of(model).params(point).items():
        model.get_parameter(name).data.copy_(value)
    if is_factored(model):
        save_factors(out, point, model)
        return
    if folder is None:
        save_model(model, str(out / WEIGHTS))
        return
    pretrained: Pretrained = model
    config = read_config(folder)
    if type(config) is not type(pretrained.config):  # the text part of a model of texts and images
        config = text_part(config)
    config.architectures, config.dtype = [type(model).__name__], "float32"
    if hasattr(config, "tie_word_embeddings"):  # configs of image models have none
        config.tie_word_embeddings = pretrained.config.tie_word_embeddings
    pretrained.save_pretrained(out)
    config.save_pretrained(out)
    with suppress(InputError):
        tokenizers.load(folder).save_pretrained(out)
    if (processor := processors.load(folder)) is not None:
        processor.save_pretrained(out)
