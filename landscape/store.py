"""Results on disk: one Parquet file per finished task.

A task is done when its file exists. A file is written under another name, flushed, renamed, and the folder is
flushed; so a kill at any time leaves either the whole file or none, and any number of writers can share a folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landscape.errors import InputError, StorageError
from landscape.files import replacing
from landscape.shapes import Float

Row = dict[str, Any]
LOCK = "study.json"
SCHEMA = 1
STALE = 24 * 3600
MAGIC = b"PAR1"


@dataclass(frozen=True)
class Store:
    """The results folder of one study."""

    folder: Path

    def open(self, name: str, record: Mapping[str, Any]) -> None:
        """Claim the folder for a study and write down what it consists of.

        Args:
            name: Name of the study.
            record: The study as resolved, its tasks among it.

        Raises:
            InputError: If the folder belongs to another study.
            StorageError: If it cannot be written.
        """
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
        self._replace(self.folder / LOCK, json.dumps({"name": name, **record}, indent=1).encode())

    def record(self) -> dict[str, Any]:
        """What :meth:`open` wrote.

        Raises:
            InputError: If there is none, or it cannot be read.
        """
        file = self.folder / LOCK
        try:
            return dict(json.loads(file.read_text()))
        except FileNotFoundError as error:
            raise InputError(f"{self.folder} holds no results; make some with: landscape run STUDY.toml") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file} is damaged ({error}); delete it and run the study again: rows are kept"
            ) from error

    def done(self, key: str) -> bool:
        """Whether the task is finished: its file is there, and whole."""
        return _whole(self.folder / "rows" / f"{key}.parquet")

    def failed(self) -> dict[str, str]:
        """Message of each failed task by key; of one that was done since, only its leftover may be there."""
        files = (file for file in (self.folder / "failed").glob("*.json") if not self.done(file.stem))
        return {file.stem: json.loads(file.read_text())["message"] for file in files}

    def write(self, key: str, rows: Sequence[Row], losses: Float[np.ndarray, "rows examples"] | None = None) -> None:
        """Commit a task: its per-example losses first, then its rows, which make it done."""
        if losses is not None:
            flat = pa.FixedSizeListArray.from_arrays(pa.array(losses.reshape(-1)), losses.shape[1])
            self._replace(
                self.folder / "losses" / f"{key}.parquet",
                pa.table({"losses": flat}),
                use_dictionary=False,
                use_byte_stream_split=True,
            )
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {row["table"]: [name for name in row if name != "table"] for row in rows}
        table = pa.table({name: [row.get(name) for row in rows] for name in names}).replace_schema_metadata({
            "landscape.schema": str(SCHEMA),
            "landscape.columns": json.dumps(columns),
        })
        self._replace(self.folder / "rows" / f"{key}.parquet", table)
        (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)

    def keep(self, kind: str, name: str, content: bytes) -> None:
        """Put a file of another kind beside the rows, whole or not at all."""
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

    def has_losses(self, key: str) -> bool:
        """Whether the per-example losses of a task are there."""
        return _whole(self.folder / "losses" / f"{key}.parquet")

    def losses(self, key: str) -> Float[np.ndarray, "rows examples"]:
        """Per-example losses of a task."""
        column = _read(self.folder / "losses" / f"{key}.parquet").column("losses").combine_chunks()
        return np.asarray(column.flatten()).reshape(len(column), -1)

    def rows(self, table: str, keys: Iterable[str]) -> pd.DataFrame:
        """The rows of one table from the finished ones of these tasks, in their order."""
        files = [self.folder / "rows" / f"{key}.parquet" for key in keys if self.done(key)]
        wanted = []
        for part in map(_read, files):
            if columns := json.loads(part.schema.metadata[b"landscape.columns"]).get(table):
                wanted.append(part.filter(pc.equal(part["table"], table)).select(columns))
        if not wanted:
            return pd.DataFrame()
        joined = pa.concat_tables(wanted, promote_options="permissive")
        return joined.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)

    def _replace(self, file: Path, content: bytes | pa.Table, **options: Any) -> None:
        with _storing(file), replacing(file) as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                pq.write_table(content, stream, compression="zstd", **options)


def _whole(file: Path) -> bool:
    """Whether a Parquet file ends as one does; a copy that was cut short does not."""
    try:
        with file.open("rb") as stream:
            stream.seek(-len(MAGIC), os.SEEK_END)
            return stream.read() == MAGIC
    except OSError:
        return False


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} cannot be read ({error}); delete it and run the study again") from error


@contextmanager
def _storing(file: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror or error}; make room or choose another --out and run again: "
            "nothing finished is lost"
        ) from error
