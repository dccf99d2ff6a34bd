"""A point whose tensors are in memory only while the module that owns them runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from landscape.objectives import Objective
from landscape.objectives.objective import Values
from landscape.points.combine import Anchors, combine_part
from landscape.progress import Progress
from landscape.shapes import Float

ABOUT = ("__get__", "size", "dim", "numel", "is_floating_point")
"""What may be asked of a parameter that is not there."""
EXAMPLES = 32
"""Examples in one forward pass."""


@torch.no_grad()
def streamed(
    objective: Objective, anchors: Anchors, coefficients: Float[torch.Tensor, "points *tensors anchors"]
) -> Float[torch.Tensor, "points examples"]:
    """Loss of each example at each of the points, in float32, without a whole point in memory.

    The model is one without memory; see :mod:`landscape.checkpoints.hollow`. Anchors are read once for each pass.

    Args:
        objective: Model, batches and measure.
        anchors: Points of its space.
        coefficients: A row for each point, or for each tensor of each point.

    Raises:
        RuntimeError: If a parameter is used outside of the module that owns it.
    """
    out, progress = [], Progress("comparing with float32", len(coefficients), "points")
    for row in coefficients:
        with _arriving(objective, anchors, row):
            parts: Sequence[Values] = [
                objective.measure(objective.model, objective.part(begin, begin + EXAMPLES))
                for begin in range(0, objective.examples, EXAMPLES)
            ]
        out.append(torch.cat([part["loss"].cpu() for part in parts]))
        progress.advance(1)
    return torch.stack(out)


class _Absent(torch.Tensor):
    """Stands in for a parameter while its module does not run: an operation on a meta tensor may give any number."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer questions about shape and dtype only.

        Raises:
            RuntimeError: If its values are used.
        """
        if func.__name__ not in ABOUT:
            raise RuntimeError("a parameter is used outside of the module that owns it")
        plain: Any = super()
        return plain.__torch_function__(func, types, args, kwargs or {})


@contextmanager
def _arriving(objective: Objective, anchors: Anchors, row: Float[torch.Tensor, "*tensors anchors"]) -> Generator[None]:
    """Within this context, a module has its parameters of the point while it runs."""
    space = objective.space
    number = {id(objective.model.get_parameter(name)): k for k, name in enumerate(space.names)}
    owned = [
        (module, {name: parameter for name, parameter in module._parameters.items() if parameter is not None})
        for module in objective.model.modules()
    ]
    with ExitStack() as stack:
        for module, own in owned:
            if own:
                stack.callback(module._parameters.update, own)
                away: Any = {name: parameter.as_subclass(_Absent) for name, parameter in own.items()}
                here = {name: number[id(parameter)] for name, parameter in own.items()}

                def come(module: nn.Module, _: Any, here: dict[str, int] = here) -> None:
                    for name, k in here.items():
                        values = torch.empty(space.sizes[k], device=objective.device)
                        combine_part(row, anchors, values, space.sizes, k)
                        module._parameters[name] = nn.Parameter(values.view(space.shapes[k]), requires_grad=False)

                def go(module: nn.Module, _: Any, __: Any, away: Any = away) -> None:
                    module._parameters.update(away)

                module._parameters.update(away)
                stack.callback(module.register_forward_pre_hook(come).remove)
                stack.callback(module.register_forward_hook(go, always_call=True).remove)
        yield
