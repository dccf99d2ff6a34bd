"""Rows of many finished tasks as tables.

A task has one file for the rows of all its tables. Of many such files a copy is made, one file for each table, so that
large studies are read at once. The file of each task stays what counts: the copy says of which files it was made, with
their sizes and times, and where one of them has changed, or is not asked for, it is not used.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landscape.errors import InputError
from landscape.files import read_json, replacing_folder

FOLDER, STAMPS = "compacted", "stamps.json"
WORTH = 1000
"""Files from which on reading them again is worth a copy."""
TASK, COPY = "landscape.task", b"landscape.copy"
"""Names of the column of a row's task, and of what the files of one copy share."""
MOST = 1 << 30
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
    """One table of many small ones, in the order of the tasks.

    Those of one schema come first, since only others have to be reconciled.
    """
    alike: dict[str, list[pa.Table]] = {}
    for part in parts:
        alike.setdefault(str(part.schema), []).append(part)
    joined = pa.concat_tables([pa.concat_tables(own) for own in alike.values()], promote_options="permissive")
    order = pc.index_in(joined[TASK], pa.array(keys, pa.string()))
    return joined.take(pa.array(np.argsort(order.to_numpy(), kind="stable")))


def frame(table: pa.Table) -> pd.DataFrame:
    """A table for the analysis: whole numbers may be missing."""
    return table.drop_columns(TASK).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def read_copy(results: Path, stamps: Mapping[str, Stamp]) -> tuple[set[str], dict[str, pa.Table]]:
    """The tasks that the copy has, and their tables with the column ``landscape.task``; none if it is of no use.

    Args:
        results: Folder of results.
        stamps: Size, times and inode of the file of each task that is asked for.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, InputError):
        told = read_json(results / FOLDER / STAMPS, most=MOST)
        known = told["stamps"]
        if known and all(stamps.get(key) == stamp for key, stamp in known.items()):
            files = {name: results / FOLDER / f"{name}.parquet" for name in told["tables"]}
            return set(known), {name: _read_copy(file, told["copy"]) for name, file in files.items()}
    return set(), {}


def _read_copy(file: Path, copy: str) -> pa.Table:
    with pq.ParquetFile(file, page_checksum_verification=True) as content:
        table = content.read()
    if table.schema.metadata[COPY].decode() != copy:
        raise ValueError("of another copy")
    return table.replace_schema_metadata(None)


def write_copy(results: Path, stamps: Mapping[str, Stamp], tables: Mapping[str, pa.Table]) -> None:
    """Replace the copy; where nothing can be written, there is none.

    Args:
        results: Folder of results.
        stamps: Of all tasks whose rows these are.
        tables: Their rows, with the column ``landscape.task``.
    """
    copy = secrets.token_hex(8)
    with suppress(OSError), replacing_folder(results / FOLDER) as part:
        for name, table in tables.items():
            labelled = table.replace_schema_metadata({COPY: copy})
            pq.write_table(labelled, part / f"{name}.parquet", compression="zstd", write_page_checksum=True)
        told = {"copy": copy, "tables": list(tables), "stamps": dict(stamps)}
        (part / STAMPS).write_text(json.dumps(told))
