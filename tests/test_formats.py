import json
import os
import shutil
from pathlib import Path

import cases
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from landscape.checkpoints import formats, models
from landscape.errors import InputError
from landscape.space import Space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cases.save(cases.gpt2(3), tmp_path / "model")


def read(folder: Path, space: Space) -> np.ndarray:
    out = np.full(space.size, np.nan, dtype=np.float32)
    formats.fill(out, folder, space.names, space.shapes, space.tied)
    return out


def test_whole_file_is_what_transformers_loads(folder: Path) -> None:
    model = cases.gpt2(4).from_pretrained(folder)
    space = Space.of(model)
    assert torch.equal(models.load(folder, space), space.vector(dict(model.named_parameters())))


def test_shards_are_what_the_whole_file_is(folder: Path, tmp_path: Path) -> None:
    model = cases.gpt2(3)
    model.save_pretrained(tmp_path / "shards", max_shard_size="6KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    space = Space.of(model)
    np.testing.assert_array_equal(read(tmp_path / "shards", space), read(folder, space))
    assert formats.content_id(tmp_path / "shards") != formats.content_id(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_become_float32(folder: Path, dtype: torch.dtype) -> None:
    file = folder / formats.SINGLE
    stored = {name: value.to(dtype) for name, value in load_file(file).items()}
    save_file(stored, file)
    space = Space.of(cases.gpt2())
    expected = space.vector({name: value.float() for name, value in stored.items()})
    np.testing.assert_array_equal(read(folder, space), expected.numpy())


def test_tied_weight_is_found_under_its_other_name(folder: Path) -> None:
    space = Space.of(cases.gpt2())
    expected = read(folder, space)
    stored = load_file(folder / formats.SINGLE)
    stored["lm_head.weight"] = stored.pop("transformer.wte.weight")
    save_file(stored, folder / formats.SINGLE)
    np.testing.assert_array_equal(read(folder, space), expected)


def test_point_outlives_its_file(folder: Path) -> None:
    """Memory is owned: truncating the file neither changes the point nor ends the process."""
    space = Space.of(cases.gpt2())
    point = models.load(folder, space)
    kept = point.clone()
    os.truncate(folder / formats.SINGLE, 100)
    assert torch.equal(point, kept)


@pytest.mark.parametrize("size", [0, 5, 200, 3000, -1])
def test_truncated_file_is_refused(folder: Path, size: int) -> None:
    file = folder / formats.SINGLE
    os.truncate(file, size if size >= 0 else file.stat().st_size - 1)
    with pytest.raises(InputError, match="is truncated"):
        formats.index(folder)


def test_file_that_shrinks_while_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = formats.index(folder)
    os.truncate(folder / formats.SINGLE, 3000)
    monkeypatch.setattr(formats, "index", lambda _: index)
    with pytest.raises(InputError, match="was truncated while it was read"):
        read(folder, Space.of(cases.gpt2()))


def test_short_reads_are_continued(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space.of(cases.gpt2())
    expected, preadv = read(folder, space), os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, parts, at: preadv(fd, [parts[0][:7]], at))
    np.testing.assert_array_equal(read(folder, space), expected)


def header(file: Path, entries: object) -> None:
    text = json.dumps(entries).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))


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
    header(folder / formats.SINGLE, entries)
    with pytest.raises(InputError, match="damaged header"):
        formats.index(folder)


def test_integers_are_no_weights(folder: Path) -> None:
    header(folder / formats.SINGLE, {"w": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}})
    with pytest.raises(InputError, match="'w' is stored as I64"):
        formats.fill(np.empty(2, np.float32), folder, ["w"], [(2,)])


def test_missing_and_misshapen_parameters_are_named(folder: Path) -> None:
    out = np.empty(12, np.float32)
    with pytest.raises(InputError, match=r"lacks the parameter 'nope' \(2,\)"):
        formats.fill(out, folder, ["nope"], [(2,)])
    with pytest.raises(InputError, match=r"'transformer.ln_f.bias' is \(12,\) on disk and \(3, 4\)"):
        formats.fill(out, folder, ["transformer.ln_f.bias"], [(3, 4)])


def test_not_finite_parameter_is_named(folder: Path) -> None:
    stored = load_file(folder / formats.SINGLE)
    stored["transformer.h.1.ln_1.bias"][3] = float("nan")
    save_file(stored, folder / formats.SINGLE)
    with pytest.raises(InputError, match="1 of 12 values of parameter 'transformer.h.1.ln_1.bias' are NaN"):
        models.load(folder, Space.of(cases.gpt2()))


def test_index_must_not_leave_its_folder(folder: Path) -> None:
    (folder / formats.SINGLE).rename(folder / "other")
    (folder / formats.INDEX).write_text(json.dumps({"weight_map": {"w": "../../secret"}}))
    with pytest.raises(InputError, match="outside its folder"):
        formats.index(folder)
    (folder / formats.INDEX).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        formats.index(folder)


def test_content_is_the_same_anywhere_and_differs_by_a_bit(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert formats.content_id(copy) == formats.content_id(folder)
    file = copy / formats.SINGLE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert formats.content_id(copy) != formats.content_id(folder)
    before = formats.signature(copy)
    os.utime(file, ns=(1, 1))
    assert formats.signature(copy) != before


def test_code_in_a_checkpoint_is_never_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoConfig": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="needs code of its own"):
        models.skeleton(folder, "AutoModelForCausalLM")


def test_wrong_class_and_missing_tokenizer_are_said(folder: Path) -> None:
    with pytest.raises(InputError, match="is a gpt2, which AutoModelForMaskedLM cannot make"):
        models.skeleton(folder, "AutoModelForMaskedLM")
    assert models.default_objective(folder) == "causal-lm"
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        models.tokenizer(folder)
