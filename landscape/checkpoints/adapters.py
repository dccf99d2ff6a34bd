"""Adapters as points of their own space: the factors move, and the base is shared.

Between two adapters the line of factors is another path than the line of merged weights: at ``t`` it is
``W + s B(t) A(t)``, of second degree in ``t``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from math import prod
from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from landscape.checkpoints import formats, models
from landscape.checkpoints.formats import peft
from landscape.errors import InputError
from landscape.foreign import Json, Pretrained
from landscape.shapes import Float
from landscape.space import Space

DECIDING = ("lora_alpha", "alpha_pattern", "use_rslora", "fan_in_fan_out", "r", "rank_pattern", "target_modules")
"""Settings of an adapter that are part of the function, and no coordinates."""
MERGE = 'take adapter = "merged"'


class Factors(nn.Module):
    """A linear layer with a change of low rank: ``base(x) + s B A x``; only the factors are parameters."""

    def __init__(self, base: nn.Module, rank: int, inputs: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.base_layer, self.scale = base, scale
        self.lora_A = nn.Linear(inputs, rank, bias=False)
        self.lora_B = nn.Linear(rank, outputs, bias=False)

    @property
    def weight(self) -> Tensor:
        """The weight of the base, for code that asks for its dtype."""
        weight: Tensor = self.base_layer.weight  # type: ignore[assignment]
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """The output with the change."""
        low: Tensor = F.linear(F.linear(x, self.lora_A.weight), self.lora_B.weight)
        base: Tensor = self.base_layer(x)
        return base + self.scale * low


def factored(path: Path, described: Path, auto: str) -> nn.Module:
    """A model whose parameters are those of an adapter; the weights of its base are constants.

    Args:
        path: The folder of the adapter.
        described: The folder of the config of its base.
        auto: Name of the transformers class.

    Raises:
        InputError: If adapter and base do not go together, or a factor is of no linear layer.
    """
    config, base = require_adapter(path), peft.base_of(path)
    model: Pretrained = models.skeleton(described, auto, weights=base)
    own = {name.removeprefix(peft.PREFIX).replace(".base_layer.", "."): at for name, at in peft.factors(path).items()}
    kept = {name for name in own if not peft.FACTOR.fullmatch(name)}
    if length := next(filter(peft.MAGNITUDE.fullmatch, kept), None):
        raise InputError(f"{path} is of DoRA ({length}), whose lengths are no factors; {MERGE}")
    if lost := sorted(kept - set(Space.of(model).names)):
        raise InputError(f"{path} has {lost[0]}, which is no parameter of its own of the model; {MERGE}")
    constants = _constants(base, described, auto)
    for name, module in list(model.named_modules()):
        for field in [field for field in module._parameters if f"{name}.{field}".lstrip(".") not in kept]:
            if module._parameters[field] is not None:
                del module._parameters[field]
                module.register_buffer(field, constants[f"{name}.{field}".lstrip(".")], persistent=False)
        module._non_persistent_buffers_set.update(module._buffers)
    for name in sorted({found[1] for name in own if (found := peft.FACTOR.fullmatch(name))}):
        _put(model, name, own, config, path)
    model.adapter_config = {**config, "base_model_name_or_path": str(base.resolve())}
    return model  # type: ignore[no-any-return]


def require_adapter(path: Path) -> Json:
    """The config of an adapter.

    Raises:
        InputError: If the path is no adapter.
    """
    if not peft.claims(path):
        raise InputError(f'{path} is no adapter, and adapter = "factors" is for adapters; leave it out')
    return peft.settings(path)


def require_one_base(paths: list[Path]) -> None:
    """Refuse adapters of different bases, or with other constants than the first.

    Raises:
        InputError: If there are such.
    """
    first, *others = paths
    config, base = peft.settings(first), peft.base_of(first)
    for other in others:
        theirs = peft.settings(other)
        for name in DECIDING:
            mine, its = (sorted(v) if isinstance(v := c.get(name), list) else v for c in (config, theirs))
            if mine != its:
                raise InputError(f"{name} is {mine!r} in {first} and {its!r} in {other}; {MERGE}")
        if peft.base_of(other).resolve() != base.resolve():
            raise InputError(f"{first} and {other} are of two bases, {base} and {peft.base_of(other)}; {MERGE}")


def is_factored(model: nn.Module) -> bool:
    """Whether the parameters of a model are those of an adapter."""
    return any(isinstance(module, Factors) for module in model.modules())


def save(out: Path, point: Float[Tensor, " P"], model: Pretrained) -> None:
    """Write a point as the folder of an adapter.

    Args:
        out: The folder.
        point: The point.
        model: A model of adapters.
    """
    tensors = {f"{peft.PREFIX}{name}": value.contiguous() for name, value in Space.of(model).params(point).items()}
    save_file(tensors, str(out / peft.WEIGHTS[0]))
    (out / peft.CONFIG).write_text(json.dumps(model.adapter_config, indent=2))


def _put(model: nn.Module, name: str, own: dict[str, formats.Stored], config: Json, path: Path) -> None:
    """Put the factors of one module into the model.

    Raises:
        InputError: If the module is not there, or is no linear layer.
    """
    try:
        base = model.get_submodule(name)
    except AttributeError as error:
        raise InputError(f"{path} changes {name}, which a {type(model).__name__} does not have; {MERGE}") from error
    a, b = (own.get(f"{name}.lora_{side}.weight") for side in "AB")
    linear = isinstance(base, nn.Linear) or type(base).__name__ == "Conv1D"
    if a is None or b is None or not linear:
        raise InputError(f"{path} changes {name}, a {type(base).__name__} and no linear layer; {MERGE}")
    (rank, inputs), (outputs, _) = a.shape, b.shape
    if inputs * outputs != prod(base.weight.shape):  # type: ignore[arg-type]
        raise InputError(f"{path}: the factors {a.shape} and {b.shape} do not fit {name}; give the base they belong to")
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, Factors(base, rank, inputs, outputs, peft.scale_of(config, name, rank)))


@lru_cache(maxsize=2)
def _constants(base: Path, described: Path, auto: str) -> dict[str, Tensor]:
    """The weights of a base by name, in memory once for all models that share it; learned buffers are given to it."""
    model = models.skeleton(described, auto, weights=base)
    space = Space.of(model)
    held = {name: value.detach() for name, value in space.params(models.load(base, model)).items()}
    return {**held, **{alias: held[name] for alias, name in space.tied}, **models.buffers(base, model)}
