"""What checkpoints hold beside parameters, and whether text and tokenizer are theirs."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cases
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from puppets import speaker
from safetensors.torch import load_file, save_file
from test_cli import call
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

from landscape.checkpoints import find, models, tokenizers
from landscape.cli.main import cli
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.face.cautions import found
from landscape.figures.captions import caption
from landscape.measure import prepare
from landscape.objectives import Objective
from landscape.session import agree, evaluator
from landscape.session.buffers import Buffers
from landscape.session.data import build, fingerprint, fingerprint_of_probes, unknown_share
from landscape.session.evaluator import Choices, Evaluator
from landscape.session.result import How, Values
from landscape.space import learned_buffers
from landscape.study.checkpoint import Checkpoint
from landscape.study.file import read_study
from landscape.study.sections import Data
from landscape.study.store import EMPTY, Store

BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"


def mixture(seed: int) -> Any:
    torch.manual_seed(seed)
    config = DeepseekV3Config(
        vocab_size=cases.WORDS, hidden_size=12, intermediate_size=20, num_attention_heads=3, num_key_value_heads=3,
        max_position_embeddings=32, num_hidden_layers=2, q_lora_rank=6, kv_lora_rank=6, qk_rope_head_dim=4,
        qk_nope_head_dim=4, v_head_dim=4, n_routed_experts=6, num_experts_per_tok=2, n_group=2, topk_group=1,
        moe_intermediate_size=8, first_k_dense_replace=1, n_shared_experts=1, pad_token_id=3,
    )  # fmt: skip
    model = cases.rough(DeepseekV3ForCausalLM(config))
    with torch.no_grad():
        model.get_buffer(BIAS).copy_(torch.randn(6) * 2)
    return model


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two mixtures of experts, each with a bias of its router; not to be written to."""
    folder = tmp_path_factory.mktemp("mixtures")
    for seed in (0, 1):
        cases.save(mixture(seed), folder / f"seed_{seed}" / "step_5")
    return folder


def own_loss(model: Any, ids: Tensor) -> float:
    with torch.no_grad():
        return float(torch.stack([model(input_ids=row[None], labels=row[None]).loss for row in ids]).mean())


