"""Points that stay in their files give the numbers of points in memory, and take no memory of their own."""

from __future__ import annotations

from pathlib import Path

import cases
import pytest
import torch
from torch.testing import assert_close
from transformers import LlamaConfig

import landscape as ls
from landscape import anchor, memory
from landscape.checkpoints import hollow, models
from landscape.checkpoints.on_disk import PointOnDisk
from landscape.errors import InputError
from landscape.measure.prepare import prepare
from landscape.objectives import causal_lm
from landscape.paths import arcs
from landscape.points.combine import combine, combine_tensors
from landscape.points.evaluate import dtype_error, losses
from landscape.points.streamed import streamed
from landscape.session.room import most_workers
from landscape.space import Space
from landscape.study.file import read_study
from landscape.study.store import Store

SMALL = {"vocab_size": cases.WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
IDS = torch.randint(5, cases.WORDS, (7, 12), generator=cases.generator(8))
ROWS = torch.tensor([[1.0, 0.0], [0.3, 0.7], [-0.2, 1.1]], dtype=torch.float64)
ROUNDING = 1e-6
"""Largest difference of losses that the order of float32 sums explains."""


def llama(**more: object) -> LlamaConfig:
    return LlamaConfig(**SMALL, intermediate_size=20, **more)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces end within tensors, as they do in large models."""
    from landscape.points import combine as module

    for where in (anchor, hollow, module):
        monkeypatch.setattr(where, "PIECE", 50)


@pytest.fixture(params=["float32", "bfloat16", "float16", "shards", "torch"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """Two checkpoints of one architecture, in a format."""
    out = []
    for seed in (1, 2):
        model = cases.auto(llama(), seed)
        folder = tmp_path / str(seed)
        if request.param == "torch":
            folder.mkdir()
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
            model.config.save_pretrained(folder)
        elif request.param == "shards":
            model.save_pretrained(folder, max_shard_size="5KB")
            assert len(list(folder.glob("*.safetensors"))) > 1
        else:
            model.to(getattr(torch, request.param)).save_pretrained(folder)
        out.append(folder)
    return out


def test_coordinates_are_those_that_are_loaded(folders: list[Path], small_pieces: None) -> None:
    model = cases.auto(llama())
    point, whole = PointOnDisk.of(folders[0], model), models.load(folders[0], model)
    assert len(point) == len(whole)
    assert torch.equal(anchor.values(point, 0, len(point)), whole)
    for begin, end in ((7, 31), (590, 640), (len(whole) - 3, len(whole))):
        assert torch.equal(anchor.values(point, begin, end), whole[begin:end])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_points_are_combined_in_float32_and_rounded_once(
    folders: list[Path], small_pieces: None, dtype: torch.dtype
) -> None:
    model = cases.auto(llama())
    files, vectors = ([make(f, model) for f in folders] for make in (PointOnDisk.of, models.load))
    sizes = Space.of(model).sizes
    out, wanted = torch.empty(len(vectors[0]), dtype=dtype), torch.empty(len(vectors[0]))
    for row in ROWS:
        combine(row.tolist(), files, out)
        combine(row.tolist(), vectors, wanted)
        assert_close(out, wanted.to(dtype), rtol=0, atol=0)
    each = torch.rand(len(sizes), 2, generator=cases.generator(3))
    combine_tensors(each, files, out, sizes)
    combine_tensors(each, vectors, wanted, sizes)
    assert_close(out, wanted.to(dtype), rtol=0, atol=0)


def test_distances_and_angles_are_those_of_vectors(folders: list[Path], small_pieces: None) -> None:
    model = cases.auto(llama())
    files, vectors = ([make(f, model) for f in folders] for make in (PointOnDisk.of, models.load))
    assert anchor.distance(*files) == pytest.approx(float((vectors[1] - vectors[0]).double().norm()), rel=1e-9)
    assert anchor.norm(files[0]) == pytest.approx(float(vectors[0].double().norm()), rel=1e-9)
    sizes = Space.of(model).sizes
    assert_close(arcs.angles(*files, sizes), arcs.angles(*vectors, sizes))


def test_a_model_without_memory_has_its_buffers_and_is_filled_with_a_checkpoint(tmp_path: Path) -> None:
    cases.auto(llama(), 1).save_pretrained(tmp_path)
    usual, empty = (models.skeleton(tmp_path, "AutoModelForCausalLM", hollow=hollow) for hollow in (False, True))
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert Space.of(usual) == Space.of(empty)
    for name, buffer in usual.named_buffers():
        assert_close(empty.get_buffer(name), buffer)
    with torch.no_grad(), hollow.filled(empty, torch.float32, tmp_path):
        assert_close(empty(IDS).logits, cases.auto(llama(), 1)(IDS).logits)
    assert all(parameter.is_meta for parameter in empty.parameters())
    with torch.no_grad(), hollow.filled(empty, torch.float32, None):
        assert empty(IDS).logits.std() > 0.0001


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    cases.gpt2().save_pretrained(tmp_path)
    empty = models.skeleton(tmp_path, "AutoModelForCausalLM", hollow=True)
    assert empty.lm_head.weight is empty.transformer.wte.weight
    with hollow.filled(empty, torch.float32, tmp_path):
        assert empty.lm_head.weight is empty.transformer.wte.weight
        assert_close(empty.lm_head.weight, cases.gpt2().lm_head.weight)


def _both(folders: list[Path]) -> tuple[object, ...]:
    usual = causal_lm.build(models.skeleton(folders[0], "AutoModelForCausalLM"), {"input_ids": IDS})
    empty = models.skeleton(folders[0], "AutoModelForCausalLM", hollow=True)
    with hollow.filled(empty, torch.float32, folders[0]):
        built = causal_lm.build(empty, {"input_ids": IDS})
    vectors = [models.load(folder, usual.model) for folder in folders]
    files = [PointOnDisk.of(folder, empty) for folder in folders]
    return usual, built, vectors, files


def test_losses_are_those_of_points_in_memory(folders: list[Path], small_pieces: None) -> None:
    usual, empty, vectors, files = _both(folders)
    wanted = losses(usual, vectors, ROWS)
    assert wanted.std() > 0.001
    assert_close(losses(empty, files, ROWS), wanted, rtol=0, atol=ROUNDING)
    assert_close(streamed(empty, files, ROWS)["loss"], wanted, rtol=0, atol=ROUNDING)
    rounded = losses(usual, vectors, ROWS, dtype="bfloat16")
    assert_close(losses(empty, files, ROWS, dtype="bfloat16"), rounded, rtol=0, atol=0)
    assert_close(streamed(empty, files, ROWS, dtype=torch.bfloat16)["loss"], rounded, rtol=0, atol=0)
    from landscape.points.strategy import Strategy

    assert dtype_error(empty, files, ROWS, rounded, Strategy()) == pytest.approx(
        dtype_error(usual, vectors, ROWS, rounded, Strategy()), abs=ROUNDING
    )
    assert all(parameter.is_meta for parameter in empty.model.parameters())


class Borrows(torch.nn.Module):
    """Uses the parameter of another module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.to(self.inner.weight.dtype), self.inner.weight).squeeze(1)


