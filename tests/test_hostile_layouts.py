"""Folders, variants and shard indexes that are damaged or odd."""

import json
import os
import random
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from hostile import saved, values
from safetensors.torch import save_file

from landscape.checkpoints import find, formats
from landscape.checkpoints.formats import safetensors, tensors
from landscape.errors import InputError


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
    with pytest.raises(InputError, match="x.pt is not a weights file"):
        formats.index(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a\0b", "a" * 5000, "../x", "/etc/passwd", 3, None, ["x"], {"a": 1}, "\ud800"]
)
def test_an_index_names_files_of_its_folder(tmp_path: Path, name: Any) -> None:
    (tmp_path / safetensors.INDEX).write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match="index.json (names .* which is not a file name|is damaged)"):
        formats.index(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "NaN", '{"weight_map": 1e400}', '{"weight_map": []}'])
def test_a_damaged_index_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / safetensors.INDEX).write_text(text)
    with pytest.raises(InputError, match="index.json is damaged"):
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
