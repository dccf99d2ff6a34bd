"""Points as folders that ``from_pretrained`` loads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from landscape.checkpoints import tokenizers
from landscape.checkpoints.configs import read_config
from landscape.errors import InputError, StorageError
from landscape.files import replacing_folder
from landscape.shapes import Float
from landscape.space import Space


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
    with storing(out), replacing_folder(out) as part:
        save(part, point, model, folder)


@contextmanager
def storing(out: Path) -> Generator[None]:
    """What fails while checkpoints are written, as a sentence.

    Raises:
        StorageError: If something does.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {out}: {error}; make room or choose another --out") from error


def save(out: Path, point: Float[Tensor, " P"], model: nn.Module, folder: Path) -> None:
    """Put a point into a new folder, as :func:`write` does."""
    kind: Any = model
    config = read_config(folder)
    config.architectures, config.dtype = [type(model).__name__], "float32"
    config.tie_word_embeddings = kind.config.tie_word_embeddings
    for name, value in Space.of(model).params(point).items():
        model.get_parameter(name).data.copy_(value)
    kind.save_pretrained(out)
    config.save_pretrained(out)
    with suppress(InputError):
        tokenizers.load(folder).save_pretrained(out)
