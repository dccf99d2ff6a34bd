"""Files of a commit on the hub: the hashes that the hub lists, and whether the files in the cache have them.

Listings and verified files are remembered next to the cache of the hub client, if that is writable.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from landscape.checkpoints.formats import pickled, safetensors
from landscape.errors import InputError
from landscape.files import read_json, replacing
from landscape.study.checkpoint import Place

LOG = logging.getLogger("landscape")
ALLOW = "LANDSCAPE_ALLOW_UNVERIFIED"
"""Environment variable: weights without a hash on the hub are accepted; ``--allow-unverified`` sets it."""
GIT, LARGE = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
WEIGHTS = tuple(Path(name).suffix for name in (safetensors.SINGLE, pickled.SINGLE))


@dataclass(frozen=True)
class File:
    """A file of a commit.

    Attributes:
        size: Size in bytes.
        sha256: Hash of its content; empty for a small file, for which git has another hash.
        blob: Hash of git: of the content, or of the pointer to a large file.
    """

    size: int
    sha256: str
    blob: str

    def __post_init__(self) -> None:
        """Refuse an impossible size or hash.

        Raises:
            ValueError: If there is one.
        """
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"a file of {str(self.size)[:40]!r} bytes")
        for value, form in ((self.sha256, LARGE), (self.blob, GIT)):
            if not isinstance(value, str) or (value and not form.fullmatch(value)):
                raise ValueError(f"{str(value)[:80]!r} is not a hash")


Listing = dict[str, File]


def kept(repo: str, commit: str) -> Listing | None:
    """The files that the hub listed earlier; a commit never changes."""
    try:
        return {path: File(*entry) for path, entry in read_json(_list(repo, commit)).items()}
    except (OSError, ValueError, TypeError, AttributeError, InputError):
        return None


def keep(repo: str, commit: str, files: Listing) -> None:
    """Remember a listing of the hub.

    Args:
        repo: Name of the repository.
        commit: The commit.
        files: Its files.
    """
    remember(_list(repo, commit), json.dumps({path: astuple(file) for path, file in files.items()}))


def _repo(place: Place) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{place.repo.replace('/', '--')}"


def snapshot(place: Place, commit: str) -> Path:
    """The folder in which the client keeps the files of a place."""
    return _repo(place) / "snapshots" / commit / place.folder


def ref(place: Place) -> Path:
    """The file in which the client keeps the commit of a revision."""
    return _repo(place) / "refs" / place.revision


def cached(repo: str, commit: str) -> Listing:
    """The files of a commit in the cache; none if it does not have the commit.

    The client names fetched files by their hashes; other copies are hashed here.
    """
    folder = snapshot(Place(repo), commit)
    return {
        path.relative_to(folder).as_posix(): _cached_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _cached_file(path: Path) -> File:
    blob = path.resolve()
    stat, name = blob.stat(), blob.name
    if path.is_symlink() and LARGE.fullmatch(name):
        return File(stat.st_size, name, "")
    if path.is_symlink() and GIT.fullmatch(name):
        return File(stat.st_size, "", name)
    large = path.suffix in WEIGHTS
    digest = _digest(blob, stat.st_size, stat.st_mtime_ns, git=not large)
    return File(stat.st_size, digest if large else "", "" if large else digest)


def require_promised(names: Iterable[str], files: Listing, place: Place) -> None:
    """Refuse to fetch files without a hash on the hub, unless unverified files are allowed.

    Args:
        names: Names of the files to fetch.
        files: The listing of the hub.
        place: Where they are.

    Raises:
        InputError: If there are some.
    """
    without = [name for name in names if not files[name].sha256 and not files[name].blob]
    if without and not os.environ.get(ALLOW):
        raise InputError(
            f"the hub gives no hash of {', '.join(without[:3])} of {place}, so it cannot be verified; fetch from a hub "
            "that gives one, or accept it unverified: --allow-unverified"
        )


def verify(path: Path, promised: File, place: Place) -> None:
    """Compare the hash of a file in the cache with that of the hub, once: the client checks sizes only.

    Args:
        path: The file in the cache.
        promised: The size and hash that the hub lists.
        place: Where it is on the hub.

    Raises:
        InputError: If the hash is another; the file is removed from the cache.
    """
    wanted, git = promised.sha256 or promised.blob, not promised.sha256
    blob = path.resolve()
    stat = blob.stat()
    mark = own("verified", f"{wanted}-{stat.st_size}-{stat.st_mtime_ns}")
    if not wanted or mark.exists():
        return
    digest = _digest(blob, stat.st_size, stat.st_mtime_ns, git=git)
    if digest == wanted:
        remember(mark, "")
        return
    try:
        path.unlink()
        blob.unlink(missing_ok=True)
        todo = "it was removed: fetch it again"
    except OSError:
        todo = f"remove it, which this process may not, and fetch it again: {blob}"
    raise InputError(
        f"{path.name} of {place} has {'git hash' if git else 'SHA-256'} {digest[:12]}... instead of "
        f"{wanted[:12]}...; {todo}"
    )


def delete(place: Place, file: Path) -> None:
    """Delete a file from the cache, and its content if no other file there is the same.

    Args:
        place: Where it is on the hub.
        file: The file in the cache.

    Raises:
        OSError: If this process may not.
    """
    blob = file.resolve()
    file.unlink()
    root = snapshot(Place(place.repo), "x").parent
    if blob != file and not any(other.is_symlink() and other.resolve() == blob for other in root.rglob(file.name)):
        blob.unlink(missing_ok=True)


@cache
def _digest(file: Path, size: int, mtime_ns: int, *, git: bool) -> str:
    """SHA-256, or the hash of git, of one state of a file; computed once per process."""
    with file.open("rb") as stream:
        if not git:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def own(*parts: str) -> Path:
    """A path next to the cache for what is remembered."""
    return Path(constants.HF_HUB_CACHE).parent.joinpath("landscape", *parts)


def remember(file: Path, text: str) -> None:
    """Write a small file atomically; nothing is written to a cache that is full or not ours."""
    try:
        with replacing(file) as stream:
            stream.write(text.encode())
    except OSError as error:
        LOG.debug("%s is not remembered: %s", file, error.strerror)


def _list(repo: str, commit: str) -> Path:
    return own("listings", repo.replace("/", "--"), f"{commit}.json")


def listed(entries: Iterable[Any]) -> Listing:
    """The listing of the hub, from the client's entries, checked.

    Raises:
        ValueError: If a size or a hash is invalid.
    """
    return {
        entry.path: File(entry.size, (entry.lfs and entry.lfs.sha256) or "", entry.blob_id or "") for entry in entries
    }
