import json
import math
from types import SimpleNamespace
from typing import Any

import cases
import pytest
import torch
import transformers
from puppets import TEXT, speaker
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertLMHeadModel,
    CohereConfig,
    DistilBertConfig,
    DistilBertForMaskedLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLNetConfig,
    XLNetLMHeadModel,
)

from landscape.errors import InputError
from landscape.objectives import causal_lm, classification, masked_lm, module
from landscape.objectives.head import head_is_plain, head_is_positionwise
from landscape.objectives.text import blocks

SMALL = {"vocab_size": cases.WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
GATED = {**SMALL, "intermediate_size": 20, "num_key_value_heads": 1, "head_dim": 4}
CAUSAL = {
    "gpt2": lambda: cases.gpt2(2),
    "llama": lambda: cases.auto(LlamaConfig(**GATED)),
    "gpt-neox": lambda: cases.auto(GPTNeoXConfig(**SMALL, intermediate_size=20)),
    # Two whose head does more than a matrix product, so that the shortcut must be refused.
    "gemma2 (soft cap)": lambda: cases.auto(Gemma2Config(**GATED, final_logit_softcapping=0.5)),
    "cohere (scale)": lambda: cases.auto(CohereConfig(**GATED, logit_scale=0.3)),
}
MASKED = {
    "bert": lambda: cases.bert(2),
    "roberta": lambda: cases.bert_like(RobertaForMaskedLM, RobertaConfig),
    "albert": lambda: cases.bert_like(AlbertForMaskedLM, AlbertConfig, embedding_size=8),
    "distilbert": lambda: cases.rough(
        DistilBertForMaskedLM(DistilBertConfig(vocab_size=cases.WORDS, dim=12, n_layers=2, n_heads=3, hidden_dim=20))
    ),
}


def ids(*shape: int) -> Tensor:
    return torch.randint(5, cases.WORDS, shape, generator=cases.generator(8))


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_loss_is_that_of_transformers(name: str) -> None:
    model = CAUSAL[name]().double()
    batch = {"input_ids": ids(6, 12)}
    objective = causal_lm.build(model, batch)
    with torch.no_grad():
        found = objective.measure(model, batch)["loss"]
        expected = torch.stack([model(input_ids=row[None], labels=row[None]).loss for row in batch["input_ids"]])
    # transformers rounds the logits to float32 before the loss, whatever the model.
    assert_close(found, expected.double(), rtol=0, atol=2e-6)
    assert objective.measure.keywords == {"plain": "(" not in name}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MASKED)
def test_masked_loss_is_that_of_transformers(name: str) -> None:
    model = MASKED[name]().double()
    batch = masked_lm.encode(cases.TEXT, cases.tokenizer(), sequences=6, length=14, mask=0.3, seed=4)
    objective = masked_lm.build(model, batch)
    labels = torch.full((6, 14), -100).scatter(1, batch["positions"], batch["targets"])
    with torch.no_grad():
        found = objective.measure(model, batch)["loss"]
        both = zip(batch["input_ids"], labels, strict=True)
        expected = torch.stack([model(input_ids=row[None], labels=label[None]).loss for row, label in both])
    assert_close(found, expected, rtol=0, atol=1e-10)
    assert objective.measure.keywords == {"positionwise": True}  # type: ignore[attr-defined]


def test_logits_are_made_at_masked_positions_only() -> None:
    model = cases.bert()
    batch = masked_lm.encode(cases.TEXT, cases.tokenizer(), sequences=6, length=14, mask=0.3, seed=4)
    objective = masked_lm.build(model, batch)
    seen: list[tuple[int, ...]] = []
    model.cls.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    objective.measure(model, batch)
    assert seen == [(6, 4, cases.WORDS)]


def test_masked_head_that_mixes_positions_is_given_all() -> None:
    class Mixing(BertForMaskedLM):
        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            out = super().forward(input_ids=input_ids)
            out.logits = out.logits + out.logits.cumsum(dim=1)
            return out

    model = cases.bert(1, Mixing)
    batch = masked_lm.encode(cases.TEXT, cases.tokenizer(), sequences=3, length=14, mask=0.3, seed=4)
    assert masked_lm.build(model, batch).measure.keywords == {"positionwise": False}  # type: ignore[attr-defined]


