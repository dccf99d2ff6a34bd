"""A point whose tensors are in memory only while the module that owns them runs, or that is spread over devices."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objectives import Objective
from landscape.objectives.objective import Values
from landscape.points.combine import Anchors, combine_part
from landscape.progress import Progress
from landscape.shapes import Float

ABOUT = ("__get__", "size", "dim", "numel", "is_floating_point")
"""What may be asked of a parameter that is not there."""
EXAMPLES = 32
"""Examples in one forward pass, where they fit."""


@dataclass(frozen=True)
class Placement:
    """Where the modules of a model compute.

    Attributes:
        devices: Device of each module that keeps its values for all passes of a point, by name; its inputs are copied
            to it, and its outputs back. Other modules compute where the data are, and their values are made again for
            every pass.
    """

    devices: Mapping[str, torch.device] = field(default_factory=dict)

    def of(self, module: str) -> torch.device | None:
        """The device of a module or of a module that it is in; None if its values are made for every pass."""
        parts = module.split(".") if module else []
        names = (".".join(parts[:count]) for count in range(len(parts), -1, -1))
        return next((self.devices[name] for name in names if name in self.devices), None)


NOWHERE = Placement()


@torch.no_grad()
def streamed(
    objective: Objective,
    anchors: Anchors,
    coefficients: Float[Tensor, "points *tensors anchors"],
    *,
    dtype: torch.dtype = torch.float32,
    placement: Placement = NOWHERE,
    doing: str = "evaluating",
) -> dict[str, Float[Tensor, "points examples"]]:
    """All metrics of an objective at each of the points, without a whole point in the memory of one device.

    The model is one without memory; see :mod:`landscape.checkpoints.hollow`. Without a placement, anchors are read once
    for each pass.

    Args:
        objective: Model, batches and measure; without running statistics.
        anchors: Points of its space.
        coefficients: A row for each point, or for each tensor of each point.
        dtype: Of weights and activations.
        placement: Which modules keep their values, and where.
        doing: What progress is called.

    Returns:
        Values of each example at each point, on the CPU, by name.

    Raises:
        Borrowed: If a parameter is used outside of the module that owns it.
        torch.OutOfMemoryError: If one example does not fit; before that, batches are halved.
    """
    found, size, progress = list[Values](), EXAMPLES, Progress(doing, len(coefficients), "points")
    for row in coefficients:
        parts = list[Values]()
        with _arriving(objective, anchors, row, dtype, placement), _apart(objective, placement):
            done = 0
            while done < objective.examples:
                try:
                    values = objective.measure(objective.model, objective.part(done, done + size))
                except torch.OutOfMemoryError:
                    if size == 1:
                        raise
                    size //= 2
                    torch.cuda.empty_cache()
                    continue
                parts.append({name: value.cpu() for name, value in values.items()})
                done += size
        found.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
        progress.advance(1)
    return {name: torch.stack([values[name] for values in found]) for name in found[0]}


class Borrowed(RuntimeError):
    """A parameter is used outside of the module that owns it, where it has no values."""


class _Absent(torch.Tensor):
    """Stands in for a parameter while its module does not run: an operation on a meta tensor may give any number."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer questions about shape and dtype only.

        Raises:
            Borrowed: If its values are used.
        """
        if func.__name__ not in ABOUT:
            raise Borrowed("a parameter is used outside of the module that owns it")
        plain: Any = super()
        return plain.__torch_function__(func, types, args, kwargs or {})


@contextmanager
def _arriving(
    objective: Objective,
    anchors: Anchors,
    row: Float[Tensor, "*tensors anchors"],
    dtype: torch.dtype,
    placement: Placement,
) -> Generator[None]:
    """Within this context, a module has its parameters of the point while it runs."""
    space, kept = objective.space, dict[tuple[int, torch.device], nn.Parameter]()
    number = {id(objective.model.get_parameter(name)): k for k, name in enumerate(space.names)}

    def of_point(k: int, device: torch.device | None) -> nn.Parameter:
        """A parameter of the point; on a device of the placement it is kept."""
        if device is not None and (k, device) in kept:
            return kept[k, device]
        values = torch.empty(space.sizes[k], device=device or objective.device, dtype=dtype)
        combine_part(row, anchors, values, space.sizes, k)
        made = nn.Parameter(values.view(space.shapes[k]), requires_grad=False)
        if device is not None:
            kept[k, device] = made
        return made

    owned = [
        (module, placement.of(path), own)
        for path, module in objective.model.named_modules()
        if (own := {name: parameter for name, parameter in module._parameters.items() if parameter is not None})
    ]
    with ExitStack() as stack:
        for module, device, own in owned:
            stack.callback(module._parameters.update, own)
            away: Any = {name: parameter.to(dtype).as_subclass(_Absent) for name, parameter in own.items()}
            here = {name: number[id(parameter)] for name, parameter in own.items()}

            def come(
                module: nn.Module, _: Any, here: dict[str, int] = here, device: torch.device | None = device
            ) -> None:
                module._parameters.update({name: of_point(k, device) for name, k in here.items()})

            def go(module: nn.Module, _: Any, __: Any, away: Any = away) -> None:
                module._parameters.update(away)

            module._parameters.update(away)
            stack.callback(module.register_forward_pre_hook(come).remove)
            stack.callback(module.register_forward_hook(go, always_call=True).remove)
        yield


@contextmanager
def _apart(objective: Objective, placement: Placement) -> Generator[None]:
    """Within this context, modules compute on the devices of their placement; between them, values are where data are.

    So whatever a model adds up outside of its modules is on one device.
    """
    with ExitStack() as stack:
        for name, device in placement.devices.items():
            if device == objective.device:
                continue
            from accelerate.utils import send_to_device

            unit = objective.model.get_submodule(name)

            def enter(
                _: Any, args: Any, options: Any, device: torch.device = device, send: Any = send_to_device
            ) -> Any:
                return send(args, device), send(options, device)

            def leave(_: Any, __: Any, out: Any, send: Any = send_to_device) -> Any:
                return send(out, objective.device)

            stack.callback(unit.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(unit.register_forward_hook(leave).remove)
            for module in unit.modules():
                stack.callback(module._buffers.update, dict(module._buffers))
                module._buffers.update({name: b if b is None else b.to(device) for name, b in module._buffers.items()})
        yield
