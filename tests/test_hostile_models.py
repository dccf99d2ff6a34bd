"""Configs and tokenizers that ask for code, kernels, memory, or nothing that can be meant."""

import ast
import json
import logging
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoConfig, AutoTokenizer, ByT5Tokenizer, Gemma3Config, Gemma3ForConditionalGeneration

from landscape.checkpoints import configs, models, tokenizers
from landscape.checkpoints.objective_of import default_objective
from landscape.errors import InputError
from landscape.objectives import causal_lm, classification
from landscape.session import data as fixed
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint
from landscape.study.sections import Data

ROOT = Path(__file__).parent.parent
AUTO = causal_lm.AUTO
LOADERS = {"from_pretrained", "from_config"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cases.save(cases.gpt2(3), tmp_path / "model")


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def evil(folder: Path, run: Path) -> None:
    """Code in the folder that would leave a mark, and an answer on stdin that would let it."""
    (folder / "evil.py").write_text(f"open({str(run)!r}, 'w')\nclass Evil: pass\n")


def test_every_loader_of_transformers_is_told_to_trust_nothing() -> None:
    found = 0
    for top in ("landscape", "cli", "figures", "benchmarks", "validation"):
        for file in (ROOT / top).rglob("*.py"):
            text = file.read_text()
            for node in ast.walk(ast.parse(text)) if "from_" in text or "input(" in text else ():
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
                    found += 1
                    given = {word.arg: word.value for word in node.keywords}
                    trusts = given.get("trust_remote_code")
                    assert isinstance(trusts, ast.Constant) and trusts.value is False, f"{file}:{node.lineno}"
                assert not (isinstance(node, ast.Name) and node.id == "input"), f"{file}:{node.lineno} reads stdin"
    assert found >= 4


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama"])
def test_code_that_a_tokenizer_names_is_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    evil(folder, folder / "run")
    edit(folder / "config.json", model_type=kind)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    monkeypatch.setattr(sys, "stdin", StringIO("y\n" * 9))
    assert tokenizers.load(folder)("w3 w5")["input_ids"] == cases.tokenizer()("w3 w5")["input_ids"]
    assert not (folder / "run").exists() and sys.stdin.tell() == 0


def test_a_tokenizer_that_is_code_alone_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil(folder, folder / "run")
    edit(folder / "config.json", model_type="mpnet-of-tomorrow")
    (folder / "tokenizer.json").unlink()
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]}, tokenizer_class="Evil")
    monkeypatch.setattr(sys, "stdin", StringIO("y\n" * 9))
    with pytest.raises(InputError, match=r"cannot be loaded \(.*; its own code \(auto_map\) is never run; save"):
        tokenizers.load(folder)
    assert not (folder / "run").exists() and sys.stdin.tell() == 0


def test_code_for_a_type_that_is_known_is_left_out_and_that_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evil(folder, folder / "run")
    edit(folder / "config.json", auto_map={"AutoConfig": "evil.Evil", AUTO: "evil.Evil"})
    with caplog.at_level(logging.INFO, "landscape"):
        model = models.skeleton(folder, AUTO, weights=folder)
        models.skeleton(folder, AUTO)
    assert type(model).__name__ == "GPT2LMHeadModel" and not (folder / "run").exists()
    assert "auto_map" not in configs.settings(folder)
    said = [record.message for record in caplog.records if "auto_map" in record.message]
    assert len(said) == 1 and "which is not run: gpt2 is known without it" in said[0]


def test_code_for_an_unknown_type_is_refused(folder: Path) -> None:
    edit(folder / "config.json", model_type="gpt2-of-mine", auto_map={"AutoConfig": "evil.Evil"})
    with pytest.raises(InputError, match=r"needs code of its own \(auto_map\) for its type 'gpt2-of-mine', which is"):
        models.skeleton(folder, AUTO)
    edit(folder / "config.json", auto_map=None)
    (folder / "config.json").write_text('{"model_type": "gpt2-of-mine"}')
    with pytest.raises(InputError, match="is a 'gpt2-of-mine', which transformers .* does not know; update"):
        models.skeleton(folder, AUTO)