def blend(a: Any, b: Any, t: float, bias: Tensor) -> Any:
    """The definition: parameters mixed, the bias of one end."""
    model = mixture(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_((1 - t) * a.get_parameter(name) + t * b.get_parameter(name))
        model.get_buffer(BIAS).copy_(bias)
    return model


@pytest.mark.slow
def test_points_take_the_buffers_of_the_nearer_end(mixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(mixtures, tmp_path / "study")
    study = read_study(cases.study(tmp_path / "study", measure="keep_losses = true"))
    assert run_study(study, tmp_path / "study", device="cpu", workers=1) == {}
    store = Store(tmp_path / "study" / "results")
    keys = [task["key"] for task in store.record()["tasks"]]
    profile = store.rows("profile", keys).set_index("t")["loss"]
    ids = build(study.data, find(str(tmp_path / "study/seed_0/step_5"))[0]).batch["input_ids"]
    a, b = (AutoModelForCausalLM.from_pretrained(tmp_path / f"study/seed_{s}/step_5").eval() for s in (0, 1))
    biases = [model.get_buffer(BIAS) for model in (a, b)]
    for t, bias in ((0, biases[0]), (0.25, biases[0]), (0.5, biases[0]), (0.75, biases[1]), (1, biases[1])):
        wanted = own_loss(blend(a, b, t, bias), ids)
        assert profile[t] == pytest.approx(wanted, abs=2e-5)
        assert abs(own_loss(blend(a, b, t, biases[0] if bias is biases[1] else biases[1]), ids) - wanted) > 1e-3
    barriers = store.rows("barrier", keys)
    assert set(barriers["buffers"]) == {"nearer end"} and set(store.rows("loss", keys)["buffers"]) == {"own"}
    (said,) = [line for line in store.record()["warnings"] if "learned buffers" in line]
    assert said.startswith(f"the checkpoints differ in 1 learned buffers ({BIAS}): a point between two ends")


def test_points_take_means_of_buffers_if_that_is_asked_for(mixtures: Path, tmp_path: Path) -> None:
    refs = [str(mixtures / f"seed_{s}/step_5") for s in (0, 1)]
    (tmp_path / "t.txt").write_text(cases.TEXT)
    text = str(tmp_path / "t.txt")
    given = ["barriers", *refs, "--text", text, "--sequences", "6", "--length", "10", "--points", "5", "--json"]
    data = Data.model_validate({"objective": "causal-lm", "text": text, "sequences": 6, "length": 10})
    ids = build(data, find(refs[0])[0]).batch["input_ids"]
    a, b = (AutoModelForCausalLM.from_pretrained(ref).eval() for ref in refs)
    for how in ("nearest", "interpolated"):
        result = CliRunner().invoke(cli, [*given, "--buffers", how])
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert {row["buffers"] for row in rows if row["table"] == "barrier"} == {
            {"nearest": "nearer end", "interpolated": "interpolated"}[how]
        }
        assert ("takes their mean" in " ".join(result.stderr.split())) is (how == "interpolated")
        for row in (row for row in rows if row["table"] == "profile"):
            mean = (1 - row["t"]) * a.get_buffer(BIAS) + row["t"] * b.get_buffer(BIAS)
            nearest = (b if row["t"] > 0.5 else a).get_buffer(BIAS)
            wanted = own_loss(blend(a, b, row["t"], mean if how == "interpolated" else nearest), ids)
            assert row["loss"] == pytest.approx(wanted, abs=2e-5)


def test_the_buffers_of_the_largest_coefficient(mixtures: Path) -> None:
    refs = [Checkpoint(str(mixtures / f"seed_{s}/step_5"), content=str(s)) for s in (0, 1)]
    buffers = Buffers.of(models.skeleton(Path(refs[0].ref), "AutoModelForCausalLM"))
    rows = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1], [0.45, 0.55]])
    found = [here.tolist() for own, here in buffers.shared(refs, rows) if own is buffers.read(refs[0])]
    assert found == [[1, 2]] and [here.tolist() for _, here in buffers.shared(refs, rows)][1] == [0, 3]
    # A row for each tensor: the mean over tensors counts, here 0.55 and 0.45.
    tensors = torch.stack([torch.stack([torch.tensor([0.9, 0.1]), torch.tensor([0.2, 0.8])])])
    assert [own is buffers.read(refs[0]) for own, _ in buffers.shared(refs, tensors)] == [True]
    assert [here.tolist() for _, here in buffers.shared(refs[:1], rows)] == [[0, 1, 2, 3]]
    other = models.skeleton(Path(refs[0].ref), "AutoModelForCausalLM")
    buffers.give(refs[1], other)
    torch.testing.assert_close(other.get_buffer(BIAS), mixture(1).get_buffer(BIAS), rtol=0, atol=0)
    with pytest.raises(InputError, match=f"differ in learned buffers such as '{BIAS}', .* and a plane takes one set"):
        buffers.give_common(refs, "a plane", other)
    buffers.give_common([refs[0], refs[0]], "a plane", other)
    torch.testing.assert_close(other.get_buffer(BIAS), mixture(0).get_buffer(BIAS), rtol=0, atol=0)


