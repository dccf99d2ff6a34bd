"""Wrong labels: checkpoints that are not what their names say, found from the hashes of their files alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from landscape.checkpoints import families, fetch, formats, sources
from landscape.checkpoints.families import Defect, Family
from landscape.checkpoints.formats.shards import NAME as SHARD
from landscape.checkpoints.hub import client, places
from landscape.checkpoints.hub.client import File, Listing, weights
from landscape.checkpoints.hub.errors import NotThere
from landscape.checkpoints.identity import sha256
from landscape.errors import InputError
from landscape.study.checkpoint import Checkpoint

MAIN = "main"


@dataclass(frozen=True)
class Labelled:
    """A label and the files behind it.

    Attributes:
        checkpoint: The label.
        files: The weight files that would be read; None if there is no such revision or repository.
        series: The repository or run that its steps belong to.
    """

    checkpoint: Checkpoint
    files: Listing | None
    series: str = ""

    @property
    def name(self) -> str:
        """The reference of the checkpoint."""
        return self.checkpoint.ref

    @property
    def is_main(self) -> bool:
        """Whether this is the branch ``main`` of a repository with labelled branches."""
        return self.checkpoint.ref.endswith(f"@{MAIN}")

    @property
    def weights(self) -> frozenset[str]:
        """Hashes of the weights that would be loaded."""
        return frozenset(file.sha256 or file.blob for file in (self.files or {}).values())


@dataclass(frozen=True)
class Finding:
    """A defect of labels.

    Attributes:
        kind: ``same weights``, ``shared file``, ``no weights``, ``no revision``, ``missing shard``, ``empty main``,
            ``wrong main``; from tensors also ``unreadable``, ``same tensors``, ``shared tensors``, ``detour``,
            ``no descent``.
        labels: The labels that it is about.
        says: A sentence about it.
        known: The known defects that include it; empty if it is new.
    """

    kind: str
    labels: tuple[str, ...]
    says: str
    known: str = ""


def listed(checkpoints: Sequence[Checkpoint], tick: Callable[[str], None] = lambda label: None) -> list[Labelled]:
    """The files of checkpoints, on disk or on the hub, and of each repository's ``main``; no weights are fetched.

    Args:
        checkpoints: The labels.
        tick: Called after each label.

    Raises:
        InputError: If the hub cannot be asked.
    """
    labelled: list[Labelled] = []
    repos: dict[str, dict[str, str]] = {}
    on_main: set[str] = set()
    for checkpoint in checkpoints:
        where = sources.place(checkpoint.ref)
        if where is None:
            local = [file for file in formats.weight_files(Path(checkpoint.ref)) if file.is_file()]
            files = {file.name: File(file.stat().st_size, sha256(file), "") for file in local}
            labelled.append(Labelled(checkpoint, files, f"seed {checkpoint.seed}"))
        else:
            if where.revision == MAIN:
                on_main.add(where.repo)
            elif where.repo not in repos:
                repos[where.repo] = _branches(where.repo)
            commit = repos.get(where.repo, {}).get(where.revision, "") if not where.title else ""
            labelled.append(Labelled(checkpoint, _files(checkpoint, commit), where.repo))
        tick(checkpoint.ref)
    for repo, names in repos.items():
        if MAIN in names and repo not in on_main:
            main = Checkpoint(f"hf://{repo}@{MAIN}", commit=names[MAIN])
            labelled.append(Labelled(main, weights(client.listing(places.parse(main.ref), names[MAIN])), repo))
    return labelled


def _branches(repo: str) -> dict[str, str]:
    try:
        return client.branches(repo)
    except NotThere:
        return {}


def _files(checkpoint: Checkpoint, commit: str) -> Listing | None:
    where = sources.place(checkpoint.ref)
    assert where is not None
    try:
        return weights(client.listing(where, commit or fetch.pinned(checkpoint).commit))
    except NotThere:
        return None


def of_repository(ref: str) -> tuple[list[Checkpoint], Family | None]:
    """Every branch and tag of a repository but ``main``, as checkpoints, and their family, if any.

    Raises:
        InputError: If the hub cannot be reached, or there is no other branch.
    """
    where = places.parse(ref)
    checkpoints = [sources.hub_checkpoint(f"hf://{where.repo}@{name.replace('/', '%2F')}")
             for name in client.branches(where.repo) if name != MAIN]  # fmt: skip
    if not checkpoints:
        raise InputError(
            f"{where.repo} has no branch or tag but main; for steps in folders write "
            f"hf://{where.repo}/{{step}}, with the folders' own name around {{step}}"
        )
    known = [at for c in checkpoints if (at := families.labelled(places.parse(c.ref)))]
    ordered = sorted(checkpoints, key=lambda c: (c.seed or 0, c.step is None, c.step or 0, c.ref))
    return ordered, known[0][0] if known else None


def by_hashes(labels: Sequence[Labelled], family: Family | None = None) -> list[Finding]:
    """Findings from the hashes of files, in the order of the labels.

    A ``main`` that equals the last step of its repository is correct.

    Args:
        labels: Labels and files.
        family: The family, for its known defects.
    """
    own = [label for label in labels if not label.is_main]
    mains = [label for label in labels if label.is_main]
    out = [*_absent(own), *_same(own), *_shared(own)]
    for main in mains:
        out += _main(main, [label for label in own if label.series == main.series], family)
    return [with_known(finding, [label.checkpoint for label in own], family) for finding in out]


def _absent(labels: Iterable[Labelled]) -> Iterable[Finding]:
    for label in labels:
        if label.files is None:
            yield Finding("no revision", (label.name,), f"{label.name} does not exist")
        elif not label.weights:
            yield Finding("no weights", (label.name,), f"{label.name} exists and holds no weights")
        else:
            shards = [shard for name in label.files if (shard := SHARD.fullmatch(name))]
            want = max((int(shard[2]) for shard in shards), default=0)
            if lost := sorted(set(range(1, want + 1)) - {int(shard[1]) for shard in shards}) if shards else []:
                says = f"{label.name} lacks shard {', '.join(map(str, lost))} of {want}"
                yield Finding("missing shard", (label.name,), says)


def _same(labels: Sequence[Labelled]) -> Iterable[Finding]:
    groups: dict[frozenset[str], list[str]] = {}
    for label in labels:
        if label.weights:
            groups.setdefault(label.weights, []).append(label.name)
    for names in groups.values():
        if len(names) > 1:
            yield Finding("same weights", tuple(names), f"{len(names)} labels serve the same weights")


def _shared(labels: Sequence[Labelled]) -> Iterable[Finding]:
    """Single files shared by labels whose other weights differ."""
    holders: dict[str, list[tuple[Labelled, str]]] = {}
    for label in labels:
        for name, file in (label.files or {}).items():
            holders.setdefault(file.sha256 or file.blob, []).append((label, name))
    for held in holders.values():
        if len({label.weights for label, _ in held}) > 1:
            names = tuple(label.name for label, _ in held)
            says = f"{held[0][1]} is one file under {len(names)} labels whose other weights differ"
            yield Finding("shared file", names, says)


def _main(main: Labelled, labels: Sequence[Labelled], family: Family | None) -> Iterable[Finding]:
    if not main.weights:
        yield Finding("empty main", (main.name,), f"{main.name} holds no weights; name a step")
        return
    same = [label for label in labels if label.weights == main.weights]
    last = max((label.checkpoint.step or 0 for label in labels), default=0)
    if family is not None and labels:
        last = max(family.steps[int(labels[0].checkpoint.seed or 0)], default=last)
    if same and all(label.checkpoint.step != last for label in same):
        names = tuple(label.name for label in same)
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        says = f"{main.name} serves the weights of {names[0]}{others} and not those of the last step, {last}"
        yield Finding("wrong main", (main.name, *names), says)


def with_known(finding: Finding, labels: Sequence[Checkpoint], family: Family | None) -> Finding:
    """A finding, marked as known if a defect of its kind covers all its labels but the last step of each seed.

    Args:
        finding: The finding.
        labels: All labels.
        family: The family, for its known defects; without one nothing is known.
    """
    if family is None:
        return finding
    at = {label.ref: (label.seed or 0, label.step) for label in labels}
    concerned = {at[name] for name in finding.labels if name in at}
    last = {(seed, steps[-1]) for seed, steps in family.steps.items() if steps}
    kind = "same weights" if finding.kind == "same tensors" else finding.kind
    known = [
        defect
        for defect in family.defects
        if defect.kind == kind
        and (_about_main(defect, finding, family) if defect.main else concerned and concerned - last <= defect.labels)
    ]
    return Finding(finding.kind, finding.labels, finding.says, "; ".join(map(str, known)))


def _about_main(defect: Defect, finding: Finding, family: Family) -> bool:
    repos = {family.place(*label).repo for label in defect.labels}
    return finding.kind == "empty main" and any(finding.labels[0] == f"hf://{repo}@{MAIN}" for repo in repos)
