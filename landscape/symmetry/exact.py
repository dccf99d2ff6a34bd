"""Models in float64 throughout, even where their code casts to float32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.foreign import Pretrained


class Float64(TorchFunctionMode):
    """Within it, every cast to float32 gives float64.

    Norms and softmaxes that round to float32 would hide differences below 1e-7.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The call, with float64 in place of float32."""
        if func is Tensor.float:
            func = Tensor.double
        args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        return func(*args, **{k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()})


def doubled(model: nn.Module) -> nn.Module:
    """A copy of a model in float64, with experts one after the other: multiplying all at once takes no float64."""
    out = copy.deepcopy(model).double()
    if getattr(getattr(out, "config", None), "_experts_implementation", None) is not None:
        cast(Pretrained, out).set_experts_implementation("eager")
    return out
