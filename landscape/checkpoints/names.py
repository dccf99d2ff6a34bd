"""From the names in a file to the parameters of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

from landscape.checkpoints.formats import Stored, read
from landscape.checkpoints.formats.tensors import FLOATS, same_bytes
from landscape.errors import InputError
from landscape.space import Space, learned_buffers

WRAPPERS = re.compile(r"\b(?:_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Segments that torch.compile, Fabric and FSDP insert into names; no module of a model has such a name."""
CONSTANTS = (r"position_ids$", r"inv_freq$", r"\b(?:attn|attention)\.(?:masked_)?bias$", r"num_batches_tracked$")
"""Entries of old files that are not weights: position ids, frequencies, causal masks."""


_RENAMINGS: WeakKeyDictionary[nn.Module, Callable[[str], str]] = WeakKeyDictionary()


class NeedsConversion(Exception):
    """Tensors on disk must be split or merged to become parameters, which only transformers can do."""


def locate(stored: Mapping[str, Stored], model: nn.Module, space: Space, path: Path) -> dict[str, Stored]:
    """The stored tensor of each parameter of a model, in the order of its space.

    Names are stripped of wrappers (DDP, compile, FSDP, Lightning's attribute), then renamed as transformers itself
    does (``LayerNorm.gamma``, ``embed_out``, a missing ``bert.``). Tensors that are not parameters are ignored: masks,
    position ids, heads of another class. A tied parameter may be stored under any of its names.

    Args:
        stored: The tensors of the checkpoint.
        model: The model.
        space: Its space.
        path: The checkpoint, for error messages.

    Raises:
        InputError: If a parameter is missing, has another shape, or a tied one is stored twice and differs.
        NeedsConversion: If transformers would do more than rename.
    """
    named = _named(stored, model, space, path, _renaming(model))
    shapes = dict(zip(space.names, space.shapes, strict=True))
    own = shapes.keys() | dict(space.tied).keys()
    layers = {_any_layer(name) for name in space.names}
    if beyond := sorted(n for n in named.keys() - own if _any_layer(n) != n and _any_layer(n) in layers):
        raise InputError(
            f"{path} holds the parameter {beyond[0]!r}, one of {len(beyond)} that its config has no layer for; give "
            "the config that belongs to it"
        )
    if lost := missing(named, space):
        raise InputError(
            f"{path} lacks the parameter {lost[0]!r} {shapes[lost[0]]} of its own model class; "
            "it may have been saved from another class"
        )
    for name, shape in shapes.items():
        if named[name].shape != tuple(shape):
            raise InputError(f"{path}: parameter {name!r} is {named[name].shape} on disk and {shape} in its config")
    return {name: named[name] for name in space.names}


@dataclass(frozen=True)
class Beside:
    """The tensors of a file besides the parameters of a model.

    Attributes:
        buffers: Its learned buffers, by name.
        unused: Names of the tensors that the model does not use.
    """

    buffers: dict[str, Stored]
    unused: tuple[str, ...]


def beside(stored: Mapping[str, Stored], model: nn.Module, space: Space, path: Path) -> Beside:
    """The tensors of a file besides the parameters of a model; masks, position ids and the like are left out.

    Args:
        stored: The tensors of the checkpoint.
        model: The model.
        space: Its space.
        path: The checkpoint, for error messages.
    """
    rename, converted = _renaming(model), set[str]()

    def patient(name: str) -> str:
        try:
            return rename(name)
        except NeedsConversion:
            converted.add(name)
            return name

    named = _named(stored, model, space, path, patient)
    learned = learned_buffers(model)
    known = {*space.names, *dict(space.tied), *dict(model.named_buffers()), *converted}
    ignored = [*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), *CONSTANTS]
    taken = {id(at) for name, at in named.items() if name in known}
    unused = [
        name for name, at in stored.items()
        if id(at) not in taken and not any(re.search(pattern, name) for pattern in ignored)
    ]  # fmt: skip
    return Beside({name: named[name] for name in learned if name in named}, tuple(unused))


