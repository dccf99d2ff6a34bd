"""Results on disk: one Parquet file per finished task.

A task is done when its file exists. A file is written under another name, flushed, renamed, and the folder is
flushed; so a kill at any time leaves either the whole file or none, and any number of writers can share a folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.errors import InputError, StorageError
from landscape.files import parsed, read_json, replacing
from landscape.rows import Row
from landscape.shapes import Float
from landscape.study import footer
from landscape.study.record import Record

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


LOCK, VERIFIED, WRITTEN = "study.json", "verified.json", "written.jsonl"
EMPTY: Record = {
    "name": "", "study": {}, "preregistered": {}, "tasks": [], "checkpoints": [], "warnings": [], "parameters": 0,
    "signatures": {}, "versions": {},
}  # fmt: skip
"""What a record that an earlier version wrote may lack."""
SCHEMA = 1
SMALL: dict[str, str | bool] = {"compression": "lz4", "use_dictionary": False}
"""How files of a few rows and many columns are written: they are read in a quarter of the time that zstd takes."""
LARGE: dict[str, str | bool] = {"compression": "zstd", "use_dictionary": False, "use_byte_stream_split": True}
"""How files of losses of examples are written."""
STALE = 24 * 3600


@dataclass(frozen=True)
class Store:
    """The results folder of one study."""

    folder: Path

    def open(self, record: Record) -> None:
        """Claim the folder for a study and write down what it consists of.

        Args:
            record: The study as resolved, its tasks among it.

        Raises:
            InputError: If the folder belongs to another study.
            StorageError: If it cannot be written.
        """
        name = record["name"]
        if (self.folder / LOCK).exists() and (owner := self.record()["name"]) != name:
            raise InputError(
                f"{self.folder} holds the results of another study, {owner!r}, and this one is {name!r}; "
                "choose another --out"
            )
        with _storing(self.folder):
            for part in ("rows", "losses", "failed"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            for left in self.folder.rglob(".*.tmp"):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink(missing_ok=True)
        self._replace(self.folder / LOCK, json.dumps(record, indent=1).encode())

    def record(self) -> Record:
        """What :meth:`open` wrote.

        Raises:
            InputError: If there is none, or it cannot be read.
        """
        file = self.folder / LOCK
        try:
            found = read_json(file)
            return {**EMPTY, **found, "name": found["name"], "tasks": list(found["tasks"])}
        except FileNotFoundError as error:
            raise InputError(f"{self.folder} holds no results; make some with: landscape run STUDY.toml") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} is damaged ({error}); delete it and run the study again: rows are kept"
            ) from error

    def done(self, key: str) -> bool:
        """Whether the task is finished: its file is there, whole, and its own."""
        return footer.is_whole(self.folder / "rows" / f"{key}.parquet", key, "landscape.columns")

    def damaged(self, keys: Iterable[str], *, anew: bool = True) -> list[str]:
        """Which of the finished tasks have rows or losses that cannot be read back.

        Args:
            keys: Of tasks.
            anew: Read every file; else only those that have changed since they were written or read back.
        """
        stamps = {key: self._stamps(key) for key in keys if self.done(key)}
        known = {} if anew else self._verified()
        changed = [key for key, stamp in stamps.items() if known.get(key) != stamp]
        with _threads() as pool:
            damaged = [key for key, good in zip(changed, pool.map(self._can_be_read, changed), strict=True) if not good]
        if changed:
            kept = {key: stamp for key, stamp in stamps.items() if key not in damaged}
            self._replace(self.folder / VERIFIED, json.dumps(kept).encode())
            (self.folder / WRITTEN).unlink(missing_ok=True)
        return damaged

    def discard(self, key: str) -> None:
        """Take the files of a damaged task out of the way, so that it is done again; ``damaged`` keeps them."""
        with _storing(self.folder):
            for kind in ("rows", "losses"):
                if (file := self.folder / kind / f"{key}.parquet").exists():
                    aside = self.folder / "damaged" / kind
                    aside.mkdir(parents=True, exist_ok=True)
                    file.replace(aside / file.name)

    def failed(self) -> dict[str, str]:
        """Message of each failed task by key; of one that was done since, only its leftover may be there."""
        files = (file for file in (self.folder / "failed").glob("*.json") if not self.done(file.stem))
        return {file.stem: _message(file) for file in files}

    def write(self, key: str, rows: Sequence[Row], losses: Float[np.ndarray, "rows examples"] | None = None) -> None:
        """Commit a task: its per-example losses first, then its rows, which make it done.

        Args:
            key: Key of the task.
            rows: Its rows.
            losses: Its per-example losses, if it keeps any.
        """
        import pyarrow as pa

        if losses is not None:
            flat = pa.FixedSizeListArray.from_arrays(pa.array(losses.reshape(-1)), losses.shape[1])
            table = pa.table({"losses": flat}).replace_schema_metadata({footer.KEY: key})
            self._replace(self.folder / "losses" / f"{key}.parquet", table, **LARGE)
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {row["table"]: [name for name in row if name != "table"] for row in rows}
        about = {footer.KEY: key, "landscape.schema": str(SCHEMA), "landscape.columns": json.dumps(columns)}
        table = pa.table({name: [row.get(name) for row in rows] for name in names}).replace_schema_metadata(about)
        self._replace(self.folder / "rows" / f"{key}.parquet", table, **SMALL)
        (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)
        with suppress(OSError), (self.folder / WRITTEN).open("ab") as told:  # lost, the file is read back once more
            told.write(f"{json.dumps({key: self._stamps(key)})}\n".encode())

    def keep(self, kind: str, name: str, content: bytes) -> None:
        """Write a file of another kind atomically, in a folder of its own.

        Args:
            kind: Name of the folder.
            name: Name of the file.
            content: Its content.
        """
        self._replace(self.folder / kind / name, content)

    def kept(self, kind: str, name: str) -> bytes | None:
        """What :meth:`keep` put there; None if it did not."""
        try:
            return (self.folder / kind / name).read_bytes()
        except FileNotFoundError:
            return None

    def fail(self, key: str, message: str) -> None:
        """Record that a task failed and why; it stays to be done."""
        self._replace(self.folder / "failed" / f"{key}.json", json.dumps({"message": message}).encode())

    def finished(self, key: str) -> float | None:
        """When the result of a task was stored, in seconds since 1970; None if it is not there."""
        try:
            return (self.folder / "rows" / f"{key}.parquet").stat().st_mtime
        except OSError:
            return None

    def failure(self, key: str) -> tuple[int, str] | None:
        """The recorded failure of a task: a number that another failure changes, and its message."""
        file = self.folder / "failed" / f"{key}.json"
        try:
            return file.stat().st_mtime_ns, _message(file).splitlines()[0]
        except (OSError, IndexError):
            return None

    def has_losses(self, key: str) -> bool:
        """Whether the per-example losses of a task are there."""
        return footer.is_whole(self.folder / "losses" / f"{key}.parquet", key, "losses")

    def losses(self, key: str) -> Float[np.ndarray, "rows examples"]:
        """Per-example losses of a task."""
        from landscape.study import tables

        file = self.folder / "losses" / f"{key}.parquet"
        with tables.reading(file):
            column = tables.read(file).column("losses").combine_chunks()
            return np.asarray(column.flatten()).reshape(len(column), -1)

    def rows(self, table: str, keys: Iterable[str]) -> pd.DataFrame:
        """The rows of one table from the finished ones of these tasks, in their order."""
        import pandas as pd

        return self.tables(keys, [table]).get(table, pd.DataFrame())

    def tables(self, keys: Iterable[str], names: Iterable[str] | None = None) -> dict[str, pd.DataFrame]:
        """The rows of every table from the finished ones of these tasks, in their order.

        Each file is read once; of many a copy in one file is kept, and read in their place.

        Args:
            keys: Of tasks.
            names: Tables that are wanted; None is all of them.

        Raises:
            InputError: If a file is damaged.
        """
        import pyarrow as pa

        from landscape.study import tables

        keys = list(keys)
        stamps = {key: self._stamps(key)[0] for key in dict.fromkeys(keys) if self.done(key)}
        copied, parts = tables.read_copy(self.folder, stamps)
        fresh = [key for key in stamps if key not in copied]
        with _threads() as pool:
            found = pool.map(tables.split, (self.folder / "rows" / f"{key}.parquet" for key in fresh))
        for key, split in zip(fresh, found, strict=True):
            for name, part in split:
                label = pa.array([key] * len(part), pa.string())
                parts.setdefault(name, []).append(part.append_column(tables.TASK, label))
        if len(fresh) >= tables.WORTH:
            tables.write_copy(self.folder, stamps, parts)
        done = [key for key in keys if key in stamps]
        wanted = (name for name in (parts if names is None else names) if parts.get(name))
        return {name: tables.frame(tables.joined(parts[name], done)) for name in wanted}

    def _stamps(self, key: str) -> list[list[int]]:
        """What changes where a file of a task does."""
        files = (self.folder / kind / f"{key}.parquet" for kind in ("rows", "losses"))
        stats = [file.stat() for file in files if file.exists()]
        return [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for s in stats]

    def _verified(self) -> dict[str, list[list[int]]]:
        """What the files were when they were written, or read back."""
        known: dict[str, list[list[int]]] = {}
        for file in (self.folder / VERIFIED, self.folder / WRITTEN):
            with suppress(OSError):
                for line in file.read_bytes().splitlines():
                    with suppress(ValueError, TypeError):
                        known.update(parsed(line))
        return known

    def _can_be_read(self, key: str) -> bool:
        from landscape.study import tables

        try:
            tables.split(self.folder / "rows" / f"{key}.parquet")
            if (self.folder / "losses" / f"{key}.parquet").exists():
                self.losses(key)
        except InputError:
            return False
        return True

    def _replace(self, file: Path, content: bytes | pa.Table, **options: str | bool) -> None:
        with _storing(file), replacing(file) as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                import pyarrow.parquet as pq

                pq.write_table(content, stream, write_page_checksum=True, write_statistics=False, **options)


def _message(file: Path) -> str:
    """What a failed task said."""
    try:
        return str(read_json(file)["message"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return f"it failed, and {file} does not say why: it is damaged"


def _threads() -> ThreadPoolExecutor:
    """Threads that read: reading lets go of the interpreter."""
    return ThreadPoolExecutor(2 * (os.cpu_count() or 1))


@contextmanager
def _storing(file: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror or error}; make room or choose another --out and run again: "
            "nothing finished is lost"
        ) from error
