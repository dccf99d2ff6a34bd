"""Weight files that are damaged or made to harm: held against torch and safetensors, which refuse them too."""

import argparse
import io
import json
import os
import pickle
import random
import struct
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import Any

import cases
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as distributed
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import MetadataIndex

from landscape.checkpoints import find, formats
from landscape.checkpoints.formats import dcp, pickled, safetensors, tensors
from landscape.errors import InputError

VALUES = np.arange(1, 13, dtype="<f4")


@dataclass(frozen=True)
class Storage:
    """Stands in a pickle for a storage of so many values."""

    count: int


class View:
    """Pickles as a tensor of a storage, however little it fits."""

    def __init__(self, count: int, first: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> None:
        self.given = (Storage(count), first, shape, steps, False, OrderedDict())

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, self.given


class Call:
    """Pickles as a call."""

    def __init__(self, call: Callable[..., Any], *given: Any) -> None:
        self.call = call, given

    def __reduce__(self) -> Any:
        return self.call


class Pickler(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        return ("storage", torch.FloatStorage, "0", "cpu", thing.count) if isinstance(thing, Storage) else None


def archive(file: Path, content: Any, record: bytes = VALUES.tobytes(), *, kind: int = zipfile.ZIP_STORED) -> Path:
    """A file as ``torch.save`` writes it, of one record."""
    stream = io.BytesIO()
    Pickler(stream, 2).dump(content)
    with zipfile.ZipFile(file, "w", kind) as out:
        out.writestr("a/data.pkl", stream.getvalue())
        out.writestr("a/data/0", record)
        out.writestr("a/data/1", b"\7" * 400)
        out.writestr("a/version", b"3\n")
    return file


def values(file: Path) -> dict[str, np.ndarray]:
    found = formats.index(file)
    out = np.empty(sum(int(np.prod(s.shape)) for s in found.values()), np.float32)
    formats.read(out, found)
    return dict(zip(found, np.split(out, np.cumsum([int(np.prod(s.shape)) for s in found.values()])[:-1]), strict=True))


SHORT = {
    "a short record": (View(12, 0, (3, 4), (4, 1)), VALUES.tobytes()[:-8]),
    "a long record": (View(12, 0, (3, 4), (4, 1)), VALUES.tobytes() + b"12345678"),
    "an offset beyond the storage": (View(12, 20, (3, 4), (4, 1)), VALUES.tobytes()),
    "an offset that is too large": (View(12, 1, (3, 4), (4, 1)), VALUES.tobytes()),
    "a negative offset": (View(12, -1, (3, 4), (4, 1)), VALUES.tobytes()),
    "a negative stride": (View(12, 8, (3, 4), (-4, 1)), VALUES.tobytes()),
    "ten times the values": (View(120, 0, (30, 4), (4, 1)), VALUES.tobytes()),
    "a stride beyond the storage": (View(12, 0, (3, 4), (5, 1)), VALUES.tobytes()),
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_tensor_reaches_no_bytes_but_those_of_its_record(tmp_path: Path, name: str, kind: int) -> None:
    tensor, record = SHORT[name]
    file = archive(tmp_path / "x.pt", {"w": tensor}, record, kind=kind)
    with pytest.raises(RuntimeError, match="."):
        torch.load(file, weights_only=True)
    with pytest.raises(InputError, match="x.pt is damaged"):
        values(file)


@pytest.mark.parametrize(
    ("first", "shape", "steps"),
    [(0, (3, 4), (4, 1)), (2, (2, 3), (1, 3)), (11, (), ()), (5, (4, 2), (0, 1))],
)
def test_a_tensor_within_its_record_is_what_torch_loads(
    tmp_path: Path, first: int, shape: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    file = archive(tmp_path / "x.pt", {"w": View(12, first, shape, steps)})
    expected = torch.load(file, weights_only=True)["w"].numpy().reshape(-1)
    np.testing.assert_array_equal(values(file)["w"], expected)


@dataclass(frozen=True)
class Meta:
    """A tensor as an unpickler that looks at no bounds would make it."""

    first: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    device = torch.device("meta")
    _checkpoint_offset = 64

    def untyped_storage(self) -> "Meta":
        return self

    def nbytes(self) -> int:
        return 48

    def element_size(self) -> int:
        return 4

    def storage_offset(self) -> int:
        return self.first

    def stride(self) -> tuple[int, ...]:
        return self.steps

    def numel(self) -> int:
        return int(np.prod(self.shape))


@pytest.mark.parametrize(
    ("first", "shape", "steps", "fits"),
    [
        (0, (3, 4), (4, 1), True), (2, (2, 3), (1, 3), True), (11, (), (), True), (30, (0, 4), (4, 1), True),
        (1, (3, 4), (4, 1), False), (12, (), (), False), (-1, (3, 4), (4, 1), False), (8, (3, 4), (-4, 1), False),
        (0, (3, 4), (5, 1), False),
    ],
)  # fmt: skip
def test_bounds_are_ours_whatever_torch_looks_at(
    first: int, shape: tuple[int, ...], steps: tuple[int, ...], fits: bool
) -> None:
    archive = pickled._Archive(True, {64: 48})
    if fits:
        assert pickled._record(Meta(first, shape, steps), archive) == (64, 12)
        return
    with pytest.raises(ValueError, match="lies at .* of the 12 values of its record"):
        pickled._record(Meta(first, shape, steps), archive)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_bit_that_has_changed_is_seen_once_values_are_read(tmp_path: Path, kind: int) -> None:
    file = archive(tmp_path / "x.pt", {"w": View(12, 0, (3, 4), (4, 1))}, kind=kind)
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as there:
        content[there.getinfo("a/data/0").header_offset + 30 + len("a/data/0") + 7] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match="x.pt is damaged"):
        values(file)


def test_sums_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = archive(tmp_path / "x.pt", {"w": View(12, 0, (3, 4), (4, 1))})
    values(file)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    np.testing.assert_array_equal(values(file)["w"], VALUES)


def test_a_file_without_sums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(5.0)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    np.testing.assert_array_equal(values(tmp_path / "x.pt")["w"], np.arange(5))


def test_what_would_take_memory_is_refused_by_its_size(tmp_path: Path) -> None:
    file = archive(tmp_path / "byteorder.pt", {"w": View(12, 0, (12,), (1,))})
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/byteorder", bytes(200))
    with pytest.raises(InputError, match="byteorder.pt would inflate to more than weights do"):
        formats.index(file)
    zeros = archive(
        tmp_path / "zeros.pt", {"w": View(10**6, 0, (10**6,), (1,))}, bytes(4 * 10**6), kind=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(InputError, match="zeros.pt would inflate to more than weights do"):
        formats.index(zeros)
    for new in (True, False):
        torch.save({"w": Call(bytearray, 10**11)}, tmp_path / "array.pt", _use_new_zipfile_serialization=new)
        with pytest.raises(InputError, match=r"array.pt asks for memory beside tensors \(bytearray\)"):
            formats.index(tmp_path / "array.pt")


def test_archives_that_torch_never_writes_are_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.pt", {"w": View(12, 0, (12,), (1,))})
    content = file.read_bytes()
    at = content.rindex(b"PK\1\2")
    file.write_bytes(content[: at + 8] + b"\1" + content[at + 9 :])
    with pytest.raises(InputError, match="x.pt is encrypted, or holds a record twice"):
        formats.index(file)
    file.write_bytes(content)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as out:
        warnings.simplefilter("ignore")
        out.writestr("a/data/0", bytes(48))
    with pytest.raises(InputError, match="x.pt is encrypted, or holds a record twice"):
        formats.index(file)


def test_tensors_without_values_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(3), "m": torch.ones(3, device="meta")}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="'m' has no values in the file"):
        formats.index(tmp_path / "x.pt")
    torch.save({"m": torch.ones(3, device="meta")}, tmp_path / "y.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="has no values for 'm', which was saved on the meta device"):
        formats.index(tmp_path / "y.pt")


def test_a_dictionary_that_holds_itself_ends(tmp_path: Path) -> None:
    state: dict[str, Any] = {}
    state["model"] = state["module"] = state
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(InputError, match="holds no tensors by name"):
        formats.index(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(3.2), np.int64(7), np.arange(3), np.bool_(True), [np.float32(1)], {"best": np.float16(2)},
        np.random.default_rng(1).bit_generator.state,
    ],
    ids=["float64", "int64", "array", "bool", "list", "dict", "state"],
)  # fmt: skip
def test_numbers_of_numpy_beside_weights_are_passed_over(tmp_path: Path, beside: Any) -> None:
    torch.save({"model": {"w": torch.arange(3.0)}, "beside": beside}, tmp_path / "x.pt")
    np.testing.assert_array_equal(values(tmp_path / "x.pt")["w"], np.arange(3))


class Loud:
    """A class that would be noticed."""

    def __init__(self) -> None:
        self.made = 1

    def __setstate__(self, state: object) -> None:
        raise AssertionError("its code was run")


def test_a_class_that_is_allowed_is_passed_over_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.pt"
    torch.save({"model": {"w": torch.arange(3.0)}, "args": Loud(), "more": argparse.Namespace(lr=1)}, file)
    name = f"{Loud.__module__}.Loud"
    with pytest.raises(InputError, match=rf"it holds {name} beside tensors, .*: --allow-class {name}"):
        formats.index(file)
    monkeypatch.setenv(pickled.ALLOW, name)
    with pytest.raises(InputError, match=r"it holds argparse.Namespace beside tensors"):
        formats.index(file)
    monkeypatch.setenv(pickled.ALLOW, f"{name},argparse.Namespace")
    np.testing.assert_array_equal(values(file)["w"], np.arange(3))
    assert not [one for one in torch.serialization.get_safe_globals() if isinstance(one, tuple)]
    for call in (os.system, print, eval):
        torch.save({"model": {"w": torch.arange(3.0)}, "args": Call(call, "touch run")}, file)
        monkeypatch.setenv(pickled.ALLOW, "builtins.eval,builtins.print,posix.system")
        monkeypatch.chdir(tmp_path)
        if call is os.system:
            with pytest.raises(InputError, match="was refused and nothing of it was run"):
                formats.index(file)
        else:
            assert list(formats.index(file)) == ["w"]
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["net", "model_state", "network", "generator", "student"])
def test_weights_under_any_one_name_are_found(tmp_path: Path, name: str) -> None:
    weights = {"w": torch.arange(3.0)}
    rest = {"epoch": 3, "optimizer": {"state": {0: {"m": torch.ones(2)}}}, "rng": {"cpu": torch.zeros(5).byte()}}
    torch.save({name: weights, **rest}, tmp_path / "x.pth.tar")
    np.testing.assert_array_equal(values(tmp_path / "x.pth.tar")["w"], np.arange(3))
    torch.save({name: weights, "ema_of_it": weights, **rest}, tmp_path / "x.pth.tar")
    if name in {"generator", "student"}:
        with pytest.raises(InputError, match=rf"holds weights under \['{name}', 'ema_of_it'\]; save alone"):
            formats.index(tmp_path / "x.pth.tar")


def test_a_folder_of_tar_names_is_a_run(tmp_path: Path) -> None:
    for step in (9, 20):
        torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / f"step_{step}.pth.tar")
    torch.save({"state": torch.ones(2)}, tmp_path / "optimizer.pth.tar")
    assert [c.step for c in find(str(tmp_path))] == [9, 20]


