"""Checkpoints on the Hugging Face hub: resolve to a commit, list files and hashes, fetch the few that are needed.

Everything is kept in the hub client's own cache, so what was fetched once works with no network. What was listed is
kept beside it: a commit never changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import huggingface_hub
from huggingface_hub import constants, errors

from landscape.checkpoints.families.family import Place
from landscape.checkpoints.formats import pickled, safetensors, shards
from landscape.checkpoints.formats.shards import NAME as SHARD
from landscape.checkpoints.hub_errors import NotThere, sentences
from landscape.checkpoints.identity import CONFIG
from landscape.checkpoints.places import nearest, same_step
from landscape.errors import InputError, StorageError
from landscape.files import replacing

LOG = logging.getLogger("landscape")
FORMS = ((safetensors.SINGLE, safetensors.INDEX), (pickled.SINGLE, pickled.INDEX))
SMALL: Final = (
    CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
)  # fmt: skip
"""Fetched before anything else; never weights of another framework, optimizer states or code."""

WAITS = (1.0, 4.0)
"""Seconds before a download is tried again."""

COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class File:
    """A file of a commit.

    Attributes:
        size: Bytes.
        sha256: Hash of its content; empty for a small file, which git knows by another hash.
        blob: Git's hash.
    """

    size: int
    sha256: str
    blob: str


Listing = dict[str, File]


def resolve(place: Place) -> str:
    """The commit that a place means now; from the cache if the hub cannot be reached.

    Raises:
        InputError: If there is no way to the hub.
        NotThere: If it has no such repository or revision.
    """
    if COMMIT.fullmatch(place.revision) and not place.title:
        return place.revision
    with sentences(place):
        if place.title:
            return _titled(place)
        try:
            return str(huggingface_hub.HfApi().resolve_revision(place.repo, revision=place.revision).resolved)
        except errors.RevisionNotFoundError:
            names = branches(place.repo)
            if (other := same_step(place.revision, list(names))) is not None:
                return names[other]
            raise NotThere(
                f"{place.repo} has no revision {place.revision!r}; {nearest(place.revision, list(names))}"
            ) from None


def branches(repo: str) -> dict[str, str]:
    """Commit of every branch and tag of a repository.

    Raises:
        InputError: If it cannot be asked.
    """
    with sentences(Place(repo)):
        refs = huggingface_hub.HfApi().list_repo_refs(repo)
        return {ref.name: str(ref.target_commit) for ref in [*refs.tags, *refs.branches]}


def listing(place: Place, commit: str) -> Listing:
    """The files of a place at a commit, by their path within its folder; no file is fetched.

    Raises:
        InputError: If the hub cannot be asked and never was.
    """
    kept = _own("listings", place.repo.replace("/", "--"), f"{commit}.json")
    if kept.is_file():
        entries = json.loads(kept.read_text())
    else:
        with sentences(place):
            tree = huggingface_hub.HfApi().list_repo_tree(place.repo, revision=commit, recursive=True)
            entries = {
                entry.path: [entry.size, entry.lfs.sha256 if entry.lfs else "", entry.blob_id]
                for entry in tree
                if isinstance(entry, huggingface_hub.RepoFile)
            }
        _keep(kept, json.dumps(entries))
    start = f"{place.folder}/" if place.folder else ""
    return {path.removeprefix(start): File(*entry) for path, entry in entries.items() if path.startswith(start)}


def weights(files: Listing) -> dict[str, File]:
    """The weight files that would be read: safetensors before ``.bin``, one file before shards; or none."""
    for single, index in FORMS:
        if single in files:
            return {single: files[single]}
        stem, suffix = single.rsplit(".", 1)
        parts = {n: f for n, f in files.items() if SHARD.fullmatch(n) and n.startswith(stem) and n.endswith(suffix)}
        if index in files and parts:
            return parts
    return {}


def describe(place: Place, commit: str) -> Path:
    """The folder with the config and tokenizer of a place; fetched if need be.

    Raises:
        InputError: If they cannot be fetched.
    """
    files = listing(place, commit)
    small = [name for name in SMALL if name in files]
    if not small:
        raise InputError(_nothing(place, files, "config or tokenizer"))
    return _fetch(place, commit, small)


def _nothing(place: Place, files: Listing, what: str) -> str:
    inside = f"its files are {', '.join(sorted(files)[:6])}" if files else "there is nothing there"
    return f"{place} holds no {what}: {inside}; name another revision or folder: hf://{place.repo}@REVISION/FOLDER"


def fetch(place: Place, commit: str) -> Path:
    """The folder with config, tokenizer and weights of a place; fetched if need be, and held against the hub's hashes.

    Raises:
        InputError: If there are no weights, they cannot be fetched, or are not what the hub promised.
    """
    files = listing(place, commit)
    chosen = weights(files)
    if not chosen:
        raise InputError(_nothing(place, files, "weights in safetensors or .bin"))
    folder = _fetch(place, commit, [name for name in SMALL if name in files])
    if any(SHARD.fullmatch(name) for name in chosen):
        index = next(
            index for single, index in FORMS if next(iter(chosen)).startswith(single.split(".")[0]) and index in files
        )
        _fetch(place, commit, [index])
        chosen = {name: files[name] for name in shards.named(folder / index) if name in files}
    if not is_fetched(place, commit):
        LOG.info("fetching %s, %.2f GB", place, sum(file.size for file in chosen.values()) / 1e9)
    _fetch(place, commit, list(chosen))
    for name, file in chosen.items():
        _verify(folder / name, file, place)
    return folder


def is_fetched(place: Place, commit: str) -> bool:
    """Whether the weights are in the cache, so that no network is needed."""
    try:
        chosen = weights(listing(place, commit))
    except InputError:
        return False
    return bool(chosen) and all((_snapshot(place, commit) / name).is_file() for name in chosen)


def _snapshot(place: Place, commit: str) -> Path:
    """Where the client keeps the files of a place."""
    repo = Path(constants.HF_HUB_CACHE) / f"models--{place.repo.replace('/', '--')}"
    return repo / "snapshots" / commit / place.folder


def _fetch(place: Place, commit: str, names: list[str]) -> Path:
    """The folder with some files; names come from a table or a checked index, never from the hub as they are."""
    folder = _snapshot(place, commit)
    if not all((folder / name).is_file() for name in names):
        start = f"{place.folder}/" if place.folder else ""
        with sentences(place):
            _download(place.repo, commit, [_escaped(start + name) for name in names])
    return folder


def _download(repo: str, commit: str, patterns: list[str]) -> None:
    """Fetch files; the client repeats some requests itself, and goes on from where it was cut."""
    for wait in WAITS:
        try:
            huggingface_hub.snapshot_download(repo, revision=commit, allow_patterns=patterns)
            return
        except (errors.HfHubHTTPError, httpx2.TransportError) as error:
            if (answer := getattr(error, "response", None)) is not None and answer.status_code < 500:
                break
        time.sleep(wait)
    huggingface_hub.snapshot_download(repo, revision=commit, allow_patterns=patterns)


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _verify(path: Path, promised: File, place: Place) -> None:
    """Hold a fetched file against the hub's hash, once: the client checks sizes only.

    Raises:
        InputError: If it is another file; it is removed from the cache.
    """
    if not promised.sha256:
        return
    blob = path.resolve()
    stat = blob.stat()
    mark = _own("verified", f"{promised.sha256}-{stat.st_size}-{stat.st_mtime_ns}")
    if mark.exists():
        return
    with blob.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != promised.sha256:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise InputError(
            f"{path.name} of {place} came with SHA-256 {found[:12]}... in place of {promised.sha256[:12]}...; "
            "it was removed: fetch it again"
        )
    _keep(mark, "")


def _own(*parts: str) -> Path:
    return Path(constants.HF_HUB_CACHE).parent.joinpath("landscape", *parts)


def _keep(file: Path, text: str) -> None:
    """Write a small file whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    try:
        with replacing(file) as part:
            part.write(text.encode())
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror}; make room, or point HF_HOME to another disk"
        ) from error


def _titled(place: Place) -> str:
    """The newest commit with the title; remembered, so that it is found with no network too.

    Raises:
        NotThere: If there is none.
    """
    kept = _own(
        "commits", place.repo.replace("/", "--"), hashlib.sha256(f"{place.revision} {place.title}".encode()).hexdigest()
    )
    try:
        commits = huggingface_hub.HfApi().list_repo_commits(place.repo, revision=place.revision)
    except Exception:
        if kept.is_file():
            return kept.read_text()
        raise
    found = next((c.commit_id for c in commits if c.title.strip().startswith(place.title)), None)
    if found is None:
        titles = ", ".join(repr(c.title) for c in commits[:8])
        raise NotThere(f"{place.repo} has no commit called {place.title!r} on {place.revision}; it has {titles}")
    _keep(kept, found)
    return str(found)