@pytest.mark.parametrize("name", ["flash_attention_2", "someone/kernel@rev", "paged|eager"])
def test_the_kernel_that_a_config_names_is_not_obeyed(folder: Path, name: str) -> None:
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        edit(folder / "config.json", **{key: name})
    model: Any = models.skeleton(folder, AUTO)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    "changes",
    [
        {"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True},
    ],
)  # fmt: skip
def test_the_form_of_outputs_is_ours(folder: Path, changes: dict[str, Any]) -> None:
    edit(folder / "config.json", **changes)
    model: Any = models.skeleton(folder, AUTO)
    assert list(model(torch.tensor([[3, 4]]), use_cache=False)) == ["logits"]


BAD = [
    {"n_layer": 10**9}, {"n_layer": 300_000}, {"n_layer": 0}, {"n_layer": -1}, {"n_layer": None}, {"n_layer": "two"},
    {"n_head": 0}, {"n_head": -1}, {"n_head": 5}, {"n_embd": 0}, {"n_embd": -1}, {"n_embd": 10**6}, {"n_embd": [12]},
    {"vocab_size": 10**12}, {"vocab_size": 0}, {"vocab_size": -5}, {"vocab_size": "60"}, {"vocab_size": 1e12},
    {"num_labels": 10**9}, {"n_positions": 10**12}, {"n_positions": 0}, {"activation_function": "evil"},
    {"activation_function": 3}, {"dtype": "system"}, {"model_type": ["gpt2"]}, {"model_type": None},
    {"n_inner": 10**10}, {"layer_norm_epsilon": "small"}, {"id2label": 3}, {"n_embd": float("inf")},
]  # fmt: skip


@pytest.mark.parametrize("changes", BAD, ids=[str(bad)[1:-1] for bad in BAD])
def test_a_config_that_cannot_be_meant_is_one_sentence(folder: Path, changes: dict[str, Any]) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match="describes no model|has|lacks|asks for|holds|in its config"):
        models.skeleton(folder, AUTO, weights=folder)


@pytest.mark.parametrize("text", ["null", "7", "[]", "{", "[" * 100_000, '{"a":' * 100_000, "\xff", "{}", '"gpt2"'])
def test_what_is_no_config_is_one_sentence(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"config.json (cannot be read|has no \"model_type\")"):
        configs.read_config(folder)


def test_a_model_is_made_only_if_the_weights_have_its_shapes(folder: Path) -> None:
    """Made for good it would take 96 GB."""
    edit(folder / "config.json", vocab_size=2 * 10**9)
    with pytest.raises(InputError, match=r"is \(60, 12\) on disk and \(2000000000, 12\) in its config"):
        models.skeleton(folder, AUTO, weights=folder)


def test_infinity_where_it_is_meant_stays(tmp_path: Path) -> None:
    config = transformers.Mamba2Config(num_hidden_layers=1, time_step_limit=(0.0, float("inf")))
    config.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('{\n      "__float__": "Infinity"\n    }', "Infinity"))
    assert configs.read_config(tmp_path).time_step_limit[1] == float("inf")


def test_quantised_weights_are_named_as_such(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with pytest.raises(InputError, match=r"is quantised, .*call dequantize\(\) and save it"):
        configs.settings(folder)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("ViT", "ViTModel", "(give an|choose another) objective: image-classification; or bring a model and loss"),
        ("Yolos", "YolosModel", "a yolos has no class for causal-lm, .*: bring a model and loss of your own"),
    ],
)
def test_what_is_not_supported_is_named_as_such(tmp_path: Path, kind: str, name: str, said: str) -> None:
    config = getattr(transformers, f"{kind}Config")()
    config.architectures = [name]
    config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"was saved from {name}, which suggests no objective; ({said})"):
        default_objective(tmp_path)
    with pytest.raises(InputError, match=f"which {AUTO} cannot make; ({said})"):
        models.skeleton(tmp_path, AUTO)


