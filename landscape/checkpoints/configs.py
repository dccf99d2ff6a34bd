"""The config of a checkpoint: read without running its code, and which of its settings change the function."""

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
from landscape.foreign import Config

LOG = logging.getLogger("landscape")
INCIDENTAL = {
    "_name_or_path", "_commit_hash", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache",
    "initializer_range", "training_step", "gradient_checkpointing", "base_model_name_or_path", "unsloth_version",
    "unsloth_fixed",
}  # fmt: skip
"""Entries that do not change the function: provenance, and leftovers of training."""
OWN = f"give the {CONFIG} that was saved with the weights"
OF_TEXT = ("vocab_size", "max_position_embeddings", "pad_token_id")
"""Entries that models of text and images keep in a separate config for the text."""
MAX_CONFIG = 10_000_000
"""Largest size of a config in bytes."""
COUNT = re.compile(r"layer|label|head|expert|block|depth")
MAX_COUNT = 1_000_000
"""Largest number of layers, classes and the like: Python handles them one by one."""
SIZE = re.compile(r"(n|d|num)_.*|.*(_size|_dim|_heads|_layers|_positions|_embeddings)")


def read_config(folder: Path) -> Config:
    """The configuration of a checkpoint, without its settings of code, kernels and output formats.

    Raises:
        InputError: If it cannot be read, belongs to an unknown or quantised model, or has impossible sizes.
    """
    file = folder / CONFIG
    try:
        entries = files.read_json(file, strict=False, most=MAX_CONFIG)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); give a folder written by save_pretrained") from error
    model_type = entries.get("model_type") if isinstance(entries, dict) else None
    if not isinstance(model_type, str):
        raise InputError(f'{file} has no "model_type": "..."; give the {CONFIG} that save_pretrained wrote')
    if model_type not in transformers.CONFIG_MAPPING:
        why = (
            f"needs code of its own (auto_map) for its type {model_type!r}, which is never run; convert it to a type "
            "that transformers knows"
            if "auto_map" in entries
            else f"is a {model_type!r}, which transformers {transformers.__version__} does not know; update "
            "transformers"
        )
        raise InputError(f"{folder} {why}")
    if entries.get("quantization_config"):
        raise InputError(
            f"{folder} is quantised, as the quantization_config of its {CONFIG} says; load it with transformers, call "
            "dequantize() and save it again, or remove that entry if its weights are floats"
        )
    if "auto_map" in entries:
        say(f"{folder} names code of its own (auto_map), which is not run: {model_type} is known without it")
    _require_sizes(entries, file)
    with blamed(f"{file} describes no model", OWN):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        layers = getattr(_plain(config), "num_hidden_layers", 1)
    if layers == 0:
        raise InputError(f"{file} has no layers; {OWN}")
    return config


def settings(folder: Path) -> dict[str, object]:
    """The settings that change the function in evaluation mode, whatever version of transformers wrote the file.

    Raises:
        InputError: If the config cannot be read.
    """
    made = read_config(folder)
    config: dict[str, object] = made.to_dict()
    if made.problem_type is None:
        config["problem_type"] = "regression" if made.num_labels == 1 else "single_label_classification"
    return {name: value for name, value in config.items() if name not in INCIDENTAL and "drop" not in name}


def text_part(config: Config) -> Config:
    """The config of the text model within a model of texts and images; that of any other model is its own."""
    own = config.get_text_config(decoder=True)
    if own is config:
        return config
    own.tie_word_embeddings = getattr(config, "tie_word_embeddings", own.tie_word_embeddings)  # which decides for both
    return _plain(own)


def fused(config: Config) -> Config:
    """The config with transformers' one-kernel activation in place of its eight-kernel one of the same formula.

    ``gelu_new`` and ``gelu_fast`` compute the tanh approximation of GELU step by step. ``gelu_pytorch_tanh`` is the
    same function up to rounding; with it, forward passes of small GPT-2s were measured at 1.1 to 1.4 times the speed.
    """
    for name in ("activation_function", "hidden_act"):
        if getattr(config, name, None) in ("gelu_new", "gelu_fast"):
            setattr(config, name, "gelu_pytorch_tanh")
    return config


@cache
def say(sentence: str) -> None:
    """Log a sentence once per process."""
    LOG.info(sentence)


def _require_sizes(entries: Mapping[str, Any], file: Path) -> None:
    """Refuse negative sizes and impossibly large counts, at any depth.

    Raises:
        InputError: If there is one; the message names the first.
    """
    for name, value in entries.items():
        if isinstance(value, dict):
            _require_sizes(value, file)
        elif isinstance(value, int | float):
            if value < 0 and SIZE.fullmatch(name):
                raise InputError(f"{file} has {name} {value}; {OWN}")
            if value > MAX_COUNT and COUNT.search(name):
                raise InputError(
                    f"{file} has {name} {value}, and at most {MAX_COUNT:,} are read; give the {CONFIG} that "
                    "was saved with the weights"
                )


def _plain(config: Config) -> Config:
    """The config without code, whose models give named outputs without attentions and hidden states."""
    if hasattr(config, "auto_map"):
        del config.auto_map
    config.output_attentions = config.output_hidden_states = False
    config.return_dict = True
    for name in OF_TEXT:
        if not hasattr(config, name):
            setattr(config, name, getattr(config.get_text_config(), name, None))
    return config
