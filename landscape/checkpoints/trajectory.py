"""Checkpoints that are not where their neighbours say they should be, found from the tensors themselves.

Hashes of files cannot tell weights that were saved twice apart, nor a run that does not descend from its own start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from landscape.checkpoints import fetch, formats
from landscape.checkpoints.audit import Finding
from landscape.checkpoints.formats.tensors import FLOATS
from landscape.errors import InputError
from landscape.shapes import Float
from landscape.task import Checkpoint

DETOUR = 1.25
"""A step is off the way if both its neighbours are this many times farther from it than from each other."""

STEP = re.compile(r"(?:global_)?(?:step|checkpoint|ckpt)[-_=]?\d+k?(?:-tokens\d+B|-\d+BT)?")
LEAP = 3.0
UNRELATED = 0.9
"""Share of ``|a|^2 + |b|^2`` that ``|a - b|^2`` is at least, if a and b have nothing to do with each other (then 1)."""


@dataclass(frozen=True)
class Seen:
    """One checkpoint on its way.

    Attributes:
        checkpoint: The label.
        matrices: Hash of each matrix that is not constant, by name.
        whole: Hash of all tensors.
        length: Norm of the checkpoint.
        to_previous: Distance to the step before, of the same run.
        to_first: Distance to the first step.
        across: Distance between the steps before and after.
        stored: dtype on disk.
    """

    checkpoint: Checkpoint
    matrices: dict[str, str]
    whole: str
    length: float
    to_previous: float = 0.0
    to_first: float = 0.0
    across: float = 0.0
    stored: str = "float32"

    @property
    def name(self) -> str:
        """The label in words."""
        return self.checkpoint.ref


def runs(checkpoints: Sequence[Checkpoint]) -> list[list[Checkpoint]]:
    """The checkpoints by run, each in the order of its steps: one run is one name with the step left out."""
    found: dict[tuple[int | None, str], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        found.setdefault((checkpoint.seed, STEP.sub("", checkpoint.ref)), []).append(checkpoint)
    return [sorted(run, key=lambda c: (c.step is None, c.step or 0)) for run in found.values()]


def walk(run: Sequence[Checkpoint], tick: Callable[[str], None] = lambda label: None) -> list[Seen]:
    """Read the steps of one run in order; four of them are in memory at a time.

    Args:
        run: Checkpoints of one seed, by step.
        tick: Called after each.

    Raises:
        InputError: If one cannot be read, or holds other tensors than the first.
    """
    seen: list[Seen] = []
    shapes: dict[str, tuple[int, ...]] = {}
    kept: list[Float[np.ndarray, " P"]] = []
    for checkpoint in run:
        here, vector = _read(checkpoint, shapes)
        if kept:
            first, before = kept[0], kept[-1]
            here = replace(here, to_previous=_apart(before, vector), to_first=_apart(first, vector))
        if len(kept) > 1:
            seen[-1] = replace(seen[-1], across=_apart(kept[-2], vector))
        seen.append(here)
        kept = [*kept[:1], *kept[1:][-1:], vector]
        tick(checkpoint.ref)
    return seen


def _read(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> tuple[Seen, Float[np.ndarray, " P"]]:
    path = fetch.weights(checkpoint)
    stored = {name: place for name, place in sorted(formats.index(path).items()) if place.dtype in FLOATS}
    found = {name: place.shape for name, place in stored.items()}
    shapes.update(shapes or found)
    if odd := sorted(found.items() ^ shapes.items()):
        raise InputError(f"{checkpoint.ref} holds other tensors than the first step: {odd[0][0]!r}; audit it apart")
    vector = np.empty(sum(prod(shape) for shape in found.values()), np.float32)
    formats.read(vector, stored)
    whole = hashlib.blake2b(vector.data, digest_size=16).hexdigest()
    return Seen(
        checkpoint, _matrices(vector, found), whole, _norm(vector), stored=formats.stored_as(stored.values())
    ), vector


def _matrices(vector: Float[np.ndarray, " P"], shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    hashes, place = {}, 0
    for name, shape in shapes.items():
        part = vector[place : place + prod(shape)]
        place += part.size
        if len(shape) > 1 and part.size and part.min() != part.max():
            hashes[name] = hashlib.blake2b(part.data, digest_size=16).hexdigest()
    return hashes


def _norm(vector: Float[np.ndarray, " P"]) -> float:
    """Norm in float64, in pieces that fit the cache."""
    return float(
        sum(np.square(part, dtype=np.float64).sum() for part in np.array_split(vector, _pieces(vector))) ** 0.5
    )


def _apart(a: Float[np.ndarray, " P"], b: Float[np.ndarray, " P"]) -> float:
    pieces = _pieces(a)
    pairs = zip(np.array_split(a, pieces), np.array_split(b, pieces), strict=True)
    return float(sum(np.square(x.astype(np.float64) - y).sum() for x, y in pairs) ** 0.5)


def _pieces(vector: Float[np.ndarray, " P"]) -> int:
    return 1 + vector.size // (1 << 18)


def judge(runs: Iterable[Sequence[Seen]]) -> list[Finding]:
    """What the tensors of some runs tell.

    Args:
        runs: The steps of each seed.
    """
    runs = list(runs)
    found = [*_same(step for run in runs for step in run), *_shared(runs)]
    for run in runs:
        found += [*_detours(run), *_starts(run)]
    return found


def _same(steps: Iterable[Seen]) -> Iterable[Finding]:
    groups: dict[str, list[str]] = {}
    for step in steps:
        groups.setdefault(step.whole, []).append(step.name)
    for names in groups.values():
        if len(names) > 1:
            yield Finding("same tensors", tuple(names), f"{len(names)} labels hold the same tensors")


def _shared(runs: Sequence[Sequence[Seen]]) -> Iterable[Finding]:
    """Matrices that two labels share which are not the same and not neighbours; those of most labels never move."""
    order = {step.name: (number, place) for number, run in enumerate(runs) for place, step in enumerate(run)}
    holders: dict[tuple[str, str], list[Seen]] = {}
    for step in (step for run in runs for step in run):
        for name, digest in step.matrices.items():
            holders.setdefault((name, digest), []).append(step)
    pairs: dict[tuple[str, str], list[str]] = {}
    for (name, _), held in holders.items():
        if 1 < len(held) <= max(2, len(order) // 2):
            for a, b in zip(held, held[1:], strict=False):
                near = order[a.name][0] == order[b.name][0] and abs(order[a.name][1] - order[b.name][1]) == 1
                if not near and a.whole != b.whole:
                    pairs.setdefault((a.name, b.name), []).append(name)
    for labels, names in pairs.items():
        says = f"{' and '.join(labels)} share {len(names)} matrices, such as {names[0]}, and differ in others"
        yield Finding("shared tensors", labels, says)


def _detours(run: Sequence[Seen]) -> Iterable[Finding]:
    for here, after in zip(run[1:], run[2:], strict=False):
        if here.across and min(here.to_previous, after.to_previous) > DETOUR * here.across:
            says = (
                f"{here.name} lies {here.to_previous:.3g} and {after.to_previous:.3g} from its neighbours, which are "
                f"{here.across:.3g} apart: it is no step between them"
            )
            yield Finding("detour", (here.name,), says)


def _starts(run: Sequence[Seen]) -> Iterable[Finding]:
    """Whether the second step descends from the first, and the last from the one before it."""
    if len(run) < 3:
        return
    ends = (
        (run[0], run[1], run[2].to_previous, run[1].to_previous),
        (run[-2], run[-1], run[-2].to_previous, run[-1].to_previous),
    )
    for a, b, other, apart in ends:
        unrelated = apart**2 > UNRELATED * (a.length**2 + b.length**2)
        if unrelated and apart > LEAP * other > 0:
            says = (
                f"{b.name} lies {apart:.3g} from {a.name}, as far as from any other model: it does not descend from it"
            )
            yield Finding("no descent", (a.name, b.name), says)