def test_a_classifier_without_a_padding_token_is_refused_before_it_runs() -> None:
    config = transformers.GPT2Config(vocab_size=60, n_positions=24, n_embd=12, n_layer=1, n_head=3, num_labels=3)
    ids, labels = torch.full((4, 5), 7), torch.tensor([[0], [1], [2], [1]])
    batch = {"input_ids": ids, "labels": labels}
    with pytest.raises(InputError, match=r"cannot tell text from padding \(.*; set pad_token_id in the config.json"):
        classification.build(transformers.GPT2ForSequenceClassification(config), batch)
    config.pad_token_id = 3
    assert classification.build(transformers.GPT2ForSequenceClassification(config), batch).examples == 4


def test_text_is_asked_of_a_model_of_text_and_images(tmp_path: Path) -> None:
    """Against transformers' own loss."""
    text = {"vocab_size": cases.WORDS, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 6}  # fmt: skip
    image = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "image_size": 16, "patch_size": 8}  # fmt: skip
    torch.manual_seed(1)
    config = Gemma3Config(
        text_config=text,
        vision_config=image,
        mm_tokens_per_image=4,
        image_token_index=57,
        boi_token_index=58,
        eoi_token_index=59,
    )
    model = cases.rough(Gemma3ForConditionalGeneration(config))
    cases.save(model, tmp_path)
    assert default_objective(tmp_path) == "causal-lm"
    made = models.skeleton(tmp_path, AUTO, weights=tmp_path)
    ids = torch.randint(5, 50, (3, 9), generator=cases.generator(1))
    assert type(made).__name__ == "Gemma3ForCausalLM"
    for name, value in Space.of(made).params(models.load(tmp_path, made)).items():
        made.get_parameter(name).data.copy_(value)
    assert any("vision_tower" in name for name in models.unused(tmp_path, made))
    objective = causal_lm.build(made, {"input_ids": ids})
    with torch.no_grad():
        expected = model(input_ids=ids, labels=ids).loss
        assert_close(objective.measure(made, {"input_ids": ids})["loss"].mean(), expected)


