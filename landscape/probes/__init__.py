"""Behavioural probes: what a checkpoint can do, asked the same way at every step. One behaviour a file.

Each file has what it ``TAKES``, kinds of model, ``items``, what is asked, which depends on the tokenizer, the settings
and the random numbers and never on weights, and ``measure``, which asks a model and gives scores with errors and an
outcome for each item.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import numpy as np

from landscape.errors import InputError
from landscape.probes import (
    agreement,
    calibration,
    harness,
    in_context,
    induction,
    inference,
    linear,
    minimal_pairs,
    ngrams,
    syntax,
)
from landscape.probes.base.finding import Found, Score
from landscape.probes.base.subject import Given, Kind, Subject

KINDS: dict[str, ModuleType] = {
    "in-context": in_context,
    "induction": induction,
    "ngrams": ngrams,
    "minimal-pairs": minimal_pairs,
    "agreement": agreement,
    "inference": inference,
    "linear": linear,
    "syntax": syntax,
    "calibration": calibration,
    "harness": harness,
}

__all__ = ["KINDS", "Found", "Given", "Score", "Subject", "items_of", "measure", "probe"]


def items_of(name: str, subject: Subject, given: Given, *, seed: int = 0) -> Any:
    """The items of a probe: the same for every checkpoint with this tokenizer.

    Args:
        name: A probe, or ``harness:TASK``.
        subject: A model of the architecture, whose weights do not matter.
        given: What it is asked with.
        seed: Of what is random.

    Raises:
        InputError: If there is no such probe, or it cannot be asked of this model.
    """
    kind, _, task = name.partition(":")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        raise InputError(
            f"no probe is called {name!r}{f'; did you mean {near[0]}' if near else ''}; there are {', '.join(KINDS)}"
        )
    takes = KINDS[kind].TAKES
    if subject.kind not in takes:
        raise InputError(
            f"{name} asks {' and '.join(takes)} models, and this one is taken as {subject.kind}; leave it out or "
            "choose another objective"
        )
    return KINDS[kind].items(subject, replace(given, task=task), np.random.RandomState(seed))


def measure(name: str, subject: Subject, items: Any) -> Found:
    """What a probe finds on its items."""
    found: Found = KINDS[name.partition(":")[0]].measure(subject, items)
    return found


def probe(name: str, model: Any, tokenizer: Any, *, kind: Kind | None = None, seed: int = 0, **given: Any) -> Found:
    """Ask a model one thing.

    Args:
        name: A probe, or ``harness:TASK``.
        model: A model of transformers, or any module with its interface.
        tokenizer: Its tokenizer.
        kind: ``causal``, ``masked`` or ``classifier``; by the name of the model's class, if left out.
        seed: Of what is random in the items.
        **given: Fields of :class:`landscape.probes.base.subject.Given`: ``text``, ``items``, ...

    Raises:
        InputError: If the probe cannot be asked of this model.
    """
    subject = Subject.of(model, tokenizer, kind)
    return measure(name, subject, items_of(name, subject, Given(**given), seed=seed))
