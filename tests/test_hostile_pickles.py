"""Files of torch.save that are damaged or made to harm: held against torch, which refuses them too."""

import argparse
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import values

from landscape.checkpoints import formats
from landscape.checkpoints.formats import pickled, unpickle
from landscape.checkpoints.formats.archive import Archive
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
    archive = Archive(True, {64: 48})
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
        with pytest.raises(InputError, match=r"array.pt requests memory besides tensors \(bytearray\)"):
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
    with pytest.raises(InputError, match=rf"it holds {name} besides tensors, .*: --allow-class {name}"):
        formats.index(file)
    monkeypatch.setenv(unpickle.ALLOW, name)
    with pytest.raises(InputError, match=r"it holds argparse.Namespace besides tensors"):
        formats.index(file)
    monkeypatch.setenv(unpickle.ALLOW, f"{name},argparse.Namespace")
    np.testing.assert_array_equal(values(file)["w"], np.arange(3))
    assert not [one for one in torch.serialization.get_safe_globals() if isinstance(one, tuple)]
    for call in (os.system, print, eval):
        torch.save({"model": {"w": torch.arange(3.0)}, "args": Call(call, "touch run")}, file)
        monkeypatch.setenv(unpickle.ALLOW, "builtins.eval,builtins.print,posix.system")
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
        with pytest.raises(InputError, match=rf"holds weights under \['{name}', 'ema_of_it'\]; save only"):
            formats.index(tmp_path / "x.pth.tar")


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
    with pytest.raises(InputError, match="system besides tensors") as evil:
        formats.index(tmp_path / "evil.bin")
    assert "--allow-class" not in str(evil.value)
