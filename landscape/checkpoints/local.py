"""Checkpoints in local folders: one folder, a training run of many, or a pattern."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscape.checkpoints.formats import has_weights, require_own, require_weights
from landscape.errors import InputError
from landscape.task import Checkpoint

FIELDS = ("seed", "step", "parted", "child")
STEP_FOLDER = "checkpoint-{step}"
RUN_FILES = (".ckpt", ".pt", ".pth", ".pt.tar", ".pth.tar")
BESIDE = ("optimizer", "scheduler", "rng_state", "training_args", "scaler")
"""What trainers leave beside weights."""


def find(ref: str) -> list[Checkpoint]:
    """The checkpoints that a path means.

    Args:
        ref: A folder with weights, or a weights file; a folder of Hugging Face Trainer's ``checkpoint-N`` folders or of
            ``.ckpt`` or ``.pt`` files, which means all of them in the order of their steps; or a pattern such as
            ``runs/seed_{seed}/step_{step}``.

    Returns:
        Checkpoints, labelled with the seed and step that their path names.

    Raises:
        InputError: If the folder is missing, or holds no checkpoint.
    """
    if "{" in ref:
        return expand(ref, {})
    path = Path(ref)
    if has_weights(path):
        return [replace(labels(path), ref=ref)]
    if path.is_dir():
        if any(path.glob(STEP_FOLDER.format(step="*"))):
            return [replace(labels(path), ref=c.ref, step=c.step) for c in expand(f"{_escaped(ref)}/{STEP_FOLDER}", {})]
        require_own(path)
        if files := [labels(file) for file in path.iterdir() if _is_of_a_run(file)]:
            return sorted(files, key=lambda c: (c.step is None, c.step or 0, c.ref))
    require_weights(path)
    return []


def _is_of_a_run(file: Path) -> bool:
    ending = next((ending for ending in RUN_FILES if file.name.endswith(ending)), None)
    return ending is not None and file.name.removesuffix(ending) not in BESIDE


def expand(pattern: str, wanted: dict[str, tuple[int, ...] | None]) -> list[Checkpoint]:
    """The checkpoints of a pattern such as ``runs/seed_{seed}/step_{step}``.

    Args:
        pattern: A path with any of ``{seed} {step} {parted} {child}``.
        wanted: Values of each field; a field without values takes all that exist on disk.

    Returns:
        Checkpoints sorted by field, as integers.

    Raises:
        InputError: If a wanted checkpoint is missing, a field unknown, or nothing matches.
    """
    try:
        unknown = sorted(set(re.findall(r"\{(.*?)\}", pattern.replace("{{", "").replace("}}", ""))) - set(FIELDS))
        if unknown:
            raise InputError(f"folder pattern {pattern!r} has the fields {unknown}; the fields are {list(FIELDS)}")
        glob = pattern.format(**dict.fromkeys(FIELDS, "*"))
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"folder pattern {pattern!r} is not well formed: {error}") from error
    used = [field for field in FIELDS if f"{{{field}}}" in pattern]
    stray = sorted(field for field, values in wanted.items() if values is not None and field not in used)
    if stray:
        raise InputError(f"the folder pattern {pattern!r} has no field for {stray}; write it into the pattern")
    shape = re.compile(regex(str(Path(pattern))))
    root = Path(glob).anchor or "."
    found: dict[tuple[int, ...], str] = {}
    for path in Path(root).glob(str(Path(glob).relative_to(root))):
        match = shape.fullmatch(str(path))
        if match and has_weights(path):
            found[tuple(int(match[field]) for field in used)] = str(path)
    chosen = sorted(
        values
        for values in found
        if all(wanted.get(f) is None or v in (wanted[f] or ()) for f, v in zip(used, values, strict=True))
    )
    for position, field in enumerate(used):
        if lost := sorted(set(wanted.get(field) or ()) - {values[position] for values in chosen}):
            raise InputError(f"no checkpoint with {field} {lost[0]} matches {pattern}; check the path and the list")
    _require_grid(pattern, used, wanted, set(chosen))
    if not chosen:
        raise InputError(f"no checkpoint matches {pattern}; a checkpoint is a folder written by save_pretrained")
    named: Any = [dict(zip(used, values, strict=True)) for values in chosen]
    return [replace(labels(Path(found[values])), **label) for values, label in zip(chosen, named, strict=True)]


def _require_grid(
    pattern: str, used: list[str], wanted: dict[str, tuple[int, ...] | None], chosen: set[tuple[int, ...]]
) -> None:
    """Seeds and steps that were both listed must all exist.

    Raises:
        InputError: Naming the first that is missing.
    """
    listed = [wanted.get(field) for field in used]
    if len(used) != 2 or any(values is None for values in listed):
        return
    first, second = (values or () for values in listed)
    for pair in ((x, y) for x in first for y in second):
        if pair not in chosen:
            missing = pattern.format(**dict(zip(used, pair, strict=True)))
            raise InputError(f"no checkpoint {missing}, which the study asks for; check the path and the list")


def regex(pattern: str) -> str:
    """The pattern as a regular expression; a field that comes twice must agree with itself."""
    seen: set[str] = set()
    parts: list[str] = []
    for text, field in re.findall(r"((?:[^{}]|\{\{|\}\})*)(?:\{(\w+)\})?", pattern):
        parts.append(re.escape(text.replace("{{", "{").replace("}}", "}")))
        if field:
            parts.append(f"(?P={field})" if field in seen else rf"(?P<{field}>\d+)")
            seen.add(field)
    return "".join(parts)


def filled(pattern: str, values: dict[str, int]) -> str:
    """The pattern with some of its fields filled in."""
    for field, value in values.items():
        pattern = pattern.replace(f"{{{field}}}", str(value))
    return pattern


def _escaped(path: str) -> str:
    return path.replace("{", "{{").replace("}", "}}")


def labels(path: Path) -> Checkpoint:
    """Seed and step as the path names them: ``seed_3``, ``seed-3``, ``step_20``, ``step=20``, ``checkpoint-20``."""
    text = path.as_posix()
    seed = re.findall(r"seed[_=-]?(\d+)", text)
    step = re.findall(r"(?:step|checkpoint)[_=-]?(\d+)", text)
    return Checkpoint(ref=str(path), seed=int(seed[-1]) if seed else None, step=int(step[-1]) if step else None)
