"""The objective of a function of the user's own file: ``mine.py:build`` returns model, batches and loss.

The function returns ``(model, batches, loss)``, or a dict with these names and any of those of :data:`OPTIONAL`. If it
takes an argument, this is the ``text`` of the data set: any path, which means what the function makes of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypedDict, cast

import torch
from torch import nn

from landscape import own
from landscape.errors import InputError
from landscape.objectives import module
from landscape.objectives.module import Batches, Loss, joined, several
from landscape.objectives.objective import Objective
from landscape.objectives.text import spread

REQUIRED = ("model", "batches", "loss")
OPTIONAL = ("statistics", "fit_batches", "inputs", "unit")
"""``statistics``: batches of training data for BatchNorm. ``fit_batches``: what curves are fitted on, and models
aligned on. ``inputs``: names of the tensors that the model is called with. ``unit``: of the loss."""


class Parts(TypedDict, total=False):
    """What a function returns, by name."""

    model: nn.Module
    batches: Batches
    loss: Loss
    statistics: Batches
    fit_batches: Batches
    inputs: tuple[str, ...]
    unit: str


def build(name: str, text: str | None, *, fits: bool = False, sequences: int | None = None) -> Objective:
    """The objective of a function.

    Args:
        name: The function, such as ``mine.py:build``.
        text: What the function is called with, if it takes an argument.
        fits: Whether the batches are to be fitted or aligned on.
        sequences: Most examples, spread evenly over those that it returns; None takes all.

    Raises:
        InputError: If the function fails, or returns something else than a model, batches and a loss.
    """
    made = parts(name, text, fits=fits)
    batches = made["fit_batches"] if fits and "fit_batches" in made else made["batches"]
    batch = joined(batches, "batches")
    there = len(next(iter(batch.values())))
    if sequences is not None and sequences < there:
        batch = {key: tensor[spread(there, sequences)] for key, tensor in batch.items()}
    statistics = tuple(several(made["statistics"], "statistics")) if made.get("statistics") is not None else ()
    _require_float32(name, made["model"])
    try:
        objective = module.build(
            made["model"], batch, made["loss"], inputs=tuple(made.get("inputs", ("inputs",))),
            unit=made.get("unit", "nats per example"), statistics=statistics,
        )  # fmt: skip
        with torch.no_grad():
            objective.measure(objective.model, objective.part(0, 2))  # so that a loss of another shape is refused now
    except InputError as error:
        raise InputError(f"{own.label(name)}: {error}") from error
    except Exception as error:
        raise InputError(_failed(name, error)) from error
    return objective


def parts(name: str, text: str | None, *, fits: bool = False) -> Parts:
    """What a function returns, by name.

    Args:
        name: The function.
        text: What it is called with, if it takes an argument.
        fits: Whether the batches are to be fitted or aligned on.

    Raises:
        InputError: If it fails, takes no such argument, or returns something else.
    """
    function = own.function(name)
    takes = len(inspect.signature(function).parameters)
    if text is not None and not takes:
        raise InputError(
            f"{own.label(name)} takes no argument, and the text {text} is given: let it take one, or leave the text out"
        )
    made = _named(name, _called(name, function, (text,) if takes and text is not None else ()))
    if fits and "fit_batches" not in made and not (takes and text is not None):
        raise InputError(
            f"{own.label(name)} has no other examples to fit or align on: return fit_batches too, or let it take an "
            "argument, which is fit_text for a curve and alignment.text for an alignment"
        )
    return made


def _called(name: str, function: Callable[..., object], arguments: tuple[str, ...]) -> object:
    """What a function returns.

    Raises:
        InputError: If it fails.
    """
    try:
        return function(*arguments)
    except InputError:
        raise
    except Exception as error:
        raise InputError(_failed(name, error)) from error


def _failed(name: str, error: Exception) -> str:
    """What went wrong in a function of the user's, with the line."""
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    file = str(own.parts(name)[0].resolve())
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)
    where = f", line {line}" if line else ""
    return f"{own.label(name)} fails{where}: {type(error).__name__}: {error}"


def _named(name: str, made: object) -> Parts:
    """Model, batches and loss by name.

    Raises:
        InputError: If they are not these.
    """
    if isinstance(made, tuple | list) and len(made) == len(REQUIRED):
        made = dict(zip(REQUIRED, made, strict=True))
    if not isinstance(made, Mapping) or set(REQUIRED) - set(made):
        has = ", ".join(map(str, made)) if isinstance(made, Mapping) else type(made).__name__
        raise InputError(
            f"{own.label(name)} returns {has}; model, batches and loss are wanted, in this order or by these names"
        )
    if unknown := sorted(map(str, set(made) - {*REQUIRED, *OPTIONAL})):
        raise InputError(f"{own.label(name)} returns {unknown[0]!r}; it may return {', '.join(REQUIRED + OPTIONAL)}")
    if not isinstance(made["model"], nn.Module) or not callable(made["loss"]):
        wrong = "model" if not isinstance(made["model"], nn.Module) else "loss"
        wanted = "an nn.Module" if wrong == "model" else "a function of outputs and batch"
        raise InputError(f"the {wrong} of {own.label(name)} is a {type(made[wrong]).__name__}; {wanted} is wanted")
    return cast(Parts, dict(made))


def _require_float32(name: str, model: nn.Module) -> None:
    """Refuse a model of another precision, whose points would be rounded.

    Raises:
        InputError: If a parameter is no float32.
    """
    for parameter, value in model.named_parameters():
        if value.dtype != torch.float32:
            raise InputError(
                f"{parameter} of the model of {own.label(name)} is {value.dtype}, and points are float32; give "
                "model.float() and batches in float32"
            )