def test_a_tokenizer_without_a_file_of_words_is_let_be_what_the_library_makes(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        tokenizers.load(folder)
    ByT5Tokenizer().save_pretrained(folder)
    assert tokenizers.load(folder)("ab")["input_ids"] == [100, 101, 1]
    with pytest.raises(InputError, match="holds no tokenizer"):
        tokenizers.load(folder / "nowhere")


@pytest.mark.parametrize("kind", ["BertConfig", "T5Config", "LlamaConfig", "XLMRobertaConfig", "DebertaV2Config"])
def test_special_tokens_alone_are_no_tokenizer(tmp_path: Path, kind: str) -> None:
    getattr(transformers, kind)().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds no tokenizer"):
        tokenizers.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", "[" * 100_000), ("tokenizer.json", "{}"), ("tokenizer.json", '{"model": {"type": "BPE"}}'),
        ("tokenizer_config.json", "[" * 100_000), ("tokenizer_config.json", "null"), ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"tokenizer_class": "TokenizerOfVersion6"}'),
        ("tokenizer_config.json", '{"tokenizer_class": 3}'), ("tokenizer_config.json", '{"model_max_length": "x"}'),
    ],
)  # fmt: skip
def test_damaged_tokenizers_are_one_sentence(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    try:
        found = tokenizers.load(folder)
    except InputError as error:
        assert "cannot be loaded (" in str(error) or "holds no tokenizer" in str(error)
    else:
        assert found("w3")["input_ids"] == cases.tokenizer()("w3")["input_ids"]


def test_files_of_a_tokenizer_have_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "merges.txt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="merges.txt is not a regular file"):
        tokenizers.load(folder)
    (folder / "merges.txt").unlink()
    monkeypatch.setattr(tokenizers.files, "MOST_JSON", 200)
    with pytest.raises(InputError, match="tokenizer.json is larger than the 0 MB"):
        tokenizers.load(folder)


def test_the_library_would_have_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first test guards against: without the argument stdin is read."""
    evil(folder, folder / "run")
    edit(folder / "config.json", model_type="unknown", auto_map={"AutoConfig": "evil.Evil"})
    monkeypatch.setattr(sys, "stdin", StringIO("n\n"))
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoConfig.from_pretrained(folder)
    assert sys.stdin.tell() == 2 and AutoTokenizer is transformers.AutoTokenizer


def test_a_catastrophic_expression_of_a_tokenizer_is_one_sentence(folder: Path) -> None:
    split = {"type": "Split", "pattern": {"Regex": "(?:(a|aa)+)+c"}, "behavior": "Isolated", "invert": False}
    edit(folder / "tokenizer.json", pre_tokenizer=split)
    (folder / "text.txt").write_text(("a" * 200 + "b ") * 200)
    data = Data(text=str(folder / "text.txt"), objective="causal-lm", sequences=4, length=8)
    with pytest.raises(InputError, match=r"the tokenizer of .* fails on the text \(.*retry-limit.*; give the model's"):
        fixed.build(data, Checkpoint(str(folder)))


def test_two_tensors_that_are_one_parameter_are_refused(tmp_path: Path) -> None:
    """With and without the prefix of the base model; equal ones are one."""
    model = cases.save(cases.gpt2(), tmp_path / "a")
    file = model / "model.safetensors"
    tensors = load_file(file)
    bare = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    skeleton = models.skeleton(model, "AutoModelForCausalLM")
    save_file({**tensors, **{name: 2 * value for name, value in bare.items()}}, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match="holds the model more than once: '.*' is there under another name too"):
        models.load(model, skeleton)
    save_file({**tensors, **{name: value.clone() for name, value in bare.items()}}, file, metadata={"format": "pt"})
    assert models.load(model, skeleton).isfinite().all()


@pytest.mark.parametrize(
    ("pattern", "content", "times"),
    [({"String": "e"}, "e" * 50, 2), ({"String": "e"}, "e" * 50, 6), ({"Regex": ""}, "a" * 1000, 1),
     ({"Regex": "e?"}, "e", 30), ({"Regex": "(?<x"}, "ab", 12), ({"Regex": "e"}, "ee", 12)],
)  # fmt: skip
def test_a_normalizer_that_multiplies_a_text_is_refused(
    folder: Path, pattern: dict[str, str], content: str, times: int
) -> None:
    """Fifty of one are few, fifty times fifty many; the library panics at some, and takes all memory at others."""
    made = json.loads((folder / "tokenizer.json").read_text())
    rule = {"type": "Replace", "pattern": pattern, "content": content}
    made["normalizer"] = {"type": "Sequence", "normalizers": [rule] * times}
    (folder / "tokenizer.json").write_text(json.dumps(made))
    with pytest.raises(InputError, match="makes more than 64 characters of one"):
        tokenizers.load(folder)


def test_normalizers_that_replace_much_by_a_little_more_are_read(folder: Path) -> None:
    """Twelve rules that have nothing to do with each other, and a prefix, as models of sentencepiece have."""
    made = json.loads((folder / "tokenizer.json").read_text())
    rules = [{"type": "Replace", "pattern": {"String": mark}, "content": f"<0x{ord(mark):02X}>"} for mark in "\n\t\r\f"]
    rules += [*({"type": "Replace", "pattern": {"Regex": f" {{{n},}}"}, "content": "\u2581"} for n in range(2, 10)),
              {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, {"type": "NFKC"}]  # fmt: skip
    made["normalizer"] = {"type": "Sequence", "normalizers": rules}
    (folder / "tokenizer.json").write_text(json.dumps(made))
    assert tokenizers.load(folder)("w1")["input_ids"]


def test_what_training_left_in_a_config_is_no_other_architecture(tmp_path: Path) -> None:
    one, other = (cases.save(cases.gpt2(seed), tmp_path / str(seed)) for seed in (0, 1))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"training_step": 2000, "gradient_checkpointing": True}))
    assert configs.settings(one) == configs.settings(other)
    for changed in ({"n_head": 2}, {"of_my_own": 3}):
        (other / "config.json").write_text(json.dumps(config | changed))
        assert configs.settings(one) != configs.settings(other)


def test_what_is_no_float_is_refused_before_anything_is_run(folder: Path) -> None:
    """By the header: a sentence and no failed task."""
    model = models.skeleton(folder, "AutoModelForCausalLM")
    models.require_fit(folder, model, Space.of(model))
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wpe.weight"] = tensors["transformer.wpe.weight"].to(torch.int32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"parameter 'transformer.wpe.weight' is stored as I32, and floats"):
        models.require_fit(folder, model, Space.of(model))
