"""The static tables, held against what published papers, cards and the architectures themselves say."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner

from landscape.checkpoints import expand, families, fetch, find, sources
from landscape.checkpoints.families import FAMILIES
from landscape.checkpoints.hub import places
from landscape.checkpoints.size import weights
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.study.checkpoint import Place

ROOT = Path(__file__).parent.parent
NEOX = {  # width, layers, heads, feed-forward, vocabulary: the configs of EleutherAI/pythia
    "14m": (128, 6, 4, 512, 50304), "31m": (256, 6, 8, 1024, 50304), "70m": (512, 6, 8, 2048, 50304),
    "160m": (768, 12, 12, 3072, 50304), "410m": (1024, 24, 16, 4096, 50304), "1b": (2048, 16, 8, 8192, 50304),
    "1.4b": (2048, 24, 16, 8192, 50304), "2.8b": (2560, 32, 32, 10240, 50304), "6.9b": (4096, 32, 32, 16384, 50432),
    "12b": (5120, 36, 40, 20480, 50688),
}  # fmt: skip
every = pytest.mark.parametrize("name", FAMILIES)


def shape(name: str) -> Any:
    """The config of a family's architecture."""
    size = name.removeprefix("pythia-").removesuffix("-deduped").removesuffix("-data").removesuffix("-weight")
    if name.startswith("pythia"):
        width, layers, heads, inner, words = NEOX[size]
        return transformers.GPTNeoXConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=inner,
            vocab_size=words, tie_word_embeddings=False,
        )  # fmt: skip
    llama = {"tie_word_embeddings": False, "pad_token_id": None}
    if name.startswith("pico"):  # its own class has the weights of a Llama of this shape
        width = {"tiny": 96, "small": 384, "medium": 768, "large": 1536}[name.removeprefix("pico-decoder-")]
        return transformers.LlamaConfig(
            hidden_size=width, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=4,
            intermediate_size=4 * width, vocab_size=50304, **llama,
        )  # fmt: skip
    return {
        "multiberts": lambda: transformers.BertConfig(),
        "mistral-gpt2-small": lambda: transformers.GPT2Config(),
        "mistral-gpt2-medium": lambda: transformers.GPT2Config(n_embd=1024, n_layer=24, n_head=16),
        "feather-berts": lambda: transformers.BertConfig(num_labels=3),
        "bert-qqp": lambda: transformers.BertConfig(),
        "bert-cola": lambda: transformers.BertConfig(),
        "olmo2-1b": lambda: transformers.Olmo2Config(
            hidden_size=2048, num_hidden_layers=16, num_attention_heads=16, intermediate_size=8192, vocab_size=100352,
            **llama),
        "olmo2-7b": lambda: transformers.Olmo2Config(
            hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, intermediate_size=11008, vocab_size=100352,
            **llama),
        "olmo2-13b": lambda: transformers.Olmo2Config(
            hidden_size=5120, num_hidden_layers=40, num_attention_heads=40, intermediate_size=13824, vocab_size=100352,
            **llama),
        "olmo1-1b": lambda: transformers.OlmoConfig(
            hidden_size=2048, num_hidden_layers=16, num_attention_heads=16, intermediate_size=8192, vocab_size=50304,
            tie_word_embeddings=True),
        "olmo1-7b-0424": lambda: transformers.OlmoConfig(
            hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, intermediate_size=11008, vocab_size=50304,
            tie_word_embeddings=False),
        "olmo2-32b": lambda: transformers.Olmo2Config(
            hidden_size=5120, num_hidden_layers=64, num_attention_heads=40, num_key_value_heads=8,
            intermediate_size=27648, vocab_size=100352, **llama),
        "olmo3-7b": lambda: transformers.Olmo3Config(
            hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32,
            intermediate_size=11008, vocab_size=100278, layer_types=["full_attention"] * 32, **llama),
        "olmo3-32b": lambda: transformers.Olmo3Config(
            hidden_size=5120, num_hidden_layers=64, num_attention_heads=40, num_key_value_heads=8,
            intermediate_size=27648, vocab_size=100278, layer_types=["full_attention"] * 64, **llama),
        "parc-pythia": lambda: shape("pythia-160m"),
        "parc-mamba": lambda: transformers.MambaConfig(vocab_size=50280, hidden_size=768, num_hidden_layers=24),
        "parc-rwkv": lambda: transformers.RwkvConfig(vocab_size=50277, hidden_size=768, num_hidden_layers=12),
        "amber": lambda: transformers.LlamaConfig(**llama),
        "bloom-560m": lambda: transformers.BloomConfig(hidden_size=1024, n_layer=24, n_head=16),
        "bloom-1b1": lambda: transformers.BloomConfig(hidden_size=1536, n_layer=24, n_head=16),
        "bloom-1b7": lambda: transformers.BloomConfig(hidden_size=2048, n_layer=24, n_head=16),
        "bloom-7b1": lambda: transformers.BloomConfig(hidden_size=4096, n_layer=30, n_head=32),
        "smollm2-135m": lambda: transformers.LlamaConfig(
            hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, intermediate_size=1536,
            vocab_size=49152, tie_word_embeddings=True),
        "smollm2-360m": lambda: transformers.LlamaConfig(
            hidden_size=960, num_hidden_layers=32, num_attention_heads=15, num_key_value_heads=5,
            intermediate_size=2560, vocab_size=49152, tie_word_embeddings=True),
        "smollm2-1.7b": lambda: transformers.LlamaConfig(
            hidden_size=2048, num_hidden_layers=24, num_attention_heads=32, intermediate_size=8192, vocab_size=49152,
            tie_word_embeddings=True),
        "smollm3-3b": lambda: transformers.SmolLM3Config(
            hidden_size=2048, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=4,
            intermediate_size=11008, vocab_size=128256, tie_word_embeddings=True),
    }[re.sub("-(ingredients|early|post|midtraining|long)$", "", name)]()  # fmt: skip


