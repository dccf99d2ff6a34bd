"""Checkpoints as other tools leave them on disk."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorStorageMetadata,
)
from transformers import MixtralConfig, MixtralForCausalLM

from landscape.checkpoints import expand, fetch, find, formats, models
from landscape.checkpoints.formats import unpickle
from landscape.errors import InputError
from landscape.space import Space


def state(model: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: value.clone() for name, value in model.state_dict().items()}


def vector(model: nn.Module) -> Tensor:
    return Space.of(model).vector(dict(model.named_parameters())).detach()


def config(folder: Path) -> Path:
    """A folder with a config and no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    cases.gpt2().config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: state(model),
        lambda model: {"model": state(model), "optimizer": {"state": {0: torch.ones(3)}}, "epoch": 3},
        lambda model: {"model_state_dict": state(model, "module."), "loss": 2.0},
        lambda model: {"state_dict": state(model, "_orig_mod.module.")},
        lambda model: {"state_dict": state(model, "_forward_module.net.")},
        lambda model: {
            "state_dict": state(model, "model._orig_mod.") | {"criterion.weight": torch.ones(4)},
            "epoch": 1, "global_step": 20, "pytorch-lightning_version": "2.5", "hyper_parameters": {"lr": 0.1},
        },
    ],
)  # fmt: skip
def test_plain_files_in_their_wrappings_and_prefixes(tmp_path: Path, wrap: Callable[[nn.Module], Any]) -> None:
    model = cases.gpt2(3)
    config(tmp_path)
    torch.save(wrap(model), tmp_path / "step=20.ckpt")
    (found,) = find(str(tmp_path / "step=20.ckpt"))
    assert found.step == 20 and fetch.described(found) == tmp_path
    assert torch.equal(models.load(fetch.weights(found), cases.gpt2(4)), vector(model))


def test_wrappers_within_names_are_left_out(tmp_path: Path) -> None:
    """As FSDP and activation checkpointing leave them, layer by layer."""
    model = cases.gpt2(3)
    names = {n: n.replace("h.0.", "h.0._fsdp_wrapped_module._checkpoint_wrapped_module.") for n in state(model)}
    torch.save({names[n]: v for n, v in state(model).items()}, tmp_path / "x.pt")
    assert torch.equal(models.load(tmp_path / "x.pt", cases.gpt2()), vector(model))


def test_what_trainers_leave_beside_weights_is_no_run(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"state": torch.ones(2)}, tmp_path / name)
    with pytest.raises(
        InputError, match="is not a checkpoint: it holds optimizer.pt, rng_state.pth, scheduler.pt, and not"
    ):
        find(str(tmp_path))


