"""A process that ends at its n-th operation on files, on a disk that keeps only what it was told to keep.

A branch is forked and does some work, in which every write, fsync, rename, fsync of a folder and unlink below a folder
is counted. At the n-th it ends by ``os._exit``: no handler runs, and nothing is flushed. What the disk then holds is
one of

- ``kept``: all that was handed to the system, as after the death of the process alone;
- ``torn``: the same, but files that were not fsynced have lost their second half, as after a loss of power on a file
  system that writes names before contents;
- ``lost``: nothing that was not fsynced, neither contents nor names, as on one that writes them late.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Mode = Literal["kept", "torn", "lost"]
MODES: tuple[Mode, ...] = ("kept", "torn", "lost")
CRASHED, FAILED = 77, 78
LIMIT = 60


def run(work: Callable[[], object], root: Path, *, end_at: int = 0, mode: Mode = "kept") -> tuple[bool, list[str]]:
    """Do some work in a child process, and end it at an operation.

    Args:
        work: What to do.
        root: Folder whose files are watched.
        end_at: Which operation to end at, before it is done, but a write half done; 0 lets the work finish.
        mode: What the disk keeps.

    Returns:
        Whether the work was cut off, and the operations that were begun.

    Raises:
        AssertionError: If the work failed by itself.
    """
    told, tell = os.pipe()
    if not (child := os.fork()):
        _child(_Disk(root, end_at, mode, tell), work)
    os.close(tell)
    with os.fdopen(told) as lines:
        begun = lines.read().split("\n")[:-1]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CRASHED), f"the work failed with {code}: {begun[-1:]}"
    return code == CRASHED, begun


def _child(disk: _Disk, work: Callable[[], object]) -> None:
    signal.alarm(LIMIT)
    code = FAILED
    try:
        disk.watch()
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:  # or the child would go on with the tests of its parent, forking in turn
        os._exit(code)


@dataclass
class _Disk:
    root: Path
    end_at: int
    mode: Mode
    tell: int
    count: int = 0
    remove: Callable[[str], None] = os.unlink
    unsynced: set[str] = field(default_factory=set)
    renamed: list[tuple[str, str, bytes | None]] = field(default_factory=list)

    def watch(self) -> None:
        """Put counting functions in the place of the system's."""
        fsync, rename, unlink, opened = os.fsync, os.rename, os.unlink, io.open

        def fsync_(file: int) -> None:
            path = Path(f"/proc/self/fd/{file}").readlink()
            if path.is_relative_to(self.root):
                self.step("fsync of the folder" if path.is_dir() else "fsync")
                self.renamed = [entry for entry in self.renamed if Path(entry[1]).parent != path]
                self.unsynced.discard(str(path))
            fsync(file)

        def rename_(old: Any, new: Any) -> None:
            one, two = os.fspath(old), os.fspath(new)
            if two.startswith(str(self.root)):
                self.step("rename")
                before = Path(two).read_bytes() if Path(two).exists() else None
                self.renamed.append((one, two, before))
                if one in self.unsynced:
                    self.unsynced = self.unsynced - {one} | {two}
            rename(old, new)

        def unlink_(path: Any, **more: Any) -> None:
            if os.fspath(path).startswith(str(self.root)):
                self.step("unlink")
                self.unsynced.discard(os.fspath(path))
            unlink(path, **more)

        def open_(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if "b" in mode and set("wxa") & set(mode) and str(file).startswith(str(self.root)):
                return io.BufferedWriter(_Counted(self, os.fspath(file), mode))
            return opened(file, mode, *rest, **more)

        os.fsync, os.rename, os.replace, os.unlink, os.remove = fsync_, rename_, rename_, unlink_, unlink_
        io.open = builtins.open = open_  # type: ignore[assignment]

    def step(self, name: str, before: Callable[[], object] = lambda: None) -> None:
        """Count an operation, and end at the wanted one."""
        self.count += 1
        os.write(self.tell, f"{name}\n".encode())
        if self.count == self.end_at:
            before()
            self.lose()
            os._exit(CRASHED)

    def lose(self) -> None:
        """Leave of the files what the disk keeps."""
        if self.mode == "torn":
            for path in self.unsynced:
                os.truncate(path, Path(path).stat().st_size // 2)
        if self.mode == "lost":
            for _, new, before in reversed(self.renamed):
                self.remove(new) if before is None else Path(new).write_bytes(before)
            for path in [path for path in self.unsynced if Path(path).exists()]:
                self.remove(path)


class _Counted(io.FileIO):
    def __init__(self, disk: _Disk, file: str, mode: str) -> None:
        super().__init__(file, mode.replace("b", ""))
        self.disk, self.path = disk, file
        disk.unsynced.add(file)

    def write(self, data: Any) -> int:
        """Write, or the half of it where the process ends here."""
        self.disk.unsynced.add(self.path)
        self.disk.step("write", lambda: super(_Counted, self).write(bytes(data)[: len(data) // 2]))
        return super().write(data)