def _named(
    stored: Mapping[str, Stored], model: nn.Module, space: Space, path: Path, rename: Callable[[str], str]
) -> dict[str, Stored]:
    """The tensors by the names of the model's parameters, with the prefix removed that fits best.

    Raises:
        InputError: If the file holds the model more than once, or tied copies differ.
    """
    clean = _renamed(stored, lambda name: WRAPPERS.sub("", name), path)

    def under(prefix: str) -> dict[str, Stored]:
        own = {name: at for name, at in clean.items() if name.startswith(prefix)}
        here = _renamed(own, lambda name: rename(name.removeprefix(prefix)), path)
        aliases = [(alias, name) for alias, name in space.tied if alias in here]
        _require_equal(here, aliases, path)
        return {**{name: here[alias] for alias, name in aliases}, **here}

    options = [under("")]
    if missing(options[0], space):
        prefixes = sorted({n.removesuffix(space.names[0]) for n in clean if n.endswith(f".{space.names[0]}")})
        options += [under(prefix) for prefix in prefixes]
        if sum(not missing(option, space) for option in options) > 1:
            raise InputError(
                f"{path} holds the model more than once, under {prefixes}; save only the one that is meant"
            )
    return min(options, key=lambda option: len(missing(option, space)))


def _renamed(stored: Mapping[str, Stored], rename: Callable[[str], str], path: Path) -> dict[str, Stored]:
    """Tensors by their new names.

    Raises:
        InputError: If two different tensors get the same name.
    """
    here: dict[str, Stored] = {}
    for name, at in stored.items():
        known = here.setdefault(rename(name), at)
        if known is not at and at.dtype in FLOATS and not _same(known, at):
            raise InputError(
                f"{path} holds the model more than once: {name!r} is there under another name too, with other values; "
                "save only the one that is meant"
            )
    return here


def _any_layer(name: str) -> str:
    """The name without its layer numbers."""
    return re.sub(r"\.\d+\.", ".#.", name)


def missing(named: Mapping[str, Stored], space: Space) -> list[str]:
    """The parameters of the space that have no tensor."""
    return [name for name in space.names if name not in named]


def _renaming(model: nn.Module) -> Callable[[str], str]:
    """The function by which transformers renames tensors for this model; made once per model."""
    if model not in _RENAMINGS:
        _RENAMINGS[model] = cache(_new_renaming(model))
    return _RENAMINGS[model]


def _new_renaming(model: nn.Module) -> Callable[[str], str]:
    if not isinstance(model, PreTrainedModel):
        return lambda name: name
    steps = get_model_conversion_mapping(model)
    renamings = [step for step in steps if isinstance(step, WeightRenaming)]
    converters = [step for step in steps if isinstance(step, WeightConverter)]
    own: dict[str, Any] = dict.fromkeys(model.state_dict(), True)
    prefix = model.base_model_prefix

    def rename(name: str) -> str:
        new, converted = rename_source_key(name, renamings, converters, prefix, own)
        if converted is not None and new in own:
            raise NeedsConversion(name)
        if new not in own and name in own:
            new, _ = rename_source_key(name, [], [], prefix, own)
        return str(new)

    return rename


def _require_equal(stored: Mapping[str, Stored], aliases: list[tuple[str, str]], path: Path) -> None:
    for alias, name in aliases:
        if name in stored and not _same(stored[alias], stored[name]):
            raise InputError(
                f"{path} stores {name!r} and {alias!r} with different values, and its config ties them to one; "
                "set tie_word_embeddings to false in its config.json if they are meant to differ"
            )


def _same(one: Stored, other: Stored) -> bool:
    """Whether two tensors hold the same values."""
    if one.shape != other.shape:
        return False
    if one.same_place(other) or same_bytes(one, other):
        return True
    first, second = (np.empty(int(np.prod(stored.shape)), np.float32) for stored in (one, other))
    read(first, {"": one})
    read(second, {"": other})
    return np.array_equal(first, second, equal_nan=True)
