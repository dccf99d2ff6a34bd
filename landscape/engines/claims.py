"""Which jobs are being done, and by which run, where several runs share a folder.

A claim is a file that exactly one run can create. A run touches one file every few seconds while it lives; claims of
a run that does so no more are stale, and anybody may take them. Nothing depends on claims but time: two runs that do
the same job write the same result.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread

CLAIMS = "claims"
"""Folder of a results folder."""
BEAT = 10.0
"""Seconds between two heartbeats of a run."""
STALE = 180.0
"""Seconds without a heartbeat after which a run counts as dead; network file systems show changes a minute late."""

Failure = tuple[int, str]
"""When a failure was recorded, as a number that changes, and its message."""


@dataclass(frozen=True)
class Owner:
    """Who has claimed a job.

    Attributes:
        run: Random name of the run.
        host: Name of its machine.
        pid: Its process.
        started: When the process started, as its system says it.
        machine: Which start of which machine, and which of its spaces of process numbers.
        since: When the job was claimed, in seconds since 1970.
    """

    run: str
    host: str
    pid: int
    started: str
    machine: str
    since: float

    def lives(self, folder: Path, now: float) -> bool:
        """Whether the run is alive.

        Args:
            folder: The folder of the claims.
            now: The time in seconds by the clock that the files have.
        """
        if self.machine and self.machine == _machine():
            return process_start(self.pid) == self.started
        try:
            return now - _beat(folder, self.run).stat().st_mtime < STALE
        except OSError:
            return False


@dataclass
class Claims:
    """The claims of one run in a folder that it may share with others; a context.

    Attributes:
        folder: Where the files are.
        failure: The failure of a job that is recorded, whoever met it.
    """

    folder: Path
    failure: Callable[[str], Failure | None] = lambda key: None
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    _held: set[str] = field(default_factory=set)
    _before: dict[str, Failure | None] = field(default_factory=dict)
    _over: Event = field(default_factory=Event)

    def __enter__(self) -> Claims:
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            _beat(self.folder, self.run).touch()
        Thread(target=self._keep_alive, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for key in list(self._held):
            self.release(key)
        with suppress(OSError):
            _beat(self.folder, self.run).unlink(missing_ok=True)
            self.folder.rmdir()  # succeeds for the last of all runs

    def take(self, key: str) -> bool:
        """Claim a job; False if another run that lives has. Where claims cannot be written there are none."""
        if key in self._held:
            return True
        for _ in range(2):
            try:
                self._create(key)
            except FileExistsError:
                if self._is_live(key):
                    self._before.setdefault(key, self.failure(key))
                    return False
                self._remove(key)
            except OSError:
                return True
            else:
                self._held.add(key)
                return True
        return False

    def release(self, key: str) -> None:
        """Give a claim back."""
        if key in self._held:
            self._held.remove(key)
            with suppress(OSError):
                (self.folder / key).unlink(missing_ok=True)

    def failed_meanwhile(self, key: str) -> str:
        """The message of a job that failed while another run had it; empty if it did not."""
        now = self.failure(key)
        return now[1] if now is not None and now != self._before.get(key) else ""

    def _create(self, key: str) -> None:
        owner = Owner(self.run, socket.gethostname(), os.getpid(), process_start(os.getpid()), _machine(), time.time())
        with (self.folder / key).open("x") as file:
            file.write(json.dumps(asdict(owner)))

    def _is_live(self, key: str) -> bool:
        """Whether the owner of a claim lives; one whose file is not written yet does if the file is new."""
        try:
            now = _beat(self.folder, self.run).stat().st_mtime + BEAT
        except OSError:
            now = time.time()
        owner = _owner(self.folder / key)
        if owner is not None:
            return owner.lives(self.folder, now)
        with suppress(OSError):
            return now - (self.folder / key).stat().st_mtime < STALE
        return False

    def _remove(self, key: str) -> None:
        """Remove a stale claim; of several runs that try, one renames the file."""
        aside = self.folder / f".{key}.{secrets.token_hex(4)}"
        with suppress(OSError):
            (self.folder / key).rename(aside)
            aside.unlink()

    def _keep_alive(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):
                _beat(self.folder, self.run).touch()


def claimed(folder: Path) -> Iterator[tuple[str, Owner]]:
    """The jobs that runs which live have claimed, by key."""
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            owner = None if file.name.startswith(".") else _owner(file)
            if owner is not None and owner.lives(folder, time.time()):
                yield file.name, owner


def process_start(pid: int) -> str:
    """When a process of this machine started; empty if there is none."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else rest[18]
    except (OSError, IndexError):
        return ""


def _owner(file: Path) -> Owner | None:
    """Who wrote a claim; None if it cannot be read."""
    try:
        return Owner(**json.loads(file.read_bytes()[:10_000]))
    except (OSError, ValueError, TypeError):
        return None


def _beat(folder: Path, run: str) -> Path:
    """The file that a run touches while it lives."""
    return folder / f".{Path(run).name}.alive"


def _machine() -> str:
    """What tells this machine, since it was started, from others; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
