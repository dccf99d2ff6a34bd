"""Log-probabilities of texts: against a loop, against minicons, and however they are batched."""

from __future__ import annotations

import itertools
from typing import Any

import cases
import numpy as np
import pytest
import torch
from minicons import scorer
from puppets import Puppet, random_table, speaker, table
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GPTNeoXConfig, PreTrainedTokenizerFast

from landscape.errors import InputError
from landscape.probes import ProbeModel
from landscape.probes.base import scoring

TEXTS = ["w3 w1 w4 w1 w5", "w3 w1 w4 w2", "w3 w1", "w9 w2 w6 w5 w3 w5 w8 w9 w7", "w3 w1 w4 w1 w5 w9"]


@torch.no_grad()
def one_by_one(model: Any, ids: list[int]) -> np.ndarray:
    log_p = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    return np.array([float(log_p[t, ids[t + 1]]) for t in range(len(ids) - 1)])


def neox() -> Any:
    return cases.auto(GPTNeoXConfig(
        vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=32, bos_token_id=None, eos_token_id=None,
    ))  # fmt: skip


@pytest.mark.parametrize(("tokens", "block"), [(1, 1000), (9, 7), (4096, 60)])
@pytest.mark.parametrize("make", [cases.gpt2, neox])
def test_batches_and_shared_beginnings_change_nothing(
    make: Any, tokens: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "TOKENS", tokens)
    monkeypatch.setattr(scoring, "BLOCK", block)
    model = make().double()
    probed = ProbeModel(model, cases.tokenizer(), "causal")
    ids = [probed.ids(text) for text in TEXTS]
    found = scoring.causal(probed, ids)
    for one, values in zip(ids, found, strict=True):
        np.testing.assert_allclose(values, one_by_one(model, one), atol=1e-12, rtol=0)


def test_a_beginning_meets_the_head_once() -> None:
    """Five texts of 26 tokens have 14 beginnings that something follows, and two of the texts are within others."""
    model = cases.gpt2()
    probed = ProbeModel(model, cases.tokenizer(), "causal")
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _, args, __: rows.append(args[0].shape[:-1].numel()))
    passed: list[int] = []
    model.transformer.register_forward_hook(lambda _, __, out: passed.append(len(out[0])))
    linear = torch.nn.functional.linear
    seen: list[int] = []

    def counted(states: Any, weight: Any, bias: Any = None) -> Any:
        if weight.shape[0] == cases.WORDS:
            seen.append(len(states))
        return linear(states, weight, bias)

    ids = [probed.ids(text) for text in TEXTS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring.F, "linear", counted)
        scoring.causal(probed, ids)
    followed = {tuple(one[:k]) for one in ids for k in range(1, len(one))}
    assert sum(size for size in seen if size > 5) == len(followed)
    assert passed[-1] == 2  # three of the texts are, but for their last token, the beginning of another


def test_a_table_has_its_own_sums() -> None:
    log_p = random_table(len(speaker()))
    probed = ProbeModel(table(log_p), speaker(), "causal")
    sentence = "The girl near the boys laughs"
    ids = probed.ids(sentence)
    wanted = sum(float(log_p[a, b]) for a, b in itertools.pairwise(ids))
    assert scoring.texts(probed, [sentence, sentence])[1] == pytest.approx(wanted, abs=1e-12)


def test_a_start_token_makes_the_first_token_count() -> None:
    log_p = random_table(len(speaker()))
    probed = ProbeModel(table(log_p), speaker(bos_token="[CLS]"), "causal")
    girl = probed.ids("girl")[0]
    assert scoring.texts(probed, ["girl"])[0] == pytest.approx(float(log_p[1, girl]), abs=1e-12)


