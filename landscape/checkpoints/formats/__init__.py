"""Formats of weights on disk: one line in ``FORMATS`` and one file each, with ``claims`` and ``index``.

Only NumPy is needed here; torch is imported when a file of ``torch.save`` is read.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from landscape.checkpoints.formats import dcp, peft, pickled, safetensors, shards
from landscape.checkpoints.formats.tensors import Stored, read, reason, stored_as
from landscape.errors import InputError

__all__ = [
    "FORMATS",
    "Stored",
    "has_weights",
    "is_foreign",
    "index",
    "is_adapter",
    "read",
    "reason",
    "require_own",
    "require_weights",
    "stored_as",
    "weight_files",
]

FORMATS: dict[str, ModuleType] = {"safetensors": safetensors, "torch": pickled, "dcp": dcp, "peft": peft}
"""By preference: a folder that holds two formats is read in the first."""

ZERO = "convert it with its own script: python zero_to_fp32.py . OUT --safe_serialization, and put config.json into OUT"
OLD = "convert it with transformers 4: from_pretrained(..., from_{}=True) and save_pretrained"
FOREIGN = {
    "layer_*-model_*-model_states.pt": "a GPT-NeoX training checkpoint; "
    "convert it with tools/ckpts/convert_neox_to_hf.py of gpt-neox",
    "*mp_rank_*_model_states.pt": f"a DeepSpeed checkpoint; {ZERO}",
    "*zero_pp_rank_*": f"a part of a DeepSpeed checkpoint; {ZERO}",
    "tf_model.h5": f"a TensorFlow checkpoint; {OLD.format('tf')}",
    "flax_model.msgpack": f"a Flax checkpoint; {OLD.format('flax')}",
}
"""Layouts that are recognised but not read, with what to do."""


def has_weights(path: Path) -> bool:
    """Whether a folder or file holds weights in a format that is read here."""
    return any(module.claims(path) for module in FORMATS.values())


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter, and no weights of a whole model."""
    return next((module for module in FORMATS.values() if module.claims(path)), None) is peft


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights, those of the base of an adapter among them.

    Raises:
        InputError: If there are none.
    """
    module, found = _found(path)
    return peft.files(path) if module is peft else found


def index(path: Path) -> dict[str, Stored]:
    """Every tensor by its name on disk.

    Raises:
        InputError: If there are none, or a file is damaged or unsafe.
    """
    module, files = _found(path)
    found: dict[str, Stored] = module.index(files)
    if not found:
        raise InputError(f"{path} lists no tensors: it is empty or damaged; write it again, or fetch it again")
    return found


def _found(path: Path) -> tuple[ModuleType, list[Path]]:
    """The format in which a path holds weights, and their files.

    Raises:
        InputError: If there are none.
    """
    for module in FORMATS.values():
        if files := module.claims(path):
            return module, files
    require_own(path)
    raise InputError(_what_is_there(path))


def is_foreign(folder: Path) -> bool:
    """Whether a folder is in a layout that is recognised but not read."""
    return any(any(folder.glob(pattern)) for pattern in FOREIGN)


def require_own(path: Path) -> None:
    """Refuse a folder in a layout that is recognised but not read.

    Raises:
        InputError: If it is in one; the message says what to do.
    """
    for pattern, sentence in FOREIGN.items():
        if path.is_dir() and (any(path.glob(pattern)) or any(path.glob(f"global_step*/{pattern}"))):
            raise InputError(f"{path} is {sentence}")


def require_weights(path: Path) -> None:
    """Refuse a path without weights.

    Raises:
        InputError: If there are none; the message says what is there instead.
    """
    _found(path)


def _what_is_there(path: Path) -> str:
    """What a path without weights is, in a sentence."""
    if not path.exists():
        return f"no folder or file {path}: a checkpoint is a folder written by save_pretrained; check the path"
    if not path.is_dir():
        return f"{path} is not a weights file; give one that ends in .safetensors, .bin, .pt, .pth, .ckpt or .pth.tar"
    names = sorted(entry.name for entry in path.iterdir())
    if parts := [name for name in names if shards.NAME.fullmatch(name)]:
        return f"{path} holds shards such as {parts[0]} and lacks their index, {shards.index_of(parts[0])}; copy it"
    holds = f"it holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else "it is empty"
    return (
        f"{path} is not a checkpoint: {holds}, and not model.safetensors or pytorch_model.bin, whole or in shards; "
        "give a folder written by save_pretrained"
    )