COUNTED: dict[tuple[str, str], int] = {}


def counted(kind: str, config: Any) -> int:
    """Parameters of a class: layers are alike, so that models of one and of two tell; each shape once."""
    key = (kind, config.to_json_string(use_diff=False))
    if key not in COUNTED:
        layers, counts = config.num_hidden_layers, []
        for config.num_hidden_layers in (1, 2):
            with torch.device("meta"):
                counts.append(sum(p.numel() for p in getattr(transformers, kind)(config).parameters()))
        COUNTED[key] = counts[0] + (layers - 1) * (counts[1] - counts[0])
    return COUNTED[key]


def attention_alone(words: int, width: int, layers: int, longest: int) -> int:
    """Parameters of a transformer of attention with biases and norms, and a head of its own with a bias."""
    layer = 4 * width * (width + 1) + 2 * width
    return (words + longest) * width + layers * layer + 2 * width + words * (width + 1)


@every
def test_parameters_are_those_of_the_class(name: str) -> None:
    family = FAMILIES[name]
    if family.model == "HookedTransformer":
        assert family.parameters == attention_alone(5000, 256, 2, 1024)
        return
    if family.model == "PicoDecoderHF":
        assert family.parameters == counted("LlamaForCausalLM", shape(name))
        return
    config = shape(name)
    if family.model.startswith("Bloom"):
        config.vocab_size = 250880
    assert family.parameters == counted(family.model, config)


@every
def test_tables_are_well_formed(name: str) -> None:
    family = FAMILIES[name]
    labels = list(family.labels())
    assert name == family.name and len(labels) == len(set(labels))
    assert all(list(steps) == sorted(set(steps)) for steps in family.steps.values())
    places_ = [family.place(*label) for label in labels]
    assert len(set(places_)) == len(labels), "no two labels are one place"
    assert all(d.labels <= set(labels) and "; " not in str(d) and d.labels for d in family.defects)
    parsed = [p for p in places_ if not p.title]
    assert all(places.parse(str(p)) == p for p in parsed)
    for seed, step in (labels[0], labels[-1]):
        (there,) = find(f"{name}:seed={seed}" + ("" if step is None else f",step={step}"))
        assert (there.seed, there.step) == (seed, step) and sources.place(there.ref) == family.place(seed, step)
        least, most = {"float32": (3.9, 4.1), "float16": (1.9, 5), "bfloat16": (1.9, 2.1)}[family.stored]
        assert least < family.bytes(seed, step) / family.parameters < most
        if not family.place(seed, step).title:
            (same,) = find(str(family.place(seed, step)))
            assert (same.seed, same.step, same.defect) == (seed, step, there.defect)


