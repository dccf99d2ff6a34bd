"""The coordinates of one architecture: named parameters on one side, one flat vector on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn

from landscape.shapes import Float

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """The unique parameters of a model, in the order of the model.

    A tied weight is one parameter, under the first of its names; buffers are never part of a space.

    Attributes:
        names: Names, as ``named_parameters`` gives them.
        shapes: Shape of each parameter.
        tied: ``(alias, name)`` for every further name of a parameter.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    tied: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, model: nn.Module) -> Space:
        """The space of ``model``.

        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
        >>> Space.of(model).names
        ('0.weight', '0.bias', '1.weight', '1.bias')
        """
        first: dict[int, str] = {}
        shapes: list[Shape] = []
        tied: list[tuple[str, str]] = []
        for name, parameter in model.named_parameters(remove_duplicate=False):
            if id(parameter) in first:
                tied.append((name, first[id(parameter)]))
            else:
                first[id(parameter)] = name
                shapes.append(tuple(parameter.shape))
        return cls(tuple(first.values()), tuple(shapes), tuple(tied))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of coordinates of each parameter."""
        return tuple(prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Number of coordinates of a point, ``P``."""
        return sum(self.sizes)

    def params(self, vector: Float[Tensor, "*batch P"]) -> dict[str, Tensor]:
        """Named views of ``vector``, each ``[*batch, *shape]``.

        This is one ``torch.split``, whose backward pass is one concatenation. A slice for each name would cost a
        full-size zero tensor per parameter in the backward pass.
        """
        parts = torch.split(vector, list(self.sizes), dim=-1)
        lead = vector.shape[:-1]
        return {
            name: values.view(*lead, *shape) for name, values, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def vector(self, params: Mapping[str, Tensor]) -> Float[Tensor, "*batch P"]:
        """The point with these parameters, its coordinates copied: the inverse of :meth:`params`."""
        flat = [
            params[name].reshape(*params[name].shape[: params[name].ndim - len(shape)], -1)
            for name, shape in zip(self.names, self.shapes, strict=True)
        ]
        return torch.cat(flat, dim=-1)


def learned_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The persistent buffers of a model that hold real numbers, by name: what checkpoints store besides parameters.

    The router bias of a mixture of experts is one. Running statistics of norms are left out: they are estimated again
    at every point.
    """
    statistics = {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        for own, _ in module.named_buffers(recurse=False)
    }
    persistent = model.state_dict(keep_vars=True).keys() - statistics
    return {name: buffer for name, buffer in model.named_buffers() if name in persistent and buffer.is_floating_point()}


def untie(point: Float[Tensor, " P"], tied: Space, untied: Space) -> Float[Tensor, " Q"]:
    """The coordinates of a point in a space in which tied weights are separate parameters.

    Args:
        point: The point.
        tied: Its space.
        untied: The space in which they are separate.
    """
    params = tied.params(point)
    return untied.vector({**params, **{alias: params[name] for alias, name in tied.tied}})


def output_axes(model: nn.Module) -> tuple[int, ...]:
    """The axis of each parameter of a model's space that indexes its outputs.

    It is 0 for linear layers and convolutions of torch, and 1 for transposed convolutions and for the ``Conv1D`` of
    GPT-2, which stores the transpose of a linear layer.
    """
    turned = {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if type(module).__name__ == "Conv1D" or isinstance(module, nn.modules.conv._ConvTransposeNd)
    }
    return tuple(int(name in turned) for name in Space.of(model).names)


FLOORS = {"float16": 5e-4, "bfloat16": 4e-3}
"""Relative distances that two roundings to a dtype may cause, with a margin."""


def storage_floor(dtype: str) -> float:
    """The relative distance ``|b - a| / |a|`` below which the difference may be rounding on disk alone.

    Rounding to float16 moves a point by about 2e-4 of its norm. Rounding to bfloat16, which has three bits less, moves
    it by eight times as much. The bound is for two roundings with a margin. It is zero for float32, whose rounding is
    that of the arithmetic itself.
    """
    return FLOORS.get(dtype, 0.0)