def pieces(**changes: Any) -> PreTrainedTokenizerFast:
    """Word pieces, so that words have one to three tokens."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "un", "##happi", "##ly", "dog", "##s", "bark", "##ed", "the"]
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return PreTrainedTokenizerFast(**{
        "tokenizer_object": made, "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "pad_token": "[PAD]", "mask_token": "[MASK]", **changes,
    })  # fmt: skip


def known_to_minicons(tokenizer: Any) -> Any:
    """With the name by which minicons calls it, which transformers has dropped."""
    tokenizer.batch_encode_plus = tokenizer.__call__
    return tokenizer


PIECES = ["the dogs barked unhappily", "dogs bark", "the dog unhappily barked the dogs"]


@pytest.mark.parametrize("pll", ["original", "within_word_l2r"])
def test_pseudo_log_likelihood_is_that_of_minicons(pll: str) -> None:
    model = cases.bert()
    oracle = scorer.MaskedLMScorer(model, "cpu", tokenizer=known_to_minicons(pieces()))
    wanted = oracle.sequence_score(PIECES, reduction=lambda x: x.sum(0).item(), PLL_metric=pll)
    found = scoring.texts(ProbeModel(model, pieces(), "masked"), PIECES, pll)
    np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=0)


def test_the_two_pseudo_log_likelihoods_differ_on_words_of_several_tokens() -> None:
    probed = ProbeModel(cases.bert(), pieces(), "masked")
    one, other = (
        scoring.texts(probed, ["dog the bark", "the unhappily"], pll) for pll in ("original", "within_word_l2r")
    )
    assert one[0] == pytest.approx(other[0], abs=1e-5) and abs(one[1] - other[1]) > 1e-3


def test_causal_scores_are_those_of_minicons() -> None:
    model, tokenizer = cases.gpt2(), cases.tokenizer()
    oracle = scorer.IncrementalLMScorer(model, "cpu", tokenizer=known_to_minicons(tokenizer))
    wanted = oracle.sequence_score(TEXTS, reduction=lambda x: x.sum(0).item())
    np.testing.assert_allclose(scoring.texts(ProbeModel(model, tokenizer, "causal"), TEXTS), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("rows", [1, 2**22])
def test_choices_are_read_at_their_place(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CPU_LOGITS", 4 * rows)
    model = cases.bert().double()
    probed = ProbeModel(model, pieces(), "masked")
    sequences, where, wanted = [[1, 12, 4, 2], [1, 4, 9, 10, 12, 2]], [2, 1], [[8, 10], [5, 9]]
    found = scoring.choices(probed, sequences, where, wanted)
    with torch.no_grad():
        for k, ids in enumerate(sequences):
            log_p = model(input_ids=torch.tensor([ids])).logits[0, where[k]].log_softmax(dim=-1)
            np.testing.assert_allclose(found[k], log_p[wanted[k]], atol=1e-12, rtol=0)


@pytest.mark.parametrize("tokens", [1, 23, 60])
def test_passes_hold_every_text_once_and_no_more_tokens_than_they_may(tokens: int) -> None:
    lengths = np.random.default_rng(3).integers(1, 30, 40).tolist()
    found = list(scoring.passes(lengths, tokens))
    assert sorted(k for batch in found for k in batch) == list(range(40))
    sizes = [max(lengths[k] for k in batch) * len(batch) for batch in found]
    assert all(size <= tokens or len(batch) == 1 for size, batch in zip(sizes, found, strict=True))
    # One more of the next would not have fitted.
    for batch, after in itertools.pairwise(found):
        assert lengths[after[0]] * (len(batch) + 1) > tokens


def test_a_head_with_a_bias_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BLOCK", 7)
    torch.manual_seed(5)
    head, states = torch.nn.Linear(6, 31).double(), torch.randn(4, 6, dtype=torch.float64)
    parent, token = torch.tensor([0, 3, 3, 1]), torch.tensor([30, 2, 7, 13])
    with torch.no_grad():
        wanted = head(states).log_softmax(dim=-1)[parent, token]
        torch.testing.assert_close(scoring._plain(states, head, parent, token), wanted, rtol=0, atol=1e-12)


def test_a_text_begins_with_a_token_that_the_model_has() -> None:
    tokenizer = speaker(bos_token="[MASK]")
    assert tokenizer.bos_token_id == 4
    assert [ProbeModel(Puppet(size, None), tokenizer, "causal").start for size in (4, 5)] == [[], [4]]


def test_a_text_begins_as_the_tokenizer_does_or_as_it_is_told() -> None:
    """GPT-2 has a token to begin with and does not use it; an objective would not either."""
    unused = PreTrainedTokenizerFast(tokenizer_object=speaker()._tokenizer, unk_token="[UNK]", bos_token="[CLS]")
    model = Puppet(len(unused), None)
    told = [ProbeModel(model, unused, "causal", bos).start for bos in ("auto", False, True)]
    assert told == [[], [], [1]]
    assert ProbeModel(model, speaker(bos_token="[CLS]"), "causal", bos=False).start == []


def test_what_cannot_be_scored_is_said() -> None:
    exact = ProbeModel(Puppet(9, None, max_position_embeddings=24), speaker(), "causal")
    scoring.require_length(exact, [[7] * 24, [7]])
    with pytest.raises(InputError, match="an item has 25 tokens and the model takes 24; give shorter items"):
        scoring.require_length(exact, [[7], [7] * 25])
    causal = ProbeModel(cases.gpt2(), cases.tokenizer(), "causal")
    with pytest.raises(InputError, match="'w7' is one token to this tokenizer, and its probability depends on nothing"):
        scoring.texts(causal, ["w1 w2", "w7"])
    with pytest.raises(InputError, match="an item has 30 tokens and the model takes 24; give shorter items"):
        scoring.texts(causal, ["w1 " * 30])
    with pytest.raises(InputError, match="there is nothing to score"):
        scoring.texts(causal, [])
    masked = ProbeModel(cases.bert(), pieces(mask_token=None), "masked")
    with pytest.raises(InputError, match="the tokenizer has no mask token; a masked model needs the tokenizer"):
        scoring.texts(masked, ["the dog"])
    with pytest.raises(InputError, match="scored by causal and masked language models, and this is a classifier"):
        scoring.texts(ProbeModel(cases.classifier(), pieces(), "classifier"), ["the dog"])
    with pytest.raises(InputError, match="a text is empty"):
        scoring.texts(ProbeModel(cases.bert(), pieces(), "masked"), ["the dog", ""])
    small = Puppet(6, lambda ids: torch.zeros(*ids.shape, 6))
    with pytest.raises(InputError, match="the token id 12 and the model's vocabulary ends at 5; give the token"):
        ProbeModel(small, pieces(), "causal").ids("the dogs")