def test_a_folder_of_files_is_a_run(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        torch.save(state(cases.gpt2(step)), tmp_path / f"epoch=0-step={step}.ckpt")
    assert [c.step for c in find(str(tmp_path))] == [9, 20, 100]
    pattern = expand(f"{tmp_path}/epoch=0-step={{step}}.ckpt", {"step": (20,)}, config=str(config(tmp_path / "c")))
    assert [c.step for c in pattern] == [20] and fetch.described(pattern[0]) == tmp_path / "c"


def test_without_config_it_is_asked_for(tmp_path: Path) -> None:
    """As ``accelerate`` saves its state: transformers would build a model of default size."""
    folder = tmp_path / "checkpoint_0"
    folder.mkdir()
    model = cases.gpt2(3)
    save_file({n: v for n, v in state(model).items() if n != "lm_head.weight"}, folder / "model.safetensors")
    for other in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (folder / other).write_bytes(b"x")
    (found,) = find(str(folder))
    with pytest.raises(
        InputError, match=r"checkpoint_0 holds no config.json, .*or name the folder that has it: config = "
    ):
        fetch.described(found)
    there = replace(found, config=str(config(tmp_path / "there")))
    assert fetch.described(there) == tmp_path / "there"
    assert fetch.described(replace(found, config=str(tmp_path / "there" / "config.json"))) == tmp_path / "there"
    assert torch.equal(models.load(fetch.weights(there), cases.gpt2()), vector(model))


def test_two_copies_of_a_model_are_not_guessed_between(tmp_path: Path) -> None:
    torch.save({**state(cases.gpt2(1), "model."), **state(cases.gpt2(2), "ema.")}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"holds the model more than once, under \['ema.', 'model.'\]"):
        models.load(tmp_path / "x.pt", cases.gpt2())


def test_a_base_model_needs_no_prefix(tmp_path: Path) -> None:
    model = cases.gpt2(3)
    torch.save(state(model.transformer), tmp_path / "base.pt")
    assert torch.equal(models.load(tmp_path / "base.pt", cases.gpt2()), vector(model))


@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_tied_copies_that_differ_are_refused(tmp_path: Path, form: str) -> None:
    both = state(cases.gpt2(3))
    save: Callable[[Any, Path], None] = torch.save if form == "bin" else save_file  # type: ignore[assignment]
    file = tmp_path / ("pytorch_model.bin" if form == "bin" else "model.safetensors")
    save(both, file)
    assert torch.equal(models.load(tmp_path, cases.gpt2()), vector(cases.gpt2(3)))
    both["lm_head.weight"][4, 5] += 1e-3
    save(both, file)
    with pytest.raises(InputError, match="stores 'transformer.wte.weight' and 'lm_head.weight' with different values"):
        models.load(tmp_path, cases.gpt2())


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        pytest.param(dtype, how, marks=() if (how == "zip") or (dtype == torch.bfloat16) else pytest.mark.slow)
        for dtype in (torch.float64, torch.float16, torch.bfloat16)
        for how in ("zip", "legacy", "transposed", "compressed", "views")
    ],
)
def test_bin_files_of_every_kind_become_float32(tmp_path: Path, dtype: torch.dtype, how: str) -> None:
    model = cases.gpt2(3)
    stored = {name: value.to(dtype) for name, value in state(model).items()}
    file = tmp_path / "pytorch_model.bin"
    if how == "transposed":
        stored = {n: v.t().contiguous().t() if v.ndim == 2 else v for n, v in stored.items()}
    if how == "views":
        parts = torch.cat([v.flatten() for v in stored.values()]).split([v.numel() for v in stored.values()])
        stored = {n: part.view(v.shape) for (n, v), part in zip(stored.items(), parts, strict=True)}
    torch.save(stored, file, _use_new_zipfile_serialization=how != "legacy")
    if how == "compressed":
        with zipfile.ZipFile(file) as old:
            content = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
            for name, data in content.items():
                new.writestr(name, data)
    expected = Space.of(model).vector({name: value.float() for name, value in stored.items()})
    assert torch.equal(models.load(tmp_path, cases.gpt2()), expected)
    assert formats.stored_as(formats.index(tmp_path).values()) == str(dtype).removeprefix("torch.")