def test_a_parameter_that_another_module_uses_cannot_be_streamed(tmp_path: Path) -> None:
    """Then the whole point is in memory."""
    from safetensors.torch import save_file

    from landscape.objectives import module
    from landscape.points.strategy import Strategy

    values = {"inner.weight": torch.tensor([[0.1, 0.3, -0.7]]), "inner.bias": torch.tensor([0.2])}
    save_file(values, tmp_path / "model.safetensors")
    with hollow.without_memory():
        model = Borrows()
    batch = {"inputs": torch.randn(5, 3, generator=cases.generator(1))}
    objective = module.build(model, batch, lambda out, part: out**2)
    point = PointOnDisk.of(tmp_path, model)
    one = torch.ones(1, 1)
    with pytest.raises(RuntimeError, match="used outside of the module that owns it"):
        streamed(objective, [point], one)
    rounded = losses(objective, [point], one, dtype="bfloat16").float()
    assert 0 < dtype_error(objective, [point], one, rounded, Strategy()) < 0.01


def test_a_value_that_is_not_finite_is_named(tmp_path: Path) -> None:
    model = cases.auto(llama(), 1)
    with torch.no_grad():
        model.model.norm.weight[[2, 5]] = torch.inf
    model.save_pretrained(tmp_path)
    point = PointOnDisk.of(tmp_path, model)
    with pytest.raises(InputError, match=r"2 of 12 values of parameter 'model.norm.weight' are NaN or infinite"):
        anchor.norm(point)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    model = cases.auto(llama(), 1)
    model.save_pretrained(tmp_path)
    point = PointOnDisk.of(tmp_path, model)
    cases.auto(llama(), 2).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has changed while it was read"):
        anchor.norm(point)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two checkpoints with a tokenizer."""
    root = tmp_path_factory.mktemp("saved")
    for seed in (1, 2):
        cases.auto(llama(initializer_range=0.4), seed).save_pretrained(root / str(seed))
        cases.tokenizer().save_pretrained(root / str(seed))
    (root / "text.txt").write_text(cases.TEXT)
    return [str(root / "1"), str(root / "2")]


@pytest.mark.parametrize(("path", "dtype"), [("linear", "float32"), ("spherical", "float32"), ("linear", "bfloat16")])
def test_barriers_are_the_same_where_memory_is_short(
    saved: list[str], monkeypatch: pytest.MonkeyPatch, path: str, dtype: str
) -> None:
    text = str(Path(saved[0]).parent / "text.txt")

    def found() -> ls.BarrierMatrix:
        return ls.barriers(saved, text=text, sequences=8, length=12, points=5, path=path, dtype=dtype)

    usual = found()
    monkeypatch.setenv(memory.LIMIT, "0.4")
    short = found()
    columns = [*usual.frame.columns.drop(["seconds", "strategy", "threads"])]
    assert usual.frame["barrier"].abs().max() > 0.01
    for column in columns:
        if usual.frame[column].dtype.kind == "f":
            assert usual.frame[column].to_numpy(float) == pytest.approx(
                short.frame[column].to_numpy(float), abs=1e-5, nan_ok=True
            ), column
        else:
            assert usual.frame[column].tolist() == short.frame[column].tolist(), column


def test_what_does_not_fit_is_refused_with_both_numbers(saved: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = str(Path(saved[0]).parent / "text.txt")
    monkeypatch.setenv(memory.LIMIT, "0.2")
    with pytest.raises(InputError, match=r"needs 0.25 GB, 0.2 GB are free; use --dtype bfloat16"):
        ls.barriers(saved, text=text, sequences=8, length=12)
    with pytest.raises(InputError, match=r"points that a task holds at once: needs 0.25 GB, 0.2 GB are free; take a"):
        ls.llc(saved[0], text=text, sequences=8, length=12, batch=4)
    monkeypatch.setenv(memory.LIMIT, "much")
    with pytest.raises(InputError, match="LANDSCAPE_MEMORY is 'much'; give a number of GB"):
        ls.barriers(saved, text=text, sequences=8, length=12)


def test_workers_share_the_memory(saved: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are wanted, and those that are chosen."""
    root = Path(saved[0]).parent
    (tmp_path / "study.toml").write_text(
        f'version = 1\nname = "two"\n[checkpoints]\nfolder = "{root}/{{seed}}"\n[data]\nobjective = "causal-lm"\n'
        f'text = "{root}/text.txt"\nsequences = 8\nlength = 12\n[[measure]]\nkind = "barriers"\n'
    )
    study, store = read_study(tmp_path / "study.toml"), Store(tmp_path / "results")
    monkeypatch.setenv(memory.LIMIT, "0.6")
    session = prepare(study, store).session
    size = session.batches.objective("main").space.size
    assert not session.on_disk and most_workers(session.tasks, size, torch.device("cpu")) == 2
    assert prepare(study, store, workers=2).session.on_disk, "half of the memory is more than half full"
    with pytest.raises(InputError, match=r"needs 0.25 GB, 0.2 GB are free; .* this is for each of 3 workers"):
        prepare(study, store, workers=3)


def test_free_memory_is_that_of_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "INFO", info)
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    monkeypatch.delenv(memory.LIMIT, raising=False)
    assert memory.free() == 4_096_000
    for name, text in (("memory.max", "3000000"), ("memory.current", "2500000"), ("memory.stat", "inactive_file 700")):
        (tmp_path / name).write_text(text)
    assert memory.free() == 500_700
    (tmp_path / "memory.max").write_text("max")
    assert memory.free() == 4_096_000
