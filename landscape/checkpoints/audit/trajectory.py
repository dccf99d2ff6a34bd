"""Checkpoints that do not lie near their neighbours in training, found from the tensors themselves.

Hashes of files cannot detect weights that were saved twice, nor a run that does not descend from its own start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from landscape.checkpoints import fetch, formats
from landscape.checkpoints.audit.hashes import Finding
from landscape.checkpoints.formats.tensors import FLOATS
from landscape.errors import InputError
from landscape.shapes import Float
from landscape.study.checkpoint import Checkpoint, Label

DETOUR = 1.25
"""A step is a detour if both neighbours are this many times farther from it than from each other."""

STEP = re.compile(r"(?:global_)?(?:step|checkpoint|ckpt)[-_=]?\d+k?(?:-tokens\d+B|-\d+BT)?")
LEAP = 3.0
UNRELATED = 0.9
"""Fraction of ``|a|^2 + |b|^2`` from which ``|a - b|^2`` shows that a and b are unrelated; if independent, 1."""


@dataclass(frozen=True)
class Seen:
    """One checkpoint of a run. Distances and lengths are Euclidean, in units of the coordinates.

    Attributes:
        checkpoint: The label.
        matrices: Hash of each matrix that is not constant, by name.
        whole: Hash of all tensors.
        length: Norm of its matrices.
        to_previous: Distance to the previous step of the same run.
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
        """The reference of the checkpoint."""
        return self.checkpoint.ref


def runs(checkpoints: Sequence[Checkpoint]) -> list[list[Checkpoint]]:
    """The checkpoints by run, each in the order of its steps. Names of one run differ in the step only."""
    by_run: dict[tuple[Label | None, str], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        by_run.setdefault((checkpoint.seed, STEP.sub("", checkpoint.ref)), []).append(checkpoint)
    return [sorted(run, key=lambda c: (c.step is None, c.step or 0)) for run in by_run.values()]


def walk(
    run: Sequence[Checkpoint], tick: Callable[[str], None] = lambda label: None
) -> tuple[list[Seen], list[Finding]]:
    """Read the steps of one run in order; three of them are in memory at the same time.

    Lengths and distances are those of the matrices alone. Norms and biases, whose ones and zeros all models share, and
    buffers such as masks would hide the differences.

    Args:
        run: Checkpoints of one seed, by step.
        tick: Called after each checkpoint.

    Returns:
        The steps that were read, and a finding for each that cannot be read or has other shapes.
    """
    seen: list[Seen] = []
    lost: list[Finding] = []
    shapes: dict[str, tuple[int, ...]] = {}
    kept: list[Float[np.ndarray, " P"]] = []
    for checkpoint in run:
        try:
            here, vector = _read(checkpoint, shapes)
        except InputError as error:
            lost.append(Finding("unreadable", (checkpoint.ref,), f"{checkpoint.ref} cannot be read: {error}"))
            continue
        finally:
            tick(checkpoint.ref)
        if kept:
            first, before = kept[0], kept[-1]
            here = replace(here, to_previous=_apart(before, vector), to_first=_apart(first, vector))
        if len(kept) > 1:
            seen[-1] = replace(seen[-1], across=_apart(kept[-2], vector))
        seen.append(here)
        kept = [*kept[:1], *kept[1:][-1:], vector]
    return seen, lost


def _read(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> tuple[Seen, Float[np.ndarray, " P"]]:
    """A checkpoint with its hashes and norm, and its concatenated matrices.

    Raises:
        InputError: If it cannot be read, or holds other tensors than the first.
    """
    index = formats.index(fetch.weights(checkpoint))
    stored = {
        n: at for n, at in sorted(index.items(), key=_matrices_first) if at.dtype in FLOATS and not _mask(at.shape)
    }
    own = {name: at.shape for name, at in stored.items()}
    if odd := sorted(own.items() ^ (shapes or own).items()):
        raise InputError(f"it holds other tensors than the first step, such as {odd[0][0]!r}")
    shapes.update(own)
    values = np.empty(sum(prod(shape) for shape in own.values()), np.float32)
    formats.read(values, stored)
    matrices = {name: shape for name, shape in own.items() if len(shape) > 1}
    whole = hashlib.blake2b(values.data, digest_size=16).hexdigest()
    vector = values[: sum(prod(shape) for shape in matrices.values())]
    dtype = formats.stored_as(stored.values())
    return Seen(checkpoint, _matrices(vector, matrices), whole, _norm(vector), stored=dtype), vector


def _matrices_first(item: tuple[str, formats.Stored]) -> tuple[bool, str]:
    name, stored = item
    return len(stored.shape) < 2, name


def _mask(shape: tuple[int, ...]) -> bool:
    """Whether this is a causal mask that was saved, ``[1, 1, n, n]``, or a single number."""
    return len(shape) == 0 or (len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3])


def _matrices(vector: Float[np.ndarray, " P"], shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    hashes, begin = {}, 0
    for name, shape in shapes.items():
        values = vector[begin : begin + prod(shape)]
        begin += values.size
        if values.size and values.min() != values.max():
            hashes[name] = hashlib.blake2b(values.data, digest_size=16).hexdigest()
    return hashes


def _norm(vector: Float[np.ndarray, " P"]) -> float:
    """Norm in float64, in pieces that fit the cache."""
    return float(
        sum(np.square(piece, dtype=np.float64).sum() for piece in np.array_split(vector, _pieces(vector))) ** 0.5
    )


def _apart(a: Float[np.ndarray, " P"], b: Float[np.ndarray, " P"]) -> float:
    pieces = _pieces(a)
    pairs = zip(np.array_split(a, pieces), np.array_split(b, pieces), strict=True)
    return float(sum(np.square(x.astype(np.float64) - y).sum() for x, y in pairs) ** 0.5)


def _pieces(vector: Float[np.ndarray, " P"]) -> int:
    return 1 + vector.size // (1 << 18)


def findings(runs: Iterable[Sequence[Seen]]) -> list[Finding]:
    """Findings from the tensors of some runs.

    Args:
        runs: The steps of each seed.
    """
    runs = list(runs)
    out = [*_same(step for run in runs for step in run), *_shared(runs)]
    for run in runs:
        out += [*_detours(run), *_jumps(run)]
    return out


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
                f"{here.across:.3g} apart: it is not a step between them"
            )
            yield Finding("detour", (here.name,), says)


def _jumps(run: Sequence[Seen]) -> Iterable[Finding]:
    """Whether each step descends from the one before it."""
    for place in range(1, len(run) if len(run) > 2 else 0):
        a, b = run[place - 1], run[place]
        around = [run[near].to_previous for near in (place - 1, place + 1) if 1 <= near < len(run)]
        unrelated = b.to_previous**2 > UNRELATED * (a.length**2 + b.length**2)
        if unrelated and b.to_previous > LEAP * max(around) > 0:
            far = f"{b.name} lies {b.to_previous:.3g} from {a.name}, as far as from any other model"
            says = f"{far}: it does not descend from it"
            yield Finding("no descent", (a.name, b.name), says)
