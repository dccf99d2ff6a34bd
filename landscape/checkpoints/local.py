"""Checkpoints in local folders: one folder, a training run of many, or a pattern."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from itertools import product
from pathlib import Path

from landscape import rows
from landscape.checkpoints.formats import has_weights, require_own, require_weights
from landscape.checkpoints.numbers import WRITTEN, number, seed_in, step_in
from landscape.errors import InputError, did_you_mean
from landscape.study.checkpoint import STEP_LABELS, USUAL_LABELS, Checkpoint, Label, labels, order, relabelled

STEP_FOLDER = "checkpoint-{step}"
RUN_FILES = (".ckpt", ".pt", ".pth", ".pt.tar", ".pth.tar")
BESIDE = ("optimizer", "scheduler", "rng_state", "training_args", "scaler")
"""What trainers leave beside weights."""
ADAPTER = "adapter_config.json"
LABEL, WHOLE = r"[A-Za-z]\w*", r"\d+"
"""A label's name; and its value, if that is a number and no step."""
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
    own = [replace(labelled(path), ref=ref)] if has_weights(path) else []
    if _has_step_folders(path):
        steps = expand(f"{escaped(ref)}/{STEP_FOLDER}", {})
        return [replace(relabelled(labelled(path), {"step": c.step}), ref=c.ref) for c in steps] + own
    if own:
        return own
    if path.is_dir():
        require_own(path)
        if files := [labelled(file) for file in path.iterdir() if _is_of_a_run(file)]:
            return sorted(files, key=lambda c: (c.step is None, c.step or 0, c.ref))
        if (path / ADAPTER).is_file():
            raise InputError(
                f"{path} has the config of an adapter and not its weights, adapter_model.safetensors; copy the adapter "
                "again"
            )
    require_weights(path)
    return []


def _has_step_folders(path: Path) -> bool:
    return path.is_dir() and any(map(has_weights, path.glob(STEP_FOLDER.format(step="*"))))


def has_steps(folder: Path) -> bool:
    """Whether a folder is a run as a trainer leaves it: with folders ``checkpoint-N``, or files of weights."""
    return _has_step_folders(folder) or any(map(_is_of_a_run, folder.iterdir()))


def _is_of_a_run(file: Path) -> bool:
    ending = next((ending for ending in RUN_FILES if file.name.endswith(ending)), None)
    return ending is not None and file.name.removesuffix(ending) not in BESIDE


def expand(pattern: str, wanted: Mapping[str, tuple[Label, ...] | None]) -> list[Checkpoint]:
    """The checkpoints of a pattern such as ``{optimizer}/seed_{seed}/step_{step}``.

    Args:
        pattern: A path with labels in braces. ``{step}`` and ``{branch_step}`` are whole numbers; another label is one
            too, or a word if it is a word in all folders.
        wanted: Values of each label; a label without values takes all that exist on disk.

    Returns:
        Checkpoints sorted by label.

    Raises:
        InputError: If a wanted checkpoint is missing, the pattern is not well formed, or nothing fits the pattern.
    """
    pattern = _with_literal_folders(pattern)
    used = fields(pattern)
    stray = sorted(field for field, values in wanted.items() if values is not None and field not in used)
    if stray:
        hint = did_you_mean(stray[0], used)
        raise InputError(f"the folder pattern {pattern!r} has no {{{stray[0]}}}{hint}; write it into the pattern")
    every = _of_pattern(pattern, used, {field: values for field, values in wanted.items() if values is not None})
    found = {values: paths[0] for values, paths in every.items()}
    if double := next(((values, paths) for values, paths in every.items() if len(paths) > 1), None):
        said = ", ".join(f"{field} {value}" for field, value in zip(used, double[0], strict=True))
        raise InputError(f"{' and '.join(sorted(double[1]))} are both {said or 'one'}; rename or remove one of them")
    chosen = sorted(found, key=lambda values: [order(value) for value in values])
    for position, field in enumerate(used):
        if lost := sorted(set(wanted.get(field) or ()) - {values[position] for values in chosen}, key=order):
            raise InputError(f"no checkpoint with {field} {lost[0]} fits {pattern}; check the path and the list")
    _require_grid(pattern, used, wanted, set(chosen))
    if not chosen:
        raise InputError(f"no checkpoint fits {pattern}; a checkpoint is a folder written by save_pretrained")
    return [relabelled(labelled(Path(found[values])), dict(zip(used, values, strict=True))) for values in chosen]


