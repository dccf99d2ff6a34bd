"""Checkpoints on the Hugging Face hub: resolve to a commit, list files and hashes, fetch the few that are needed.

Everything is kept in the cache of the hub client, so files that any program fetched before need no network.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import errors

from landscape.checkpoints.formats import pickled, safetensors, shards
from landscape.checkpoints.formats.shards import NAME as SHARD
from landscape.checkpoints.hub import snapshots
from landscape.checkpoints.hub.errors import NotThere
from landscape.checkpoints.hub.places import nearest, same_step
from landscape.checkpoints.hub.requests import COMMIT, Silent, asking
from landscape.checkpoints.hub.snapshots import File, Listing, snapshot
from landscape.checkpoints.identity import CONFIG, TOKENIZER
from landscape.errors import InputError
from landscape.files import MOST_JSON
from landscape.study.checkpoint import Place

__all__ = ["File", "Listing", "branches", "describe", "fetch", "is_fetched", "listing", "resolve", "weights"]

LOG = logging.getLogger("landscape")
FORMS = ((safetensors.SINGLE, safetensors.INDEX), (pickled.SINGLE, pickled.INDEX))
SMALL = re.compile("|".join(fnmatch.translate(name) for name in (CONFIG, "generation_config.json", *TOKENIZER)))
"""Names of the files that are fetched first; weights of other frameworks, optimizer states and code never are."""
PLAIN = re.compile(r"[\w.-]+")
"""A file name without a folder."""

WAITS = (1.0, 4.0)
"""Seconds to wait before each retry of a download."""
AT_ONCE = 8
"""Number of files that are fetched at the same time."""


def resolve(place: Place) -> str:
    """The current commit of a place; from the cache if the hub cannot be reached.

    Raises:
        InputError: If the hub cannot be reached, or its answer is not a commit.
        NotThere: If it has no such repository or revision.
    """
    if COMMIT.fullmatch(place.revision) and not place.title:
        return place.revision
    return _commit(_titled(place) if place.title else _branch(place), place)


def _commit(commit: object, place: Place) -> str:
    """A commit, checked to be a hash, since it is used in paths.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise InputError(
            f"the hub gives {str(commit)[:60]!r} as the commit of {place}, which is not a hash; do not trust it"
        )
    return commit


def _branch(place: Place) -> str:
    """The commit of a branch, a tag or a pull request; from the cache if the hub does not answer.

    Raises:
        NotThere: If there is no revision of this name, and none of the same step.
        Silent: If the hub does not answer and the cache does not have it.
    """
    try:
        with asking(place):
            try:
                return huggingface_hub.HfApi().resolve_revision(place.repo, revision=place.revision).resolved
            except errors.RevisionNotFoundError:
                names = branches(place.repo)
    except Silent as silent:
        try:
            return snapshots.ref(place).read_text().strip()
        except OSError:
            raise silent from None
    if (other := same_step(place.revision, list(names))) is not None:
        return names[other]
    raise NotThere(f"{place.repo} has no revision {place.revision!r}; {nearest(place.revision, list(names))}")


def branches(repo: str) -> dict[str, str]:
    """Commit of every branch and tag of a repository.

    Raises:
        InputError: If the hub cannot be reached.
    """
    with asking(Place(repo)):
        refs = huggingface_hub.HfApi().list_repo_refs(repo)
        return {ref.name: _commit(ref.target_commit, Place(repo, ref.name)) for ref in [*refs.tags, *refs.branches]}


def listing(place: Place, commit: str) -> Listing:
    """The files of a place at a commit, by their path within its folder; no file is fetched.

    Raises:
        InputError: If the hub cannot be reached, and neither a listing nor the commit is in the cache.
        NotThere: If the hub has no such commit.
    """
    try:
        files = _listed(place, commit)
    except NotThere:
        raise
    except InputError:
        if not (files := snapshots.cached(place.repo, commit)):
            raise
    start = f"{place.folder}/" if place.folder else ""
    return {path.removeprefix(start): file for path, file in files.items() if path.startswith(start)}


def _listed(place: Place, commit: str) -> Listing:
    """All files of a repository, from the remembered listing or from the hub."""
    if (files := snapshots.kept(place.repo, commit)) is not None:
        return files
    with asking(place):
        tree = huggingface_hub.HfApi().list_repo_tree(place.repo, revision=commit, recursive=True)
        files = snapshots.listed(entry for entry in tree if isinstance(entry, huggingface_hub.RepoFile))
    snapshots.keep(place.repo, commit, files)
    return files


