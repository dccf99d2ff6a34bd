"""Points that are spread over devices have the losses of points in one memory."""

from __future__ import annotations

import sys
from pathlib import Path

import cases
import pytest
import torch
from click.testing import CliRunner
from torch.testing import assert_close
from transformers import GPT2Config, LlamaConfig, PretrainedConfig

import landscape as ls
from landscape.checkpoints import hollow, models
from landscape.checkpoints.on_disk import PointOnDisk
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.measure import prepare
from landscape.objectives import causal_lm, module
from landscape.points.evaluate import losses
from landscape.points.streamed import NOWHERE, Borrowed, Placement, streamed
from landscape.session import evaluator, room
from landscape.session.placement import spread
from landscape.study.sections import Data

IDS = torch.randint(5, cases.WORDS, (7, 12), generator=cases.generator(8))
ROWS = torch.tensor([[1.0, 0.0], [0.3, 0.7], [-0.2, 1.1]], dtype=torch.float64)
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(
        vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=3, num_attention_heads=3, intermediate_size=20
    ),
    "gpt2, tied": GPT2Config(
        vocab_size=cases.WORDS, n_embd=12, n_layer=3, n_head=3, n_positions=32, bos_token_id=None, eos_token_id=None
    ),
}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def saved(folder: Path, name: str) -> list[Path]:
    """Two checkpoints of an architecture."""
    for seed in (1, 2):
        cases.auto(CONFIGS[name], seed).save_pretrained(folder / str(seed))
    return [folder / "1", folder / "2"]


def test_the_device_of_a_module_is_that_of_what_it_is_in() -> None:
    one, two = torch.device("cuda:0"), torch.device("cuda:1")
    some = Placement({"body.layers.1": one, "body.layers.10": two, "head": two})
    assert some.of("body.layers.1.mlp") == some.of("body.layers.1") == one
    assert some.of("body.layers.10.mlp") == some.of("head") == two
    assert some.of("body.layers.2") is some.of("body") is some.of("") is None
    assert Placement({"": one}).of("body.layers.2") == Placement({"": one}).of("") == one


@pytest.mark.parametrize("name", CONFIGS)
def test_accelerate_divides_the_model_between_gpus(tmp_path: Path, name: str) -> None:
    """Layers are never torn, and what fits on no GPU has no place."""
    model = models.skeleton(saved(tmp_path, name)[0], "AutoModelForCausalLM", hollow=True)
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    some = spread(model, torch.float32, torch.device("cuda:0"), {0: size // 2, 1: size // 2, "cpu": 10 * size})
    assert {str(device) for device in some.devices.values()} == {"cuda:0", "cuda:1"}
    layers = [path for path, module in model.named_modules() if type(module).__name__ in model._no_split_modules]
    assert all(len({some.of(path) for path, _ in model.named_modules() if path.startswith(f"{layer}.")}) == 1
               for layer in layers) and len(layers) == 3  # fmt: skip
    assert any(some.of(path) is None for path, module in model.named_modules() if module._parameters)
    assert spread(model, torch.float32, torch.device("cpu")) == NOWHERE


@gpu
@pytest.mark.parametrize("name", CONFIGS)
def test_losses_on_several_devices_are_those_of_one(tmp_path: Path, name: str) -> None:
    """One GPU and the CPU stand for two GPUs."""
    folders = saved(tmp_path, name)
    usual = causal_lm.build(models.skeleton(folders[0], "AutoModelForCausalLM"), {"input_ids": IDS})
    wanted = losses(usual, [models.load(folder, usual.model) for folder in folders], ROWS)
    empty = models.skeleton(folders[0], "AutoModelForCausalLM", hollow=True)
    with hollow.filled(empty, torch.float32, folders[0]):
        built = causal_lm.build(empty, {"input_ids": IDS}).to(torch.device("cuda"))
    files = [PointOnDisk.of(folder, empty) for folder in folders]
    layers = [path for path, module in empty.named_modules() if type(module).__name__ in empty._no_split_modules]
    cpu, cuda = torch.device("cpu"), torch.device("cuda:0")
    for places in ({}, {layers[1]: cpu}, {layers[0]: cuda, layers[1]: cpu}, {"": cuda}):
        found = streamed(built, files, ROWS, placement=Placement(places))["loss"]
        assert_close(found, wanted, rtol=0, atol=2e-6)
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert {buffer.device.type for buffer in empty.buffers()} <= {"cuda"}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
def test_barriers_are_those_of_one_memory(few_runs: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = [few_runs / "seed_0" / "step_10", few_runs / "seed_1" / "step_10"]
    options = {"sequences": 8, "length": 16, "points": 5}
    usual = ls.barriers(refs, **options)
    monkeypatch.setattr(evaluator, "evaluate", None)  # no point is in one memory
    apart = ls.barriers(refs, **options, device=device, device_map="auto")
    matrices = [one.matrix.to_numpy(float) for one in (apart, usual)]
    assert matrices[0] == pytest.approx(matrices[1], abs=1e-5) and matrices[1].max() > 0.001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--align", "weights"], "device_map = auto is for tasks that only combine checkpoints"),
        (["--dtype", "auto"], "dtypes are not timed where device_map = auto; give dtype = float32 or bfloat16"),
    ],
)
def test_what_cannot_be_spread_is_refused(few_runs: Path, options: list[str], message: str) -> None:
    size = ["--sequences", "8", "--length", "16"]
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in (0, 1)]
    found = CliRunner().invoke(cli, ["barriers", *refs, *size, "--device-map", "auto", *options])
    assert found.exit_code and message in str(found.exception)


def test_one_worker_has_all_gpus() -> None:
    from landscape.engines.settings import EngineSettings
    from landscape.face.inputs import settings

    for options in ({"device": "cuda:all"}, {"workers": 2}):
        with pytest.raises(InputError, match="with device_map = auto one worker has all GPUs: give device = cuda"):
            settings(EngineSettings, {"device_map": "auto", **options})


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"needs accelerate, .* pip install 'landscape-toolkit\[spread\]'"):
        spread(torch.nn.Linear(2, 2), torch.float32, torch.device("cuda"))


def test_a_model_that_cannot_be_taken_apart_is_named(few_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def borrows(*_: object, **__: object) -> None:
        raise Borrowed

    monkeypatch.setattr(evaluator, "streamed", borrows)
    refs = [few_runs / "seed_0" / "step_10", few_runs / "seed_1" / "step_10"]
    found = ls.barriers(refs, sequences=8, length=16, points=5, device_map="auto")
    why = "a module of this model uses a parameter of another one, which may be on another device; leave out device_map"
    assert len(found.failed) == 3 and all(message.endswith(why) for message in found.failed.values())


def test_statistics_and_own_objectives_are_refused(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    batch = {"inputs": torch.randn(6, 3, generator=cases.generator(1))}
    norms = module.build(model, batch, lambda out, part: out.sum(dim=1) ** 2, statistics=(batch,))
    with pytest.raises(InputError, match="device_map = auto is for models without BatchNorm"):
        prepare._require_alike({"main": norms}, [], True)
    with pytest.raises(InputError, match="device_map = auto is for models of transformers, and the objective is your"):
        room.stays_on_disk([], Data(objective="mine.py:build"), torch.device("cpu"), spread=True)