@pytest.mark.parametrize(
    ("name", "seeds", "steps", "labels"),
    [
        ("multiberts", 25, 29, 165),
        ("pythia-70m", 10, 154, 1540),
        ("pythia-12b", 1, 154, 154),
        ("mistral-gpt2-small", 5, 609, 3045),
        ("feather-berts", 100, 0, 100),
        ("bert-qqp", 100, 5, 500),
        ("olmo2-1b", 1, 195, 195),
        ("olmo2-1b-early", 1, 37, 37),
        ("amber", 1, 359, 359),
        ("olmo3-7b-midtraining", 1, 49, 49),
        ("olmo3-7b-long", 1, 13, 13),
        ("parc-mamba", 6, 10, 60),
        ("smollm2-1.7b", 1, 41, 41),
        ("smollm3-3b", 1, 118, 118),
    ],
)
def test_counts_are_those_published(name: str, seeds: int, steps: int, labels: int) -> None:
    family = FAMILIES[name]
    assert (len(family.steps), len(next(iter(family.steps.values()))), len(list(family.labels()))) == (
        seeds,
        steps,
        labels,
    )


@pytest.mark.parametrize(
    ("ref", "place"),
    [
        ("multiberts:seed=3,step=20000", Place("google/multiberts-seed_3-step_20k")),
        ("multiberts:seed=3,step=0", Place("google/multiberts-seed_3-step_0k")),
        ("multiberts:seed=3,step=2000000", Place("google/multiberts-seed_3")),
        ("multiberts:seed=17", Place("google/multiberts-seed_17")),
        ("pythia-70m:step=1000", Place("EleutherAI/pythia-70m", "step1000")),
        ("pythia-410m:seed=9", Place("EleutherAI/pythia-410m-seed9", "step143000")),
        ("pythia-160m-weight:seed=2,step=0", Place("EleutherAI/pythia-160m-weight-seed2", "step0")),
        (
            "mistral-gpt2-medium:seed=777,step=400000",
            Place("stanford-crfm/eowyn-gpt2-medium-x777", "checkpoint-400000"),
        ),
        (
            "bert-qqp:seed=7,step=34110",
            Place("connectivity/bert_ft_qqp-7", title="Saving weights and logs of step 34110"),
        ),
        ("olmo2-7b:step=928646", Place("allenai/OLMo-2-1124-7B", "stage1-step928646-tokens3896B")),
        ("olmo2-1b:step=1907359", Place("allenai/OLMo-2-0425-1B", "stage1-step1907359-tokens4001B")),
        ("olmo2-13b:step=1000", Place("allenai/OLMo-2-1124-13B", "stage1-step1000-tokens9B")),
        ("olmo2-7b-ingredients:seed=2", Place("allenai/OLMo-2-1124-7B", "stage2-ingredient2-step11931-tokens50B")),
        ("olmo2-1b-ingredients:seed=1", Place("allenai/OLMo-2-0425-1B", "stage2-ingredient1-step23852-tokens51B")),
        ("olmo1-1b:step=20000", Place("allenai/OLMo-1B-hf", "step20000-tokens83B")),
        ("olmo1-7b-0424:step=477000", Place("allenai/OLMo-7B-0424-hf", "step477000-tokens2000B")),
        ("olmo3-7b:step=1413814", Place("allenai/Olmo-3-1025-7B", "stage1-step1413814")),
        ("olmo3-7b-midtraining:step=47684", Place("allenai/Olmo-3-1025-7B", "stage2-step47684")),
        ("olmo3-7b-long:step=11921", Place("allenai/Olmo-3-1025-7B", "stage3-step11921")),
        ("olmo3-32b:step=656000", Place("allenai/Olmo-3-1125-32B", "stage1-step656000")),
        ("olmo2-13b-post:step=2", Place("allenai/OLMo-2-1124-13B-DPO")),
        ("olmo2-7b-post", Place("allenai/OLMo-2-1124-7B-Instruct")),
        ("parc-rwkv:seed=0,step=4000", Place("jmichaelov/parc-rwkv-seed0", "checkpoint-4000")),
        ("parc-pythia:seed=5,step=2560", Place("jmichaelov/parc-pythia-seed5", "checkpoint-2560")),
        (
            "pico-decoder-tiny:step=21000",
            Place("pico-lm/pico-decoder-tiny", "pico-decoder-tiny-1", title="Saving HF Model -- Step 21000"),
        ),
        (
            "two-layer-attention:seed=3,step=4600",
            Place("timaeus/L2W256-s-3", folder="checkpoints/checkpoint_0004600.pth"),
        ),
        ("amber:step=7", Place("LLM360/Amber", "ckpt_007")),
        ("smollm3-3b:step=3480000", Place("HuggingFaceTB/SmolLM3-3B-checkpoints", "stage2-step-3480000")),
    ],
)
def test_places_are_the_names_seen_on_the_hub(ref: str, place: Place) -> None:
    (found,) = find(ref)
    assert sources.place(found.ref) == place


