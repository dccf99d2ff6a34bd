"""Headers of safetensors that are damaged or made to harm: held against the reference, which refuses them too."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError, safe_open

from landscape.checkpoints import formats
from landscape.errors import InputError


def entry(begin: Any, end: Any, shape: Any = (3,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS: list[Any] = [
    {"a": entry(0, 12), "b": entry(0, 12)}, {"a": entry(0, 12), "b": entry(8, 20)}, {"a": entry(4, 16)},
    {"a": entry(0, 12), "b": entry(16, 28)}, {"a": entry(0, 12, ["3"])}, {"a": entry(0, 12, [3.0])},
    {"a": entry(0, 770, [192.5])}, {"a": entry("0", 12)}, {"a": entry(0, 12), "__metadata__": {"x": 1}},
    {"a": entry(0, 12), "__metadata__": 3}, {"a": entry(0, 12, [True, 3])}, {"a": entry(0, 12, dtype=3)},
    {"a": entry(0, 12, [10**30])}, {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12, 24]}}, {"a": 3},
    {"a": entry(0, 12, [1] * 70 + [3])}, [], None, 7,
]  # fmt: skip


MANY_AXES = 15
"""Which the reference lets pass, and NumPy and torch do not."""


def headed(file: Path, text: bytes, size: int) -> Path:
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return file


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_headers_that_the_reference_refuses_are_refused(tmp_path: Path, number: int) -> None:
    wanted = HEADERS[number]
    entries = wanted.values() if isinstance(wanted, dict) else ()
    ends = [e["data_offsets"][1] for e in entries if isinstance(e, dict) and "data_offsets" in e]
    file = headed(tmp_path / "model.safetensors", json.dumps(wanted).encode(), max(ends, default=0))
    if number != MANY_AXES:
        with pytest.raises(SafetensorError, match="."):
            safe_open(file, "np").__enter__()
    with pytest.raises(InputError, match="has a damaged header|is truncated"):
        formats.index(file)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"NaN", b'{"a": 1e400}', b'{"a": Infinity}', b"\xff\xfe", b""])
def test_a_header_that_is_no_json_is_one_sentence(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InputError, match="has a damaged header"):
        formats.index(headed(tmp_path / "model.safetensors", text, 0))


def test_trailing_bytes_and_large_headers_are_refused(tmp_path: Path) -> None:
    text = json.dumps({"a": entry(0, 12)}).encode()
    with pytest.raises(InputError, match="bytes 12 to 15 belong to two tensors, or to none"):
        formats.index(headed(tmp_path / "model.safetensors", text, 15))
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", 95_000_000))
        stream.truncate(95_000_100)
    with pytest.raises(InputError, match="has a header of 95000000 bytes, and at most 25000000 are read"):
        formats.index(tmp_path)
