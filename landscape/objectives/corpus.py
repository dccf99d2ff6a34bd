"""Texts and labelled examples from files: plain text, JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from landscape import where
from landscape.errors import InputError
from landscape.foreign import Json
from landscape.objectives.text import decoded, read_bytes

FIELD = "text"
PARQUET = b"PAR1"
TABLES = {".csv": ",", ".tsv": "\t"}
JSON = (".json", ".jsonl", ".ndjson")
LOOKED_AT = 8
"""Lines that are looked at to recognise JSON lines in a file with another suffix."""
BETWEEN = "\n\n"
"""Separator between two documents."""

Record = dict[str, Any]


def read_corpus(path: Path, condition: str | None = None) -> str:
    """The text of a file. Of a file of records, the field ``text`` of all records, or of those that meet a condition.

    Args:
        path: The file.
        condition: Which records, as :func:`landscape.where.parse` reads it; None is all.

    Raises:
        InputError: If the file cannot be read, or a record has no text.
    """
    content = read_bytes(path)
    if (records := _records(path, content)) is None:
        _require_no_condition(path, condition)
        return decoded(path, content)
    texts = []
    for number, record in _meeting(path, records, condition):
        if not isinstance(record.get(FIELD), str):
            raise InputError(
                f"record {number} of the text {path} has no field {FIELD!r} that is a text; its fields are "
                f"{', '.join(map(repr, list(record)[:8])) or 'none'}: name the one with the text {FIELD!r}"
            )
        texts.append(record[FIELD])
    return whole(BETWEEN.join(texts))


def read_examples(path: Path, condition: str | None = None) -> str:
    """Labelled examples as JSON lines, from any of the formats.

    Args:
        path: The file.
        condition: Which examples, as for :func:`read_corpus`.

    Raises:
        InputError: If the file cannot be read.
    """
    content = read_bytes(path)
    if condition is not None:
        records = _records(path, content)
        if records is None:
            _require_no_condition(path, condition)
        chosen = _meeting(path, records or iter(()), condition)
        return whole("\n".join(json.dumps(record, ensure_ascii=False) for _, record in chosen))
    if content[:4] == PARQUET or _suffix(path) in TABLES:
        return whole("\n".join(json.dumps(record, ensure_ascii=False) for record in _records(path, content) or ()))
    return decoded(path, content)


def _require_no_condition(path: Path, condition: str | None) -> None:
    """Refuse a condition on a plain text.

    Raises:
        InputError: If there is one.
    """
    if condition is not None:
        raise InputError(
            f"where = {condition} chooses records by their fields, and the text {path} has none; give JSON lines, CSV "
            "or Parquet"
        )


def _meeting(path: Path, records: Iterator[Record], condition: str | None) -> Iterator[tuple[int, Record]]:
    """The records that meet a condition, with their numbers in the file.

    Args:
        path: The file.
        records: Its records.
        condition: The condition; None is all.

    Raises:
        InputError: If a record lacks a field, or none meets it.
    """
    meets = where.parse(condition) if condition is not None else None
    number = met = 0
    for number, record in enumerate(records, start=1):
        try:
            chosen = meets is None or meets(record)
        except KeyError as error:
            raise InputError(
                f"where = {condition}: record {number} of the text {path} has no field {error}; its fields are "
                f"{', '.join(map(repr, list(record)[:8])) or 'none'}"
            ) from error
        if chosen:
            met += 1
            yield number, record
    if meets is not None and not met:
        raise InputError(f"where = {condition} is met by none of the {number} records of the text {path}; change it")


def whole(text: str) -> str:
    """The text with each unpaired surrogate, which JSON may hold, replaced by the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _records(path: Path, content: bytes) -> Iterator[Record] | None:
    """The records of a file; None if the file is plain text.

    Raises:
        InputError: If the file is damaged.
    """
    if content[:4] == PARQUET:
        return iter(_parquet(path, content))
    text, suffix = decoded(path, content), _suffix(path)
    if suffix in TABLES:
        csv.field_size_limit(2**31 - 1)
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=TABLES[suffix])
        if (rows.fieldnames or []).count(FIELD) > 1:
            raise InputError(f"the text {path} has several columns called {FIELD!r}; leave one")
        return rows
    lines = (line for line in text.split("\n") if line.strip())
    if suffix == ".json" and text.lstrip().startswith("["):
        return (_object(path, n, record) for n, record in enumerate(_parsed(path, 1, text), start=1))
    if suffix in JSON or _is_json(list(islice(lines, LOOKED_AT))):
        lines = (line for line in text.split("\n") if line.strip())
        return (_object(path, n, _parsed(path, n, line)) for n, line in enumerate(lines, start=1))
    return None


def _parquet(path: Path, content: bytes) -> list[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[Record] = pq.read_table(io.BytesIO(content)).to_pylist()
        return rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"the text {path} is a damaged Parquet file ({error}); copy it again") from error


def _is_json(lines: list[str]) -> bool:
    """Whether all of some lines are JSON objects."""
    try:
        return bool(lines) and all(line.lstrip()[:1] == "{" and isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False


def _parsed(path: Path, number: int, text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"record {number} of the text {path} is not JSON ({error}); give one object a line") from error


def _object(path: Path, number: int, record: Any) -> Record:
    if not isinstance(record, dict):
        raise InputError(
            f"record {number} of the text {path} is a {type(record).__name__}; give objects with a field {FIELD!r}"
        )
    return record


def _suffix(path: Path) -> str:
    """The suffix of the file name, without ``.gz``."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
