"""Coordinates of a checkpoint that move: all, those of some parameters, part of a tensor, or one attention head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.shapes import Bool, Int
from landscape.space import Space

HEADS = {
    r"\.attn\.c_attn\.(weight|bias)$": (-1, 3),
    r"\.attn\.c_proj\.weight$": (0, 1),
    r"\.attention\.query_key_value\.(weight|bias)$": (0, 1),
    r"(?<!\.output)\.attention\.dense\.weight$": (1, 1),
    r"\.attention\.(self|attention)\.(query|key|value)\.(weight|bias)$": (0, 1),
    r"\.attention\.output\.dense\.weight$": (1, 1),
    r"\.self_attn\.[qkv]_proj\.(weight|bias)$": (0, 1),
    r"\.self_attn\.o_proj\.weight$": (1, 1),
}
"""Parameters of attention in GPT-2, GPT-NeoX, BERT, ViT, Llama and OLMo: the axis of heads, and blocks along it."""
HEAD = re.compile(r"head (\d+)\.(\d+)")
SLICED = re.compile(r"([^\[\]]+)\[([-\d:, ]+)\]")


def chosen(model: nn.Module, space: Space, wanted: Sequence[str] | None) -> Int[Tensor, " moving"] | None:
    """Coordinates that move; None for all.

    Args:
        model: The module.
        space: Its coordinates.
        wanted: None for all. Else each is a name with ``*`` for any text, such as ``*.h.0.attn.*``; such a name with a
            NumPy slice of the tensor, such as ``*.h.0.attn.c_proj.weight[0:16, :]``; or ``head 0.3`` for head 3 of
            layer 0, both counted from 0: its rows of queries, keys and values, and its columns of the output.

    Raises:
        InputError: If one of them selects no coordinate.
    """
    if wanted is None:
        return None
    if isinstance(wanted, str) or not wanted:
        raise InputError(f"parameters are {wanted!r} and a list of names is wanted; leave them out to move all")
    marks = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in zip(space.names, space.shapes, strict=True)}
    for one in wanted:
        head = HEAD.fullmatch(one)
        found = _head(model, marks, int(head[1]), int(head[2])) if head else _named(marks, one)
        if not found and head:
            config = getattr(model, "config", None)
            layers, heads = (getattr(config, name, 0) for name in ("num_hidden_layers", "num_attention_heads"))
            raise InputError(
                f"{one!r} is not there: the model has {layers} layers of {heads} heads, counted from 0, written as "
                "'head LAYER.HEAD'; or its attention is not known, and parts are written as NAME[0:16, :]"
            )
        if not found:
            raise InputError(
                f"no parameter fits {one!r}; names are {', '.join(space.names[:3])}, ...; * is any text, and parts are "
                "written as NAME[0:16, :]"
            )
    return torch.cat([mark.flatten() for mark in marks.values()]).nonzero().squeeze(1)


def names_of(space: Space, moving: Int[Tensor, " moving"] | None) -> frozenset[str] | None:
    """Names of the parameters that these coordinates belong to; None is all."""
    if moving is None:
        return None
    ends = torch.tensor(space.sizes).cumsum(0)
    numbers = torch.bucketize(moving.cpu(), ends, right=True).tolist()
    return frozenset(space.names[number] for number in set(numbers))


def _named(marks: dict[str, Bool[Tensor, ...]], one: str) -> bool:
    pattern, index = one, tuple[slice, ...]()
    if part := SLICED.fullmatch(one):
        pattern = part[1]
        index = tuple(_slice(text.strip()) for text in part[2].split(","))
    names = [name for name in marks if fnmatchcase(name, pattern) and len(index) <= marks[name].ndim]
    for name in names:
        marks[name][index] = True
    return any(bool(marks[name][index].any()) for name in names)


def _slice(text: str) -> slice:
    parts = [int(part) if part.strip() else None for part in text.split(":")]
    return slice(parts[0], (parts[0] or 0) + 1) if len(parts) == 1 else slice(*parts)


def _head(model: nn.Module, marks: dict[str, Bool[Tensor, ...]], layer: int, head: int) -> bool:
    config = getattr(model, "config", None)
    heads = int(getattr(config, "num_attention_heads", 0))
    found = False
    if head >= heads:
        return found
    for name, mark in marks.items():
        rule = next((rule for pattern, rule in HEADS.items() if re.search(pattern, name)), None)
        if rule is None or not re.search(rf"\.{layer}\.", name):
            continue
        axis, blocks = rule
        here = heads
        if re.search(r"\.[kv]_proj\.", name):  # heads in groups share keys and values
            here = int(getattr(config, "num_key_value_heads", None) or heads)
        rows = mark.movedim(axis, 0)
        parts = rows.view(blocks, here, -1, *rows.shape[1:])
        parts[:, head * here // heads] = True
        found = True
    return found
