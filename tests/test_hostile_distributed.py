"""Distributed checkpoints that are damaged or made to harm."""

import pickle
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as distributed
from hostile import saved
from torch.distributed.checkpoint.metadata import MetadataIndex

from landscape.checkpoints import formats
from landscape.checkpoints.formats import dcp
from landscape.errors import InputError


def read(folder: Path, name: str = "w") -> np.ndarray:
    stored = formats.index(folder)[name]
    out = np.empty(int(np.prod(stored.shape)), np.float32)
    formats.read(out, {name: stored})
    return out.reshape(stored.shape)


def changed(folder: Path, change: Callable[[Any], None]) -> Path:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    change(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder


def test_two_pieces_of_the_same_half_leave_a_hole(tmp_path: Path) -> None:
    saved(tmp_path, w=torch.ones(4, 3), half=torch.ones(2, 3), other=torch.ones(2, 3))

    def twice(metadata: Any) -> None:
        tensors = metadata.state_dict_metadata
        tensors["w"].chunks = [tensors["half"].chunks[0], tensors["half"].chunks[0]]
        del metadata.storage_data[MetadataIndex("w", torch.Size((0, 0)), 0)]
        place = metadata.storage_data[MetadataIndex("half", torch.Size((0, 0)), 0)]
        metadata.storage_data[MetadataIndex("w", torch.Size((0, 0)), 0)] = place

    changed(tmp_path, twice)
    with pytest.raises(InputError, match="holds 6 of 12 values of a tensor"):
        read(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m.state_dict_metadata["w"].chunks[0], "offsets", torch.Size((1, 0))),
        lambda m: setattr(m.state_dict_metadata["w"].chunks[0], "sizes", (4, -3)),
        lambda m: setattr(m.state_dict_metadata["w"], "size", (10**30,)),
        lambda m: setattr(m.state_dict_metadata["w"], "size", "44"),
        lambda m: setattr(m.state_dict_metadata["w"], "chunks", 7),
        lambda m: setattr(m, "storage_data", []),
        lambda m: setattr(m, "state_dict_metadata", None),
        lambda m: [setattr(info, "length", 10**17) for info in m.storage_data.values()],
        lambda m: [setattr(info, "length", "9") for info in m.storage_data.values()],
        lambda m: [setattr(info, "offset", -9) for info in m.storage_data.values()],
        lambda m: [setattr(info, "length", 10**12) for info in m.storage_data.values()],
    ],
)
def test_damaged_metadata_are_one_sentence(tmp_path: Path, change: Callable[[Any], None]) -> None:
    changed(saved(tmp_path, w=torch.ones(4, 3)), change)
    with pytest.raises(InputError, match="is damaged|cannot be read|outside its folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(4, 3, dtype=torch.complex64), torch.ones(4, 3, dtype=torch.bfloat16), torch.ones(4, 3).to_sparse(),
        {"a": torch.ones(4, 3)}, [1, 2], torch.ones(3, 4), torch.ones(4, 3, device="meta"), "text", None,
        torch.ones(4, 3, dtype=torch.int32),
    ],
    ids=["complex", "bfloat16", "sparse", "dict", "list", "shape", "meta", "text", "none", "int"],
)  # fmt: skip
def test_pieces_of_another_kind_are_one_sentence(tmp_path: Path, value: Any) -> None:
    saved(tmp_path, w=torch.ones(4, 3))
    (file,) = tmp_path.glob("*.distcp")
    torch.save(value, file)

    def whole(metadata: Any) -> None:
        for info in metadata.storage_data.values():
            info.offset, info.length = 0, file.stat().st_size

    changed(tmp_path, whole)
    with pytest.raises(InputError, match="cannot be read .*(in place of F32|not a plain tensor|refused)"):
        read(tmp_path)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.bool])
def test_distributed_tensors_that_are_no_floats_are_named(tmp_path: Path, dtype: torch.dtype) -> None:
    saved(tmp_path, w=torch.ones(4, 3).to(dtype))
    with pytest.raises(InputError, match=r"parameter 'w' is stored as \w+, and floats of 16, 32 or 64 bits"):
        read(tmp_path)


class Build:
    """Pickles as a name with attributes set on it: on the class itself, where it is one."""

    def __init__(self, module: str, name: str, state: Any) -> None:
        self.given = module, name, state

    def dumped(self) -> bytes:
        module, name, state = self.given
        stack = pickle.dumps(state, 2)[2:-1]
        return b"\x80\x02" + f"c{module}\n{name}\n".encode() + stack + b"b."


@pytest.mark.parametrize("name", ["PosixPath", "Path"])
def test_metadata_change_no_class_of_ours(tmp_path: Path, name: str) -> None:
    saved(tmp_path, w=torch.ones(3))
    before = dict(vars(PosixPath)), dict(vars(Path)), Path.rename
    for state in (({}, {"rename": 5}), {"rename": 5}, (None, {"rename": "x", "__setstate__": 1})):
        (tmp_path / ".metadata").write_bytes(Build("pathlib", name, state).dumped())
        with pytest.raises(InputError, match=".metadata is damaged"):
            formats.index(tmp_path)
    assert (dict(vars(PosixPath)), dict(vars(Path)), Path.rename) == before
    for module, names in dcp.CLASSES.items():
        for known in names:
            for state in (({}, {"extra": 5}), {"extra": 5}):
                (tmp_path / ".metadata").write_bytes(Build(module, known, state).dumped())
                with pytest.raises(InputError, match=".metadata is damaged"):
                    formats.index(tmp_path)
    assert not hasattr(distributed.metadata.Metadata, "extra") and not hasattr(dcp._Record, "extra")
    assert not hasattr(torch.serialization._get_layout, "extra")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04r\xff\xff\xff\x7f.", b"\x80\x04N\x72\xff\xff\xff\x7f.", b"\x80\x04B\xff\xff\xff\x7fa.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x3fa.", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\x00\x00.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.", b"", b"N.", b"(" * 10_000, b"ctorch\nload\n.", b"I" + b"9" * 5000 + b"\n.",
    ],
    ids=["memo", "memo2", "bytes", "bytes8", "frame", "long4", "empty", "none", "marks", "name", "digits"],
)  # fmt: skip
def test_metadata_that_ask_for_memory_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".metadata").write_bytes(content)
    with pytest.raises(InputError, match=r".metadata (is damaged|was refused)"):
        formats.index(tmp_path)