def test_sharded_bin_and_one_that_is_cut(tmp_path: Path) -> None:
    model = cases.gpt2(3)
    names = list(state(model))
    parts = {"pytorch_model-00001-of-00002.bin": names[:7], "pytorch_model-00002-of-00002.bin": names[7:]}
    for file, own in parts.items():
        torch.save({name: state(model)[name] for name in own}, tmp_path / file)
    where = {name: file for file, own in parts.items() for name in own}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert torch.equal(models.load(tmp_path, cases.gpt2()), vector(model))
    cut = tmp_path / "pytorch_model-00002-of-00002.bin"
    os.truncate(cut, cut.stat().st_size // 2)
    with pytest.raises(InputError, match="pytorch_model-00002-of-00002.bin (is damaged|was refused)"):
        models.load(tmp_path, cases.gpt2())
    cut.unlink()
    with pytest.raises(InputError, match="pytorch_model-00002-of-00002.bin is missing"):
        models.load(tmp_path, cases.gpt2())


def test_a_class_beside_tensors_is_refused_and_can_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": state(cases.gpt2(3)), "hyper_parameters": argparse.Namespace(lr=0.1)}, file)
    with pytest.raises(InputError, match=r"it holds argparse.Namespace besides tensors, .*: --allow-class argparse.N"):
        formats.index(file)
    monkeypatch.setenv(unpickle.ALLOW, "argparse.Namespace")
    assert torch.equal(models.load(file, cases.gpt2()), vector(cases.gpt2(3)))
    torch.save({"epoch": 3}, file)
    with pytest.raises(InputError, match="holds no tensors by name"):
        formats.index(file)


def save_dcp(tensors: dict[str, Any], folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(tensors, storage_writer=dcp.FileSystemWriter(folder), no_dist=True)
    return folder


@pytest.mark.parametrize("place", [".", "pytorch_model_fsdp_0"])
def test_distributed_checkpoints(tmp_path: Path, place: str) -> None:
    model = cases.gpt2(3)
    stored = {name: value.bfloat16() for name, value in state(model).items()}
    save_dcp({"model": stored, "step": 3}, tmp_path / place)
    expected = Space.of(model).vector({name: value.float() for name, value in stored.items()})
    assert torch.equal(models.load(tmp_path, cases.gpt2()), expected)


def test_a_tensor_in_pieces_is_put_together(tmp_path: Path) -> None:
    """As two ranks would have saved a sharded parameter."""
    whole = torch.randn(5, 7, generator=cases.generator(1))
    save_dcp({"top": whole[:2].clone(), "low": whole[2:].clone(), "v": whole[0].clone()}, tmp_path)
    file = tmp_path / ".metadata"
    metadata = pickle.loads(file.read_bytes())
    chunks = {"top": ((0, 0), (2, 7)), "low": ((2, 0), (3, 7))}
    entries = [ChunkStorageMetadata(torch.Size(o), torch.Size(s)) for o, s in chunks.values()]
    properties = metadata.state_dict_metadata["top"].properties
    metadata.state_dict_metadata["w"] = TensorStorageMetadata(properties, torch.Size((5, 7)), entries)
    for name, (offset, _) in chunks.items():
        del metadata.state_dict_metadata[name]
        info = metadata.storage_data.pop(MetadataIndex(name, torch.Size((0, 0)), 0))
        metadata.storage_data[MetadataIndex("w", torch.Size(offset))] = info
    file.write_bytes(pickle.dumps(metadata))
    stored = formats.index(tmp_path)
    out = np.empty(42, np.float32)
    assert formats.read(out, {"w": stored["w"], "v": stored["v"]})
    np.testing.assert_array_equal(out, torch.cat([whole.flatten(), whole[0]]).numpy())
    metadata.storage_data.pop(MetadataIndex("w", torch.Size((2, 0))))
    file.write_bytes(pickle.dumps(metadata))
    with pytest.raises(InputError, match="holds 14 of 35 values of a tensor"):
        formats.read(np.empty(35, np.float32), {"w": formats.index(tmp_path)["w"]})


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.file}",)


class Got:
    """Pickles as ``getattr(target, name)``, as Python 3.11.0 to 3.11.3 pickle members of an enumeration."""

    def __init__(self, target: Any, name: str) -> None:
        self.call = target, name

    def __reduce__(self) -> Any:
        return getattr, self.call


def test_metadata_of_early_python_3_11_is_read(tmp_path: Path) -> None:
    save_dcp({"w": torch.ones(3)}, tmp_path)
    metadata = pickle.loads((tmp_path / ".metadata").read_bytes())
    metadata.planner_data = Got(_MEM_FORMAT_ENCODING, "TORCH_CONTIGUOUS_FORMAT")
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    assert set(formats.index(tmp_path)) == {"w"}


def test_metadata_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(pickle.dumps({"x": Evil(tmp_path / "run")}))
    with pytest.raises(InputError, match=r"nothing of it was run: it asks for (posix|nt)\.system"):
        formats.index(tmp_path)
    assert not (tmp_path / "run").exists()
    for target in (Metadata, "w", getattr):  # of an enumeration only, and only its members
        (tmp_path / ".metadata").write_bytes(pickle.dumps({"x": Got(target, "__class__")}))
        with pytest.raises(InputError, match=r"nothing of it was run: it asks for builtins.getattr"):
            formats.index(tmp_path)
    save_dcp({"w": torch.ones(3)}, tmp_path / "d")
    metadata = pickle.loads((tmp_path / "d" / ".metadata").read_bytes())
    for info in metadata.storage_data.values():
        info.relative_path = "../../secret"
    (tmp_path / "d" / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(InputError, match="outside its folder; do not trust it"):
        formats.index(tmp_path / "d")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("global_step20/mp_rank_00_model_states.pt", "is a DeepSpeed checkpoint; convert it .*zero_to_fp32.py"),
        ("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "is a part of a DeepSpeed checkpoint"),
        ("layer_00-model_00-model_states.pt", "is a GPT-NeoX training checkpoint; convert it .*convert_neox_to_hf.py"),
        ("tf_model.h5", "is a TensorFlow checkpoint; convert it with transformers 4"),
        ("flax_model.msgpack", "is a Flax checkpoint; convert it with transformers 4"),
    ],
)
def test_foreign_layouts_are_told_how_to_be_converted(tmp_path: Path, file: str, said: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / "latest").write_text("global_step20")
    with pytest.raises(InputError, match=said):
        find(str(tmp_path))


def test_a_config_of_fewer_layers_is_refused(tmp_path: Path) -> None:
    """Which transformers would load, truncated, with a warning."""
    cases.gpt2(3).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"'transformer.h.1.attn.c_attn.bias', one of 12 that its config has no layer"):
        models.load(tmp_path, cases.gpt2(3, n_layer=1))


