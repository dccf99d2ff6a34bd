"""The size of a checkpoint, before it is fetched or loaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from landscape.checkpoints import families, fetch, formats, sources
from landscape.checkpoints.identity import CONFIG
from landscape.errors import InputError
from landscape.files import read_json
from landscape.study.checkpoint import Checkpoint

HALF, SINGLE = 2, 4


@dataclass(frozen=True)
class Size:
    """Size of a checkpoint.

    Attributes:
        bytes: Size of the weights in bytes.
        parameters: Number of parameters; where only headers are known, of all stored values.
        remote: Whether it is on the hub.
        tensors: Names of its tensors; none where they are not known before it is fetched.
    """

    bytes: int
    parameters: int
    remote: bool
    tensors: tuple[str, ...] = ()


def weights(checkpoint: Checkpoint) -> Size:
    """Size of a checkpoint: from the table of its family, if known; else from its headers or the listing of the hub.

    Raises:
        InputError: If it is missing.
    """
    place = sources.place(checkpoint.ref)
    if place is None:
        stored = formats.index(Path(checkpoint.ref))
        sizes = [(s.bytes, prod(s.shape)) for s in stored.values()]
        return Size(sum(b for b, _ in sizes), sum(n for _, n in sizes), remote=False, tensors=tuple(stored))
    if (known := families.labelled(place)) is not None:
        family, label = known
        return Size(family.bytes(*label), family.parameters, remote=True)
    checkpoint = fetch.pinned(checkpoint)
    size = fetch.size(checkpoint)
    file = fetch.described(checkpoint) / CONFIG
    try:
        config = dict(read_json(file, strict=False))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error}); fetch the checkpoint again") from error
    half = str(config.get("dtype", config.get("torch_dtype"))) in {"float16", "bfloat16"}
    return Size(size, size // (HALF if half else SINGLE), remote=True)
