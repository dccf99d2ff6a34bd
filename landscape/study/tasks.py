"""Tasks: units of work with typed settings and a content key."""

from __future__ import annotations

import hashlib
import json
from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Generic, TypedDict, TypeVar

from pydantic import JsonValue

from landscape.spec import Settings
from landscape.study.checkpoint import USUAL_LABELS, Checkpoint, order

SCHEMA = 4
"""Of rows and keys: another number makes other keys, so that old rows are not taken for new ones."""
MAIN = "main"
"""Name of the data set of the section ``[data]``."""


class Spec(Settings, ABC):
    """Typed settings of a task, or of a measure that is expanded into tasks.

    Attributes:
        kind: Name of the kind of work; ``landscape.measure`` has a module of this name.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset()
    """Fields that decide which tasks there are, or where they run, and not the numbers of one task."""
    KEEPS_LOSSES: ClassVar[bool] = False
    """Whether other tasks read the per-example losses that a task of this kind keeps."""

    kind: str

    def deciding(self) -> dict[str, JsonValue]:
        """The settings that decide the numbers of a task."""
        return self.model_dump(mode="json", exclude=set(self.ELSEWHERE))

    def passes(self, task: Task[Spec]) -> int:
        """Forward passes over all examples that a task takes, about."""
        return 0

    def gradients(self, task: Task[Spec], examples: int) -> int:
        """Gradients of one example that a task takes, of so many examples that there are."""
        return 0

    @property
    def combines(self) -> bool:
        """Whether a task does no more with points than combine and evaluate them, so that they may stay in files."""
        return False

    def vectors(self, task: Task[Spec]) -> int:
        """Vectors of float32 that a task holds at once at least, besides a model and its anchors."""
        return 0

    def words(self) -> tuple[str, ...]:
        """What tells tasks of this kind apart, for people."""
        return ()


S = TypeVar("S", bound=Spec)
S_co = TypeVar("S_co", bound=Spec, covariant=True)


class Recorded(TypedDict):
    """A task as the record of a study has it."""

    key: str
    kind: str
    label: str
    needs: list[str]
    checkpoints: list[dict[str, JsonValue]]
    pairs: int


@dataclass(frozen=True)
class Task(Generic[S_co]):
    """One unit of work.

    Attributes:
        spec: Its settings.
        checkpoints: Its anchors.
        pairs: Pairs of positions in ``checkpoints``.
        data: Fingerprint of the fixed batches.
        on: Name of the data set that they are of.
        texts: Hashes of whatever else it reads, each with its purpose.
        needs: Keys of the tasks whose results this one reads.
        tensors: Names of the tensors of a checkpoint, where an estimate of the cost knows them.
    """

    spec: S_co
    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    data: str = ""
    on: str = MAIN
    texts: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Kind of work."""
        return self.spec.kind

    @cached_property
    def key(self) -> str:
        """Hash of all that decides the rows: never the machine, nor where the files lie."""
        checkpoints = [{**c.columns, "content": c.content} for c in self.checkpoints]
        content = [SCHEMA, self.kind, checkpoints, self.pairs, self.spec.deciding(), self.data, self.on, self.texts]
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def passes(self) -> int:
        """Forward passes over all examples, about; those at the ends of paths are other tasks'."""
        return self.spec.passes(self)

    def gradients(self, examples: int) -> int:
        """Gradients of one example, for fits and chains, of so many examples that there are."""
        return self.spec.gradients(self, examples)

    def text(self, purpose: str) -> str:
        """Hash of what it reads for a purpose; empty if nothing."""
        return dict(self.texts).get(purpose, "")

    @cached_property
    def label(self) -> str:
        """The task in a few words, for people."""
        words = [self.kind, *self.spec.words(), *([f"on {self.on}"] if self.on != MAIN else [])]
        names = dict.fromkeys([*USUAL_LABELS[:1], "branch_step", "branch", "step"])
        names |= dict.fromkeys(label for c in self.checkpoints for label, _ in c.labels)
        parts = [" ".join(words)]
        for field in names:
            values = {value for c in self.checkpoints for name, value in c.labels if name == field}
            if values:
                parts.append(f"{field} {','.join(map(str, sorted(values, key=order)))}")
        return " ".join(parts if len(parts) > 1 else [*words, *(c.ref for c in self.checkpoints)])

    def as_json(self) -> Recorded:
        """Key, kind, label, references and needs."""
        checkpoints = [recorded(checkpoint) for checkpoint in self.checkpoints]
        return {"key": self.key, "kind": self.kind, "label": self.label, "needs": list(self.needs),
                "checkpoints": checkpoints, "pairs": len(self.pairs)}  # fmt: skip


def recorded(checkpoint: Checkpoint) -> dict[str, JsonValue]:
    """A checkpoint as the record of a study has it."""
    about: Mapping[str, JsonValue] = {
        "ref": checkpoint.ref, "content": checkpoint.content, "commit": checkpoint.commit, "config": checkpoint.config,
        "defect": checkpoint.defect,
    }  # fmt: skip
    return {**about, "labels": dict(checkpoint.labels)}


def of(spec: type[S], tasks: Iterable[Task[Spec]]) -> list[Task[S]]:
    """The tasks whose settings are of a class."""
    return [Task(t.spec, t.checkpoints, t.pairs, t.data, t.on, t.texts, t.needs)
            for t in tasks if isinstance(t.spec, spec)]  # fmt: skip