def test_damage_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "zero.pt").touch()
    with pytest.raises(InputError, match=r"zero.pt is damaged, or not a file of torch.save \(\w+"):
        formats.index(tmp_path / "zero.pt")
    (tmp_path / "text.pt").write_text("hello there")
    with pytest.raises(InputError, match="text.pt (is damaged, or not a file of torch.save|was refused)"):
        formats.index(tmp_path / "text.pt")
    torch.save({"w": torch.eye(3).to_sparse()}, tmp_path / "sparse.pt")
    with pytest.raises(InputError, match="'w' is stored as sparse_coo"):
        formats.read(np.empty(9, np.float32), formats.index(tmp_path / "sparse.pt"))
    torch.save({"model": {"w": torch.ones(3)}, "state_dict": {"w": torch.zeros(3)}}, tmp_path / "both.pt")
    with pytest.raises(InputError, match=r"holds weights under \['state_dict', 'model'\]; save only"):
        formats.index(tmp_path / "both.pt")
    save_dcp({"w": torch.ones(300)}, tmp_path / "d")
    (shard,) = (tmp_path / "d").glob("*.distcp")
    os.truncate(shard, 700)
    with pytest.raises(InputError, match="d cannot be read"):
        formats.read(np.empty(300, np.float32), formats.index(tmp_path / "d"))
    (tmp_path / "d" / ".metadata").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=".metadata is damaged"):
        formats.index(tmp_path / "d")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n")
    with pytest.raises(InputError, match="is a pointer of Git LFS .* git lfs pull"):
        formats.index(tmp_path)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "pytorch_model-00001-of-00002.bin").touch()
    with pytest.raises(InputError, match="lacks their index, pytorch_model.bin.index.json; copy it"):
        find(str(tmp_path / "s"))


def test_a_mixture_of_experts_takes_transformers_own_way(tmp_path: Path) -> None:
    """Its experts lie one by one on disk and are one tensor in the model."""
    torch.manual_seed(2)
    settings = MixtralConfig(vocab_size=30, hidden_size=8, intermediate_size=10, num_hidden_layers=1,
                             num_attention_heads=2, num_key_value_heads=2, num_local_experts=3)  # fmt: skip
    model = MixtralForCausalLM(settings)
    model.save_pretrained(tmp_path)
    assert not load_file(tmp_path / "model.safetensors").keys() & {"model.layers.0.mlp.experts.gate_up_proj"}
    assert torch.equal(models.load(tmp_path, models.skeleton(tmp_path, "AutoModelForCausalLM")), vector(model))


def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="lists no tensors: it is empty or damaged; write it again, or fetch it again"):
        formats.index(tmp_path)
