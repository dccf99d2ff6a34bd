"""Tiny random models of every architecture that has a symmetry table: odd sizes, biases, tied and untied heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from cases import WORDS, bert, gpt2
from sklearn.datasets import load_digits
from torch import Tensor, nn
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForSequenceClassification,
    BertForSequenceClassification,
    BloomConfig,
    BloomForCausalLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

from landscape.objectives import Objective, module
from landscape.points.evaluate import losses
from landscape.symmetry.group.table import Group, SymmetryGroup, Table

WIDTH, EXAMPLES = 30, 40
GROUPED = {"vocab_size": WORDS, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 6,
           "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 23}  # fmt: skip


def some(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def neox(rotary: float = 0.4, **changes: Any) -> Any:
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": rotary}
    return GPTNeoXForCausalLM(GPTNeoXConfig(
        vocab_size=WORDS, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3, intermediate_size=23,
        rope_parameters=rope, **changes,
    ))  # fmt: skip


def llama(**changes: Any) -> Any:
    return LlamaForCausalLM(LlamaConfig(**GROUPED, **changes))


def rotary(kind: Any, config: Any, **changes: Any) -> Any:
    """A decoder built like Llama; a head's width that is not that of the stream over the number of heads, if it may."""
    return kind(config(**{**GROUPED, "pad_token_id": 3, **changes}))


def masked(kind: Any, config: Any, **changes: Any) -> Any:
    settings = {"vocab_size": WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
                "intermediate_size": 20, "max_position_embeddings": 40, "pad_token_id": 3}  # fmt: skip
    return kind(config(**{**settings, **changes}))


def distilbert(kind: Any, **changes: Any) -> Any:
    return kind(DistilBertConfig(vocab_size=WORDS, dim=12, n_layers=2, n_heads=3, hidden_dim=20,
                                 max_position_embeddings=40, pad_token_id=3, **changes))  # fmt: skip


def opt(**changes: Any) -> Any:
    settings = {"vocab_size": WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "ffn_dim": 20,
                "max_position_embeddings": 40, "word_embed_proj_dim": 12, "pad_token_id": 3}  # fmt: skip
    return OPTForCausalLM(OPTConfig(**{**settings, **changes}))


def bloom(**changes: Any) -> Any:
    return BloomForCausalLM(BloomConfig(vocab_size=WORDS, hidden_size=12, n_layer=2, n_head=3, **changes))


def t5(tied: bool = True, **changes: Any) -> Any:
    config = T5Config(vocab_size=WORDS, d_model=12, d_kv=5, d_ff=20, num_layers=2, num_heads=3, pad_token_id=3,
                      decoder_start_token_id=3, **changes)  # fmt: skip
    config.tie_word_embeddings = tied
    return T5ForConditionalGeneration(config)


def vit(classes: int = 4) -> Any:
    return ViTForImageClassification(ViTConfig(
        hidden_size=15, num_hidden_layers=2, num_attention_heads=3, intermediate_size=22, image_size=8, patch_size=4,
        num_labels=classes,
    ))  # fmt: skip


def resnet(kind: str, classes: int = 3) -> Any:
    return ResNetForImageClassification(ResNetConfig(
        embedding_size=7, hidden_sizes=[12, 20], depths=[2, 2], layer_type=kind, num_labels=classes,
    ))  # fmt: skip


