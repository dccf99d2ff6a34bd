"""Tiny checkpoints in the layouts of public families: their classes, config quirks, key names and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

LAYERS, LONGEST = 2, 32
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(53))]
BERT = {"vocab_size": len(VOCABULARY), "hidden_size": 12, "num_hidden_layers": LAYERS, "num_attention_heads": 3,
        "intermediate_size": 20, "max_position_embeddings": LONGEST}  # fmt: skip


def _config(config: Any, kind: str, folder: Path, **more: Any) -> None:
    """The config as it was written years ago."""
    values = {k: v for k, v in json.loads(config.to_json_string(use_diff=False)).items() if k != "dtype"}
    (folder / "config.json").write_text(json.dumps({**values, "architectures": [kind], **more}))


def multibert(folder: Path, seed: int) -> Path:
    """``.bin`` with gamma and beta, position ids, and the tied decoder stored twice; TensorFlow's file beside it."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = BertConfig(**BERT)
    model = cases.rough(BertForPreTraining(config))
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for n, v in model.state_dict().items()}  # fmt: skip
    old["bert.embeddings.position_ids"] = torch.arange(LONGEST)[None]
    assert "cls.predictions.decoder.weight" in old and "cls.predictions.decoder.bias" in old
    torch.save(old, folder / "pytorch_model.bin")
    _config(config, "BertForPreTraining", folder)
    bert_tokenizer(folder)
    (folder / "tf_model.h5").write_bytes(bytes(5000))
    return folder


def bert_tokenizer(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}')


def pythia(folder: Path, seed: int, *, sharded: bool = False) -> Path:
    """Float16 safetensors with masks and ``embed_out``, perhaps in shards."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = GPTNeoXConfig(vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=LAYERS, num_attention_heads=3,
                           intermediate_size=20, max_position_embeddings=LONGEST,
                           tie_word_embeddings=False)  # fmt: skip
    model = cases.rough(GPTNeoXForCausalLM(config))
    state = {n.replace("lm_head.", "embed_out."): v.half().contiguous() for n, v in model.state_dict().items()}
    for layer in range(LAYERS):
        attention = f"gpt_neox.layers.{layer}.attention"
        state[f"{attention}.bias"] = torch.ones(1, 1, LONGEST, LONGEST, dtype=torch.uint8).tril()
        state[f"{attention}.masked_bias"] = torch.tensor(-1e9)
        state[f"{attention}.rotary_emb.inv_freq"] = torch.ones(1)
    shards(state, folder, 6000 if sharded else 10**9)
    _config(config, "GPTNeoXForCausalLM", folder, torch_dtype="float16")
    cases.tokenizer().save_pretrained(folder)
    return folder


def shards(state: dict[str, Tensor], folder: Path, size: int) -> None:
    split = split_torch_state_dict_into_shards(state, max_shard_size=size)
    for file, names in split.filename_to_tensors.items():
        save_file({name: state[name] for name in names}, folder / file)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def mistral(folder: Path, seed: int, step: int) -> Path:
    """``.bin`` without the head, with masks; float32 at step 0 and float16 after it; DeepSpeed's folder beside it."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=cases.WORDS, n_embd=12, n_layer=LAYERS, n_head=3, n_positions=LONGEST,
                        reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True)  # fmt: skip
    model = cases.rough(GPT2LMHeadModel(config))
    dtype = torch.float16 if step else torch.float32
    state = {n: v.to(dtype) for n, v in model.state_dict().items() if n != "lm_head.weight"}
    for layer in range(LAYERS):
        state[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, LONGEST, LONGEST, dtype=torch.uint8).tril()
        state[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4, dtype=dtype)
    torch.save(state, folder / "pytorch_model.bin")
    _config(config, "GPT2LMHeadModel", folder)
    cases.tokenizer().save_pretrained(folder)
    (folder / f"global_step{step}").mkdir()
    (folder / f"global_step{step}" / "mp_rank_00_model_states.pt").write_bytes(bytes(3000))
    (folder / "optimizer.bin").write_bytes(bytes(3000))
    return folder


def classifier(folder: Path, seed: int) -> Path:
    """A fine-tuned BERT with a head of three classes, in the ``.bin`` form before torch 1.6."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = BertConfig(**BERT, num_labels=3)
    model = cases.rough(BertForSequenceClassification(config))
    torch.save(model.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    _config(config, "BertForSequenceClassification", folder)
    bert_tokenizer(folder)
    return folder


def olmo2(folder: Path, seed: int) -> Path:
    """Sharded float32 safetensors, untied."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = Olmo2Config(vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=LAYERS, num_attention_heads=3,
                         intermediate_size=20, max_position_embeddings=LONGEST, tie_word_embeddings=False,
                         pad_token_id=0, bos_token_id=None, eos_token_id=0)  # fmt: skip
    shards(dict(cases.rough(Olmo2ForCausalLM(config)).state_dict()), folder, 6000)
    _config(config, "Olmo2ForCausalLM", folder)
    cases.tokenizer().save_pretrained(folder)
    return folder


def olmo3(folder: Path, seed: int) -> Path:
    """Bfloat16 safetensors, untied, most layers with sliding windows."""
    torch.manual_seed(seed)
    config = Olmo3Config(vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=LAYERS, num_attention_heads=3,
                         num_key_value_heads=3, intermediate_size=20, max_position_embeddings=LONGEST, sliding_window=8,
                         tie_word_embeddings=False, pad_token_id=0, bos_token_id=None, eos_token_id=0)  # fmt: skip
    return cases.save(cases.rough(Olmo3ForCausalLM(config)).bfloat16(), folder)


def parc(folder: Path, architecture: str, seed: int) -> Path:
    """Float32 safetensors of the three architectures, as a trainer saves them."""
    torch.manual_seed(seed)
    words: dict[str, Any] = {"vocab_size": cases.WORDS, "num_hidden_layers": LAYERS, "hidden_size": 12,
                             "bos_token_id": None, "eos_token_id": None}  # fmt: skip
    model = {
        "pythia": lambda: GPTNeoXForCausalLM(
            GPTNeoXConfig(**words, num_attention_heads=3, intermediate_size=20, max_position_embeddings=LONGEST)),
        "mamba": lambda: MambaForCausalLM(MambaConfig(**words, state_size=4, pad_token_id=0)),
        "rwkv": lambda: RwkvForCausalLM(
            RwkvConfig(**words, attention_hidden_size=12, context_length=LONGEST, intermediate_size=20)),
    }[architecture]()  # fmt: skip
    return cases.save(cases.rough(model), folder)