def test_values_come_back_in_the_order_of_their_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that says its own number, in groups that are no involution of the order."""
    refs = [Checkpoint(str(n), content=str(n)) for n in range(3)]
    bowl = Objective(cases.Bowl(torch.ones(1)), {"x": torch.ones(2)}, lambda *_: {}, "unit")
    choices = Choices(bowl, 0, torch.device("cpu"))
    known = {str(n): {"x": torch.full((1,), n)} for n in range(3)}
    buffers = Buffers(nn.Linear(1, 1), {"x": torch.zeros(1)}, known=known)
    monkeypatch.setattr(evaluator, "put", lambda *_: None)

    def evaluated(_: object, __: object, rows: Tensor, *___: object) -> Values:
        numbers = rows.sum(dim=1, keepdim=True).double().numpy()
        return Values(numbers, {"m": 10 * numbers}, float(numbers.max()), How("cpu", "loop 1x2", 1, 2.0))

    monkeypatch.setattr(evaluator, "_evaluated", evaluated)
    rows = torch.zeros(5, 3)
    rows[range(5), [2, 0, 1, 2, 0]] = torch.tensor([1.0, 2, 3, 4, 5])
    found = Evaluator(choices, buffers, refs, "bfloat16").evaluate([], rows)
    assert found.losses[:, 0].tolist() == [1, 2, 3, 4, 5] and found.metrics["m"][:, 0].tolist() == [10, 20, 30, 40, 50]
    assert found.dtype_error == 5 and found.how == How("cpu", "loop 1x2", 1, 6.0)


def test_running_statistics_and_constants_are_not_learned() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.register_buffer("scale", torch.ones(1))
            self.register_buffer("index", torch.arange(2))
            self.register_buffer("mask", torch.ones(2), persistent=False)

    assert list(learned_buffers(Scaled())) == ["scale"]


def test_keys_change_where_buffers_count_and_nowhere_else(mixtures: Path, few_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(cases.TEXT)
    data = Data(objective="causal-lm", text=str(tmp_path / "t"), sequences=4, length=9)
    plain = find(str(few_runs / "seed_0/step_0"))[0]
    # As it was before there was anything to say about first tokens and buffers.
    assert fingerprint(data, plain) == "4e9d9fdf7c2d52eda9df758ba7fb20e1dad0a92e18fab963605ecc64a8926e60"
    assert fingerprint(data, plain) != fingerprint(data, find(str(mixtures / "seed_0/step_5"))[0])
    assert fingerprint(data, plain) == fingerprint_of_probes(data, plain)


def test_keys_know_the_first_token(few_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(few_runs / "seed_0/step_0", tmp_path / "a")
    (tmp_path / "t").write_text(cases.TEXT)
    (checkpoint,) = find(str(tmp_path / "a"))
    data = Data(objective="causal-lm", text=str(tmp_path / "t"), sequences=4, length=9)
    plain = fingerprint(data, checkpoint)
    config = tmp_path / "a" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "bos_token": "[CLS]"}))
    true, false = (data.model_copy(update={"bos": bos}) for bos in (True, False))
    assert fingerprint(data, checkpoint) == fingerprint(false, checkpoint) == plain != fingerprint(true, checkpoint)
    # Probes began with the token wherever there was one: their keys change where they do not any more.
    probes = [fingerprint_of_probes(how, checkpoint) for how in (data, false, true)]
    assert probes[0] == probes[1] != plain == probes[2]


def test_a_tokenizer_is_loaded_again_when_its_files_change(few_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(few_runs / "seed_0/step_0", tmp_path / "a")
    first = tokenizers.shared(tmp_path / "a")
    assert tokenizers.shared(tmp_path / "a") is first and first.bos_token is None
    config = tmp_path / "a" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "bos_token": "[CLS]"}))
    second = tokenizers.shared(tmp_path / "a")
    assert second.bos_token == "[CLS]" and first.bos_token is None
    before = config.stat()
    config.write_text(config.read_text().replace('"[CLS]"', '"[SEP]"'))
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert config.stat().st_size == before.st_size and tokenizers.shared(tmp_path / "a").bos_token == "[SEP]"
    with pytest.raises(InputError, match="holds no tokenizer"):
        tokenizers.shared(tmp_path / "b")


def test_data_are_fingerprinted_once(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tasks read them."""
    asked: list[str] = []
    monkeypatch.setattr(prepare.fixed, "fingerprint", lambda data, checkpoint: asked.append(data.text) or "of batches")
    shutil.copytree(few_runs, tmp_path / "runs")
    planned = prepare.prepare(read_study(cases.study(tmp_path / "runs")), Store(tmp_path / "results")).tasks
    assert len(planned) > 5 and {task.data for task in planned} == {"of batches"} and len(asked) == 1


