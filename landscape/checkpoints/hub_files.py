"""Files of a commit on the hub: what is promised of each, and whether what is in the cache keeps it.

What was listed and verified is remembered beside the hub client's cache, if that may be written.
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
"""Variable of the environment: weights that the hub promises no hash of are taken; ``--allow-unverified`` sets it."""
GIT, LARGE = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
WEIGHTS = tuple(Path(name).suffix for name in (safetensors.SINGLE, pickled.SINGLE))


@dataclass(frozen=True)
class File:
    """A file of a commit.

    Attributes:
        size: Bytes.
        sha256: Hash of its content; empty for a small file, which git knows by another hash.
        blob: Git's hash: of the content, or of the pointer to a large file.
    """

    size: int
    sha256: str
    blob: str

    def __post_init__(self) -> None:
        """Refuse what cannot be of a file.

        Raises:
            ValueError: If it cannot.
        """
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"a file of {str(self.size)[:40]!r} bytes")
        for value, form in ((self.sha256, LARGE), (self.blob, GIT)):
            if not isinstance(value, str) or (value and not form.fullmatch(value)):
                raise ValueError(f"{str(value)[:80]!r} is no hash")


Listing = dict[str, File]


def kept(repo: str, commit: str) -> Listing | None:
    """The files that the hub listed earlier; a commit never changes."""
    try:
        return {path: File(*entry) for path, entry in read_json(_list(repo, commit)).items()}
    except (OSError, ValueError, TypeError, AttributeError, InputError):
        return None


def keep(repo: str, commit: str, files: Listing) -> None:
    """Remember what the hub listed."""
    remember(_list(repo, commit), json.dumps({path: astuple(file) for path, file in files.items()}))


def _repo(place: Place) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{place.repo.replace('/', '--')}"


def snapshot(place: Place, commit: str) -> Path:
    """Where the client keeps the files of a place."""
    return _repo(place) / "snapshots" / commit / place.folder


def ref(place: Place) -> Path:
    """Where the client keeps the commit of a revision."""
    return _repo(place) / "refs" / place.revision


def cached(repo: str, commit: str) -> Listing:
    """The files of a commit that the cache holds, whoever put them there; none if it has not seen the commit.

    The client names what it fetches by its hash; other copies are hashed here.
    """
    folder = snapshot(Place(repo), commit)
    return {path.relative_to(folder).as_posix(): _found(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _found(path: Path) -> File:
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
    """Refuse to fetch files whose content the hub does not promise, unless that was asked for.

    Raises:
        InputError: If there are some.
    """
    without = [name for name in names if not files[name].sha256 and not files[name].blob]
    if without and not os.environ.get(ALLOW):
        raise InputError(
            f"the hub gives no hash of {', '.join(without[:3])} of {place}, so nobody can tell whether it arrives as "
            "it was; fetch from a hub that does, or take it as it comes: --allow-unverified"
        )


def verify(path: Path, promised: File, place: Place) -> None:
    """Hold a file of the cache against the hub's hash, once: the client checks sizes only.

    Raises:
        InputError: If it is another file; it is removed from the cache.
    """
    wanted, git = promised.sha256 or promised.blob, not promised.sha256
    blob = path.resolve()
    stat = blob.stat()
    mark = own("verified", f"{wanted}-{stat.st_size}-{stat.st_mtime_ns}")
    if not wanted or mark.exists():
        return
    found = _digest(blob, stat.st_size, stat.st_mtime_ns, git=git)
    if found == wanted:
        remember(mark, "")
        return
    try:
        path.unlink()
        blob.unlink(missing_ok=True)
        todo = "it was removed: fetch it again"
    except OSError:
        todo = f"remove it, which may not be done from here, and fetch it again: {blob}"
    raise InputError(
        f"{path.name} of {place} came with {'git hash' if git else 'SHA-256'} {found[:12]}... in place of "
        f"{wanted[:12]}...; {todo}"
    )


@cache
def _digest(file: Path, size: int, mtime_ns: int, *, git: bool) -> str:
    """SHA-256, or git's hash, of a file as it was written then; once in a process."""
    with file.open("rb") as stream:
        if not git:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def own(*parts: str) -> Path:
    """Where something is remembered beside the cache."""
    return Path(constants.HF_HUB_CACHE).parent.joinpath("landscape", *parts)


def remember(file: Path, text: str) -> None:
    """Write a small file whole or not at all; in a cache that others own, or that is full, there is no need to."""
    try:
        with replacing(file) as part:
            part.write(text.encode())
    except OSError as error:
        LOG.debug("%s is not remembered: %s", file, error.strerror)


def _list(repo: str, commit: str) -> Path:
    return own("listings", repo.replace("/", "--"), f"{commit}.json")


def listed(entries: Iterable[Any]) -> Listing:
    """What the client makes of the hub's listing, checked.

    Raises:
        ValueError: If a size or a hash is none.
    """
    return {
        entry.path: File(entry.size, (entry.lfs and entry.lfs.sha256) or "", entry.blob_id or "") for entry in entries
    }