@pytest.mark.parametrize("most", ["1GB", "6KB"])
def test_a_variant_is_read(tmp_path: Path, most: str) -> None:
    model = cases.gpt2(3)
    model.save_pretrained(tmp_path, variant="fp16", max_shard_size=most)
    expected = {name: value.numpy().reshape(-1) for name, value in model.state_dict().items()}
    found = values(tmp_path)
    assert len(found) >= 27
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])
    save_file({"w": torch.ones(2)}, tmp_path / "model.bf16.safetensors")
    with pytest.raises(InputError, match="holds several variants, model.bf16.safetensors, model.*; give one file"):
        formats.index(tmp_path)


def test_what_is_neither_file_nor_folder_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pt")
    with pytest.raises(InputError, match="x.pt is no weights file"):
        formats.index(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a\0b", "a" * 5000, "../x", "/etc/passwd", 3, None, ["x"], {"a": 1}, "\ud800"]
)
def test_an_index_names_files_of_its_folder(tmp_path: Path, name: Any) -> None:
    (tmp_path / safetensors.INDEX).write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match="index.json (names .* which is no name of a file|is damaged)"):
        formats.index(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "NaN", '{"weight_map": 1e400}', '{"weight_map": []}'])
def test_a_damaged_index_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / safetensors.INDEX).write_text(text)
    with pytest.raises(InputError, match="index.json is damaged"):
        formats.index(tmp_path)


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
    with pytest.raises(InputError, match="has a header of 95000000 bytes, and 25000000 are read"):
        formats.index(tmp_path)


