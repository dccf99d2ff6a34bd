"""Adapters of PEFT: merged into their base, and as factors; truth is the forward pass with the change added to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import landscape as ls
from landscape.checkpoints import adapters, formats, models
from landscape.checkpoints.formats import read
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.space import Space

FEW: dict[str, Any] = {"sequences": 12, "length": 10, "points": 3, "resamples": 100}
LINES = ["--sequences", "12", "--length", "10", "--points", "3", "--resamples", "100"]
GPT2 = {"transformer.h.0.attn.c_attn": (12, 36), "transformer.h.1.attn.c_proj": (12, 12)}
"""Modules of the tiny GPT-2 with their inputs and outputs; the second is square, and stored turned."""
LLAMA = {"model.layers.0.self_attn.q_proj": (12, 12), "model.layers.1.mlp.down_proj": (20, 12)}


def adapter(
    folder: Path, base: str, modules: dict[str, tuple[int, int]], seed: int, rank: int = 3, **config: Any
) -> Path:
    """An adapter with factors in general position."""
    folder.mkdir(parents=True)
    random, tensors, rank = cases.generator(seed), dict[str, Tensor](), 3
    for name, (inputs, outputs) in modules.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = 0.4 * torch.randn(rank, inputs, generator=random)
        tensors[f"base_model.model.{name}.lora_B.weight"] = 0.4 * torch.randn(outputs, rank, generator=random)
        if config.get("use_dora"):
            lengths = 1 + torch.rand(outputs, generator=random)
            tensors[f"base_model.model.{name}.lora_magnitude_vector"] = lengths
    usual = {"peft_type": "LORA", "base_model_name_or_path": base, "r": rank, "lora_alpha": 7}
    (folder / "adapter_config.json").write_text(json.dumps({**usual, **config}))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cases.save(cases.gpt2(1), tmp_path / "base")
    torch.manual_seed(2)
    llama = LlamaForCausalLM(LlamaConfig(
        vocab_size=cases.WORDS, hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=3, max_position_embeddings=32,
    ))  # fmt: skip
    cases.save(cases.rough(llama), tmp_path / "llama")
    for seed in range(2):
        adapter(tmp_path / f"lora_{seed}", "base", GPT2, seed, fan_in_fan_out=True)
    (tmp_path / "text.txt").write_text(cases.TEXT)
    return tmp_path


def factors_of(path: Path) -> dict[str, Tensor]:

    return {
        name.removeprefix("base_model.model."): value
        for name, value in load_file(path / "adapter_model.safetensors").items()
    }


@contextmanager
def added(model: nn.Module, factors: dict[str, Tensor], scale: float) -> Generator[None]:
    """Within this context, each adapted module returns ``base(x) + scale * B A x``."""
    handles = []
    for name in {key.partition(".lora_")[0] for key in factors if ".lora_" in key}:
        a, b = (factors[f"{name}.lora_{side}.weight"] for side in "AB")

        def add(module: nn.Module, inputs: Any, output: Tensor, a: Tensor = a, b: Tensor = b) -> Tensor:
            return output + scale * F.linear(F.linear(inputs[0], a), b)

        handles.append(model.get_submodule(name).register_forward_hook(add))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def point_of(path: Path, like: nn.Module) -> nn.Module:
    """A model with the merged weights of a checkpoint."""
    for name, value in Space.of(like).params(models.load(path, like)).items():
        like.get_parameter(name).data.copy_(value)
    return like


IDS = torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(("rank_stabilised", "scale"), [(False, 7 / 3), (True, 7 / sqrt(3))])
def test_merged_weights_do_what_the_factors_do(folder: Path, rank_stabilised: bool, scale: float) -> None:
    path = adapter(folder / "one", "base", GPT2, 5, fan_in_fan_out=True, use_rslora=rank_stabilised)
    base = GPT2LMHeadModel.from_pretrained("base").eval()
    with torch.no_grad():
        with added(base, factors_of(path), scale):
            expected = base(IDS).logits
        found = point_of(path, GPT2LMHeadModel.from_pretrained("base").eval())(IDS).logits
        assert_close(found, expected, rtol=0, atol=2e-5)
        assert float((found - base(IDS).logits).abs().max()) > 0.1


def test_patterns_and_whole_modules(folder: Path) -> None:
    """Other ranks and strengths for some modules; a head that was trained whole."""
    pattern = r"layers\.1\.mlp\.down_proj"
    path = adapter(folder / "one", "llama", LLAMA, 5, alpha_pattern={pattern: 2.5}, modules_to_save=["lm_head"])
    own = factors_of(path)
    head = torch.randn(cases.WORDS, 12, generator=cases.generator(8))
    tensors = {f"base_model.model.{name}": value for name, value in {**own, "lm_head.weight": head}.items()}
    save_file(tensors, path / "adapter_model.safetensors")
    first, last = ({k: v for k, v in own.items() if k.startswith(name)} for name in LLAMA)
    base: Any = LlamaForCausalLM.from_pretrained("llama").eval()
    base.lm_head.weight.data.copy_(head)
    with torch.no_grad(), added(base, first, 7 / 3), added(base, last, 2.5 / 3):
        expected = base(IDS).logits
    with torch.no_grad():
        found = point_of(path, LlamaForCausalLM.from_pretrained("llama").eval())(IDS).logits
    assert_close(found, expected, rtol=0, atol=2e-5)
    factors = adapters.factored(path, folder / "llama", "AutoModelForCausalLM").eval()
    assert "lm_head.weight" in Space.of(factors).names
    for name, value in Space.of(factors).params(models.load(path / "adapter_model.safetensors", factors)).items():
        factors.get_parameter(name).data.copy_(value)
    with torch.no_grad():
        assert_close(factors(IDS).logits, expected, rtol=0, atol=2e-5)


def test_rows_of_dora_have_the_learned_lengths(folder: Path) -> None:
    path = adapter(folder / "one", "llama", LLAMA, 5, use_dora=True)
    stored, own = formats.index(path), factors_of(path)
    for name in LLAMA:
        weight = torch.empty(stored[f"{name}.weight"].shape)
        assert read(weight.view(-1).numpy(), {"": stored[f"{name}.weight"]})
        assert_close(weight.norm(dim=1), own[f"{name}.lora_magnitude_vector"], rtol=1e-6, atol=0)
        base = LlamaForCausalLM.from_pretrained("llama").get_parameter(f"{name}.weight").detach()
        whole = base + 7 / 3 * own[f"{name}.lora_B.weight"] @ own[f"{name}.lora_A.weight"]
        assert_close(F.normalize(weight), F.normalize(whole), rtol=0, atol=1e-6)


def test_embeddings_and_convolutions() -> None:
    from landscape.checkpoints.formats.peft import LowRank, merged
    from landscape.checkpoints.formats.tensors import Stored

    def held(array: np.ndarray) -> Stored:
        return Stored(Path("x"), "F32", array.shape, get=lambda: array)

    random = np.random.RandomState(3)
    table, a, b = (random.randn(*shape).astype(np.float32) for shape in ((9, 4), (2, 9), (4, 2)))
    found = merged(LowRank(held(a), held(b), 1.5, turned=True), held(table))
    ids = torch.tensor([3, 7])
    expected = F.embedding(ids, torch.from_numpy(table)) + 1.5 * F.embedding(
        ids, torch.from_numpy(a.T)
    ) @ torch.from_numpy(b.T)
    assert_close(F.embedding(ids, torch.from_numpy(found)), expected, rtol=0, atol=1e-6)
    kernel, a, b = (random.randn(*shape).astype(np.float32) for shape in ((5, 3, 2, 2), (2, 3, 2, 2), (5, 2, 1, 1)))
    found = merged(LowRank(held(a), held(b), 0.5, turned=False), held(kernel))
    x = torch.randn(1, 3, 6, 6, generator=cases.generator(2))
    kernel, a, b, found = (torch.from_numpy(values) for values in (kernel, a, b, found))
    expected = F.conv2d(x, kernel) + 0.5 * F.conv2d(F.conv2d(x, a), b)
    assert_close(F.conv2d(x, found), expected, rtol=0, atol=1e-5)


def test_both_paths_have_the_same_ends_and_other_middles(folder: Path) -> None:
    """Halfway, factors give ``W + s (B1 + B2)(A1 + A2) / 4``."""
    how = {**FEW, "text": "text.txt"}
    merged = ls.barriers(["lora_0", "lora_1"], **how)
    factors = ls.barriers(["lora_0", "lora_1"], adapter="factors", **how)
    assert set(merged.frame["adapter"]) == {"merged"} and set(factors.frame["adapter"]) == {"factors"}
    one, two = (found.profiles.set_index("t")["loss"] for found in (merged, factors))
    assert_close(one[[0.0, 1.0]].tolist(), two[[0.0, 1.0]].tolist(), rtol=0, atol=1e-6)
    assert abs(one[0.5] - two[0.5]) > 1e-3
    both = [factors_of(folder / f"lora_{seed}") for seed in range(2)]
    middle = {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}
    tensors = {f"base_model.model.{name}": value for name, value in middle.items()}
    shutil.copytree(folder / "lora_0", folder / "middle")
    save_file(tensors, folder / "middle" / "adapter_model.safetensors")
    there = ls.barriers(["middle", "base"], **how)
    assert there.frame["loss_a"].iloc[0] == pytest.approx(two[0.5], abs=1e-6)
    size = sum(value.numel() for value in middle.values())
    model = adapters.factored(folder / "lora_0", folder / "base", "AutoModelForCausalLM")
    assert Space.of(model).size == size and not any("base_layer" in name for name in Space.of(model).names)
    again = adapters.factored(folder / "lora_1", folder / "base", "AutoModelForCausalLM")
    shared = [dict(m.named_buffers())["transformer.wte.weight"] for m in (model, again)]
    assert shared[0].data_ptr() == shared[1].data_ptr()


@pytest.mark.slow
def test_the_coordinates_between_factors_are_a_symmetry(folder: Path) -> None:
    """``(B G, G^-1 A)`` is the same function; alignment finds it, and the barrier is gone."""
    own, random, moved = factors_of(folder / "lora_0"), cases.generator(9), dict[str, Tensor]()
    for name in GPT2:
        turn = torch.eye(3) + 0.5 * torch.randn(3, 3, generator=random)
        moved[f"base_model.model.{name}.lora_A.weight"] = torch.linalg.solve(
            turn, own[f"{name}.lora_A.weight"]
        ).contiguous()
        moved[f"base_model.model.{name}.lora_B.weight"] = own[f"{name}.lora_B.weight"] @ turn
    shutil.copytree(folder / "lora_0", folder / "turned")
    save_file(moved, folder / "turned" / "adapter_model.safetensors")
    how = {**FEW, "text": "text.txt", "adapter": "factors", "align": ["none", "weights", "random"]}
    found = ls.barriers(["lora_0", "turned"], **how)
    assert not found.failed and set(found.aligned["architecture"]) == {"adapter"}
    after = found.aligned.set_index("align").loc["weights"]
    assert after["distance_after"] < 1e-3 and (found.aligned["output_difference"] <= found.aligned["tolerance"]).all()
    chord = found.frame[found.frame["definition"] == "chord"].set_index("align")["barrier"]
    assert abs(chord["weights"]) < 1e-5
    written = ls.align("lora_0", "turned", out="written", text="text.txt", adapter="factors", **FEW)
    assert not written.failed and formats.is_adapter(folder / "written")
    same = ls.barriers(["written", "turned"], text="text.txt", **FEW)
    assert same.frame["loss_a"].iloc[0] == pytest.approx(same.frame["loss_b"].iloc[0], abs=1e-5)


@pytest.mark.slow
def test_a_command_and_a_study_take_adapters(folder: Path) -> None:
    done = CliRunner().invoke(
        cli, ["barriers", "lora_0", "lora_1", "--text", "text.txt", *LINES, "--adapter", "factors", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    (folder / "study.toml").write_text(
        'version = 1\nname = "adapters"\n[checkpoints]\nfolder = "lora_{seed}"\nadapter = "factors"\n[data]\n'
        'objective = "causal-lm"\ntext = "text.txt"\nsequences = 12\nlength = 10\n[[measure]]\nkind = "barriers"\n'
        'points = 3\nresamples = 100\n[[measure]]\nkind = "llc"\nchains = 2\ndraws = 6\nburn_in = 2\nbatch = 6\n'
    )
    ran = ls.run("study.toml", workers=1)
    assert not ran.failed and ran.rows("llc")["parameters"].iloc[0] == 2 * 3 * (12 + 36 + 12 + 12) // 2
    assert ran.rows("barrier").iloc[0]["loss_a"] == pytest.approx(rows[0]["loss_a"], abs=1e-9)
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('adapter = "factors"\n', ""))
    other = ls.run("study.toml", workers=1)
    assert not other.failed and not set(ran.keys) & set(other.keys)
    config = json.loads((folder / "lora_0" / "adapter_config.json").read_text())
    (folder / "lora_0" / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 9}))
    assert not set(other.keys) <= set(ls.run("study.toml", workers=1).keys)


def edited(folder: Path, **changes: Any) -> None:
    """An adapter whose config says something else."""
    file = folder / "lora_0" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "is an adapter of the type IA3, and LORA is read here; merge it with peft"),
        ({"init_lora_weights": "pissa_niter_4"}, "began from pissa_niter_4, which changes the weights of the base too"),
        ({"target_parameters": ["x"]}, "has target_parameters, which is not read here"),
        ({"base_model_name_or_path": "nowhere"}, "is an adapter of nowhere, which is not there; write the path"),
        ({"base_model_name_or_path": "lora_1"}, "the base of lora_0, lora_1, is an adapter itself"),
        (
            {"base_model_name_or_path": "llama"},
            r"changes transformer.h.*.weight, which its base does not have",
        ),
    ],
)
def test_adapters_that_cannot_be_merged_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    edited(folder, **changes)
    with pytest.raises(InputError, match=said):
        ls.barriers(["lora_0", "lora_1"], text="text.txt", **FEW)


def test_factors_need_adapters_of_one_base(folder: Path) -> None:
    how = {**FEW, "text": "text.txt", "adapter": "factors"}
    with pytest.raises(InputError, match='base is no adapter, and adapter = "factors" is for adapters'):
        ls.barriers(["lora_0", "base"], **how)
    shutil.copytree("base", "other")
    edited(folder, base_model_name_or_path="other")
    with pytest.raises(InputError, match="are of two bases, other and base"):
        ls.barriers(["lora_0", "lora_1"], **how)
    edited(folder, base_model_name_or_path="base", lora_alpha=3)
    with pytest.raises(InputError, match="lora_alpha is 3 in lora_0 and 7 in lora_1"):
        ls.barriers(["lora_0", "lora_1"], **how)
    dora = [str(adapter(folder / f"dora_{seed}", "llama", LLAMA, seed, use_dora=True)) for seed in range(2)]
    with pytest.raises(InputError, match=r"is of DoRA .*; take adapter = \"merged\""):
        ls.barriers(dora, **how)
    Path("lora_0/adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="has the config of an adapter and not its weights"):
        ls.barriers(["lora_0", "lora_1"], text="text.txt", **FEW)


@pytest.mark.filterwarnings("ignore")
def test_merged_weights_are_those_of_peft(folder: Path) -> None:
    """Where it is installed."""
    peft = pytest.importorskip("peft")
    for path, base, kind in (
        (adapter(folder / "one", "base", GPT2, 5, fan_in_fan_out=True), "base", GPT2LMHeadModel),
        (adapter(folder / "two", "llama", LLAMA, 6, use_dora=True), "llama", LlamaForCausalLM),
        (adapter(folder / "three", "llama", LLAMA, 7, use_rslora=True), "llama", LlamaForCausalLM),
    ):
        config = json.loads((path / "adapter_config.json").read_text())
        which = list(GPT2 if base == "base" else LLAMA)
        (path / "adapter_config.json").write_text(
            json.dumps({**config, "target_modules": which, "task_type": "CAUSAL_LM"})
        )
        merged = peft.PeftModel.from_pretrained(kind.from_pretrained(base), path).merge_and_unload()
        ours = Space.of(merged).params(models.load(path, kind.from_pretrained(base)))
        for name, value in merged.named_parameters():
            assert_close(ours[name], value.detach(), rtol=0, atol=3e-7)
