import json
import os
import shutil
from pathlib import Path

import cases
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from landscape.checkpoints import formats, identity, models, tokenizers
from landscape.checkpoints.formats import safetensors, tensors
from landscape.checkpoints.objective_of import default_objective
from landscape.errors import InputError
from landscape.space import Space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cases.save(cases.gpt2(3), tmp_path / "model")


def read(path: Path, model: nn.Module | None = None) -> np.ndarray:
    return models.load(path, model or cases.gpt2()).numpy()


def test_whole_file_is_what_transformers_loads(folder: Path) -> None:
    model = cases.gpt2(4).from_pretrained(folder)
    space = Space.of(model)
    assert torch.equal(models.load(folder, cases.gpt2(5)), space.vector(dict(model.named_parameters())))


def test_shards_are_what_the_whole_file_is(folder: Path, tmp_path: Path) -> None:
    model = cases.gpt2(3)
    model.save_pretrained(tmp_path / "shards", max_shard_size="6KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    np.testing.assert_array_equal(read(tmp_path / "shards"), read(folder))
    assert identity.content_id(tmp_path / "shards", tmp_path / "shards") != identity.content_id(folder, folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_become_float32(folder: Path, dtype: torch.dtype) -> None:
    file = folder / safetensors.SINGLE
    stored = {name: value.to(dtype) for name, value in load_file(file).items()}
    save_file(stored, file)
    space = Space.of(cases.gpt2())
    expected = space.vector({name: value.float() for name, value in stored.items()})
    np.testing.assert_array_equal(read(folder), expected.numpy())
    assert formats.stored_as(formats.index(folder).values()) == str(dtype).removeprefix("torch.")


def test_the_dtype_is_that_of_most_values(tmp_path: Path) -> None:
    parts = {"a": torch.ones(7, 9), "b": torch.ones(3).bfloat16(), "c": torch.ones(5).bfloat16()}
    save_file(parts, tmp_path / safetensors.SINGLE)
    assert formats.stored_as(formats.index(tmp_path).values()) == "float32"


def test_tied_weight_is_found_under_its_other_name(folder: Path) -> None:
    expected = read(folder)
    stored = load_file(folder / safetensors.SINGLE)
    stored["lm_head.weight"] = stored.pop("transformer.wte.weight")
    save_file(stored, folder / safetensors.SINGLE)
    np.testing.assert_array_equal(read(folder), expected)


def test_memory_of_an_old_point_is_used_again(folder: Path) -> None:
    expected, old = models.load(folder, cases.gpt2()), torch.full((Space.of(cases.gpt2()).size,), torch.nan)
    assert models.load(folder, cases.gpt2(), old) is old
    assert torch.equal(old, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pieces_and_threads_make_the_whole(folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    save_file({n: v.to(dtype) for n, v in load_file(folder / safetensors.SINGLE).items()}, folder / safetensors.SINGLE)
    expected = read(folder)
    monkeypatch.setattr(tensors, "PIECE", 7)
    monkeypatch.setattr(tensors, "ALONE", 50)
    np.testing.assert_array_equal(read(folder), expected)


def test_point_outlives_its_file(folder: Path) -> None:
    """Memory is owned: truncating the file neither changes the point nor ends the process."""
    point = models.load(folder, cases.gpt2())
    kept = point.clone()
    os.truncate(folder / safetensors.SINGLE, 100)
    assert torch.equal(point, kept)


@pytest.mark.parametrize("size", [0, 5, 200, 3000, -1])
def test_truncated_file_is_refused(folder: Path, size: int) -> None:
    file = folder / safetensors.SINGLE
    os.truncate(file, size if size >= 0 else file.stat().st_size - 1)
    with pytest.raises(InputError, match="is truncated"):
        formats.index(folder)


def test_file_that_shrinks_while_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = formats.index(folder)
    os.truncate(folder / safetensors.SINGLE, 3000)
    monkeypatch.setattr(formats, "index", lambda _: index)
    with pytest.raises(InputError, match="was truncated while it was read"):
        read(folder)


def test_short_reads_are_continued(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, preadv = read(folder), os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, parts, at: preadv(fd, [parts[0][:7]], at))
    np.testing.assert_array_equal(read(folder), expected)


def header(file: Path, entries: object) -> None:
    text = json.dumps(entries).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))


@pytest.mark.parametrize(
    "entries",
    [
        [1, 2],
        {"w": {"dtype": "F32", "shape": [3]}},
        {"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 11]}},
        {"w": {"dtype": "F32", "shape": [-3], "data_offsets": [12, 0]}},
        {"w": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 12]}},
    ],
)
def test_damaged_header_is_refused(folder: Path, entries: object) -> None:
    header(folder / safetensors.SINGLE, entries)
    with pytest.raises(InputError, match="damaged header"):
        formats.index(folder)


def test_integers_are_no_weights(folder: Path) -> None:
    header(folder / safetensors.SINGLE, {"w": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}})
    with pytest.raises(InputError, match="'w' is stored as I64"):
        formats.read(np.empty(2, np.float32), formats.index(folder))


