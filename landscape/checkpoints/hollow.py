"""Models whose parameters take no memory: values come with each call, and only the buffers are there."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from landscape.anchor import PIECE, one_thread_each, pieces, shared_out, values
from landscape.checkpoints.on_disk import PointOnDisk
from landscape.progress import Progress
from landscape.shapes import Float
from landscape.space import Space

SCALE = 0.02
"""Spread of the weights that stand in for those of a checkpoint that is not on this disk."""


@contextmanager
def without_memory() -> Generator[None]:
    """Within this context, parameters of new modules take no memory; buffers are made as usual."""

    def moved(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta:
            return None  # no other parameter
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    register: Any = register_module_parameter_registration_hook  # torch declares hooks that return nothing
    handle = register(moved)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def filled(model: nn.Module, dtype: torch.dtype, path: Path | None) -> Generator[None]:
    """Within this context, a model without memory has the weights of a checkpoint.

    Args:
        model: The model.
        dtype: Of its parameters.
        path: Folder or file of the checkpoint; None takes random weights.
    """
    space = Space.of(model)
    params = space.params(_vector(space.size, dtype, PointOnDisk.of(path, model) if path else None))
    first = {id(model.get_parameter(name)): nn.Parameter(value, requires_grad=False) for name, value in params.items()}
    before = [
        (module, name, parameter)
        for module in model.modules() for name, parameter in module._parameters.items() if parameter is not None
    ]  # fmt: skip
    try:
        for module, name, parameter in before:
            module._parameters[name] = first[id(parameter)]
        yield
    finally:
        for module, name, parameter in before:
            module._parameters[name] = parameter


def _vector(size: int, dtype: torch.dtype, point: PointOnDisk | None) -> Float[torch.Tensor, " P"]:
    """The coordinates of a point, or random ones, of which a piece is repeated."""
    vector = torch.empty(size, dtype=dtype)
    random = SCALE * torch.randn(0 if point else min(size, PIECE), generator=torch.Generator().manual_seed(0))
    progress = Progress(f"reading {point.path}" if point else "filling a model", size, "billion parameters", 1e9)

    def fill(part: tuple[int, int]) -> None:
        for start, end in pieces(*part):
            vector[start:end].copy_(random[: end - start] if point is None else values(point, start, end))
            progress.advance(end - start)

    parts = shared_out(0, size)
    with one_thread_each(len(parts)) as pool:
        for _ in pool.map(fill, parts):
            pass
    return vector
