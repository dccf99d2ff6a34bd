"""Models and state dicts in memory: any module, with any loss."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.face.inputs import Inputs, Memory, Models
from landscape.measure.prepare import on
from landscape.objectives import Objective, module
from landscape.objectives.module import joined, several
from landscape.session.session import InMemory
from landscape.space import learned_buffers
from landscape.study.checkpoint import Checkpoint
from landscape.study.sections import Data

if TYPE_CHECKING:
    from landscape.face.inputs import Batches, Model

READ = frozenset({"device", "buffers"})
"""Settings that models in memory read."""
COMPARED = 8
"""Examples on which modules are held against the first one."""


def found(models: Sequence[Model], inputs: Inputs, memory: Memory) -> Models:
    """Models and state dicts as points of one space.

    Args:
        models: The models.
        inputs: Where to compute, and whose buffers points take.
        memory: Their loss, and what it is of.

    Raises:
        InputError: If they are not of one architecture, nothing takes a state dict, a setting is of references, or the
            loss is not one number for each example.
    """
    if unread := sorted(inputs.model_fields_set - READ):
        raise InputError(f"{unread[0]} is for references; models in memory are evaluated on batches by a loss")
    if memory.loss is None or memory.batches is None:
        raise InputError("models in memory need loss = a function of outputs and batch, and batches = tensors")
    first = memory.model if memory.model is not None else next((m for m in models if isinstance(m, nn.Module)), None)
    if first is None:
        raise InputError("state dicts need a model that takes them: give model = an nn.Module")
    taker, device = copy.deepcopy(first), on(inputs.device)
    if isinstance(memory.statistics, str | Path):
        raise InputError("statistics are batches for models in memory; a path is for references")
    statistics = tuple(several(memory.statistics, "statistics")) if memory.statistics is not None else ()

    def objective(batches: Batches, name: str) -> Objective:
        assert memory.loss is not None
        return module.build(taker, joined(batches, name), memory.loss, statistics=statistics).to(device)

    scored = objective(memory.batches, "batches")
    with torch.no_grad():
        scored.measure(scored.model, scored.part(0, 2))  # so that a loss of another shape is refused at once
    fitted = objective(memory.fit_batches, "fit_batches") if memory.fit_batches is not None else None
    _require_one_function(models, first, scored)
    points: dict[str, Tensor] = {}
    buffers: dict[str, dict[str, Tensor]] = {}
    checkpoints = []
    for number, model in enumerate(models, start=1):
        point, own = _point(number, model, scored)
        content = _hash([point, *own.values()])
        points[content], buffers[content] = point, own
        checkpoints.append(Checkpoint(f"model {number}", content=content))
    placeholder = Data(objective="causal-lm", sequences=max(scored.examples, 2), buffers=inputs.buffers)
    return Models(tuple(checkpoints), placeholder, inputs.device, InMemory(scored, points, buffers, fitted))


def _point(number: int, model: Model, objective: Objective) -> tuple[Tensor, dict[str, Tensor]]:
    """The point of a model or a state dict, and its learned buffers.

    Raises:
        InputError: If it is of another architecture.
    """
    assert not isinstance(model, str | Path)
    state = model.state_dict() if isinstance(model, nn.Module) else model
    held = {name: value.detach().cpu() for name, value in state.items()}
    for name, shape in zip(objective.space.names, objective.space.shapes, strict=True):
        if name not in held:
            raise InputError(f"model {number} has no parameter {name}; give models of one architecture")
        if (own := tuple(held[name].shape)) != shape:
            raise InputError(f"{name} of model {number} has the shape {own}, not {shape}: give one architecture")
        if held[name].dtype == torch.float64:
            raise InputError(
                f"{name} of model {number} is float64, and points are evaluated in float32; give model.float() and "
                "batches in float32"
            )
    buffers = {name: held[name].clone() for name in learned_buffers(objective.model) if name in held}
    return objective.space.vector(held).float(), buffers


def _require_one_function(models: Sequence[Model], first: nn.Module, objective: Objective) -> None:
    """Refuse modules that compute something else than the first one does with their parameters and buffers.

    Raises:
        InputError: If one does.
    """
    for number, model in enumerate(models, start=1):
        if not isinstance(model, nn.Module) or model is first:
            continue
        with contextlib.suppress(RuntimeError):  # names, shapes or dtypes that do not fit are named later
            own = _losses(model, objective)
            by_first = _losses(first, objective, model.state_dict())
            if not torch.allclose(own, by_first, rtol=1e-3, atol=1e-5, equal_nan=True):
                raise InputError(
                    f"model {number} computes another function than the first one with the same parameters (a loss of "
                    f"{own.mean():.4g}, not {by_first.mean():.4g}): they differ in a layer or a constant that is no "
                    "parameter; give models of one architecture"
                )


def _losses(model: nn.Module, objective: Objective, state: Mapping[str, Tensor] | None = None) -> Tensor:
    """Losses of the first examples by a copy of a module, with other parameters and buffers if they are given.

    Raises:
        RuntimeError: If they do not fit.
    """
    taker = copy.deepcopy(model).to(next(iter(objective.batch.values())).device).eval()
    if state is not None:
        taker.load_state_dict(state)
    with torch.no_grad():
        return objective.measure(taker, objective.part(0, COMPARED))["loss"].float().cpu()


def _hash(tensors: Iterable[Tensor]) -> str:
    """Hash of the values of some tensors."""
    content = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
