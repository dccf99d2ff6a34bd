"""Adapters of PEFT, merged into their base: LoRA (Hu et al. 2022, arXiv:2106.09685) and DoRA (arXiv:2402.09353).

A folder holds ``adapter_config.json`` and the factors. Each adapted weight becomes ``W + s B A``, with
``s = alpha / r``, or ``alpha / sqrt(r)`` for rsLoRA (arXiv:2312.03732); for DoRA, each row of it gets the learned
length. Tensors that were trained whole (``modules_to_save``, biases) take the place of those of the base.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod, sqrt
from pathlib import Path

import numpy as np

from landscape.checkpoints.formats import pickled, safetensors
from landscape.checkpoints.formats.tensors import Stored, read
from landscape.errors import InputError
from landscape.files import read_json
from landscape.foreign import Json
from landscape.shapes import Float

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
PREFIX = "base_model.model."
FACTOR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.weight)?")
MAGNITUDE = re.compile(r"(.+)\.lora_magnitude_vector(?:\.weight)?")
CHANGE_THE_BASE = ("pissa", "olora", "loftq", "corda")
"""Initialisations that change the weights of the base too, so that these are not those on disk."""
UNKNOWN = (
    "target_parameters", "trainable_token_indices", "lora_bias", "use_qalora", "use_bdlora", "alora_invocation_tokens",
    "arrow_config", "kasa_config", "lora_ga_config", "monteclora_config", "velora_config", "layer_replication",
)  # fmt: skip
"""Settings under which a merged weight is not given by the formulas above."""
MOST_BYTES = 10_000_000


def claims(path: Path) -> list[Path]:
    """The factors of a folder that holds an adapter, with its config, and the weights of its base."""
    if not path.is_dir() or not (path / CONFIG).is_file():
        return []
    own = [path / name for name in WEIGHTS if (path / name).is_file()][:1]
    return [*own, path / CONFIG] if own else []


def files(path: Path) -> list[Path]:
    """All files that decide the merged weights: those of the adapter, and those of its base."""
    return [*claims(path), *_base_files(base_of(path))]


def index(given: list[Path]) -> dict[str, Stored]:
    """Every tensor of the base by name, those that the adapter changes merged.

    Raises:
        InputError: If the base is missing, or the adapter is of another kind or does not fit it.
    """
    path, config = given[0].parent, settings(given[0].parent)
    base = _index(_base_files(base_of(path)))
    own = {name.removeprefix(PREFIX).replace(".base_layer.", "."): at for name, at in factors(path).items()}
    changed: dict[str, Stored] = {}
    pairs, lengths = _paired(own), _lengths(own)
    for module, pair in pairs.items():
        name = _in_base(f"{module}.weight", base, path)
        low = _low_rank(config, module, pair, lengths.get(module), base[name], path)
        dtype, get = "F32", partial(merged, low, base[name])
        changed[name] = Stored(given[0], dtype, base[name].shape, get=get, check=base[name].check)
    for name, at in own.items():
        if not FACTOR.fullmatch(name) and not MAGNITUDE.fullmatch(name):
            if ".lora_" in name:
                raise InputError(f"{path} has {name}, which is not read here; merge it with peft (merge_and_unload)")
            changed[_in_base(name, base, path, new=True)] = at
    return {**base, **changed}


@dataclass(frozen=True)
class LowRank:
    """A change of one weight.

    Attributes:
        a: Factor ``A``, ``[r, inputs]``.
        b: Factor ``B``, ``[outputs, r]``.
        scale: Factor of their product.
        turned: Whether the weight of the base is stored as inputs by outputs.
        lengths: Of DoRA: the length of each row.
    """

    a: Stored
    b: Stored
    scale: float
    turned: bool
    lengths: Stored | None = None


def merged(low: LowRank, base: Stored) -> Float[np.ndarray, "*shape"]:
    """The weight of the base with the change: ``W + s B A``, in float32.

    Args:
        low: The change.
        base: The weight.
    """
    weight, a, b = (_values(one) for one in (base, low.a, low.b))
    if a.ndim > 2 and low.lengths is None:  # convolutions: A has the kernel, and B is of one pixel
        change = (b.reshape(len(b), -1) @ a.reshape(len(a), -1)).reshape(weight.shape)
    else:
        change = b @ a
        change = change.T if low.turned else change
    total: Float[np.ndarray, "*shape"] = weight + np.float32(low.scale) * change
    if low.lengths is not None:
        rows = total.T if low.turned else total
        rows = rows * (_values(low.lengths).reshape(-1) / np.linalg.norm(rows, axis=1))[:, None]
        total = rows.T if low.turned else rows
    return np.ascontiguousarray(total, dtype=np.float32)


def settings(path: Path) -> Json:
    """The config of an adapter.

    Raises:
        InputError: If it cannot be read, or the adapter is of a kind that is not read here.
    """
    file = path / CONFIG
    try:
        config = dict(read_json(file, strict=False, most=MOST_BYTES))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error}); copy the adapter again") from error
    kind, begin = config.get("peft_type"), str(config.get("init_lora_weights", "")).lower()
    merge = "merge it with peft (merge_and_unload, then save_pretrained) and give the merged folder"
    if kind != "LORA":
        raise InputError(f"{path} is an adapter of the type {kind}, and LORA is read here; {merge}")
    if begin.startswith(CHANGE_THE_BASE):
        raise InputError(f"{path} began from {begin}, which changes the weights of the base too; {merge}")
    if unknown := [name for name in UNKNOWN if config.get(name)]:
        raise InputError(f"{path} has {unknown[0]}, which is not read here; {merge}")
    return config


def factors(path: Path) -> dict[str, Stored]:
    """The tensors of an adapter by name."""
    return _index(claims(path)[:1])


def base_of(path: Path) -> Path:
    """The folder of the base of an adapter: a path, from here or from the folder of the adapter, or one on the hub.

    Raises:
        InputError: If it is not there.
    """
    config = settings(path)
    name = str(config.get("base_model_name_or_path") or "")
    for folder in (Path(name), path / name, path.parent / name):
        if name and folder.is_dir():
            if claims(folder) and not _plain_files(folder):
                raise InputError(f"the base of {path}, {folder}, is an adapter itself; merge that one first")
            return folder
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        from landscape.checkpoints.hub import client
        from landscape.study.checkpoint import Place

        place = Place(name, str(config.get("revision") or "main"))
        return client.fetch(place, client.resolve(place))
    raise InputError(
        f"{path} is an adapter of {name or 'no base'}, which is not there; write the path of its base as "
        f"base_model_name_or_path into its {CONFIG}"
    )


def scale_of(config: Json, module: str, rank: int) -> float:
    """``alpha / r``, or ``alpha / sqrt(r)`` for rsLoRA, of one module.

    Args:
        config: The config of the adapter.
        module: The name of the module.
        rank: The rank of its factors.
    """
    alpha = float(config.get("lora_alpha") or 8)
    for pattern, own in dict(config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(own)
            break
    return alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def _low_rank(
    config: Json, module: str, pair: Mapping[str, Stored], lengths: Stored | None, base: Stored, path: Path
) -> LowRank:
    """The change of a weight by a pair of factors.

    Raises:
        InputError: If a factor is missing, or they do not fit the weight.
    """
    if set(pair) not in ({"A", "B"}, {"embedding_A", "embedding_B"}):
        raise InputError(f"{path} has {', '.join(sorted(pair))} of {module} alone; copy the adapter again")
    embeds = "embedding_A" in pair
    a, b = (pair[f"embedding_{side}" if embeds else side] for side in "AB")
    shape, rank = (b.shape[0], *a.shape[1:]), a.shape[0]
    straight, across = shape == base.shape, shape[::-1] == base.shape
    if b.shape[1] != rank or prod(b.shape[1:]) != rank or not (straight or across):
        raise InputError(
            f"{path}: the factors {a.shape} and {b.shape} of {module} do not fit its weight {base.shape}; give the "
            "base that the adapter was trained on"
        )
    if lengths is not None and (embeds or len(shape) > 2):
        raise InputError(f"{path}: DoRA of {module}, which is no linear layer, is not read here; merge it with peft")
    turned = across if straight != across else embeds or bool(config.get("fan_in_fan_out"))
    return LowRank(a, b, scale_of(config, module, rank), turned, lengths)


def _paired(own: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    """Factors by module."""
    out: dict[str, dict[str, Stored]] = {}
    for name, at in own.items():
        if found := FACTOR.fullmatch(name):
            out.setdefault(found[1], {})[f"{found[2] or ''}{found[3]}"] = at
    return out


def _lengths(own: Mapping[str, Stored]) -> dict[str, Stored]:
    """Lengths of rows by module, those of DoRA."""
    return {found[1]: at for name, at in own.items() if (found := MAGNITUDE.fullmatch(name))}


def _in_base(name: str, base: Mapping[str, Stored], path: Path, *, new: bool = False) -> str:
    """The name of a tensor in the files of the base, which may lack a prefix or have one more.

    Args:
        name: Its name in the adapter.
        base: The tensors of the base.
        path: The adapter, for messages.
        new: Whether the base may lack it, as a head that was trained with the adapter.

    Raises:
        InputError: If it is not there, or is there more than once.
    """
    if name in base:
        return name
    like = [other for other in base if name.endswith(f".{other}") or other.endswith(f".{name}")]
    if len(like) == 1:
        return like[0]
    if new and not like:
        return name
    raise InputError(
        f"{path} changes {name}, which its base {'has under several names' if like else 'does not have'}; give the "
        "base that the adapter was trained on"
    )


def _plain_files(base: Path) -> list[Path]:
    return safetensors.claims(base) or pickled.claims(base)


def _base_files(base: Path) -> list[Path]:
    """The weights of a base.

    Raises:
        InputError: If there are none.
    """
    if found := _plain_files(base):
        return found
    raise InputError(f"{base}, the base of an adapter, holds no model.safetensors or pytorch_model.bin; copy it again")


def _index(given: list[Path]) -> dict[str, Stored]:
    return pickled.index(given) if pickled.is_named_so(given[0]) else safetensors.index(given)


def _values(stored: Stored) -> Float[np.ndarray, "*shape"]:
    """The values of a tensor in float32.

    Raises:
        InputError: If one is not finite.
    """
    out = np.empty(prod(stored.shape), np.float32)
    if not read(out, {"": stored}):
        raise InputError(f"{stored.file} has values that are NaN or infinite; leave this adapter out")
    return out.reshape(stored.shape)
