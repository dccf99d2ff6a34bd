"""Behavioural probes: what a checkpoint can do, measured on the same items at every step.

:data:`landscape.catalogue.PROBES` lists the members, one a file; a file is imported when its probe is used. Every file
has the same names:

- ``TAKES``: the kinds of model that it takes.
- ``USUAL_FOR``: the objectives for which ``landscape probe`` runs it when no probe is named.
- ``RANDOM_ITEMS``: whether the items depend on the seed.
- ``items``: makes the items from tokenizer, inputs and random numbers, never from weights.
- ``measure``: runs a model on the items, and returns scores with errors and an outcome for each item.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from landscape.catalogue import PROBES
from landscape.errors import InputError
from landscape.foreign import Pretrained, Tokenizer
from landscape.objectives import ModelKind
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.result import ProbeResult, Score

__all__ = [
    "ProbeInputs",
    "ProbeModel",
    "ProbeResult",
    "Score",
    "items_of",
    "measure",
    "module_of",
    "probe",
    "usual_for",
]


def usual_for(objective: str) -> tuple[str, ...]:
    """Names of the probes that are run for an objective when none is named."""
    return tuple(name for name in PROBES if objective in PROBES.load(name).USUAL_FOR)


def items_of(name: str, model: ProbeModel, inputs: ProbeInputs, *, seed: int = 0) -> Any:
    """The items of a probe: the same for every checkpoint with this tokenizer.

    Args:
        name: A probe, or ``harness:TASK``.
        model: A model of the architecture; its weights do not matter.
        inputs: What the items are made from.
        seed: Seed of random items.

    Raises:
        InputError: If there is no such probe, or it does not take this kind of model.
    """
    module, (_, _, task) = module_of(name), name.partition(":")
    if model.kind not in module.TAKES:
        raise InputError(
            f"{name} takes {' and '.join(module.TAKES)} models, and this one is taken as {model.kind}; leave it out or "
            "choose another objective"
        )
    return module.items(model, replace(inputs, task=task), np.random.RandomState(seed))


def measure(name: str, model: ProbeModel, items: Any) -> ProbeResult:
    """Run a probe on its items.

    Args:
        name: A probe, or ``harness:TASK``.
        model: The model.
        items: What :func:`items_of` returned for this probe and tokenizer.

    Raises:
        InputError: If there is no such probe.
    """
    result: ProbeResult = module_of(name).measure(model, items)
    return result


def probe(
    name: str, model: Pretrained, tokenizer: Tokenizer, *, kind: ModelKind | None = None, seed: int = 0, **inputs: Any
) -> ProbeResult:
    """Run one probe on one model.

    Args:
        name: A probe, or ``harness:TASK``.
        model: A model of transformers, or any module with its interface.
        tokenizer: Its tokenizer.
        kind: ``causal``, ``masked`` or ``classifier``; None decides by the name of the model's class.
        seed: Seed of random items.
        **inputs: Fields of :class:`landscape.probes.base.model.ProbeInputs`: ``text``, ``items``, ...

    Raises:
        InputError: If there is no such probe, or it does not take this kind of model.
    """
    whole = ProbeModel.of(model, tokenizer, kind)
    return measure(name, whole, items_of(name, whole, ProbeInputs(**inputs), seed=seed))


def module_of(name: str) -> ModuleType:
    """The file of a probe.

    Raises:
        InputError: If there is no such probe.
    """
    try:
        known = PROBES.require(name.partition(":")[0])
    except ValueError as error:
        raise InputError(str(error)) from error
    return PROBES.load(known)
