"""Alignment by activations: units that behave alike on the same batches.

The features of a group are the inputs of a module along an axis of that group or, where no module reads the group
(queries and keys), the outputs of one. They belong to each model alone, so groups are independent of one another. The
order has the largest sum of correlations, and maps inside blocks have the largest covariance of the standardised
features. Units of experts are read and written by no module of their own; they are aligned by their weights.
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

from landscape.foreign import Pretrained
from landscape.objectives import Objective
from landscape.points.evaluate import Measured, batch_statistics
from landscape.shapes import Bool, Float
from landscape.space import output_axes
from landscape.symmetry.group.element import Change, Element, still
from landscape.symmetry.group.table import Axis, Params, Table
from landscape.symmetry.search import descent
from landscape.symmetry.search.nearest import Products, nearest, rotated_part

DEAD = 1e-6
"""Share of the largest deviation of a group's features below which a feature counts as constant."""
AT_ONCE = 8
"""Examples per pass."""


@dataclass(frozen=True)
class Source:
    """Where features of a group are recorded: a module, its inputs or outputs, and which coordinates of these.

    Attributes:
        module: Name of the module.
        written: Whether the features are its outputs, not its inputs.
        axis: The group, and how it moves the features.
        index: Coordinates of the features; None is all.
        channels: Whether the features are channels, on the second axis, and not on the last axis.
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
        """Correlations of the features of one model with those of the other, in [-1, 1]; 0 for constant features.

        Args:
            block: Number of neighbouring features that may be rotated into one another; they share one deviation, which
                no rotation changes.
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


def align(table: Table, objective: Objective, a: Params, b: Params, *, only: Collection[str] | None = None) -> Element:
    """The element that makes the features of ``b`` most like those of ``a``, both in canonical form.

    Args:
        table: The architecture.
        objective: Model and the batches to align on.
        a: Named parameters.
        b: Named parameters to be changed.
        only: Groups that may change; None is all.
    """
    sources = [source for source in sources_of(table, objective.model) if only is None or source.axis.group in only]
    sums = collect(objective, sources, a, b)
    element: dict[str, Change] = {}
    unseen: list[str] = []
    for name, group in table.groups.items():
        if only is not None and name not in only:
            continue
        if group.within > 1 and not any(s.axis.queries for s in sources if s.axis.group == name):
            unseen.append(name)  # units of experts, which no module hands out
            continue
        found = Products()
        for source in sources:
            if source.axis.group == name and source in sums:
                part = rotated_part(group, source.axis)
                block = part.size if part and part.kind != "permutation" else 1
                found.add_whole(source.axis, group, sums[source].correlation(block))
        element[name] = nearest(group, found)[0] if not found.empty else still(group)
    for name in unseen:
        element[name], _ = descent.improve(table, a, b, element, name, torch.Generator())
    return element


def sources_of(table: Table, model: nn.Module) -> list[Source]:
    """Where the features of every group are recorded."""
    outputs = dict(zip(_names(model), output_axes(model), strict=True))
    read, written = list[Source](), list[Source]()
    for piece in table.pieces:
        name, _, kind = piece.parameter.rpartition(".")
        module = model.get_submodule(name)
        if kind != "weight" or isinstance(module, nn.Embedding) or len(piece.axes) < 2:
            continue
        out = outputs[piece.parameter]
        for dim, side in ((1 - out, read), (out, written)):
            if (axis := piece.axes[dim]) is not None:
                index = piece.index if dim == piece.dim else None
                side.append(Source(name, side is written, axis, index, len(piece.axes) > 2))
    known = {(source.axis.group, source.axis.part) for source in read}
    every = [*read, *(source for source in written if (source.axis.group, source.axis.part) not in known)]
    return list(dict.fromkeys(every))


@torch.no_grad()
def collect(objective: Objective, sources: list[Source], a: Params, b: Params) -> dict[Source, Sums]:
    """Sums of features over all tokens that count, on the same batches.

    Args:
        objective: Model and batches.
        sources: Where features are recorded.
        a: Named parameters of one model.
        b: Named parameters of the other.
    """
    out: dict[Source, Sums] = {}
    for begin in range(0, objective.examples, AT_ONCE):
        batch = objective.part(begin, begin + AT_ONCE)
        kept = tokens(objective.model, batch)
        one, two = (features(objective, params, batch, sources, kept) for params in (a, b))
        for source, x in one.items():
            y = two[source]
            new = Sums(len(x), x.sum(0), y.sum(0), x.square().sum(0), y.square().sum(0), x.mT @ y)
            old = out.get(source)
            out[source] = new if old is None else Sums(
                old.count + new.count, old.a + new.a, old.b + new.b, old.aa + new.aa, old.bb + new.bb, old.ab + new.ab
            )  # fmt: skip
    return out


def features(
    objective: Objective, params: Params, batch: dict[str, Tensor], sources: list[Source], kept: Tensor | None
) -> dict[Source, Float[Tensor, "tokens n"]]:
    """Features of one model on a batch, in float64.

    Args:
        objective: The model.
        params: Its named parameters.
        batch: The batch.
        sources: Where features are recorded.
        kept: Tokens that count; None is all.
    """
    found: dict[Source, list[Tensor]] = {}

    def keep(source: Source, value: Tensor) -> None:
        if source.channels:
            value = value.movedim(1, -1)
        if kept is not None and value.shape[:2] == kept.shape:
            value = value[kept]
        value = value.reshape(-1, value.shape[-1]).double()
        if source.index is not None:
            value = value[:, torch.tensor(source.index, device=value.device)]
        found.setdefault(source, []).append(value)

    module = Measured(objective)
    inner = {f"model.{name}": value for name, value in params.items()}
    with batch_statistics(objective) as buffers:
        for part in objective.statistics:
            functional_call(module, {**inner, **buffers}, ([part],))
    with ExitStack() as stack:
        for source in sources:
            target = objective.model.get_submodule(source.module)
            stack.callback(target.register_forward_hook(partial(_listen, keep, source)).remove)
        functional_call(module, {**inner, **buffers}, ([batch],))
    return {source: torch.cat(values) for source, values in found.items()}


def _listen(
    keep: Callable[[Source, Tensor], None], source: Source, _: nn.Module, inputs: tuple[Any, ...], output: Any
) -> None:
    # A router hands out its logits first, and then the experts that it chose.
    written = output[0] if isinstance(output, tuple) else output
    keep(source, written if source.written else inputs[0])


def tokens(model: Pretrained, batch: Mapping[str, Tensor]) -> Bool[Tensor, "examples length"] | None:
    """Which tokens count: all but padding and those that begin, end or separate; None where there are no tokens."""
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