def fields(pattern: str) -> list[str]:
    """The labels of a pattern: those of its own first, and then the usual ones.

    >>> fields("{seed}/{optimizer}/step_{step}")
    ['optimizer', 'seed', 'step']

    Raises:
        InputError: If the pattern is not well formed.
    """
    named = list(dict.fromkeys(re.findall(r"\{(.*?)\}", pattern.replace("{{", "").replace("}}", ""))))
    try:
        pattern.format(**dict.fromkeys(named, ""))
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"folder pattern {pattern!r} is not well formed: {error}") from error
    if odd := [name for name in named if not re.fullmatch(LABEL, name) or name in rows.RESERVED]:
        raise InputError(
            f"folder pattern {pattern!r} has the label {odd[0]!r}, which is a column, a way to pair checkpoints, or no "
            "word; give another"
        )
    return [*(name for name in named if name not in USUAL_LABELS), *(name for name in USUAL_LABELS if name in named)]


Values = tuple[Label, ...]
"""A value for each label of a pattern."""


def _of_pattern(pattern: str, used: list[str], wanted: dict[str, tuple[Label, ...]]) -> dict[Values, list[str]]:
    """The paths of a pattern that have weights, by the wanted values of their labels.

    Raises:
        InputError: If all have words in place of numbers.
    """
    shape = re.compile(regex(str(Path(pattern)), any_word=True))
    glob = "".join(escape(_unescaped(text)) + ("*" if field else "") for text, field in _parts(pattern))
    glob = re.sub(r"\*\*+", "*", glob)  # labels side by side
    root = Path(glob).anchor or "."
    found: dict[tuple[str, ...], list[str]] = {}
    for path in Path(root).glob(str(Path(glob).relative_to(root))):
        if has_weights(path) and (fit := shape.fullmatch(str(path))):
            found.setdefault(tuple(fit[field] for field in used), []).append(str(path))
    return typed(found, used, wanted)


def typed(
    found: Mapping[tuple[str, ...], list[str]], used: Sequence[str], wanted: Mapping[str, tuple[Label, ...]]
) -> dict[Values, list[str]]:
    """Paths by the wanted values of their labels, as whole numbers or words.

    A seed or branch is a word if no value of it is a whole number, or words are asked for, and any other label if some
    value of it is none. Other paths are left out with a warning.

    Args:
        found: Paths by the texts that stand for their labels.
        used: The labels.
        wanted: Values of some labels.

    Raises:
        InputError: If all are left out since a step is no number.
    """
    words = {
        field for k, field in enumerate(used) if field not in STEP_LABELS and (
            any(isinstance(value, str) for value in wanted.get(field, ()))
            or not (any if field in USUAL_LABELS else all)(re.fullmatch(WHOLE, texts[k]) for texts in found)
        )
    }  # fmt: skip
    out: dict[Values, list[str]] = {}
    odd: list[tuple[str, str, str]] = []
    for texts, paths in found.items():
        values = [_value(field, text, field in words) for field, text in zip(used, texts, strict=True)]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            k = values.index(None)
            odd += [(path, used[k], texts[k]) for path in paths]
        elif all(field not in wanted or v in wanted[field] for field, v in zip(used, known, strict=True)):
            out.setdefault(tuple(known), []).extend(paths)
    if odd:
        path, field, text = min(odd)
        said = f"{{{field}}} is {text!r} in {path}, and a {field} is a whole number"
        if not out:
            raise InputError(f"{said}; write that part into the pattern, or rename the folders")
        log.warning("%d of %d folders are left out: %s", len(odd), len(odd) + sum(map(len, out.values())), said)
    return out


def _value(field: str, text: str, word: bool) -> Label | None:
    """The value that a text writes; None for a word in place of a number."""
    if word:
        return text
    written = WRITTEN if field in STEP_LABELS else WHOLE
    return number(text) if re.fullmatch(written, text) else None


def _require_grid(
    pattern: str, used: list[str], wanted: Mapping[str, tuple[Label, ...] | None], chosen: set[Values]
) -> None:
    """If all labels were listed, all combinations must exist.

    Raises:
        InputError: Naming the first that is missing.
    """
    listed = [values for field in used if (values := wanted.get(field)) is not None]
    if len(used) < 2 or len(listed) < len(used):
        return
    for combination in product(*listed):
        if combination not in chosen:
            missing = pattern.format(**dict(zip(used, combination, strict=True)))
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
            shape = "[^/]+" if any_word else WRITTEN if field in STEP_LABELS else WHOLE
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
            return escaped(str(folder)) + str(Path(pattern))[len(str(folder)) :]
    return pattern


def filled(pattern: str, values: Mapping[str, Label]) -> str:
    """The pattern with some of its fields filled in."""
    for field, value in values.items():
        pattern = pattern.replace(f"{{{field}}}", str(value))
    return pattern


def escaped(path: str) -> str:
    """A path as a pattern that means it alone."""
    return path.replace("{", "{{").replace("}", "}}")


def labelled(path: Path) -> Checkpoint:
    """Seed and step as the path names them: ``seed_3``, ``seed-3``, ``step_20k``, ``step=20``, ``checkpoint-20``."""
    name = path.as_posix()
    return Checkpoint(str(path), labels({"seed": seed_in(name), "step": step_in(name)}))
