"""The config of a checkpoint: read without obeying it, and what of it changes the function."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import transformers

from landscape import files
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.identity import CONFIG
from landscape.errors import InputError

LOG = logging.getLogger("landscape")
INCIDENTAL = {
    "_name_or_path", "_commit_hash", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache",
    "initializer_range", "training_step", "gradient_checkpointing", "base_model_name_or_path", "unsloth_version",
    "unsloth_fixed",
}  # fmt: skip
"""What a config holds that is no part of the function: what it was made from, and what training left there."""
OWN = f"give the {CONFIG} that was saved with the weights"
OF_TEXT = ("vocab_size", "max_position_embeddings", "pad_token_id")
"""What is asked of a config, and which models of text and images keep in a config of their own for the text."""
MOST_CONFIG = 10_000_000
COUNT = re.compile(r"layer|label|head|expert|block|depth")
MOST_COUNT = 1_000_000
"""Of layers, classes and the like: Python goes through them one by one."""
SIZE = re.compile(r"(n|d|num)_.*|.*(_size|_dim|_heads|_layers|_positions|_embeddings)")


def read_config(folder: Path) -> Any:
    """The checkpoint's configuration, without what it says of code, kernels and forms of output.

    Raises:
        InputError: If it cannot be read, is of an unknown or quantised model, or cannot be meant.
    """
    file = folder / CONFIG
    try:
        given = files.read_json(file, strict=False, most=MOST_CONFIG)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); give a folder written by save_pretrained") from error
    kind = given.get("model_type") if isinstance(given, dict) else None
    if not isinstance(kind, str):
        raise InputError(f'{file} has no "model_type": "..."; give the {CONFIG} that save_pretrained wrote')
    if kind not in transformers.CONFIG_MAPPING:
        why = (
            f"needs code of its own (auto_map) for its type {kind!r}, which is never run; convert it to a type that "
            "transformers knows"
            if "auto_map" in given
            else f"is a {kind!r}, which transformers {transformers.__version__} does not know; update transformers"
        )
        raise InputError(f"{folder} {why}")
    if given.get("quantization_config"):
        raise InputError(
            f"{folder} is quantised, as the quantization_config of its {CONFIG} says; load it with transformers, call "
            "dequantize() and save it again, or take that entry out if its weights are floats"
        )
    if "auto_map" in given:
        say(f"{folder} names code of its own (auto_map), which is not run: {kind} is known without it")
    _require_sizes(given, file)
    with blamed(f"{file} describes no model", OWN):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        layers = getattr(_plain(config), "num_hidden_layers", 1)
    if layers == 0:
        raise InputError(f"{file} has no layers; {OWN}")
    return config


def settings(folder: Path) -> dict[str, object]:
    """The settings that change the function in evaluation mode, however old the file that holds them.

    Raises:
        InputError: If the config cannot be read.
    """
    read = read_config(folder)
    config: dict[str, object] = read.to_dict()
    if read.problem_type is None:
        config["problem_type"] = "regression" if read.num_labels == 1 else "single_label_classification"
    return {name: value for name, value in config.items() if name not in INCIDENTAL and "drop" not in name}


def fused(config: Any) -> Any:
    """The config with transformers' one-kernel activation in place of its eight-kernel one of the same formula.

    ``gelu_new`` and ``gelu_fast`` write out the tanh approximation of GELU; ``gelu_pytorch_tanh`` is the same function
    to rounding, and made whole forward passes of small GPT-2s 1.1 to 1.4 times as fast.
    """
    for name in ("activation_function", "hidden_act"):
        if getattr(config, name, None) in ("gelu_new", "gelu_fast"):
            setattr(config, name, "gelu_pytorch_tanh")
    return config


@cache
def say(sentence: str) -> None:
    """Once a process."""
    LOG.info(sentence)


def _require_sizes(given: Mapping[str, Any], file: Path) -> None:
    """Refuse sizes that are negative, and counts that nothing has, at any depth.

    Raises:
        InputError: Naming the first.
    """
    for name, value in given.items():
        if isinstance(value, dict):
            _require_sizes(value, file)
        elif isinstance(value, int | float):
            if value < 0 and SIZE.fullmatch(name):
                raise InputError(f"{file} has {name} {value}; {OWN}")
            if value > MOST_COUNT and COUNT.search(name):
                raise InputError(
                    f"{file} has {name} {value}, and {MOST_COUNT:,} are the most that are read; give the {CONFIG} that "
                    "was saved with the weights"
                )


def _plain(config: Any) -> Any:
    """The config, without code, and with models that give named outputs and nothing beside them."""
    if hasattr(config, "auto_map"):
        del config.auto_map
    config.output_attentions = config.output_hidden_states = False
    config.return_dict = True
    for name in OF_TEXT:
        if not hasattr(config, name):
            setattr(config, name, getattr(config.get_text_config(), name, None))
    return config
