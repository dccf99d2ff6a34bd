"""References: a path, ``hf://organisation/name@revision``, or ``family:seed=3,step=20000``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path

from landscape.checkpoints import families, formats, layout, local
from landscape.checkpoints.families import Family
from landscape.checkpoints.hub import client, places
from landscape.errors import InputError, did_you_mean
from landscape.study.checkpoint import Checkpoint, Label, Place, labels, order, relabelled

Wanted = Mapping[str, tuple[Label, ...] | None]
"""Values of each label; None is all that exist."""
FamilyLabel = tuple[int, int | None]


def find(ref: str, config: str = "") -> list[Checkpoint]:
    """The checkpoints that a reference means.

    Args:
        ref: A path (see :func:`landscape.checkpoints.local.find`); ``hf://organisation/name@revision/folder``; or
            ``multiberts:seed=3,step=20000``, where a seed left out is the family's first and a step its last.
        config: The folder of ``config.json``, for local weights that have none.

    Raises:
        InputError: If there is no such checkpoint.
    """
    if "{" not in ref or Path(ref).exists():
        if ref.startswith(places.SCHEME):
            return [hub_checkpoint(ref)]
        if not Path(ref).exists() and (named := family_parts(ref)) is not None:
            return [family_checkpoint(named[0], _label(*named))]
        if not Path(ref).exists():
            raise InputError(_not_there(ref))
        return [replace(c, config=config) for c in (_of_run(Path(ref)) or local.find(ref))]
    return expand(ref, {}, config)


def _of_run(folder: Path) -> list[Checkpoint]:
    """The checkpoints of a folder whose folders are the steps of one run, whatever these are called.

    Raises:
        InputError: If it holds several runs; the message says how to name them.
    """
    if not folder.is_dir() or formats.has_weights(folder) or local.has_steps(folder):
        return []
    formats.require_own(folder)
    found = layout.layouts(folder)
    if not found or not found[0].labels:
        return []
    pattern = f"{local.escaped(str(folder))}/{found[0].pattern}"
    if found[0].labels == ("step",):
        return local.expand(pattern, {})
    raise InputError(
        f"{folder} holds {len(found[0].paths)} checkpoints that differ in {' and '.join(found[0].labels)}, and one run "
        f"or checkpoint is wanted: give '{pattern}' for all, or write a study of them with: landscape init {folder}"
    )


def expand(pattern: str, wanted: Wanted, config: str = "") -> list[Checkpoint]:
    """The checkpoints of a pattern such as ``{optimizer}/seed_{seed}/step_{step}``, on disk or on the hub.

    Args:
        pattern: A reference of any form with labels in braces.
        wanted: Values of each label; a label without values takes all that exist.
        config: The folder of ``config.json``, for local weights that have none.

    Raises:
        InputError: If a wanted checkpoint is missing, a label is not in the pattern, or nothing fits the pattern.
    """
    if pattern.startswith(places.SCHEME):
        return list(_on_the_hub(pattern, wanted))
    if (named := family_parts(pattern)) is not None:
        found, values = named
        given = {key: _whole(wanted.get(key)) if "{" in value else (int(value),) for key, value in values.items()}
        return of_family(found.name, given.get("seed"), given.get("step"))
    return [replace(c, config=config) for c in local.expand(pattern, dict(wanted))]


def of_family(name: str, seeds: tuple[Label, ...] | None, steps: tuple[Label, ...] | None) -> list[Checkpoint]:
    """The checkpoints of a family at some seeds and steps.

    Args:
        name: Name of the family.
        seeds: The seeds; None takes all.
        steps: The steps; None takes all.

    Raises:
        InputError: If a seed or step is not in the family, or not that step of that seed though both were listed.
    """
    found = families.family(name)
    seeds, steps = _whole(seeds), _whole(steps)
    for seed in seeds or ():
        _require_seed(found, seed)
    every = [(s, t) for s, t in found.labels() if (seeds is None or s in seeds) and (steps is None or t in steps)]
    for step in steps or ():
        for seed in seeds or [next((s for s, own in found.steps.items() if step in own), next(iter(found.steps)))]:
            if (seed, step) not in every:
                raise InputError(f"{name} has no step {step} of seed {seed}; {_steps(found, seed, step)}")
    return [family_checkpoint(found, label) for label in every]


def family_checkpoint(found: Family, label: FamilyLabel) -> Checkpoint:
    """One checkpoint of a family.

    Raises:
        InputError: If the family has none of that seed and step.
    """
    seed, step = label
    _require_seed(found, seed)
    if step is not None and step not in found.steps[seed] and (found.whole or not found.steps[seed]):
        raise InputError(f"{found.name} has no step {step} of seed {seed}; {_steps(found, seed, step)}")
    ref = f"{found.name}:seed={seed}" + ("" if step is None else f",step={step}")
    return Checkpoint(ref, labels({"seed": seed, "step": step}), found.place(seed, step),
                      defect=found.known_defects.get(label, ""))  # fmt: skip


def hub_checkpoint(ref: str) -> Checkpoint:
    """One checkpoint on the hub, labelled as its family does or else as its names say.

    Raises:
        InputError: If the reference is not well formed.
    """
    place = places.parse(ref)
    if known := families.labelled(place):
        found, (seed, step) = known
        return Checkpoint(ref, labels({"seed": seed, "step": step}), place,
                          defect=found.known_defects.get((seed, step), ""))  # fmt: skip
    here = local.labelled(Path(f"{place.repo}/{place.folder}"))
    parts = places.named(place.revision) or {}
    named = parts.get("seed", parts.get("ingredient", ""))
    values = {
        "seed": int(named) if named.isdecimal() else here.seed,
        "step": int(parts["step"]) if "step" in parts else here.step,
    }
    defect = families.main_defects().get(place.repo, "") if place.revision == "main" else ""
    return Checkpoint(ref, labels(values), place, defect=defect)


def place(ref: str) -> Place | None:
    """Where on the hub a reference that is no checkpoint's lies, such as a tokenizer's; None for a path."""
    if ref.startswith(places.SCHEME):
        return places.parse(ref)
    if not Path(ref).exists() and (named := family_parts(ref)) is not None:
        return named[0].place(*_label(*named))
    return None


def _label(found: Family, values: Mapping[str, str]) -> FamilyLabel:
    """The seed and step that a reference names; left out, the family's first and its last."""
    seed = int(values["seed"]) if "seed" in values else next(iter(found.steps))
    _require_seed(found, seed)
    return seed, int(values["step"]) if "step" in values else (found.steps[seed] or (None,))[-1]


