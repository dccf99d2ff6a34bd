"""Linear probes and syntax in attention, on states and maps made by hand."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from puppets import SPECIAL, WORDS, Puppet, speaker
from test_probe_choices import result_of
from test_probe_language import score
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from landscape.errors import InputError
from landscape.probes import ProbeModel, linear, syntax
from landscape.probes.base import grammar, result, words

V = len(speaker())
TAGS = {form: tag for pairs, tag in ((grammar.NOUNS, 0), (grammar.VERBS, 1), (grammar.TRANSITIVE, 1))
        for pair in pairs for form in pair}  # fmt: skip


def states(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Layer 0: a random vector for each word. Layer 1: the same, and what kind of word it is and of what number."""
    own = torch.randn(V, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plural = {pair[1] for pair in (*grammar.NOUNS, *grammar.VERBS, *grammar.TRANSITIVE)}
    facts = torch.zeros(V, 4, dtype=torch.float64)
    for k, word in enumerate([*SPECIAL, *WORDS]):
        facts[k, TAGS.get(word, 2 if word in grammar.PREPOSITIONS else 3)] = 9.0
        if word in plural:
            facts[k, 3] = 9.0
    planted = own.clone()
    planted[:, :4] = facts
    return own[ids], planted[ids]


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few resamples and few blocks of the code, for tests that do not look at them."""
    monkeypatch.setattr(result, "RESAMPLES", 3)
    monkeypatch.setattr(linear, "FRACTIONS", (0.1, 0.3, 1.0))


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("kind", ["causal", pytest.param("masked", marks=pytest.mark.slow)])
def test_what_is_planted_is_read_and_words_are_not_learned_by_heart(kind: Any) -> None:
    found = result_of("linear", Puppet(V, lambda ids: torch.zeros(*ids.shape, V), states=states), kind=kind, count=6)
    for task in ("pos", "number"):
        random, planted = (f"{task}, layer {k}" for k in (0, 1))
        assert score(found, "accuracy", planted).value > 0.97 and score(found, "macro_f1", planted).value > 0.95
        assert score(found, "margin", planted).value > 1
        # Random vectors tell nothing of a word that was not seen; of words that were, everything, but so they do
        # of random labels, and the selectivity says so.
        here = score(found, "accuracy", random)
        assert abs(here.value - 0.5) < 4 * here.error < 0.7
        assert score(found, "selectivity", planted).value > 0.12 > score(found, "selectivity", random).value
        assert score(found, "compression", planted).value > 1.3 * score(found, "compression", random).value
    overall = score(found, "accuracy", "pos")
    layers = [score(found, "accuracy", f"pos, layer {k}").value for k in (0, 1)]
    assert overall.value == pytest.approx(np.mean(layers)) and overall.headline


def test_both_numbers_of_a_noun_are_held_out_together() -> None:
    probed = ProbeModel(Puppet(V, None), speaker(), "causal")
    items = linear.items(probed, linear.ProbeInputs(count=14), np.random.RandomState(0))
    for question in items.questions:
        spoken = [grammar.LEMMAS.get(word) for word in _words(items, probed)]
        held = {spoken[w] for w, test in zip(question.word, question.test_lemma, strict=True) if test}
        kept = {spoken[w] for w, test in zip(question.word, question.test_lemma, strict=True) if not test}
        assert held and not held & kept - {None}
        # The control gives one label to a type.
        pairs = set(zip(question.type.tolist(), question.control.tolist(), strict=True))
        assert len(pairs) == question.type.max() + 1
        # Sentences made of the same words are on one side.
        sides = set(zip(question.sentence.tolist(), question.test_sentence.tolist(), strict=True))
        assert len(sides) == question.sentence.max() + 1


def _words(items: linear.Items, probed: ProbeModel) -> list[str]:
    return [probed.tokenizer.decode([token]).lower() for a in items.tokens for token in a.ids]


def test_the_online_code_of_features_that_say_nothing() -> None:
    """A probe that sees a constant gives each label its frequency so far, as its regularised fit has it."""
    random = np.random.default_rng(0)
    y = (random.random(400) < 0.8).astype(int)
    bits, blocks = linear.code_lengths(np.ones((400, 1)), y, 2)
    ends = [round(f * 400) for f in linear.FRACTIONS if round(f * 400) >= 4]
    assert (
        ends == [6, 13, 25, 50, 100, 200, 400]
        and len(bits) == 7
        and [len(b) for b in blocks] == [7, 12, 25, 50, 100, 200]
    )
    wanted = [6.0]
    for begin, end in itertools.pairwise(ends):
        p = y[:begin].mean()
        mixed = [(1 - 1e-3) * q + 1e-3 / 2 for q in (1 - p, p)]
        wanted.append(-sum(math.log2(mixed[label]) for label in y[begin:end]))
    np.testing.assert_allclose(bits, wanted, rtol=1e-3)


def test_a_label_that_comes_late_has_a_finite_code() -> None:
    y = np.array([0, 1] * 90 + [0, 1, 2, 0] * 5)
    bits, blocks = linear.code_lengths(np.ones((200, 1)), y, 3)
    assert blocks[-1][-2] == pytest.approx(-math.log2(1e-3 / 3)) and bits[0] == pytest.approx(6 * math.log2(3))


def question(**changes: Any) -> linear.Question:
    """40 words of two classes; lemmas, types, sentences and what is held out go across each other."""
    n = np.arange(40)
    parts = {"word": n, "label": n % 2, "type": n % 13, "lemma": n % 10, "sentence": n // 5, "control": (n % 13) % 2,
             "test_lemma": n % 10 >= 6, "test_sentence": n >= 25, "order": (7 * n) % 40}  # fmt: skip
    return linear.Question(**{"name": "x", "names": ("a", "b"), **parts, **changes})


@pytest.mark.usefixtures("few_resamples")
def test_neither_lemmas_nor_sentences_of_the_test_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    q = question()
    seen: list[tuple[list[int], list[int]]] = []

    def fitted(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append((x[:, 0].astype(int).tolist(), test[:, 0].astype(int).tolist()))
        return np.log(np.full((len(test), 2), 0.5)), np.array([0, 1])

    monkeypatch.setattr(linear, "_fitted", fitted)
    linear._layer(0, np.arange(40.0)[:, None], q)
    (train, test), *controls = seen[:3]
    assert train == [k for k in range(25) if k % 10 < 6] and test == [k for k in range(25, 40) if k % 10 >= 6]
    assert controls == [(list(range(25)), list(range(25, 40)))] * 2


@pytest.mark.usefixtures("few_resamples")
def test_errors_of_compression_and_of_means_over_layers() -> None:
    """That of a ratio follows from that of the length; layers that are copies tell no more than one."""
    x = np.random.default_rng(2).normal(size=(40, 3))
    x[:, 0] += np.arange(40) % 2
    q = question()
    layers = [linear._layer(k, x, q) for k in (0, 1)]
    found = {one.metric: one for one in layers[0][0]}
    bits, blocks = linear.code_lengths(x[q.order], q.label[q.order], 2)
    spread = math.sqrt(sum(((b - b.mean()) ** 2).sum() for b in blocks))
    derivative = (40 / (sum(bits) - 1e-4) - 40 / (sum(bits) + 1e-4)) / 2e-4
    assert found["compression"].value == pytest.approx(40 / sum(bits))
    assert found["compression"].error == pytest.approx(derivative * spread, rel=1e-6)
    overall = {one.metric: one for one in linear._overall(q, [frame for _, frame in layers])}
    assert overall["margin"].error == pytest.approx(found["margin"].error) and found["margin"].error > 0
    lemmas = layers[0][1]["lemma"]
    assert 1 < lemmas.nunique() < len(lemmas)


def test_the_state_of_a_word_is_the_mean_over_its_tokens() -> None:
    table = torch.randn(11, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model = Puppet(11, lambda ids: ids, states=lambda ids: (table[ids], table[ids].cumsum(dim=1)))
    probed = ProbeModel(model, pieces(), "masked")
    tokens = tuple(words.tokenize(probed, text) for text in (["unhappy", "dogs"], ["dog"], ["dog", "unhappy", "dogs"]))
    found = words.hidden_states(probed, tokens, (2, 1, 3))
    wanted = []
    for a in tokens:
        rows = table[list(a.ids)].numpy()
        for k in range(max(a.owner) + 1):
            own = [t for t, owner in enumerate(a.owner) if owner == k]
            wanted.append([states[own].mean(axis=0) for states in (rows, rows.cumsum(axis=0))])
    np.testing.assert_allclose(found, np.swapaxes(wanted, 0, 1), atol=1e-12)
    assert max(len(a.ids) for a in tokens) == 5


@pytest.mark.usefixtures("few_resamples")
def test_user_tags_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "tags.jsonl"
    nouns, verbs = ([pair[0] for pair in some] for some in (grammar.NOUNS, grammar.VERBS))
    rows = [{"words": ["the", n, v], "tags": ["D", "N", "V"]} for n, v in zip(nouns, verbs * 2, strict=False)]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = result_of("linear", Puppet(V, lambda ids: torch.zeros(*ids.shape, V), states=states), items=file)
    assert score(found, "accuracy", "tags, layer 1").value > 0.9
    for text, said in (
        ('{"words": ["a"]}', r"line 1 of .* is not JSON like \{\"words\": \[...\], \"tags\": \[...\]\}"),
        ('{"words": ["a", "b"], "tags": ["N"]}', "line 1 of .* has lists of several lengths, or empty ones"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            words.read(file, "tags")
    for head in (2, 5):
        file.write_text(json.dumps({"words": ["a", "b"], "heads": [head, 0], "relations": ["x", "y"]}))
        with pytest.raises(InputError, match="has a head that is no word of it; heads count words from 0"):
            words.read(file, "heads", "relations")
    file.write_text(json.dumps(rows[0]))
    with pytest.raises(InputError, match="needs 20 words, four sentences and two classes, and there are 3 words"):
        result_of("linear", Puppet(V, None, states=states), items=file)


def pieces() -> PreTrainedTokenizerFast:
    made = Tokenizer(
        models.WordPiece(
            {w: n for n, w in enumerate([*SPECIAL, "un", "##happy", "dog", "##s", "."])}, unk_token="[UNK]"
        )
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


def test_words_own_their_tokens() -> None:
    probed = ProbeModel(Puppet(11, None), pieces(), "masked")
    assert words.tokenize(probed, ["unhappy", "dogs", "dog"], " .").owner == (0, 0, 1, 1, 2, -1)
    assert words.tokenize(ProbeModel(Puppet(11, None), pieces(), "causal"), ["dog", "dogs"]).ids == (7, 7, 8)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(["the dogs bark", "the dog"], trainer)
    blanks = ProbeModel(Puppet(300, None), PreTrainedTokenizerFast(tokenizer_object=bpe), "causal")
    found = words.tokenize(blanks, ["the", "dogs", "bärk"], " .")
    tokens = list(zip(blanks.tokenizer.convert_ids_to_tokens(list(found.ids)), found.owner, strict=True))
    spoken = ["".join(token for token, word in tokens if word == k) for k in (0, 1, 2, -1)]
    assert spoken == ["the", "Ġdogs", "ĠbÃ¤rk", "Ġ."]  # a token begins with the blank before its word


def test_attention_between_words_is_summed_over_received_and_averaged_over_sent() -> None:
    maps = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    owner = (-1, 0, 0, 1, 2, 2)
    found = syntax.between_words(maps, owner, 3)
    for layer, head, a, b in itertools.product(range(2), range(3), range(3), range(3)):
        sent = [q for q in range(6) if owner[q] == a]
        wanted = np.mean([sum(float(maps[layer, head, q, k]) for k in range(6) if owner[k] == b) for q in sent])
        assert found[layer, head, a, b] == pytest.approx(wanted, abs=1e-12)


def test_a_word_is_attached_to_the_other_word_of_most_attention() -> None:
    between = np.zeros((1, 1, 3, 3))
    between[0, 0] = [[0.9, 0.0, 0.1], [0.3, 0.5, 0.2], [0.0, 0.6, 0.4]]
    right, weight = syntax.attached(between, 0, 2)
    assert right[:, 0, 0].tolist() == [1, 0] and weight[:, 0, 0].tolist() == [1, 0]
    right, weight = syntax.attached(between, 1, 0)
    assert right[:, 0, 0].tolist() == [1, 0] and weight[:, 0, 0].tolist() == pytest.approx([0.6, 0])
    right, weight = syntax.attached(between, 1, 2)
    assert right[:, 0, 0].tolist() == [0, 1] and weight[:, 0, 0].tolist() == pytest.approx([0.4, 1])
    right, weight = syntax.attached(np.eye(3)[None, None], 1, 0)  # to and from itself alone
    assert not right.any() and not weight.any()


def gold_heads(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Two layers of two heads; head 1.1 attends from every word to its syntactic head, the others to all alike."""
    tokenizer = speaker()
    names = [*SPECIAL, *WORDS]
    maps = torch.full((2, len(ids), 2, ids.shape[1], ids.shape[1]), 1 / ids.shape[1])
    kinds = {"noun": grammar.NOUNS, "verb": grammar.VERBS, "transitive": grammar.TRANSITIVE,
             "preposition": [grammar.PREPOSITIONS], "said": [grammar.SAID]}  # fmt: skip
    tags = {word: kind for kind, groups in kinds.items() for group in groups for word in group}
    for row, sequence in enumerate(ids.tolist()):
        spoken = [names[token].lower() for token in sequence if token != tokenizer.pad_token_id and token]
        shape = [tags.get(word, word) for word in spoken if word != "."]
        for slots in grammar.TEMPLATES.values():
            if [slot.word for slot in slots] == shape:
                maps[1, row, 1] = 0
                for k, slot in enumerate(slots):
                    maps[1, row, 1, k, slot.head] = 1
    return tuple(maps)


def test_a_head_that_has_the_gold_heads_finds_them_all() -> None:
    model = Puppet(V, lambda ids: torch.zeros(*ids.shape, V), attend=gold_heads)
    found = result_of("syntax", model, kind="masked", count=6)
    assert score(found, "uas").value == 1 and score(found, "weight").value == 1
    assert score(found, "uas_one_head").value == 1
    assert "the best one for all is 1.1 to head" in found.about
    # The determiner is always just before its noun, and the verb is at several distances from its probed.
    assert 0.5 < score(found, "uas_offset").value < 1 and score(found, "uas", "det").value == 1
    assert set(found.items["offset"][found.items["relation"] == "det"]) == {1}
    assert set(found.items["relation"]) == {"det", "nsubj", "obj", "cc", "conj", "ccomp", "case", "nmod", "acl"}


def test_heads_are_chosen_on_other_sentences_than_they_are_scored_on() -> None:
    """Maps that are noise find no more than a guess among the other words, however many there are to choose from."""

    def noise(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seed = torch.Generator().manual_seed(int(ids.sum()))
        return tuple(torch.rand(4, len(ids), 12, ids.shape[1], ids.shape[1], generator=seed))

    found = result_of(
        "syntax", Puppet(V, lambda ids: torch.zeros(*ids.shape, V), attend=noise), kind="masked", count=20
    )
    guess = np.mean([
        1 / (len(slots) - 1)
        for slots in grammar.TEMPLATES.values()
        for _ in range(2 ** (1 + max(slot.of or 0 for slot in slots)))
        for slot in slots
        if slot.relation != "root"
    ])
    here = score(found, "uas")
    assert abs(here.value - guess) < 4 * here.error and here.error < 0.03


def test_models_that_show_nothing_are_told_from_those_that_do() -> None:
    blind = Puppet(V, lambda ids: torch.zeros(*ids.shape, V))
    with pytest.raises(InputError, match="a Puppet shows no attention of its heads; leave this probe out"):
        result_of("syntax", blind)
    for maps in ((), (None, None), (torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2, 2))):
        with pytest.raises(InputError, match="a Puppet shows no attention of its heads; leave this probe out"):
            result_of("syntax", Puppet(V, blind.say, attend=lambda ids, maps=maps: maps), count=4)

    def full(ids: torch.Tensor) -> Any:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError, match="no room"):  # that is no lack of attention
        result_of("syntax", Puppet(V, blind.say, attend=full), count=4)
    with pytest.raises(InputError, match="a Puppet shows no hidden states; leave this probe out"):
        result_of("linear", blind, count=4)
    with pytest.raises(InputError, match="cannot read the items .*none: No such file or directory; check the path"):
        items = Path(__file__).parent / "none"
        result_of("syntax", blind, items=items)


@pytest.mark.parametrize("make", [cases.gpt2, cases.bert])
def test_attention_of_a_real_model_is_seen_and_its_way_of_computing_restored(make: Any) -> None:
    from landscape.probes.base.model import attention, eager_attention

    model = make()
    before = model.config._attn_implementation
    probed = ProbeModel.of(model, cases.tokenizer())
    with eager_attention(probed):
        maps = attention(probed, input_ids=torch.tensor([[7, 9, 11, 8]]))
    assert maps.shape == (2, 1, 3, 4, 4) and model.config._attn_implementation == before
    assert torch.allclose(maps.sum(dim=-1), torch.ones(2, 1, 3, 4), atol=1e-6)
    assert probed.kind == ("causal" if make is cases.gpt2 else "masked")