def perceptron(act: type[nn.Module], seed: int = 0, sizes: tuple[int, ...] = (9, 17, 13, 4)) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def vgg(norm: bool, classes: int = 4) -> nn.Sequential:
    """Convolutions with pools, then linear layers that read every place of every channel."""

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU(), nn.MaxPool2d(2)]

    layers = [
        *block(3, 7),
        *block(7, 11),
        nn.Flatten(),
        nn.Linear(44, 15),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(15, classes),
    ]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Architecture:
    """How a model is made, and what it takes."""

    make: Callable[[], Any]
    takes: str = "tokens"
    norms: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(bert),
    "bert untied": Architecture(lambda: bert(tie_word_embeddings=False)),
    "bert relu": Architecture(lambda: bert(hidden_act="relu")),
    "bert classifier": Architecture(lambda: bert(kind=BertForSequenceClassification, num_labels=3)),
    "gpt2": Architecture(gpt2),
    "gpt2 untied": Architecture(lambda: gpt2(tie_word_embeddings=False)),
    "gpt_neox": Architecture(neox),
    "gpt_neox odd": Architecture(lambda: neox(rotary=0.3)),
    "gpt_neox sequential": Architecture(lambda: neox(use_parallel_residual=False, attention_bias=False)),
    "llama": Architecture(llama),
    "llama tied": Architecture(lambda: llama(tie_word_embeddings=True, attention_bias=True, mlp_bias=True)),
    "mistral": Architecture(lambda: MistralForCausalLM(MistralConfig(**GROUPED))),
    "qwen2": Architecture(lambda: Qwen2ForCausalLM(Qwen2Config(**{k: v for k, v in GROUPED.items() if k != "head_dim"},
                                                               head_dim=6))),
    "qwen3": Architecture(lambda: rotary(Qwen3ForCausalLM, Qwen3Config, attention_bias=True)),
    "qwen3 tied": Architecture(lambda: rotary(Qwen3ForCausalLM, Qwen3Config, tie_word_embeddings=True)),
    "gemma": Architecture(lambda: rotary(GemmaForCausalLM, GemmaConfig)),
    "gemma untied": Architecture(lambda: rotary(GemmaForCausalLM, GemmaConfig, tie_word_embeddings=False)),
    "gemma2": Architecture(lambda: rotary(Gemma2ForCausalLM, Gemma2Config, attn_logit_softcapping=1.0)),
    "gemma3_text": Architecture(lambda: rotary(Gemma3ForCausalLM, Gemma3TextConfig)),
    "olmo": Architecture(lambda: rotary(OlmoForCausalLM, OlmoConfig, hidden_size=36)),
    "olmo tied": Architecture(lambda: rotary(OlmoForCausalLM, OlmoConfig, hidden_size=36, tie_word_embeddings=True)),
    "olmo clipped": Architecture(lambda: rotary(OlmoForCausalLM, OlmoConfig, hidden_size=36, clip_qkv=0.3)),
    "olmo2": Architecture(lambda: rotary(Olmo2ForCausalLM, Olmo2Config, hidden_size=36)),
    "olmo3": Architecture(lambda: rotary(Olmo3ForCausalLM, Olmo3Config, hidden_size=36)),
    "phi3": Architecture(lambda: rotary(Phi3ForCausalLM, Phi3Config, hidden_size=36)),
    "phi3 partial": Architecture(lambda: rotary(
        Phi3ForCausalLM, Phi3Config, hidden_size=36, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.7})),
    # Sizes are multiples of four: transformers multiplies experts all at once, which wants tensors to be so aligned.
    "mixtral": Architecture(lambda: rotary(
        MixtralForCausalLM, MixtralConfig, num_local_experts=4, hidden_size=32, intermediate_size=24)),
    "opt": Architecture(opt),
    "opt untied": Architecture(lambda: opt(tie_word_embeddings=False)),
    "opt after": Architecture(lambda: opt(do_layer_norm_before=False, word_embed_proj_dim=8)),
    "opt projected": Architecture(lambda: opt(word_embed_proj_dim=8)),
    "bloom": Architecture(bloom),
    "roberta": Architecture(lambda: masked(RobertaForMaskedLM, RobertaConfig)),
    "roberta classifier": Architecture(lambda: masked(RobertaForSequenceClassification, RobertaConfig, num_labels=3)),
    "distilbert": Architecture(lambda: distilbert(DistilBertForMaskedLM)),
    "distilbert classifier": Architecture(lambda: distilbert(DistilBertForSequenceClassification, num_labels=3)),
    "electra": Architecture(lambda: masked(ElectraForPreTraining, ElectraConfig, embedding_size=12)),
    "electra generator": Architecture(lambda: masked(ElectraForMaskedLM, ElectraConfig, embedding_size=8)),
    "electra classifier": Architecture(lambda: masked(
        ElectraForSequenceClassification, ElectraConfig, embedding_size=8, num_labels=3)),
    "albert": Architecture(lambda: masked(AlbertForMaskedLM, AlbertConfig, embedding_size=8, num_hidden_layers=3)),
    "albert classifier": Architecture(lambda: masked(
        AlbertForSequenceClassification, AlbertConfig, embedding_size=8, num_hidden_layers=4, num_hidden_groups=2,
        inner_group_num=2, num_labels=3)),
    "t5": Architecture(t5, "pairs"),
    "t5 untied": Architecture(lambda: t5(tied=False, feed_forward_proj="gated-gelu"), "pairs"),
    "vit": Architecture(vit, "images"),
    "resnet basic": Architecture(lambda: resnet("basic"), "images", norms=True),
    "resnet bottleneck": Architecture(lambda: resnet("bottleneck"), "images", norms=True),
    "mlp relu": Architecture(lambda: perceptron(nn.ReLU), "vectors"),
    "mlp tanh": Architecture(lambda: perceptron(nn.Tanh), "vectors"),
    "mlp gelu": Architecture(lambda: perceptron(nn.GELU), "vectors"),
    "vgg": Architecture(lambda: vgg(norm=False), "images"),
    "vgg with norms": Architecture(lambda: vgg(norm=True), "images", norms=True),
}  # fmt: skip


