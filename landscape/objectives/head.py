"""Logits at chosen positions only, from the model's own body and head.

A language model's logits are by far its largest tensor. Two shortcuts keep them small. Each is used only if it
reproduces the logits of the whole model on the first example.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.foreign import Pretrained
from landscape.shapes import Float, Int

Inputs = dict[str, Tensor]
AGREE, LOUD = 1e-4, 2**12
"""Largest difference of logits, relative to 1 plus the largest logit; the factor on the weights of the head for which
the shortcuts are tested too."""
CPU_LOGITS = 24 * 2**20
"""Bytes of float32 logits made at a time: below the 32 MiB up to which malloc reuses memory. 1.4 to 2.3 times as fast
as all at once, measured for 50,257 tokens."""
GPU_LOGITS = 2 * 2**30


def hidden(model: nn.Module, inputs: Inputs) -> Float[Tensor, "examples length width"]:
    """Last hidden states of the model's body, in its own scale: what the weights of the head are applied to."""
    body: Pretrained = model.base_model
    states: Tensor = body(**inputs)[0]
    return states


@contextmanager
def positions(model: nn.Module, chosen: Int[Tensor, "examples chosen"]) -> Generator[None]:
    """Within this context, the body passes only the states at these positions to its head."""

    def choose(_: nn.Module, __: object, output: Any) -> Any:
        states = output[0]
        index = chosen[..., None].expand(*chosen.shape, states.shape[-1])
        output[next(iter(output))] = states.gather(-2, index)
        return output

    body: Pretrained = model.base_model
    handle = body.register_forward_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def head_is_plain(model: nn.Module, inputs: Inputs) -> bool:
    """Whether the model's logits are ``get_output_embeddings`` applied to the body's output, and nothing else."""

    def part() -> Tensor:
        head: Pretrained = model.get_output_embeddings()  # type: ignore[operator]
        logits: Tensor = head(hidden(model, inputs))
        return logits

    return _agrees(model, lambda: model(**inputs).logits, part)


def head_is_positionwise(model: nn.Module, inputs: Inputs, chosen: Int[Tensor, "examples chosen"]) -> bool:
    """Whether the logits at the chosen positions are the same within :func:`positions`.

    Args:
        model: The model.
        inputs: Its inputs.
        chosen: Positions in each example.
    """

    def whole() -> Tensor:
        logits: Tensor = model(**inputs).logits
        return logits.gather(1, chosen[..., None].expand(*chosen.shape, logits.shape[-1]))

    def part() -> Tensor:
        with positions(model, chosen):
            logits: Tensor = model(**inputs).logits
            return logits

    return _agrees(model, whole, part)


def _agrees(model: nn.Module, whole: Callable[[], Tensor], part: Callable[[], Tensor]) -> bool:
    """Whether two ways to compute the logits agree, with the model's own weights and with a scaled-up head.

    A freshly initialised model has logits near zero, where a cap on logits (Gemma 2) cannot be told from the identity.
    """
    with torch.no_grad():
        try:
            with _loud(model, 1):
                quiet = _close(whole(), part())
            with _loud(model, LOUD):
                return quiet and _close(whole(), part())
        except (AttributeError, TypeError, KeyError, RuntimeError):
            return False


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a - b).abs().max() <= AGREE * (1 + a.abs().max())).item())


@contextmanager
def _loud(model: nn.Module, factor: int) -> Generator[None]:
    """Within this context, the head's weights are multiplied by ``factor``: a power of two, which is undone exactly."""
    head: Pretrained = getattr(model, "get_output_embeddings", lambda: None)() if factor > 1 else None
    if head is None:
        yield
        return
    head.weight.mul_(factor)
    try:
        yield
    finally:
        head.weight.mul_(1 / factor)


def token_losses(
    states: Float[Tensor, "examples length width"],
    head: Callable[[Tensor], Tensor],
    targets: Int[Tensor, "examples length"],
    vocabulary: int,
) -> Float[Tensor, "examples length"]:
    """Negative log-likelihood of each target in nats; the logits are made a piece at a time.

    Args:
        states: Last hidden states.
        head: Maps states to logits.
        targets: The right tokens.
        vocabulary: Number of logits of each state.
    """
    budget = CPU_LOGITS if states.device.type == "cpu" else GPU_LOGITS
    rows = max(1, budget // (4 * vocabulary))
    pieces = zip(torch.split(states.flatten(0, 1), rows), torch.split(targets.flatten(), rows), strict=True)
    losses = [F.cross_entropy(wide(head(s)), y, reduction="none") for s, y in pieces]
    return torch.cat(losses).view(targets.shape)


def wide(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The logits in float32; float64 stays float64."""
    return logits if logits.dtype == torch.float64 else logits.float()
