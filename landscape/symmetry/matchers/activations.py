"""Matching by activations: units that behave alike on the same batches.

Features of a group are what a module reads along an axis of that group, or, where none does (queries and keys), what
one writes. They belong to each model by itself, so no group waits for another. The order is that of the largest sum of
correlations, and maps inside blocks are those of the largest covariance of the standardised features.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.objectives import Objective
from landscape.points.evaluate import Measured, batch_statistics
from landscape.shapes import Bool, Float
from landscape.space import output_axes
from landscape.symmetry.group.element import Change, Element, still
from landscape.symmetry.group.table import Axis, Params, Table
from landscape.symmetry.matchers.nearest import Products, nearest, turning

DEAD = 1e-6
"""Share of the largest deviation of a group's features below which one counts as constant, and as like no other."""
AT_ONCE = 8
"""Examples in one pass."""


@dataclass(frozen=True)
class Place:
    """Where features of a group are read: a module, on which side, and which of its coordinates.

    Attributes:
        module: Its name.
        written: Whether the features are what it writes, not what it reads.
        axis: Which group, and how.
        index: Their coordinates; None is all.
        channels: Whether the features are channels, on the second axis, and not on the last.
    """

    module: str
    written: bool
    axis: Axis
    index: tuple[int, ...] | None
    channels: bool


@dataclass
class Sums:
    """Sums over tokens of features of two models, in float64."""

    count: int
    a: Tensor
    b: Tensor
    aa: Tensor
    bb: Tensor
    ab: Tensor

    def correlation(self, block: int = 1) -> Float[Tensor, "n n"]:
        """Correlations of the features of one with those of the other; 0 for constant ones.

        Args:
            block: Features that may turn into one another: their deviation is one number, which no rotation changes.
        """
        means = self.a / self.count, self.b / self.count
        scales = []
        for square, mean in ((self.aa, means[0]), (self.bb, means[1])):
            variance = (square / self.count - mean**2).clamp(min=0).reshape(-1, block).mean(dim=1)
            deviation = variance.sqrt().repeat_interleave(block)
            alive = deviation > DEAD * deviation.max()
            scales.append(torch.where(alive, 1 / deviation.clamp(min=1e-300), torch.zeros_like(deviation)))
        covariance = self.ab / self.count - means[0][:, None] * means[1][None]
        return scales[0][:, None] * covariance * scales[1][None]


def match(table: Table, objective: Objective, a: Params, b: Params, *, only: Collection[str] | None = None) -> Element:
    """The element that makes the features of ``b`` most like those of ``a``, both in canonical form.

    Args:
        table: The architecture.
        objective: Model and the batches to match on.
        a: Named parameters.
        b: Named parameters to be changed.
        only: Groups that may change; None is all.
    """
    places = [place for place in places_of(table, objective.model) if only is None or place.axis.group in only]
    sums = collect(objective, places, a, b)
    element: dict[str, Change] = {}
    for name, group in table.groups.items():
        if only is not None and name not in only:
            continue
        found = Products()
        for place in places:
            if place.axis.group == name and place in sums:
                part = turning(group, place.axis)
                block = part.size if part and part.kind != "permutation" else 1
                found.add_whole(place.axis, group, sums[place].correlation(block))
        element[name] = nearest(group, found)[0] if not found.empty else still(group)
    return element


def places_of(table: Table, model: nn.Module) -> list[Place]:
    """Where the features of every group are read."""
    outputs = dict(zip(_names(model), output_axes(model), strict=True))
    read, written = list[Place](), list[Place]()
    for piece in table.pieces:
        name, _, kind = piece.parameter.rpartition(".")
        module = model.get_submodule(name)
        if kind != "weight" or isinstance(module, nn.Embedding) or len(piece.axes) < 2:
            continue
        out = outputs[piece.parameter]
        for dim, side in ((1 - out, read), (out, written)):
            if (axis := piece.axes[dim]) is not None:
                index = piece.index if dim == piece.dim else None
                side.append(Place(name, side is written, axis, index, len(piece.axes) > 2))
    known = {(place.axis.group, place.axis.part) for place in read}
    every = [*read, *(place for place in written if (place.axis.group, place.axis.part) not in known)]
    return list(dict.fromkeys(every))


@torch.no_grad()
def collect(objective: Objective, places: list[Place], a: Params, b: Params) -> dict[Place, Sums]:
    """Sums of features over all tokens that mean something, on the same batches."""
    out: dict[Place, Sums] = {}
    for begin in range(0, objective.examples, AT_ONCE):
        batch = objective.part(begin, begin + AT_ONCE)
        kept = tokens(objective.model, batch)
        one, two = (features(objective, params, batch, places, kept) for params in (a, b))
        for place, x in one.items():
            y = two[place]
            new = Sums(len(x), x.sum(0), y.sum(0), x.square().sum(0), y.square().sum(0), x.mT @ y)
            old = out.get(place)
            out[place] = new if old is None else Sums(
                old.count + new.count, old.a + new.a, old.b + new.b, old.aa + new.aa, old.bb + new.bb, old.ab + new.ab
            )  # fmt: skip
    return out


def features(
    objective: Objective, params: Params, batch: dict[str, Tensor], places: list[Place], kept: Tensor | None
) -> dict[Place, Float[Tensor, "tokens n"]]:
    """Features of one model on a batch, in float64."""
    found: dict[Place, list[Tensor]] = {}

    def keep(place: Place, value: Tensor) -> None:
        if place.channels:
            value = value.movedim(1, -1)
        if kept is not None and value.shape[:2] == kept.shape:
            value = value[kept]
        value = value.reshape(-1, value.shape[-1]).double()
        if place.index is not None:
            value = value[:, torch.tensor(place.index, device=value.device)]
        found.setdefault(place, []).append(value)

    module = Measured(objective)
    inner = {f"model.{name}": value for name, value in params.items()}
    with batch_statistics(objective) as buffers:
        for part in objective.statistics:
            functional_call(module, {**inner, **buffers}, ([part],))
    with ExitStack() as stack:
        for place in places:
            target = objective.model.get_submodule(place.module)
            stack.callback(target.register_forward_hook(partial(_listen, keep, place)).remove)
        functional_call(module, {**inner, **buffers}, ([batch],))
    return {place: torch.cat(values) for place, values in found.items()}


def _listen(
    keep: Callable[[Place, Tensor], None], place: Place, _: nn.Module, inputs: tuple[Any, ...], output: Any
) -> None:
    keep(place, output if place.written else inputs[0])


def tokens(model: Any, batch: Mapping[str, Tensor]) -> Bool[Tensor, "examples length"] | None:
    """Which tokens count: no padding, and none that begin, end or separate; None where there are no tokens."""
    if "input_ids" not in batch:
        return None
    ids = batch["input_ids"]
    kept = batch["attention_mask"].bool() if "attention_mask" in batch else torch.ones_like(ids, dtype=torch.bool)
    config = getattr(model, "config", None)
    for name in ("bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "pad_token_id"):
        value = getattr(config, name, None)
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                kept = kept & (ids != one)
    return kept if bool(kept.any()) else torch.ones_like(ids, dtype=torch.bool)


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]