def test_missing_and_misshapen_parameters_are_named(folder: Path) -> None:
    stored = load_file(folder / safetensors.SINGLE)
    stored["transformer.ln_f.bias"] = stored["transformer.ln_f.bias"].view(3, 4)
    save_file(stored, folder / safetensors.SINGLE)
    with pytest.raises(InputError, match=r"'transformer.ln_f.bias' is \(3, 4\) on disk and \(12,\) in its config"):
        read(folder)
    del stored["transformer.ln_f.bias"]
    save_file(stored, folder / safetensors.SINGLE)
    with pytest.raises(InputError, match=r"lacks the parameter 'transformer.ln_f.bias' \(12,\)"):
        read(folder)


def test_not_finite_parameter_is_named(folder: Path) -> None:
    stored = load_file(folder / safetensors.SINGLE)
    stored["transformer.h.1.ln_1.bias"][3] = float("nan")
    save_file(stored, folder / safetensors.SINGLE)
    with pytest.raises(InputError, match="1 of 12 values of parameter 'transformer.h.1.ln_1.bias' are NaN"):
        models.load(folder, cases.gpt2())
    assert int(models.load(folder, cases.gpt2(), look=False).isnan().sum()) == 1


def test_index_must_not_leave_its_folder(folder: Path) -> None:
    (folder / safetensors.SINGLE).rename(folder / "other")
    (folder / safetensors.INDEX).write_text(json.dumps({"weight_map": {"w": "../../secret"}}))
    with pytest.raises(InputError, match="outside its folder"):
        formats.index(folder)
    (folder / safetensors.INDEX).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        formats.index(folder)


def test_content_is_the_same_anywhere_and_differs_by_a_bit(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert identity.content_id(copy, copy) == identity.content_id(folder, folder)
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config + " ")
    assert identity.content_id(copy, copy) != identity.content_id(folder, folder)
    (copy / "config.json").write_text(config)
    file = copy / safetensors.SINGLE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert identity.content_id(copy, copy) != identity.content_id(folder, folder)
    before = identity.signature(copy, copy)
    os.utime(file, ns=(1, 1))
    assert identity.signature(copy, copy) != before


def test_other_weights_of_the_old_size_and_time_are_seen(folder: Path, tmp_path: Path) -> None:
    """As ``cp -p`` and ``rsync -t`` leave them; a copy that is the same to the bit stays what it was."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / safetensors.SINGLE
    known, content = identity.signature(copy, copy), identity.content_id(copy, copy)
    whole, written = file.read_bytes(), file.stat().st_mtime_ns
    identity.require_unchanged(copy, copy, known, content)
    file.write_bytes(whole)
    os.utime(file, ns=(written, written))
    assert identity.signature(copy, copy) != known
    identity.require_unchanged(copy, copy, known, content)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(file, ns=(written, written))
    assert file.stat().st_size == len(whole) and identity.signature(copy, copy) != known
    with pytest.raises(InputError, match="the files of .*copy have changed since they were identified; let what"):
        identity.require_unchanged(copy, copy, known, content)


def test_wrong_class_and_missing_tokenizer_are_said(folder: Path) -> None:
    with pytest.raises(InputError, match="is a gpt2, which AutoModelForMaskedLM cannot make"):
        models.skeleton(folder, "AutoModelForMaskedLM")
    assert default_objective(folder) == "causal-lm"
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        tokenizers.load(folder)
