"""Checkpoints and tasks: what is named, and what is wanted of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

SCHEMA = 3
AUTO, WHOLE = 14, 4
"""Points that ``auto`` takes for most profiles, and passes over all examples that this comes to."""
READ = ("losses", "chains")
"""Kinds of task whose kept losses other tasks read."""
LEARNING_BATCH = 16
"""Examples of a step of matching by the loss."""
POWER_ITERATION = 30
"""Forward passes over all examples that the largest curvature costs, about."""


@dataclass(frozen=True)
class Checkpoint:
    """A reference to one checkpoint.

    Attributes:
        ref: Where it lies.
        seed: Which training run.
        step: Which optimizer step of it.
        branch_step: For a branch, the last step shared with its siblings.
        branch: For a branch, which data order after that.
        content: Hash of config and weights; empty until it is known.
        commit: For a checkpoint on the hub, the commit that its name was resolved to.
        config: The folder of its config.json, if that is not its own.
        defect: What is known to be wrong with it.
    """

    ref: str
    seed: int | None = None
    step: int | None = None
    branch_step: int | None = None
    branch: int | None = None
    content: str = ""
    commit: str = ""
    config: str = ""
    defect: str = ""

    @property
    def labels(self) -> dict[str, int | None]:
        """What a row calls it."""
        return {name: getattr(self, name) for name in ("seed", "step", "branch_step", "branch")}


@dataclass(frozen=True)
class Task:
    """One wanted unit of work.

    Attributes:
        kind: Kind of measurement; a name in ``measure.KINDS``.
        checkpoints: The anchors.
        pairs: Pairs of positions in ``checkpoints``.
        settings: What else decides the numbers.
        data: Fingerprint of the fixed batches.
        needs: Keys of the tasks whose results this one reads.
    """

    kind: str
    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[tuple[int, int], ...]
    settings: tuple[tuple[str, Any], ...]
    data: str
    needs: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of all that determines the rows: never the machine, nor where the files lie."""
        checkpoints = [{**c.labels, "content": c.content} for c in self.checkpoints]
        content = [SCHEMA, self.kind, checkpoints, self.pairs, dict(self.settings), self.data]
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def points(self) -> int:
        """Passes over all examples, ends of paths left out; about, for ``auto`` and for planes that are not square."""
        settings = dict(self.settings)
        if self.kind in ("probes", "behaviour"):
            return len(self.checkpoints)
        if self.pairs:
            points = settings["points"]
            return self._paths * (WHOLE if points == "auto" else int(points) - 2)
        if self.kind == "match":
            return 2 * len(self.checkpoints)
        if self.kind in ("curvature", "chains", "llc"):
            return POWER_ITERATION if self.kind == "curvature" else 0
        if self.kind == "simplices":
            n = len(self.checkpoints)
            return int(n * (n - 1) // 2 + 1 + settings["mixtures"])
        return int(settings["resolution"] ** 2 // settings["parts"]) if self.kind == "planes" else 1

    def gradients(self, examples: int) -> int:
        """Examples whose gradient is wanted, for fits and for chains, of so many that there are."""
        settings = dict(self.settings)
        if self.kind == "match":
            return int((len(self.checkpoints) - 1) * settings.get("steps", 0) * LEARNING_BATCH)
        if self.kind == "chains":
            batch = examples if settings["batch"] == "all" else settings["batch"]
            steps = (settings["draws"] + settings["burn_in"]) * (2 if settings["halved"] else 1)
            return int(len(self.checkpoints) * len(settings["chains"]) * steps * batch)
        return int(self._paths * settings.get("fit_steps", 0) * settings.get("fit_batch", 0))

    @property
    def _paths(self) -> int:
        return len(self.pairs) * (2 if dict(self.settings).get("control") else 1)

    @property
    def label(self) -> str:
        """The task in a few words, for people."""
        settings = dict(self.settings)
        words = (settings.get("probe"), settings.get("symmetry"), settings.get("matching", {}).get("symmetry"))
        name = " ".join([self.kind, *(word for word in words if word)])
        parts = [name]
        for field in ("seed", "branch_step", "branch", "step"):
            if values := sorted({v for c in self.checkpoints if (v := getattr(c, field)) is not None}):
                parts.append(f"{field} {','.join(map(str, values))}")
        return " ".join(parts) if len(parts) > 1 else f"{name} {' '.join(c.ref for c in self.checkpoints)}"

    def as_json(self) -> dict[str, Any]:
        """Key, kind, label, refs and needs."""
        return {"key": self.key, "kind": self.kind, "label": self.label, "needs": list(self.needs),
                "checkpoints": [asdict(c) for c in self.checkpoints], "pairs": len(self.pairs)}  # fmt: skip