def test_the_wrong_branches_of_pythia_2_8b_are_86() -> None:
    family = FAMILIES["pythia-2.8b"]
    wrong = {step for (_, step), said in family.known_defects.items() if "#205" in said}
    assert len(wrong) == 86 and len(family.steps[0]) - len(wrong) == 68
    assert 54_000 in wrong and 65_000 in wrong and 66_000 not in wrong and 142_000 not in wrong
    for name in FAMILIES:
        if name.startswith("pythia"):
            said = FAMILIES[name].known_defects
            assert all("steps 0 and 1" in said[seed, step] for seed in FAMILIES[name].steps for step in (0, 1))


def test_what_is_left_out_is_the_first_seed_and_the_last_step() -> None:
    for ref in ("pythia-70m", "pythia-70m:step=143000", "pythia-70m:seed=0"):
        assert sources.place(ref) == Place("EleutherAI/pythia-70m", "step143000") == sources.place(find(ref)[0].ref)


@pytest.mark.parametrize(
    ("ref", "labels"),
    [
        ("hf://EleutherAI/pythia-70m-seed4@step512", (4, 512)),
        ("hf://google/multiberts-seed_2-step_1100k", (2, 1_100_000)),
        ("hf://google/multiberts-seed_2-step_2000k", (2, 2_000_000)),
        ("hf://me/x-seed_3@checkpoint-70", (3, 70)),
        ("hf://me/x@step900-seed-2", (2, 900)),
        ("hf://me/x@stage2-ingredient3-step11931-tokens50B", (3, 11931)),
        ("hf://me/x@refs/pr/1", (None, None)),
        ("hf://me/x/seed_1/step_20", (1, 20)),
    ],
)
def test_labels_are_read_from_names(ref: str, labels: tuple[int | None, int | None]) -> None:
    (found,) = find(ref)
    assert (found.seed, found.step) == labels