def build(name: str, seed: int = 0, examples: int = EXAMPLES) -> Objective:
    """A random model of an architecture with random inputs and labels."""
    kind = ARCHITECTURES[name]
    model = kind.make().eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = 0.3 * torch.randn(parameter.shape) / math.sqrt(1 + parameter.shape[-1] / 12)
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)
        for name, buffer in model.named_buffers():  # of some run, and of no point
            if "running" in name:
                buffer.uniform_(0.5, 2)
    random = torch.Generator().manual_seed(7)
    inputs = {
        "tokens": torch.randint(5, WORDS, (examples, 9), generator=random),
        "images": torch.randn(examples, 3, 8, 8, generator=random),
        "vectors": torch.randn(examples, 9, generator=random),
        "pairs": torch.randint(5, WORDS, (examples, 9), generator=random),
    }[kind.takes]
    fields = {"tokens": "input_ids", "images": "pixel_values", "vectors": "inputs", "pairs": "input_ids"}
    field = fields[kind.takes]
    if isinstance(model, nn.Sequential):
        field = "inputs"
    batch = {field: inputs, "labels": torch.randint(3, (examples,), generator=random)}
    taken = [field]
    if kind.takes == "pairs":
        batch["decoder_input_ids"] = torch.randint(5, WORDS, (examples, 7), generator=random)
        batch["attention_mask"] = torch.ones_like(inputs)
        taken += ["attention_mask", "decoder_input_ids"]

    def loss(outputs: Any, part: dict[str, Tensor]) -> Tensor:
        logits = getattr(outputs, "logits", outputs)
        return F.cross_entropy(logits.flatten(1), part["labels"], reduction="none")

    statistics = ({name: value[:16] for name, value in batch.items()},) if kind.norms else ()
    return module.build(model, batch, loss, inputs=tuple(taken), statistics=statistics)


def point(objective: Objective) -> Tensor:
    """The model's own parameters."""
    return objective.space.vector(dict(objective.model.named_parameters())).detach()


def barrier(objective: Objective, a: Tensor, b: Tensor) -> float:
    """Largest rise of the mean loss above the chord."""
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    found = losses(objective, torch.stack([a, b]), torch.stack([1 - t, t], dim=1)).double().mean(dim=1)
    return float((found - (1 - t) * found[0] - t * found[-1]).max())


@cache
def digits(seed: int, hidden: tuple[int, ...] = (24, 16), examples: int = 400) -> Objective:
    """A perceptron trained on scikit-learn's digits for a second, and its loss on others of them."""
    data = load_digits()
    x, y = torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)
    model = perceptron(nn.ReLU, seed, (64, *hidden, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(150):
        some = torch.randint(1000, (100,), generator=torch.Generator().manual_seed(1000 * seed + step))
        optimizer.zero_grad()
        F.cross_entropy(model(x[some]), y[some]).backward()
        optimizer.step()
    batch = {"inputs": x[-examples:], "labels": y[-examples:]}
    return module.build(model, batch, lambda out, part: F.cross_entropy(out, part["labels"], reduction="none"))


class Residual(nn.Module):
    """``x + down(relu(up(x)))`` a few times between two linear layers."""

    def __init__(self, width: int, blocks: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, width), nn.Linear(width, 5)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(up(x).relu())
        return self.last(x)


def residual_table(model: Residual, symmetry_group: SymmetryGroup = "permutations") -> Table:
    """A table of the user's own."""
    groups = [Group("stream", model.first.out_features)]
    lines = {"first.weight": "stream -", "first.bias": "stream", "last.weight": "- stream", "last.bias": "-"}
    for n, up in enumerate(model.up):
        groups.append(Group(f"{n}.ffn", up.out_features))
        lines |= {
            f"up.{n}.weight": f"{n}.ffn stream", f"up.{n}.bias": f"{n}.ffn",
            f"down.{n}.weight": f"stream {n}.ffn", f"down.{n}.bias": "stream",
        }  # fmt: skip
    return Table.of("residual perceptron", model, groups, lines)
