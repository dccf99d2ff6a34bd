"""The objective that a checkpoint was trained for, by the class that it was saved from."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import transformers
from transformers.models.auto import modeling_auto

from landscape.catalogue import OBJECTIVES
from landscape.checkpoints.configs import read_config, text_part
from landscape.errors import InputError
from landscape.foreign import Config

OWN = "bring a model and loss of your own: --objective mine.py:build"


def default_objective(folder: Path) -> str:
    """The objective that the class of a checkpoint was trained with.

    Raises:
        InputError: If the class does not imply one.
    """
    config = read_config(folder)
    name = next(iter(config.architectures or ()), "no class")
    modules = {objective: OBJECTIVES.load(objective) for objective in OBJECTIVES}
    for objective, module in modules.items():
        if name.endswith(module.CLASS_ENDINGS) and module.suits(config):
            return objective
    for objective, module in modules.items():
        if name in _named(module, config) and module.suits(config):
            return objective
    if name.endswith("ForConditionalGeneration") and type(text_part(config)) in _classes("causal-lm"):
        return "causal-lm"
    hint = instead(config)
    raise InputError(
        f"{folder} was saved from {name}, which suggests no objective; {hint.replace('choose another', 'give an')}"
    )


def instead(config: Config) -> str:
    """What to do where an objective has no class for this architecture."""
    others = [name for name in OBJECTIVES if type(config) in _classes(name)]
    if not others:
        return f"a {config.model_type} has no class for {', '.join(OBJECTIVES)}: {OWN}"
    return f"choose another objective: {' or '.join(others)}; or {OWN}"


def _named(module: ModuleType, config: Config) -> tuple[str, ...]:
    """Names of the classes of transformers for an objective, of the type of a config."""
    known = getattr(modeling_auto, module.MAPPING).get(config.model_type, ())
    return known if isinstance(known, tuple) else (known,)


def _classes(objective: str) -> Any:
    """The classes of transformers that make the model of an objective, by their configs."""
    return getattr(transformers, OBJECTIVES.load(objective).AUTO)._model_mapping
