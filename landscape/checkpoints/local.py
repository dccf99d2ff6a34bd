"""Checkpoints in local folders: one folder, a training run of many, or a pattern."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

from landscape.checkpoints.formats import has_weights, require_own, require_weights
from landscape.checkpoints.numbers import WRITTEN, number, seed_in, step_in
from landscape.errors import InputError
from landscape.study.tasks import Checkpoint

FIELDS = ("seed", "step", "branch_step", "branch")
STEPS = ("step", "branch_step")
"""Fields that are written in any way in which steps are."""
STEP_FOLDER = "checkpoint-{step}"
RUN_FILES = (".ckpt", ".pt", ".pth", ".pt.tar", ".pth.tar")
BESIDE = ("optimizer", "scheduler", "rng_state", "training_args", "scaler")
"""What trainers leave beside weights."""
ADAPTER = "adapter_config.json"
log = logging.getLogger(__name__)


def find(ref: str) -> list[Checkpoint]:
    """The checkpoints that a path means.

    Args:
        ref: A folder with weights, or a weights file; a folder of Hugging Face Trainer's ``checkpoint-N`` folders or of
            ``.ckpt`` or ``.pt`` files, which means all of them in the order of their steps, and then the final model
            if the folder holds one; or a pattern such as ``runs/seed_{seed}/step_{step}``.

    Returns:
        Checkpoints, labelled with the seed and step that their path names.

    Raises:
        InputError: If the folder is missing, or holds no checkpoint.
    """
    path = Path(ref)
    if "{" in ref and not path.exists():
        return expand(ref, {})
    own = [replace(labels(path), ref=ref)] if has_weights(path) else []
    if path.is_dir() and any(map(has_weights, path.glob(STEP_FOLDER.format(step="*")))):
        steps = expand(f"{_escaped(ref)}/{STEP_FOLDER}", {})
        return [replace(labels(path), ref=c.ref, step=c.step) for c in steps] + own
    if own:
        return own
    if path.is_dir():
        require_own(path)
        if files := [labels(file) for file in path.iterdir() if _is_of_a_run(file)]:
            return sorted(files, key=lambda c: (c.step is None, c.step or 0, c.ref))
        if (path / ADAPTER).is_file():
            raise InputError(
                f"{path} is an adapter and no whole model: merge it first (merge_and_unload of peft, then "
                "save_pretrained), and give the merged folder"
            )
    require_weights(path)
    return []


def _is_of_a_run(file: Path) -> bool:
    ending = next((ending for ending in RUN_FILES if file.name.endswith(ending)), None)
    return ending is not None and file.name.removesuffix(ending) not in BESIDE


def expand(pattern: str, wanted: dict[str, tuple[int, ...] | None]) -> list[Checkpoint]:
    """The checkpoints of a pattern such as ``runs/seed_{seed}/step_{step}``.

    Args:
        pattern: A path with any of ``{seed} {step} {branch_step} {branch}``.
        wanted: Values of each field; a field without values takes all that exist on disk.

    Returns:
        Checkpoints sorted by field, as integers.

    Raises:
        InputError: If a wanted checkpoint is missing, a field unknown, or nothing matches.
    """
    pattern = _with_literal_folders(pattern)
    try:
        unknown = sorted(set(re.findall(r"\{(.*?)\}", pattern.replace("{{", "").replace("}}", ""))) - set(FIELDS))
        if unknown:
            raise InputError(f"folder pattern {pattern!r} has the fields {unknown}; the fields are {list(FIELDS)}")
        pattern.format(**dict.fromkeys(FIELDS, ""))
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"folder pattern {pattern!r} is not well formed: {error}") from error
    used = [field for field in FIELDS if f"{{{field}}}" in pattern]
    stray = sorted(field for field, values in wanted.items() if values is not None and field not in used)
    if stray:
        raise InputError(f"the folder pattern {pattern!r} has no field for {stray}; write it into the pattern")
    every = _matching(pattern, used, {field: values for field, values in wanted.items() if values is not None})
    found = {values: paths[0] for values, paths in every.items()}
    if double := next(((values, paths) for values, paths in every.items() if len(paths) > 1), None):
        said = ", ".join(f"{field} {value}" for field, value in zip(used, double[0], strict=True))
        raise InputError(f"{' and '.join(sorted(double[1]))} are both {said or 'one'}; rename or remove one of them")
    chosen = sorted(found)
    for position, field in enumerate(used):
        if lost := sorted(set(wanted.get(field) or ()) - {values[position] for values in chosen}):
            raise InputError(f"no checkpoint with {field} {lost[0]} matches {pattern}; check the path and the list")
    _require_grid(pattern, used, wanted, set(chosen))
    if not chosen:
        raise InputError(f"no checkpoint matches {pattern}; a checkpoint is a folder written by save_pretrained")
    named: Any = [dict(zip(used, values, strict=True)) for values in chosen]
    return [replace(labels(Path(found[values])), **label) for values, label in zip(chosen, named, strict=True)]


def _matching(pattern: str, used: list[str], wanted: dict[str, tuple[int, ...]]) -> dict[tuple[int, ...], list[str]]:
    """The paths with weights that match, by the wanted values of their fields.

    Raises:
        InputError: If nothing matches but with words in place of numbers.
    """
    numbers, words = (re.compile(regex(str(Path(pattern)), any_word=word)) for word in (False, True))
    glob = "".join(escape(_unescaped(text)) + ("*" if field else "") for text, field in _parts(pattern))
    glob = re.sub(r"\*\*+", "*", glob)  # fields side by side
    root = Path(glob).anchor or "."
    found: dict[tuple[int, ...], list[str]] = {}
    odd: list[tuple[str, str, Path]] = []
    for path in Path(root).glob(str(Path(glob).relative_to(root))):
        if not has_weights(path):
            continue
        match = numbers.fullmatch(str(path))
        values = [number(match[field]) for field in used] if match else [None]
        if None in values:
            word = words.fullmatch(str(path))
            odd += [(f, word[f], path) for f in used if word and not re.fullmatch(WRITTEN, word[f])][:1]
        elif all(field not in wanted or v in wanted[field] for field, v in zip(used, values, strict=True)):
            found.setdefault(tuple(v for v in values if v is not None), []).append(str(path))
    if odd:
        field, text, path = min(odd, key=lambda one: str(one[2]))
        said = f"{{{field}}} is {text!r} in {path}, and a {field} is a whole number"
        if not found:
            raise InputError(f"{said}; write that part into the pattern, or rename the folders")
        log.warning("%d of %d folders are left out: %s", len(odd), len(odd) + sum(map(len, found.values())), said)
    return found


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


def regex(pattern: str, *, any_word: bool = False) -> str:
    """The pattern as a regular expression; a field that comes twice must agree with itself.

    Args:
        pattern: The pattern.
        any_word: Whether a field may be any text without a slash.
    """
    seen: set[str] = set()
    parts: list[str] = []
    for text, field in _parts(pattern):
        parts.append(re.escape(_unescaped(text)))
        if field:
            shape = "[^/]+" if any_word else WRITTEN if field in STEPS else r"\d+"
            parts.append(f"(?P={field})" if field in seen else rf"(?P<{field}>{shape})")
            seen.add(field)
    return "".join(parts)


def _parts(pattern: str) -> list[tuple[str, str]]:
    """Literal texts of a pattern, each with the field that follows it."""
    return re.findall(r"((?:[^{}]|\{\{|\}\})*)(?:\{(\w+)\})?", pattern)


def _unescaped(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


def _with_literal_folders(pattern: str) -> str:
    """The pattern, with the braces of folders that exist under that very name escaped."""
    for folder in Path(pattern).parents:
        if "{" in str(folder) and folder.exists():
            return _escaped(str(folder)) + str(Path(pattern))[len(str(folder)) :]
    return pattern


def filled(pattern: str, values: dict[str, int]) -> str:
    """The pattern with some of its fields filled in."""
    for field, value in values.items():
        pattern = pattern.replace(f"{{{field}}}", str(value))
    return pattern


def _escaped(path: str) -> str:
    return path.replace("{", "{{").replace("}", "}}")


def labels(path: Path) -> Checkpoint:
    """Seed and step as the path names them: ``seed_3``, ``seed-3``, ``step_20k``, ``step=20``, ``checkpoint-20``."""
    name = path.as_posix()
    return Checkpoint(ref=str(path), seed=seed_in(name), step=step_in(name))