def family_parts(ref: str) -> tuple[Family, dict[str, str]] | None:
    """A family and the values after its name; None if the reference is none of a family.

    Raises:
        InputError: If it looks like one, and the family is unknown or the values are not well formed.
    """
    parsed = re.fullmatch(r"([\w.-]+):([^/]*)", ref)
    if parsed is None or not ("=" in ref or parsed[1] in families.FAMILIES):
        return (families.FAMILIES[ref], {}) if ref in families.FAMILIES else None
    found = families.family(parsed[1])
    values = dict(part.split("=", 1) for part in parsed[2].split(",") if "=" in part)
    if odd := sorted(values.keys() - {"seed", "step"}):
        hint = did_you_mean(odd[0], ("seed", "step"))
        raise InputError(f"{ref}: {found.name} has no label {odd[0]}{hint}; write {found.name}:seed=S,step=T")
    if any(not re.fullmatch(r"[\d_]+|\{(seed|step)\}", v) for v in values.values()):
        raise InputError(f"{ref} is not well formed; write {found.name}:seed=S,step=T")
    if len(values) != len([part for part in parsed[2].split(",") if part]):
        raise InputError(f"{ref} is not well formed; write {found.name}:seed=S,step=T")
    return found, values


def _whole(values: tuple[Label, ...] | None) -> tuple[int, ...] | None:
    """Seeds or steps of a family.

    Raises:
        InputError: If one is a word.
    """
    if values is None:
        return None
    if words := [value for value in values if not isinstance(value, int)]:
        raise InputError(f"seeds and steps of a family are whole numbers, and one is {words[0]!r}")
    return tuple(value for value in values if isinstance(value, int))