def test_patterns_and_lists() -> None:
    wanted = {"seed": (1, 4), "step": (0, 20_000)}
    refs = [(c.seed, c.step) for c in expand("multiberts:seed={seed},step={step}", wanted)]
    assert refs == [(1, 0), (1, 20_000), (4, 0), (4, 20_000)]
    assert len(sources.of_family("multiberts", None, (20_000,))) == 5
    assert len(sources.of_family("multiberts", None, None)) == 165
    pattern = expand("hf://EleutherAI/pythia-14m-seed{seed}@step{step}", {"seed": (1, 2), "step": (0, 512)})
    assert [(c.ref, c.seed, c.step) for c in pattern][1] == ("hf://EleutherAI/pythia-14m-seed1@step512", 1, 512)
    assert "steps 0 and 1 are the same" in pattern[0].defect and not pattern[1].defect
    assert "main is empty" in find("hf://EleutherAI/pythia-14m-seed4")[0].defect


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("multibert:seed=3", "no family 'multibert'; did you mean multiberts?"),
        ("multiberts:seed=25", "multiberts has no seed 25; its seeds are 0, 1, .*9 ..."),
        (
            "multiberts:seed=7,step=20000",
            "has no step 20000 of seed 7; it has 1 from 2000000 to 2000000: landscape families "
            "multiberts lists them; the nearest is 2000000",
        ),
        (
            "multiberts:seed=3,step=30000",
            "has no step 30000 of seed 3; it has 29 from 0 to 2000000: landscape families",
        ),
        ("multiberts:step", "is not well formed; write multiberts:seed=S,step=T"),
        ("multiberts:layer=3", "multiberts has no label layer; write multiberts:seed=S,step=T"),
        ("bert-cola:seed=2,step=100", "it has one checkpoint a seed: leave the step out"),
        ("feather-berts:seed=2,step=100", "it has one checkpoint a seed: leave the step out"),
        ("multibert", r"no folder or file multibert: .*did you mean the family multiberts\?"),
        ("me/tiny", "check the path, or for the hub write hf://me/tiny"),
        ("https://huggingface.co/me/tiny/tree/step3", "for the hub write hf://me/tiny@step3"),
        ("hf://x", "is not a place on the hub; write hf://organisation/name@revision/folder"),
    ],
)
def test_bad_references_get_a_sentence(ref: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find(ref)


def test_bad_lists_get_a_sentence() -> None:
    with pytest.raises(InputError, match="multiberts has no step 20000 of seed 9"):
        sources.of_family("multiberts", (3, 9), (20_000,))
    with pytest.raises(InputError, match="multiberts has no step 7 of seed 0"):
        sources.of_family("multiberts", None, (7,))
    with pytest.raises(InputError, match="cannot be searched for seeds in the name EleutherAI/pythia-14m-seed"):
        expand("hf://EleutherAI/pythia-14m-seed{seed}@step0", {})
    with pytest.raises(InputError, match=r"'hf://a/b-seed\{seed\}' has no \{step\}; write it into"):
        expand("hf://a/b-seed{seed}", {"seed": (1,), "step": (2,)})


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


DEMOS = ("demo", "planted", "alignment")  # go with checkpoints that are trained first
STUDIES = sorted(path for path in (ROOT / "studies").glob("*.toml") if path.stem not in DEMOS)


LISTED = ("multiberts", "polypythias", "mistral")
"""Each step and seed in a list, several repositories, and names of a rule of their own."""


@pytest.mark.parametrize(
    "study",
    [pytest.param(path, id=path.stem, marks=() if path.stem in LISTED else pytest.mark.slow) for path in STUDIES],
)
def test_ready_studies_are_planned_with_no_network(study: Path, no_network: None) -> None:
    result = CliRunner().invoke(cli, ["plan", str(study), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    totals = json.loads(result.stdout.splitlines()[-1])
    assert totals["bytes"] == totals["bytes_on_hub"] > 1e9 and totals["seconds"] > 0 and totals["tasks"] > 9
    assert "GB on the hub" in result.stderr


def test_families_are_listed_with_no_network(no_network: None) -> None:
    result = CliRunner().invoke(cli, ["families", "--json"], catch_exceptions=False)
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows.keys() == FAMILIES.keys()
    assert rows["multiberts"]["bytes"] == 165 * 441_000_000 and rows["multiberts"]["steps"]["3"][1] == 20_000
    said = CliRunner().invoke(cli, ["families", "multiberts"], catch_exceptions=False).stdout
    for part in ("BertForPreTraining, 110,106,428 parameters", "masked-lm", "73 GB in all 165", "0-200000 by 20000"):
        assert part in said
    assert "main is empty" in CliRunner().invoke(cli, ["families", "pythia-14m"]).stdout
    unsure = [name for name, row in rows.items() if not row["exact"]]
    known = {"parc-mamba", "olmo3-7b", "olmo3-32b", "olmo2-1b-post", "pico-decoder-tiny", "two-layer-attention"}
    assert known < set(unsure) and "olmo3-7b-long" not in unsure
    for name in ("parc-mamba", "pico-decoder-large"):
        assert "not certain" in CliRunner().invoke(cli, ["families", name]).stdout


def test_size_of_a_known_checkpoint_needs_no_network(no_network: None) -> None:
    size = weights(find("mistral-gpt2-small:seed=21,step=0")[0])
    assert size.remote and size.bytes == 510_000_000 and size.parameters == 124_439_808
    assert weights(find("mistral-gpt2-small:seed=21,step=10")[0]).bytes == 261_000_000
    assert not fetch.is_here(find("mistral-gpt2-small:seed=21,step=0")[0])
    assert families.labelled(Place("EleutherAI/pythia-70m", "step8")) is not None