def with_tensors(folder: Path, more: dict[str, Tensor]) -> None:
    file = folder / "model.safetensors"
    save_file({**load_file(file), **more}, file)


def test_tensors_without_a_place_are_counted_and_named(few_runs: Path, tmp_path: Path) -> None:
    refs = []
    for n in range(3):
        shutil.copytree(few_runs / f"seed_{n}/step_0", tmp_path / str(n))
        refs.append(Checkpoint(str(tmp_path / str(n)), content=str(n)))
    model = models.skeleton(tmp_path / "0", "AutoModelForCausalLM")
    masks = {"transformer.h.0.attn.bias": torch.ones(1, 1, 24, 24), "transformer.h.0.attn.masked_bias": torch.ones(1)}
    with_tensors(tmp_path / "0", masks)
    assert agree.of_tensors(refs, model) == []
    with_tensors(tmp_path / "1", {"score.weight": torch.ones(2, 12), "h.0.lora_A": torch.ones(2)})
    (tmp_path / "2" / "adapter_model.safetensors").unlink(missing_ok=True)
    save_file({"base_model.h.0.lora_B.weight": torch.ones(2)}, tmp_path / "2" / "adapter_model.safetensors")
    (said,) = agree.of_tensors(refs, model)
    assert said.startswith(f"2 tensors in {tmp_path / '1'} and in 1 other checkpoints have no place in a GPT2LMHead")
    assert "h.0.lora_A, score.weight; an adapter in a folder of its own is merged into its base" in said
    (said,) = agree.of_tensors(refs[2:], model)
    assert said.startswith(f"1 tensors in {tmp_path / '2'} have no place") and "lora_B" in said


def test_nothing_is_left_over_of_a_converted_mixture(mixtures: Path) -> None:
    here = mixtures / "seed_0/step_5"
    assert models.unused(here, models.skeleton(here, "AutoModelForCausalLM")) == ()


def tokenizer_of(words: list[str], folder: Path) -> Checkpoint:
    speaker(words).save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    return Checkpoint(str(folder))


def test_tokenizers_are_compared_by_their_tables(tmp_path: Path) -> None:
    words = ["the", "dog", "barks"]
    a, same = (tokenizer_of(words, tmp_path / name) for name in "ab")
    bare = replace(a, ref=str(tmp_path / "bare"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    assert agree.of_tokenizers([a, same, bare]) == []
    other = tokenizer_of(["dog", "the", "barks"], tmp_path / "c")
    with pytest.raises(InputError, match=rf"two tokenizers: 'dog' is 6 in {a.ref} and 5 in .*c, one of 2 tokens"):
        agree.of_tokenizers([a, same, bare, other])
    longer = tokenizer_of([*words, "cat"], tmp_path / "d")
    with pytest.raises(InputError, match="'cat' is no token in .* one of 1 tokens .* or --tokenizer"):
        agree.of_tokenizers([a, longer])
    file = tmp_path / "b" / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text())))  # another file, the same table
    (said,) = agree.of_tokenizers([a, same])
    assert said.startswith(f"the tokenizer files of {same.ref} are not those of {a.ref}")