def _not_there(ref: str) -> str:
    """What a reference that is no path might have been."""
    hint = "check the path"
    if web := re.fullmatch(r"https?://huggingface\.co/([\w.-]+/[\w.-]+)(?:/tree/([^/]+))?/?", ref):
        hint = f"for the hub write hf://{web[1]}{f'@{web[2]}' if web[2] else ''}"
    elif near := get_close_matches(ref.lower(), families.FAMILIES, n=1, cutoff=0.75):
        hint = f"did you mean the family {near[0]}?"
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", ref):
        hint = f"check the path, or for the hub write hf://{ref}"
    return f"no folder or file {ref}: a checkpoint is a folder written by save_pretrained; {hint}"


def _require_seed(found: Family, seed: int) -> None:
    if seed not in found.steps:
        some = ", ".join(map(str, list(found.steps)[:10]))
        raise InputError(
            f"{found.name} has no seed {seed}; its seeds are {some}{' ...' if len(found.steps) > 10 else ''}"
        )


def _steps(found: Family, seed: int, wanted: Label) -> str:
    """Which steps a seed has, and the nearest to the one that is wanted."""
    steps = found.steps[seed]
    if not steps:
        return "it has one checkpoint a seed: leave the step out"
    near = f"; the nearest is {min(steps, key=lambda step: abs(step - wanted))}" if isinstance(wanted, int) else ""
    return f"it has {len(steps)} from {steps[0]} to {steps[-1]}: landscape families {found.name} lists them{near}"


def _on_the_hub(pattern: str, wanted: Wanted) -> Iterator[Checkpoint]:
    """Fields in a repository's name need values; those in a revision or folder are otherwise looked up.

    Raises:
        InputError: If a value is missing, or a field is not in the pattern.
    """
    whole = places.parse(pattern)
    fields = local.fields(pattern)
    if stray := sorted(field for field, values in wanted.items() if values is not None and field not in fields):
        raise InputError(f"the pattern {pattern!r} has no {{{stray[0]}}}; write it into the pattern")
    given = {field: listed for field in fields if (listed := wanted.get(field)) is not None}
    if open_ := [field for field in fields if field not in given and f"{{{field}}}" in whole.repo]:
        raise InputError(f"the hub cannot be searched for {open_[0]}s in the name {whole.repo}; list them in the study")
    for combination in product(*given.values()):
        values: dict[str, Label] = dict(zip(given, combination, strict=True))
        left = [field for field in fields if field not in given]
        for found in _looked_up(local.filled(pattern, values), left) if left else [{}]:
            here: dict[str, Label] = {**values, **found}
            yield relabelled(hub_checkpoint(pattern.format(**here)), here)


def _looked_up(pattern: str, fields: list[str]) -> list[dict[str, Label]]:
    """Values of the fields for which a revision, or a folder within it, exists.

    Raises:
        InputError: If there are none.
    """
    where = places.parse(pattern)
    in_folder = any(f"{{{field}}}" in where.folder for field in fields)
    if in_folder:
        files = client.listing(Place(where.repo, where.revision), client.resolve(Place(where.repo, where.revision)))
        shape, names = re.compile(local.regex(where.folder)), sorted({str(Path(file).parent) for file in files})
    else:
        shape, names = re.compile(local.regex(where.revision)), list(client.branches(where.repo))
    found = [fit.groupdict() for name in names if (fit := shape.fullmatch(name))]
    values = local.typed({tuple(one[field] for field in fields): [""] for one in found}, fields, {})
    if not values:
        raise InputError(f"nothing on the hub fits {pattern}; {where.repo} has {', '.join(names[:4]) or 'nothing'}")
    rows = sorted(values, key=lambda row: [order(value) for value in row])
    return [dict(zip(fields, row, strict=True)) for row in rows]