def test_masks_are_as_many_in_each_sequence_and_fixed_by_the_seed() -> None:
    tokenizer = cases.tokenizer()
    settings = {"sequences": 100, "length": 18, "mask": 0.25}
    one, again, other = (masked_lm.encode(cases.TEXT, tokenizer, **settings, seed=s) for s in (1, 1, 2))  # type: ignore[arg-type]
    assert one["positions"].shape == (100, 4)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["positions"], other["positions"])
    assert all(len(set(row)) == 4 for row in one["positions"].tolist())
    assert one["positions"].min() >= 1 and one["positions"].max() <= 16
    plain = masked_lm.encode(cases.TEXT, tokenizer, **settings, seed=2)  # type: ignore[arg-type]
    restored = plain["input_ids"].scatter(1, plain["positions"], plain["targets"])
    assert torch.equal(restored, one["input_ids"].scatter(1, one["positions"], one["targets"]))
    shown = one["input_ids"].gather(1, one["positions"])
    masked = (shown == tokenizer.mask_token_id).double().mean()
    kept = (shown == one["targets"]).double().mean()
    assert abs(float(masked) - 0.8) < 4 * (0.8 * 0.2 / 400) ** 0.5
    assert abs(float(kept) - 0.1) < 4 * (0.1 * 0.9 / 400) ** 0.5 + 0.1 / cases.WORDS


def test_classification_is_that_of_transformers() -> None:
    lines = [{"text": f"w{n} w3", "text_pair": f"w{n * n % 50}", "label": n % 3} for n in range(9)]
    text = "\n".join(map(json.dumps, lines))
    batch = classification.encode(text, cases.tokenizer(), sequences=8, length=9)
    model = cases.classifier(5).double()
    objective = classification.build(model, batch)
    with torch.no_grad():
        found = objective.measure(model, batch)
        whole = model(**batch | {"labels": batch["labels"][:, 0]})
        each = [{k: v[n : n + 1] for k, v in batch.items()} for n in range(8)]
        rows = [model(**one | {"labels": one["labels"][:, 0]}).loss for one in each]
    assert_close(found["loss"], torch.stack(rows), rtol=0, atol=1e-12)
    assert found["accuracy"].tolist() == (whole.logits.argmax(-1) == batch["labels"][:, 0]).tolist()


def test_classification_takes_lines_from_all_over_the_file() -> None:
    lines = "\n\n".join(json.dumps({"text": f"w{n}", "label": n}) for n in range(9))
    batch = classification.encode(lines, cases.tokenizer(), sequences=4, length=3)
    assert batch["labels"].tolist() == [[0], [3], [5], [8]]


def test_any_of_several_labels_may_be_right() -> None:
    """As on HANS, whose non-entailment is two classes of a model of three."""
    right = [[0, 2], 1, [2], [0, 2], [1, 0, 2], [0, 1]]
    lines = [{"text": f"w{n} w3", "text_pair": f"w{7 * n}", "label": label} for n, label in enumerate(right)]
    batch = classification.encode("\n".join(map(json.dumps, lines)), cases.tokenizer(), sequences=6, length=9)
    model = cases.classifier(5).double()
    with torch.no_grad():
        found = classification.build(model, batch).measure(model, batch)
        shares = model(**{k: v for k, v in batch.items() if k != "labels"}).logits.softmax(-1)
    sets = [set(label) if isinstance(label, list) else {label} for label in right]
    expected = [-math.log(sum(float(share[k]) for k in own)) for share, own in zip(shares, sets, strict=True)]
    assert found["loss"].tolist() == pytest.approx(expected, abs=1e-12)
    assert found["accuracy"].tolist() == [int(share.argmax()) in own for share, own in zip(shares, sets, strict=True)]
    assert 0 < found["accuracy"].mean() < 1 and found["loss"][4] == pytest.approx(0, abs=1e-12)
    assert 0 < found["accuracy"].sum() < 8


@pytest.mark.untyped
def test_the_likeliest_class_counts_and_not_the_likeliest_group() -> None:
    shares = torch.tensor([[0.3, 0.4, 0.3], [0.2, 0.35, 0.45]], dtype=torch.float64)
    batch = {"input_ids": torch.zeros(2, 1, dtype=torch.long), "labels": torch.tensor([[0, 2], [1, 1]])}
    model: Any = lambda **_: SimpleNamespace(logits=shares.log())  # noqa: E731
    found = classification.measure(model, batch)
    assert found["accuracy"].tolist() == [0, 0]
    assert found["loss"].tolist() == pytest.approx([-math.log(0.6), -math.log(0.35)])


def test_any_module_with_a_loss_of_its_own() -> None:
    x = torch.tensor([[1.0], [3.0], [-2.0]])
    objective = module.build(
        nn.Linear(1, 1), {"inputs": x, "y": 2 * x}, lambda out, batch: (out - batch["y"])[:, 0] ** 2
    )
    objective.model.load_state_dict({"weight": torch.tensor([[5.0]]), "bias": torch.tensor([1.0])})
    found = objective.measure(objective.model, objective.batch)["loss"]
    assert found.tolist() == [16.0, 100.0, 25.0]


