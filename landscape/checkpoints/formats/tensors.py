"""Tensors on disk: their location, dtype and shape, and how to read them as float32."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from landscape.errors import InputError
from landscape.progress import Progress, of_bytes
from landscape.shapes import Float

Shape = tuple[int, ...]
Piece = tuple[int, Callable[[], bool]]
"""A number of values, and a function that reads them and returns whether they are finite."""

ITEM = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
FLOATS: dict[str, np.dtype[Any]] = {
    name: np.dtype(code) for name, code in {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}.items()
}
DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
          "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}  # fmt: skip
"""Dtype names of safetensors by those of torch."""

PIECE = 1 << 18
"""Number of values that are read and checked together: a mebibyte, which fits the cache of a core."""

ALONE = 1 << 22
"""Number of values up to which one thread is faster than two."""

THREADS = 4
AGAIN = "copy or download the checkpoint again"


@dataclass(frozen=True)
class Stored:
    """One tensor on disk.

    Attributes:
        file: The file that holds it.
        dtype: Its name in safetensors: ``F32``, ``BF16``, ...
        shape: Its shape.
        begin: Offset of the first byte of its values, if these are contiguous and in C order; else None.
        get: Returns the values in their stored dtype (bfloat16 as ``<u2``) if ``begin`` is None.
        check: Refuses a damaged file; called before values are read.
    """

    file: Path
    dtype: str
    shape: Shape
    begin: int | None = None
    get: Callable[[], np.ndarray] | None = None
    check: Callable[[], None] | None = None

    @property
    def bytes(self) -> int:
        """Size of the values in bytes."""
        return prod(self.shape) * ITEM.get(self.dtype, 1)

    def same_place(self, other: Stored) -> bool:
        """Whether both are the same bytes of the same file."""
        return self.begin is not None and (self.file, self.begin, self.shape) == (other.file, other.begin, other.shape)


def require_float(name: str, stored: Stored) -> None:
    """Refuse a parameter that is not a float on disk.

    Raises:
        InputError: If it is not.
    """
    if stored.dtype not in FLOATS:
        raise InputError(
            f"{stored.file}: parameter {name!r} is stored as {stored.dtype}, and floats of 16, 32 or 64 bits are "
            "wanted; save it so (a quantised model: after dequantize())"
        )


def read(out: Float[np.ndarray, " P"], tensors: Mapping[str, Stored], *, look: bool = True) -> bool:
    """Read tensors into ``out``, one after the other, as float32.

    Float32 values are read in place without a copy; others are converted. Files are read and never memory-mapped: if a
    mapped file were truncated meanwhile, the process would die. Pieces are small enough to be checked while they are in
    the cache, and are read by a few threads.

    Args:
        out: Contiguous float32, as long as all tensors together.
        tensors: The tensors to read, in order, by name.
        look: Whether to check that every value is finite, which adds a fifth to the time.

    Returns:
        Whether all checked values are finite.

    Raises:
        InputError: If a tensor is not a float, or its file was truncated.
    """
    work: list[Piece] = []
    streams: dict[Path, int] = {}
    offset = 0
    try:
        for name, stored in tensors.items():
            values = out[offset : offset + prod(stored.shape)]
            offset += values.size
            require_float(name, stored)
            if stored.check is not None:
                stored.check()
            if stored.begin is None:
                work.append((values.size, partial(_take, stored, values, look)))
                continue
            if stored.file not in streams:
                streams[stored.file] = os.open(stored.file, os.O_RDONLY)
            for start in range(0, values.size, PIECE):
                piece = values[start : start + PIECE]
                work.append((piece.size, partial(_read, streams[stored.file], stored, start, piece, look)))
        threads = min(THREADS, len(os.sched_getaffinity(0)), 1 + out.size // ALONE)
        with ThreadPoolExecutor(threads) as pool:
            progress = of_bytes(_title(tensors), sum(stored.bytes for stored in tensors.values()))
            each = progress.total / max(1, out.size)
            return all(pool.map(partial(_all, progress, each), _shared_out(work, threads)))
    finally:
        for descriptor in streams.values():
            os.close(descriptor)


def _shared_out(work: list[Piece], threads: int) -> list[list[Piece]]:
    """Contiguous parts of the work of about equal size, one for each thread."""
    ends = np.cumsum([size for size, _ in work], dtype=np.int64)
    inner = np.searchsorted(ends, ends[-1] * np.arange(1, threads) / threads).tolist() if work else []
    cuts = [0, *inner, len(work)]
    return [work[begin:end] for begin, end in pairwise(cuts)]


def _title(tensors: Mapping[str, Stored]) -> str:
    """What is read, for progress."""
    first = next(iter(tensors.values()), None)
    return "reading" if first is None else f"reading {first.file.parent}"


def _all(progress: Progress, each: float, work: list[Piece]) -> bool:
    finite = True
    for size, read in work:  # no short circuit: everything must be read
        finite = read() and finite
        progress.advance(size * each)
    return finite


def _take(stored: Stored, out: Float[np.ndarray, " n"], look: bool) -> bool:
    assert stored.get is not None
    _convert(stored.get().reshape(-1), stored.dtype, out)
    return not look or _finite(out)


def _read(descriptor: int, stored: Stored, start: int, out: Float[np.ndarray, " n"], look: bool) -> bool:
    """Values from ``start`` on."""
    raw: Any = out if stored.dtype == "F32" else np.empty(out.size, FLOATS[stored.dtype])
    read_raw(descriptor, stored, start, raw)
    if raw is not out:
        _convert(raw, stored.dtype, out)
    return not look or _finite(out)


def read_raw(descriptor: int, stored: Stored, start: int, raw: Any) -> None:
    """Read values as they are stored.

    Args:
        descriptor: Of the open file.
        stored: A tensor whose ``begin`` is known.
        start: Number of the first value.
        raw: Where to, an array of the stored dtype.

    Raises:
        InputError: If the file ends before them.
    """
    target = memoryview(raw).cast("B")
    assert stored.begin is not None
    begin, done = stored.begin + start * ITEM[stored.dtype], 0
    while done < len(target):
        got = os.preadv(descriptor, [target[done:]], begin + done)
        if not got:
            raise InputError(f"{stored.file} was truncated while it was read; {AGAIN}")
        done += got


def same_bytes(one: Stored, other: Stored) -> bool:
    """Whether two tensors of one dtype and size have the same bytes, compared a piece at a time.

    Args:
        one: A tensor.
        other: Another one.
    """
    if one.begin is None or other.begin is None or (one.dtype, one.bytes) != (other.dtype, other.bytes):
        return False
    with one.file.open("rb") as first, other.file.open("rb") as second:
        first.seek(one.begin)
        second.seek(other.begin)
        sizes = (min(PIECE, one.bytes - begin) for begin in range(0, one.bytes, PIECE))
        return all(first.read(size) == second.read(size) for size in sizes)


def _finite(values: Float[np.ndarray, " n"]) -> bool:
    """Whether all values are finite, by both bounds: nan fails either comparison. Twice as fast as ``isfinite``."""
    return not values.size or bool(-np.inf < values.min() and values.max() < np.inf)


def _convert(raw: np.ndarray, dtype: str, out: Float[np.ndarray, " n"]) -> None:
    if dtype == "BF16":
        out.view(np.uint32)[...] = raw.astype(np.uint32) << 16
    else:
        with np.errstate(over="ignore"):  # a float64 beyond the range of float32 becomes inf, and is refused
            out[...] = raw


def reason(error: BaseException) -> str:
    """What is wrong with a file, from an error raised while it was read: its first line, or its name.

    >>> reason(KeyError("shape")), reason(TypeError("'int' object is not subscriptable"))
    ("'shape' is missing", 'its structure is not that of such files')
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing" if error.args else "a part is missing"
    if isinstance(error, TypeError | AttributeError | IndexError) or "values to unpack" in (lines or [""])[0]:
        return "its structure is not that of such files"
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}"
    return lines[0] if lines else type(error).__name__


def stored_as(tensors: Iterable[Stored]) -> str:
    """The dtype of most of the values, by its name in torch."""
    sizes: dict[str, int] = {}
    for stored in tensors:
        if stored.dtype in FLOATS:
            sizes[stored.dtype] = sizes.get(stored.dtype, 0) + prod(stored.shape)
    largest = max(sizes, key=lambda dtype: sizes[dtype], default="")
    return next((name for name, dtype in DTYPES.items() if dtype == largest), "none")


def require_whole(file: Path, tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors, if the file is long enough to hold them.

    Raises:
        InputError: If it is not.
    """
    size = file.stat().st_size
    end = max((s.begin + s.bytes for s in tensors.values() if s.begin is not None), default=0)
    if end > size:
        raise InputError(f"{file} is truncated: {size} bytes, and its header promises {end}; {AGAIN}")
    return dict(tensors)
