"""What there is to measure: in a folder of runs, or of a family of public checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from landscape import catalogue
from landscape.checkpoints.local import escaped
from landscape.errors import InputError
from landscape.files import read_json
from landscape.study.checkpoint import STEP_LABELS, Checkpoint, Label, of_one_kind, order
from landscape.study.measure import Grid
from landscape.study.proposal import Inventory, Setting, spread

MAX_SEEDS, MAX_STEPS = 10, 16
"""Seeds and steps of a folder of which all are taken."""
FEW_SEEDS, FEW_STEPS = 5, 8
"""Seeds and steps that are taken of a family, of which each is a download."""
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_sequence_length")
"""What configs call the longest input."""
OF_LABEL = {"seed": "seeds", "step": "steps", "branch_step": "branch_steps", "branch": "branches"}
"""Settings that list the values of a label."""
Section = Mapping[str, Setting]
Architecture = frozenset[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Inputs:
    """What is given beside the runs.

    Attributes:
        text: Text to evaluate on; empty for the packaged one.
        train_text: Text that the models were trained on, or like it.
        config: Folder of config.json, for weights that have none.
    """

    text: str = ""
    train_text: str = ""
    config: str = ""


@dataclass(frozen=True)
class There:
    """What was found.

    Attributes:
        name: A name for the study.
        inventory: What there is to measure.
        checkpoints: Settings of the section of checkpoints.
        branches: Settings of the section of branches; empty if there is none.
        positions: Longest input of a model; None if it is not known.
        notes: What a user should know.
    """

    name: str
    inventory: Inventory
    checkpoints: Section
    branches: Section = field(default_factory=dict)
    positions: int | None = None
    notes: tuple[str, ...] = ()


def of_family(name: str, given: Inputs) -> There:
    """Some checkpoints of a family: a few seeds, and a few steps that all these have.

    Args:
        name: Name of the family.
        given: What is given beside it.

    Raises:
        InputError: If there is no such family, or its objective needs what is not given.
    """
    from landscape.checkpoints import sources
    from landscape.checkpoints.families import family

    try:
        found = family(name)
    except InputError as error:
        raise InputError(f"there is no folder {name}, and {error}") from error
    seeds = tuple(found.steps)[:FEW_SEEDS]
    shared = sorted(set.intersection(*(set(found.steps[seed]) for seed in seeds)))
    steps = tuple(spread(shared, FEW_STEPS))
    chosen: dict[str, Setting] = {"family": name, "seeds": seeds, **({"steps": steps} if steps else {})}
    notes = [
        f"{len(seeds)} of {len(found.steps)} seeds and {len(steps) or 1} of {len(shared) or 1} steps; landscape "
        f"families {name} lists all",
        *found.notes,
    ]
    grid = Grid(tuple(sources.of_family(name, seeds, steps or None)))
    plain = found.model.lower()
    alignable = any(plain.startswith(kind.replace("_", "")) for kind in catalogue.SYMMETRY_TABLES)
    there = _inventory(grid, found.objective, given, alignable=alignable)
    return There(name, there, chosen, notes=tuple(notes))


def of_folder(folder: Path, beside: Path, given: Inputs) -> There:
    """The runs in a folder: the pattern with most checkpoints, branches of runs, and what was left out.

    Args:
        folder: The folder.
        beside: Folder of the study file, to which paths are relative.
        given: What is given beside it.

    Raises:
        InputError: If it holds no checkpoint, or their objective is not known.
    """
    from landscape.checkpoints import expand
    from landscape.checkpoints.fetch import described
    from landscape.checkpoints.formats import has_weights
    from landscape.checkpoints.layout import layouts
    from landscape.checkpoints.objective_of import default_objective

    found = layouts(folder)
    if not found:
        where = f"{folder} is a checkpoint, and none is" if has_weights(folder) else "no checkpoint is"
        raise InputError(f"{where} below {folder}; give a folder of runs, with checkpoints written by save_pretrained")
    of_branches = [layout for layout in found if "branch_step" in layout.labels]
    main = next((layout for layout in found if layout not in of_branches), found[0])
    branches = next((layout for layout in of_branches if layout is not main), None)
    root = escaped(str(folder))
    every = expand(f"{root}/{main.pattern}", {}, given.config)
    runs, chosen, notes = _of_one_architecture(every)
    kids = _like(expand(f"{root}/{branches.pattern}", {}, given.config), runs[0]) if branches else []
    notes += [f"left out: {len(other.paths)} checkpoints such as {other.paths[0]}" for other in found
              if other not in (main, branches)]  # fmt: skip
    runs, few, said = _few(runs)
    where = escaped(_from(folder, beside))
    section = {
        "folder": f"{where}/{main.pattern}",
        **chosen,
        **few,
        **({"config": given.config} if given.config else {}),
    }
    config = described(runs[0])
    grid = Grid(tuple(of_one_kind(runs)), tuple(of_one_kind(kids)))
    kind, positions = _described(config)
    there = _inventory(grid, default_objective(config), given, alignable=kind in catalogue.SYMMETRY_TABLES)
    return There(
        folder.resolve().name, there, section, {"folder": f"{where}/{branches.pattern}"} if branches and kids else {},
        positions, (*notes, *said, *_uneven(runs)),
    )  # fmt: skip


def _inventory(grid: Grid, objective: str, given: Inputs, *, alignable: bool) -> Inventory:
    """What there is to measure.

    Raises:
        InputError: If the objective needs labelled examples and none are given.
    """
    from landscape.probes import module_of, usual_for

    if "labels" in catalogue.OBJECTIVES[objective].reads and not given.text:
        raise InputError(f"the checkpoints are for {objective}, which needs labelled examples; give --text FILE")
    kind = catalogue.OBJECTIVES.load(objective).MODEL_KIND
    more = (name for name, member in catalogue.PROBES.items()
            if given.train_text and "train_text" in member.reads and kind in module_of(name).TAKES)  # fmt: skip
    return Inventory(grid, objective, alignable, (*usual_for(objective), *more), given.train_text)


def _of_one_architecture(every: Sequence[Checkpoint]) -> tuple[list[Checkpoint], dict[str, Setting], list[str]]:
    """The checkpoints of the architecture that most have, the settings that choose them, and what was left out.

    Raises:
        InputError: If no label tells them from the others.
    """
    shapes = {c.ref: _architecture(c) for c in every}
    kinds: dict[Architecture, list[Checkpoint]] = {}
    for checkpoint in every:
        kinds.setdefault(shapes[checkpoint.ref], []).append(checkpoint)
    most = max(kinds.values(), key=len)
    if len(kinds) == 1:
        return list(every), {}, []
    others = [c for c in every if c not in most]
    for name in dict.fromkeys(name for c in every for name, _ in c.labels if name not in STEP_LABELS):
        own, foreign = ({c.label(name) for c in some} for some in (most, others))
        if not own & foreign:
            chosen = tuple(sorted((value for value in own if value is not None), key=order))
            note = f"left out: {len(others)} checkpoints of another architecture, such as {others[0].ref}"
            return most, _listed({name: chosen}), [note]
    raise InputError(
        f"{most[0].ref} and {others[0].ref} have different parameters, and no label of their folders tells such "
        "architectures apart; give a folder of one architecture"
    )


def _architecture(checkpoint: Checkpoint) -> Architecture:
    from landscape.checkpoints import formats

    return frozenset((name, stored.shape) for name, stored in formats.index(Path(checkpoint.ref)).items())


def _like(checkpoints: Sequence[Checkpoint], one: Checkpoint) -> list[Checkpoint]:
    """The checkpoints, if all are of the architecture of another."""
    own = _architecture(one)
    return list(checkpoints) if all(_architecture(c) == own for c in checkpoints) else []


def _few(runs: list[Checkpoint]) -> tuple[list[Checkpoint], dict[str, Setting], list[str]]:
    """Seeds and steps of a first study, not too many; the settings that choose them; and how many there are."""
    seeds = sorted({c.seed for c in runs if c.seed is not None}, key=order)
    steps = sorted({c.step for c in runs if c.step is not None})
    some, at = seeds[:MAX_SEEDS], spread(steps, MAX_STEPS)
    wanted: dict[str, tuple[Label, ...]] = {}
    wanted |= {"seed": tuple(some)} if len(some) < len(seeds) else {}
    wanted |= {"step": tuple(at)} if len(at) < len(steps) else {}
    notes = [f"{len(values)} of {len(seeds if name == 'seed' else steps)} {OF_LABEL[name]}, for a first study: delete "
             f"the line to take all" for name, values in wanted.items()]  # fmt: skip
    kept = [c for c in runs if all(c.label(name) in values for name, values in wanted.items())]
    return kept, _listed(wanted), notes


def _listed(wanted: Mapping[str, tuple[Label, ...]]) -> dict[str, Setting]:
    """The settings that list values of labels."""
    own = {OF_LABEL[name]: values for name, values in wanted.items() if name in OF_LABEL}
    free = {f"labels.{name}": values for name, values in wanted.items() if name not in OF_LABEL}
    return {**own, **free}  # type: ignore[dict-item]


def _uneven(runs: Sequence[Checkpoint]) -> list[str]:
    """A note where the steps are evenly spaced, so that early training is not seen."""
    steps = sorted({c.step for c in runs if c.step is not None})
    gaps = {b - a for a, b in zip(steps, steps[1:], strict=False)}
    if len(steps) < 4 or len(gaps) > 1:
        return []
    return [
        f"the steps are evenly spaced, every {gaps.pop()}: what changed before step {steps[steps[0] == 0]} cannot be "
        "dated; save early checkpoints at steps that double"
    ]


def _described(config: Path) -> tuple[str, int | None]:
    """Model type and longest input, as a config names them."""
    entries = dict(read_json(config / "config.json", strict=False))
    longest = next((entries[name] for name in POSITIONS if isinstance(entries.get(name), int)), None)
    return str(entries.get("model_type")), longest


def _from(folder: Path, beside: Path) -> str:
    """The folder as a study file writes it: relative, if it lies below the study's folder."""
    path, base = folder.resolve(), beside.resolve()
    return os.path.relpath(path, base) if path.is_relative_to(base) or not folder.is_absolute() else str(path)
