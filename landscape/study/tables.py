"""Rows of many finished tasks as tables.

A task has one file for the rows of all its tables. Of many such files a copy is made, one file for each table, so that
large studies are read at once. The file of each task stays what counts: the copy says of which files it was made, with
their sizes and times, and a task whose file has changed since is read from that.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landscape.errors import InputError
from landscape.files import read_json, replacing_folder

if TYPE_CHECKING:
    import pandas as pd

FOLDER, STAMPS = "compacted", "stamps.json"
WORTH = 1000
"""Files from which on reading them again is worth a copy."""
TASK = "landscape.task"
"""The column of a row's task in a copy."""
COPY, SCHEMAS = b"landscape.copy", b"landscape.schemas"
"""What the files of one copy share, and which schema the rows of each task had before they were joined."""
MAX_STAMPS = 1 << 30
"""Bytes of the list of files; a million tasks have a fifth of it."""

Stamp = list[int]


@contextmanager
def reading(file: Path) -> Generator[None]:
    """Say that a file is damaged, where what is read of it makes no sense.

    Raises:
        InputError: With the way out.
    """
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        why = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{file} is damaged ({why}); take it out of the way with landscape status FOLDER --check, and run the "
            "study again: it does anew what was damaged"
        ) from error


def read(file: Path) -> pa.Table:
    """A file of results, each of its pages held against its checksum."""
    with reading(file), pq.ParquetFile(file, page_checksum_verification=True) as content:
        return content.read(use_threads=False)


def split(file: Path) -> list[tuple[str, pa.Table]]:
    """The tables of a file by name."""
    content = read(file)
    with reading(file):
        columns = json.loads(content.schema.metadata[b"landscape.columns"])
        tables = [(name, content.filter(pc.equal(content["table"], name)).select(own))
                  for name, own in columns.items()]  # fmt: skip
    return [(name, table.replace_schema_metadata(None)) for name, table in tables]


def joined(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """One table of many small ones, in the order of the tasks; the rows of one that comes twice come twice.

    Those of one schema come first, since only others have to be reconciled.
    """
    alike: dict[str, list[pa.Table]] = {}
    for part in parts:
        alike.setdefault(str(part.schema), []).append(part)
    joined = pa.concat_tables([pa.concat_tables(own) for own in alike.values()], promote_options="permissive")
    unique = list(dict.fromkeys(keys))
    order = pc.index_in(joined[TASK], pa.array(unique, pa.string())).to_numpy()
    places = np.argsort(order, kind="stable")
    own = dict(zip(unique, np.split(places, np.searchsorted(order[places], np.arange(1, len(unique)))), strict=True))
    return joined.take(pa.array(np.concatenate([own[key] for key in keys])))


def frame(table: pa.Table) -> pd.DataFrame:
    """A table for the analysis: whole numbers may be missing."""
    import pandas as pd

    return table.drop_columns(TASK).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def read_copy(results: Path, stamps: Mapping[str, Stamp]) -> tuple[set[str], dict[str, list[pa.Table]]]:
    """Which of some tasks the copy has as they are now, and their rows by table.

    Args:
        results: Folder of results.
        stamps: Size, times and inode of the file of each task that is asked for.

    Returns:
        The tasks, and parts of each table with the column ``landscape.task``; none if there is no copy, or it is
        damaged.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, InputError):
        told = read_json(results / FOLDER / STAMPS, most=MAX_STAMPS)
        known = {key for key, stamp in told["stamps"].items() if stamps.get(key) == stamp}
        files = {name: results / FOLDER / f"{name}.parquet" for name in told["tables"]}
        return known, {name: _read_copy(file, told["copy"], known) for name, file in files.items()} if known else {}
    return set(), {}


def _read_copy(file: Path, copy: str, keys: set[str]) -> list[pa.Table]:
    """The rows of some tasks, a part for those that have the same columns.

    Raises:
        ValueError: If the file is of another copy than the list of tasks.
    """
    with pq.ParquetFile(file, page_checksum_verification=True) as content:
        about = content.schema_arrow.metadata
        if about[COPY].decode() != copy:
            raise ValueError("of another copy")
        table = content.read().replace_schema_metadata(None)
    parts = []
    for schema, own in json.loads(about[SCHEMAS]):
        if wanted := keys.intersection(own):
            part = table.filter(pc.is_in(table[TASK], pa.array(sorted(wanted), pa.string())))
            parts.append(_as(part, pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema)))))
    return parts


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table as it was before others were joined to it."""
    columns = (pa.nulls(len(table)) if pa.types.is_null(f.type) else table[f.name] for f in schema)
    return pa.table(list(columns), schema=schema)


def write_copy(results: Path, stamps: Mapping[str, Stamp], parts: Mapping[str, Sequence[pa.Table]]) -> None:
    """Replace the copy; where nothing can be written, there is none.

    Args:
        results: Folder of results.
        stamps: Of all tasks whose rows these are.
        parts: Their rows by table, with the column ``landscape.task``.
    """
    copy = secrets.token_hex(8)
    with suppress(OSError), replacing_folder(results / FOLDER) as folder:
        for name, own in parts.items():
            schemas: dict[str, list[str]] = {}
            for part in own:
                schemas.setdefault(part.schema.serialize().to_pybytes().hex(), []).extend(
                    part[TASK].unique().to_pylist()
                )
            about = {COPY: copy, SCHEMAS: json.dumps(list(schemas.items()))}
            table = joined(own, list(stamps)).replace_schema_metadata(about)
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd", write_page_checksum=True)
        told = {"copy": copy, "tables": list(parts), "stamps": dict(stamps)}
        (folder / STAMPS).write_text(json.dumps(told))