def saved(folder: Path, **state: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed.save(state, storage_writer=distributed.FileSystemWriter(folder), no_dist=True)
    return folder


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
    with pytest.raises(InputError, match="cannot be read .*(in place of F32|no plain tensor|refused)"):
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


def test_bits_of_files_that_change_are_one_sentence_or_harmless(tmp_path: Path) -> None:
    """A few hundred damaged files of each form; each is read as before, or refused in one sentence."""
    dice = random.Random(3)
    state = {"w": torch.arange(6.0).view(2, 3), "v": torch.arange(4.0).view(2, 2).t()}
    torch.save(state, tmp_path / "x.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "x.safetensors")
    folder = saved(tmp_path / "d", **state)
    for file, path in (
        (tmp_path / "x.pt", None), (tmp_path / "old.pt", None), (tmp_path / "x.safetensors", None),
        (folder / ".metadata", folder), (next(folder.glob("*.distcp")), folder),
    ):  # fmt: skip
        content = file.read_bytes()
        for _ in range(60):
            bad = bytearray(content)
            for _ in range(dice.choice((1, 3, 30))):
                bad[dice.randrange(len(bad))] = dice.randrange(256)
            file.write_bytes(bad)
            try:
                values(path or file)
            except InputError as error:
                assert "; " in str(error) or "was refused" in str(error)
        file.write_bytes(content)
    assert tensors.AGAIN


@pytest.mark.parametrize("how", ["negated", "conjugated", "nested"])
def test_views_that_torch_computes_when_they_are_read_are_refused(tmp_path: Path, how: str) -> None:
    """Their bytes are not their values."""
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "negated": lambda: torch._neg_view(torch.ones(3)),
        "conjugated": lambda: torch.ones(3, dtype=torch.complex64).conj(),
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        made = ways[how]()
    torch.save({"w": torch.ones(2), "x": made}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"'x' is (nested|a view that is negated)"):
        formats.index(tmp_path / "pytorch_model.bin")


def test_nobody_is_told_to_load_unsafely(tmp_path: Path) -> None:
    """Torch's own words do; and a function of the system is not offered to be passed over."""
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        archive.add(__file__, "pickle")
    with pytest.raises(InputError, match="old.pt") as old:
        formats.index(tmp_path / "old.pt")
    assert "weights_only" not in str(old.value)
    torch.save({"w": torch.ones(2), "x": os.system}, tmp_path / "evil.bin")
    with pytest.raises(InputError, match="system beside tensors") as evil:
        formats.index(tmp_path / "evil.bin")
    assert "--allow-class" not in str(evil.value)