def test_objectives_are_in_evaluation_mode_without_gradient() -> None:
    model = cases.gpt2(0, resid_pdrop=0.5).train()
    objective = causal_lm.build(model, {"input_ids": ids(3, 8)})
    assert not any(m.training for m in objective.model.modules())
    assert not any(p.requires_grad for p in objective.model.parameters())
    assert torch.equal(
        objective.measure(model, objective.batch)["loss"], objective.measure(model, objective.batch)["loss"]
    )


def test_blocks_are_disjoint_and_spread() -> None:
    found = blocks(torch.arange(1003), 4, 10)
    assert found[:, 0].tolist() == [0, 330, 660, 990]
    assert torch.equal(found[1], torch.arange(330, 340))


@pytest.mark.parametrize(
    ("tokens", "said"), [(9, "has 9 tokens and one sequence takes 10"), (25, "gives 2 sequences of 10")]
)
def test_text_that_is_too_short_is_refused(tokens: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        blocks(torch.arange(tokens), 3, 10)


def test_what_does_not_go_together_is_refused() -> None:
    model = cases.gpt2(0, vocab_size=50)
    causal_lm.build(model, {"input_ids": torch.tensor([[1, 49], [2, 3]])})
    for beyond in (50, 59):
        with pytest.raises(InputError, match=f"token id {beyond} and the model's vocabulary ends at 49"):
            causal_lm.build(model, {"input_ids": torch.tensor([[1, beyond], [2, 3]])})
    with pytest.raises(InputError, match="at least two examples, got 1"):
        causal_lm.build(model, {"input_ids": torch.tensor([[1, 2]])})
    with pytest.raises(InputError, match="is a BatchNorm1d, whose running statistics"):
        module.build(
            nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), {"inputs": torch.ones(3, 2)}, lambda out, _: out
        )
    with pytest.raises(InputError, match=r"lacks the inputs \['x'\]"):
        module.build(nn.Linear(2, 2), {"inputs": torch.ones(3, 2)}, lambda out, _: out, inputs=("x",))
    with pytest.raises(InputError, match="differ in their number of examples"):
        module.build(nn.Linear(2, 2), {"inputs": torch.ones(3, 2), "y": torch.ones(2)}, lambda out, _: out)
    whole = module.build(nn.Linear(2, 2), {"inputs": torch.ones(3, 2)}, lambda out, _: out.mean())
    with pytest.raises(InputError, match=r"shape \(\) and one number for each of 3 examples"):
        whole.measure(whole.model, whole.batch)
    wide = module.build(nn.Linear(2, 2), {"inputs": torch.ones(3, 2)}, lambda out, _: out**2)
    with pytest.raises(InputError, match=r"shape \(3, 2\) and one number for each of 3 examples"):
        wide.measure(wide.model, wide.batch)
    tokenizer = cases.tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        masked_lm.encode(cases.TEXT, tokenizer, sequences=2, length=9, mask=0.2, seed=0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 of the data is not JSON like"),
        ('{"text": "w1"}', "line 2 of the data is not JSON like"),
        ('{"text": "w1", "text_pair": "w2", "label": 0}', "some lines of the data have a text_pair"),
        ('{"text": "w1", "label": []}', "is not JSON like .*list index out of range"),
        ('{"text": "w1", "label": 1.9}', "line 2 of the data .*the label 1.9 is no class: classes are whole numbers"),
        ('{"text": "w1", "label": [0, 0, 1]}', r"the label \[0, 0, 1\] names a class twice"),
        ('{"text": "w1", "label": 7}', "labels run from 1 to 7 and the model has 3 classes"),
        ('{"text": "w1", "label": 3}', "labels run from 1 to 3 and the model has 3 classes"),
        ('{"text": "w1", "label": -1}', "labels run from -1 to 1 and the model has 3 classes"),
    ],
)
def test_bad_classification_data_is_refused(line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        batch = classification.encode('{"text": "w1", "label": 1}\n' + line, cases.tokenizer(), sequences=2, length=5)
        classification.build(cases.classifier(), batch)


def test_a_label_may_be_a_whole_number_of_any_type() -> None:
    lines = '{"text": "w1", "label": 1.0}\n{"text": "w1", "label": "2"}'
    batch = classification.encode(lines, cases.tokenizer(), sequences=2, length=5)
    assert batch["labels"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem_type": "regression"}, "predicts numbers .*problem_type is regression with 3 outputs"),
        ({"num_labels": 1}, "problem_type is regression with 1 outputs"),
        ({"problem_type": "multi_label_classification"}, "says yes or no .*problem_type is multi_label_classification"),
    ],
)
def test_a_head_that_chooses_no_class_is_refused(changes: dict[str, Any], said: str) -> None:
    batch = {"input_ids": ids(2, 5), "labels": torch.zeros(2, 1, dtype=torch.long)}
    with pytest.raises(InputError, match=said):
        classification.build(cases.bert(0, BertForSequenceClassification, **{"num_labels": 3, **changes}), batch)