def test_a_chosen_tokenizer_decides(few_runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        shutil.copytree(few_runs / f"seed_{n}/step_0", tmp_path / str(n))
    words = [f"w{n}" for n in range(52, -1, -1)]
    speaker(words).save_pretrained(tmp_path / "1")
    (tmp_path / "t").write_text(cases.TEXT)
    command = ("barriers", tmp_path / "0", tmp_path / "1", "--text", tmp_path / "t", "--sequences", 4, "--length", 9,
               "--points", 3)  # fmt: skip
    code, _, err = call(capfd, *command)
    assert code == 2 and "two tokenizers: 'w0' is 5 in" in err
    code, _, err = call(capfd, *command, "--tokenizer", tmp_path / "1")
    assert code == 0 and "two tokenizers" not in err


def test_unknown_tokens_are_a_share_of_what_is_predicted() -> None:
    ids = torch.tensor([[0, 7, 0, 9], [0, 8, 8, 8]])
    assert unknown_share({"input_ids": ids}, 0, skip=0) == pytest.approx(3 / 8)
    assert unknown_share({"input_ids": ids}, 0, skip=1) == pytest.approx(1 / 6)
    assert unknown_share({"input_ids": ids}, None, skip=0) == 0
    padded = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])}
    assert unknown_share(padded, 0, skip=0) == pytest.approx(3 / 6)
    assert unknown_share({"input_ids": ids, "targets": torch.tensor([[0], [4]])}, 0, skip=0) == pytest.approx(1 / 2)


@pytest.mark.untyped
@pytest.mark.parametrize(("share", "said"), [(0.0009, 0), (0.004, 1)])
def test_more_unknown_tokens_than_any_text_has_are_said(share: float, said: int) -> None:
    found = agree.of_text(SimpleNamespace(columns={"unknown": share}))  # type: ignore[arg-type]
    assert len(found) == said and all(line.startswith("the tokenizer does not know 0.004 of the") for line in found)


def test_a_caption_says_that_the_text_is_unknown() -> None:
    row = {"objective": "causal-lm", "unit": "nats", "examples": 4, "length": 9, "dtype": "float32",
           "dtype_error": None}  # fmt: skip
    captions = [caption(pd.DataFrame([{**row, "unknown": share}, {**row, "unknown": 0.0}])) for share in (0.1, 0.34)]
    assert "unknown" not in captions[0]
    assert "; 34% of the tokens of the text are unknown to the tokenizer;" in captions[1]


def test_a_text_in_other_words_is_said(few_runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").write_text("w1 strange w2 words " * 40)
    refs = [few_runs / f"seed_{n}/step_0" for n in range(2)]
    options = ("--text", tmp_path / "t", "--sequences", 4, "--length", 8, "--points", 3, "--json")
    code, out, err = call(capfd, "barriers", *refs, *options)
    row = json.loads(out.split("\n")[0])
    assert (code, row["unknown"], row["bos"]) == (0, 0.5, False)
    assert row["uniform_loss"] == pytest.approx(torch.tensor(cases.WORDS).log().item())
    assert "the tokenizer does not know 0.5 of the tokens" in err
    assert "50% of the tokens of the text are unknown to the tokenizer; " in err
    speaker([], cls_token="[CLS]", sep_token="[SEP]").save_pretrained(tmp_path / "empty")
    code, _, err = call(capfd, "barriers", *refs, *options, "--tokenizer", tmp_path / "empty")
    assert code == 2 and "empty holds no tokenizer; save it next to the weights" in err


def test_losses_above_a_guess_are_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open({**EMPTY, "name": "x"})
    for key, loss in (("a", 2.0), ("b", 2.5), ("c", 2.31), ("d", 301.0)):
        row = {"table": "loss", "checkpoint": key, "loss": loss, "uniform_loss": 2.3, "unit": "nats per token"}
        store.write(key, [row])
    (said,) = found(store, ["a", "b", "c"])
    assert said.startswith("the loss of 2 of 3 checkpoints is above that of a uniform guess, 2.300, such as 2.500 of b")
    assert found(store, ["a"]) == [] == found(store, [])
    assert found(store, ["a", "d"])[1:] == ["there is no perplexity where the loss is above 300 nats, as in d"]
    large = {"a": "a", "b": "c", "largest_loss": 301.0}
    store.write("ac", [{"table": "barrier", "unit": "nats per token", **large}])
    store.write("mean", [{"table": "barrier", "unit": "squared error", **large}])
    assert found(store, ["ac"])[0].endswith("above 300 nats, as in the path from a to c")
    assert found(store, ["mean"]) == []