def weights(files: Listing) -> dict[str, File]:
    """The weight files to read: safetensors rather than ``.bin``, a single file rather than shards; or none."""
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
    if not (small := _small(files)):
        raise InputError(_nothing(place, files, "config or tokenizer"))
    return _fetch(place, commit, small)


def _small(files: Listing) -> Listing:
    return {
        name: file
        for name, file in files.items()
        if PLAIN.fullmatch(name) and SMALL.fullmatch(name) and file.size <= MOST_JSON
    }


def _nothing(place: Place, files: Listing, what: str) -> str:
    inside = f"its files are {', '.join(sorted(files)[:6])}" if files else "there is nothing there"
    return f"{place} holds no {what}: {inside}; name another revision or folder: hf://{place.repo}@REVISION/FOLDER"


def fetch(place: Place, commit: str) -> Path:
    """The folder with config, tokenizer and weights of a place; fetched if need be, and verified by the hub's hashes.

    Raises:
        InputError: If there are no weights, they cannot be fetched, or their hashes differ.
    """
    files = listing(place, commit)
    if not (chosen := weights(files)):
        _listed(place, commit)  # raises if the cache holds only some of the files
        raise InputError(_nothing(place, files, "weights in safetensors or .bin"))
    folder = _fetch(place, commit, _small(files))
    if any(SHARD.fullmatch(name) for name in chosen):
        index = next(
            index for single, index in FORMS if next(iter(chosen)).startswith(single.split(".")[0]) and index in files
        )
        _fetch(place, commit, {index: files[index]})
        chosen = {name: files[name] for name in shards.named(folder / index) if name in files}
    if not is_fetched(place, commit):
        LOG.info("fetching %s, %.2f GB", place, sum(file.size for file in chosen.values()) / 1e9)
    return _fetch(place, commit, chosen)


def is_fetched(place: Place, commit: str) -> bool:
    """Whether the weights are in the cache, so that no network is needed."""
    try:
        chosen = weights(listing(place, commit))
    except InputError:
        return False
    return bool(chosen) and all((snapshot(place, commit) / name).is_file() for name in chosen)


def delete(place: Place, commit: str) -> None:
    """Delete the weights of a place from the cache, where no other commit in the cache has the same file.

    Args:
        place: The place.
        commit: Its commit.
    """
    for name in weights(listing(place, commit)):
        file = snapshot(place, commit) / name
        with suppress(OSError):
            snapshots.delete(place, file)


def _fetch(place: Place, commit: str, files: Listing) -> Path:
    """The folder with some files, each verified by its hash.

    File names come from patterns or a checked index, never directly from the hub.
    """
    folder = snapshot(place, commit)
    missing = [name for name in files if not (folder / name).is_file()]
    snapshots.require_promised(missing, files, place)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda name: _download(place, commit, name, files[name].size), missing):
            pass
    for name, file in files.items():
        snapshots.verify(folder / name, file, place)
    return folder


def _download(place: Place, commit: str, name: str, size: int) -> None:
    """Fetch a file; the client itself retries some requests, and resumes an interrupted download."""
    path = f"{place.folder}/{name}" if place.folder else name
    with asking(place, file=size):
        for wait in WAITS:
            try:
                huggingface_hub.hf_hub_download(place.repo, path, revision=commit)
                return
            except (errors.HfHubHTTPError, httpx2.TransportError) as error:
                if (answer := getattr(error, "response", None)) is not None and answer.status_code < 500:
                    break
            time.sleep(wait)
        huggingface_hub.hf_hub_download(place.repo, path, revision=commit)


def _titled(place: Place) -> str:
    """The newest commit with the title; remembered, so that it is found without a network too.

    Raises:
        NotThere: If there is none.
        InputError: If the hub cannot be reached and the commit is not remembered.
    """
    name = hashlib.sha256(f"{place.revision} {place.title}".encode()).hexdigest()
    known = snapshots.own("commits", place.repo.replace("/", "--"), name)
    try:
        with asking(place):
            commits = huggingface_hub.HfApi().list_repo_commits(place.repo, revision=place.revision)
    except InputError:
        if known.is_file():
            return known.read_text()
        raise
    ids = [c.commit_id for c in commits if str(c.title).strip().startswith(place.title)]
    if not ids:
        titles = ", ".join(repr(c.title) for c in commits[:8])
        raise NotThere(f"{place.repo} has no commit called {place.title!r} on {place.revision}; it has {titles}")
    snapshots.remember(known, _commit(ids[0], place))
    return ids[0]