def test_a_model_that_sees_the_future_is_refused_even_if_it_sees_little() -> None:
    seeing = cases.bert_like(BertLMHeadModel, BertConfig)
    with pytest.raises(InputError, match="a BertLMHeadModel of this config sees the tokens that it is to predict"):
        causal_lm.build(seeing, {"input_ids": ids(2, 9)})
    torch.manual_seed(0)
    fresh = BertLMHeadModel(BertConfig(**SMALL, intermediate_size=20, initializer_range=0.002)).eval()
    with pytest.raises(InputError, match="earlier logits move with the last token"):
        causal_lm.build(fresh, {"input_ids": ids(2, 9)})
    causal_lm.build(cases.bert_like(BertLMHeadModel, BertConfig, is_decoder=True), {"input_ids": ids(2, 9)})


def test_xlnet_is_given_an_order() -> None:
    """The chain rule: each token from those before it, one forward pass for each."""
    torch.manual_seed(4)
    config = XLNetConfig(vocab_size=cases.WORDS, d_model=12, n_layer=2, n_head=3, d_inner=20)
    model = cases.rough(XLNetLMHeadModel(config))  # its positions are float32 whatever the weights
    batch = {"input_ids": ids(2, 7)}
    wanted = []
    for k in range(1, 7):
        shown = batch["input_ids"][:, : k + 1].clone()
        shown[:, k] = 9  # whatever stands there, nobody may look at it
        hide, ask = torch.ones(2, k + 1, k + 1).triu(), torch.zeros(2, 1, k + 1)
        ask[:, 0, k] = 1
        with torch.no_grad():
            log_p = model(input_ids=shown, perm_mask=hide, target_mapping=ask).logits[:, 0].log_softmax(dim=-1)
        wanted.append(-log_p.gather(1, batch["input_ids"][:, k : k + 1])[:, 0])
    objective = causal_lm.build(model, batch)
    with torch.no_grad():
        assert_close(objective.measure(model, batch)["loss"], torch.stack(wanted).mean(dim=0), atol=1e-5, rtol=0)


def test_stretches_begin_as_the_tokenizer_does_or_as_they_are_told() -> None:
    def encoded(tokenizer: Any, **how: Any) -> Tensor:
        return causal_lm.encode(TEXT, tokenizer, sequences=3, length=7, **how)["input_ids"]

    always, without = speaker(bos_token="[CLS]"), speaker()
    never = PreTrainedTokenizerFast(tokenizer_object=without._tokenizer, unk_token="[UNK]", bos_token="[CLS]")
    begun, plain = encoded(always), encoded(without)
    assert begun.shape == plain.shape == (3, 7)
    assert (begun[:, 0] == 1).all() and (begun[:, 1:] != 1).all() and (plain != 1).all()
    assert begun[0, 1:].tolist() == plain[0, :6].tolist()  # stretches of six tokens, from the first on
    assert_close(encoded(never), plain)
    assert_close(encoded(never, bos=True), begun)
    assert_close(encoded(always, bos=False), plain)
    with pytest.raises(InputError, match="bos is true and the tokenizer has no token to begin a text"):
        encoded(without, bos=True)


@pytest.mark.parametrize("tied", [True, False])
def test_a_cap_on_logits_is_seen_before_the_weights_are(tied: bool) -> None:
    """A new Gemma 2 has logits far below its cap of 30; the checkpoint whose weights come later has not."""
    config = Gemma2Config(**GATED, final_logit_softcapping=30.0, tie_word_embeddings=tied)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.arange(24).view(2, 12) % 50 + 3
    objective = causal_lm.build(model, {"input_ids": ids})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.5 * torch.randn_like(parameter))
        wanted = torch.stack([model(input_ids=row[None], labels=row[None]).loss for row in ids])
        raw = model.get_output_embeddings()(model.model(input_ids=ids)[0])
        found = objective.measure(model, {"input_ids": ids})["loss"]
    assert raw.abs().max() > 30, "beyond the cap"
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_usual_heads_are_plain() -> None:
    """Logits that no shortcut may take are costly: it is not given up for nothing."""
    for model in (cases.gpt2(), cases.auto(LlamaConfig(**GATED))):
        assert head_is_plain(model, {"input_ids": torch.arange(10)[None] + 3})
    chosen = torch.tensor([[1, 4, 6]])
    assert head_is_positionwise(cases.bert(), {"input_ids": torch.arange(10)[None] + 5}, chosen)
