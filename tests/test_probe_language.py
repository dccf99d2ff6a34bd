"""In-context learning, induction and n-grams, on models whose scores are known."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from puppets import Puppet, copier, heads_of_induction, random_table, speaker, table, unigram
from transformers import MambaConfig

from landscape.errors import InputError
from landscape.probes import ProbeInputs, ProbeModel, in_context, induction, items_of, measure, ngrams
from landscape.probes.base.model import attention, eager_attention
from landscape.probes.base.result import ProbeResult, Score

LETTERS = [f"w{n}" for n in range(41)]
TEXT = " ".join(f"w{(n * n + n // 7) % 41}" for n in range(1, 3000))
V = len(LETTERS) + 5


def result_of(name: str, model: Any, tokenizer: Any = None, kind: Any = "causal", **given: Any) -> ProbeResult:
    probed = ProbeModel(model, tokenizer or speaker(LETTERS), kind)
    return measure(name, probed, items_of(name, probed, ProbeInputs(**{"text": TEXT, **given})))


def score(found: ProbeResult, metric: str, subset: str = "") -> Score:
    (one,) = [s for s in found.scores if (s.metric, s.subset) == (metric, subset)]
    return one


def test_in_context_score_of_a_loss_that_falls_with_the_position() -> None:
    """At position k the one token of the text has logit 0.05 k, all others 0."""

    def say(ids: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, V)
        logits[..., 5] = 0.05 * torch.arange(1, ids.shape[1] + 1)
        return logits

    def loss(k: int) -> float:  # of token k, said at position k - 1
        return math.log(1 + (V - 1) * math.exp(-0.05 * (k - 1)))

    found = result_of("in-context", Puppet(V, say), text="w0 " * 2000, sequences=5, length=64)
    early, late = np.mean([loss(k) for k in (5, 6, 7)]), np.mean([loss(k) for k in (62, 63, 64)])
    assert score(found, "score").value == pytest.approx(late - early, abs=1e-5) and late < early - 1
    assert score(found, "loss", "9-16").value == pytest.approx(np.mean([loss(k) for k in range(9, 17)]), abs=1e-5)
    assert score(found, "loss", "2").value == pytest.approx(loss(2), abs=1e-5)
    assert found.about == "loss of tokens 62-64 minus that of tokens 5-7 of 64"
    assert len(found.items) == 5 * 63 and found.items["loss"].iloc[10] == pytest.approx(loss(12), abs=1e-5)
    started = result_of(
        "in-context", Puppet(V, say), speaker(LETTERS, bos_token="[CLS]"), text="w0 " * 2000, sequences=5, length=64
    )
    # A start token in front: every token is said one position later.
    assert score(started, "loss", "2").value == pytest.approx(loss(3), abs=1e-5)


def test_windows_are_those_of_the_paper_at_its_length() -> None:
    for share, k in ((0.1, 50), (0.98, 500)):
        begin, end = in_context.window(share, 512)
        assert begin <= k <= end and end - begin == 16
    assert in_context.window(0.1, 8) == (2, 2)  # nothing is said of the first token


def test_errors_of_scores_are_over_sequences() -> None:
    model = table(random_table(V).float())
    found = result_of("in-context", model, sequences=20, length=32)
    items = found.items
    each = [
        part["loss"][part["position"].between(30, 32)].mean() - part["loss"][part["position"].between(2, 4)].mean()
        for _, part in items.groupby("item")
    ]
    assert score(found, "score").value == pytest.approx(np.mean(each), abs=1e-6)
    assert score(found, "score").error == pytest.approx(np.std(each, ddof=1) / math.sqrt(20), rel=1e-6)


@pytest.mark.parametrize("start", [None, "[CLS]"])
def test_a_copier_copies(start: str | None) -> None:
    slip = 0.07
    tokenizer = speaker(LETTERS, bos_token=start)
    found = result_of("induction", copier(V, slip), tokenizer, count=8)
    assert score(found, "later_loss").value == pytest.approx(-math.log(1 - slip), abs=1e-5)
    assert score(found, "first_loss").value == pytest.approx(math.log(V), abs=1e-5)
    assert score(found, "copy_gap").value == pytest.approx(math.log(V) + math.log(1 - slip), abs=1e-5)
    assert score(found, "copy_accuracy").value == 1
    assert {s.metric for s in found.scores} == {"copy_gap", "copy_accuracy", "first_loss", "later_loss"}
    none = result_of("induction", unigram(random_table(V)[3].float()), tokenizer, count=8)
    assert abs(score(none, "copy_gap").value) < 4 * score(none, "copy_gap").error < 1.5


def test_heads_made_by_hand_have_their_scores() -> None:
    model = copier(V, 0.1, attend=heads_of_induction, max_position_embeddings=40)
    found = result_of("induction", model, count=6)
    assert found.about.startswith("10 ordinary tokens in random order, 4 times")
    assert score(found, "prefix_matching", "0.0").value == 1 and score(found, "prefix_matching", "0.1").value == 0
    assert score(found, "previous_token", "0.1").value == pytest.approx((40 - 1) / 39, abs=1e-6)
    # To all alike: at the q-th token of 40, with one earlier copy for each repeat before it.
    even = np.mean([(q // 10) / (q + 1) for q in range(10, 40)])
    assert score(found, "prefix_matching", "0.2").value == pytest.approx(even, abs=1e-6)
    assert score(found, "prefix_matching", "0.0").chance == pytest.approx(even, abs=1e-6)
    assert score(found, "best_prefix_matching").value == 1 and score(found, "induction_heads").value == 1
    assert score(found, "best_previous_token").chance == pytest.approx(np.mean([1 / (q + 1) for q in range(1, 40)]))


@pytest.mark.slow
def test_the_best_head_is_chosen_on_other_sequences_than_it_is_scored_on() -> None:
    """Of heads that are noise alone the best one scores what they all do."""
    noise = np.random.default_rng(0).normal(0.2, 0.1, (400, 12, 16, 12))
    best = [induction.heads("prefix_matching", values, 0.0)[0].value for values in noise]
    largest = noise.mean(axis=1).reshape(400, -1).max(axis=1).mean()
    error = np.std(best) / 20
    assert abs(np.mean(best) - 0.2) < 4 * error and error < 0.003 and largest > 0.25


def test_the_head_that_is_best_on_one_half_is_scored_on_the_other() -> None:
    values = np.zeros((6, 2, 3))
    values[:3, 1, 2], values[3:, 0, 1], values[3:, 1, 2] = 0.9, 0.8, [0.1, 0.4, 0.3]
    best, *each = induction.heads("previous_token", values, 0.05)
    assert best.value == pytest.approx((0.1 + 0.4 + 0.3) / 3) and best.items == 3 and best.chance == 0.05
    assert best.error == pytest.approx(np.std([0.1, 0.4, 0.3], ddof=1) / 3**0.5)
    assert {one.subset: one.value for one in each}["0.1"] == pytest.approx(0.4) and len(each) == 6


def test_segments_are_ordinary_tokens_and_repeat() -> None:
    words = [f"v{n}" for n in range(300)]
    text = " ".join(word for n, word in enumerate(words[:250]) for _ in range(1 + n)) + " unknown" * 40
    probed = ProbeModel(Puppet(305, None, max_position_embeddings=60), speaker(words), "causal")
    items = items_of("induction", probed, ProbeInputs(text=text, count=20))
    assert items.segment == 15 and items.ids.shape == (20, 60)
    assert torch.equal(items.ids[:, :15], items.ids[:, 45:]) and all(len(set(row)) == 15 for row in items.ids.tolist())
    # Of 250 kinds that occur, the two rarest and the two commonest are left out.
    assert set(induction.ordinary(probed, text).tolist()) == set(range(5 + 2, 5 + 248))
    assert set(induction.ordinary(probed, "").tolist()) == {1, 2, *range(5, 305)}


def naive(text: list[int], order: int, before: tuple[int, ...], vocabulary: int) -> np.ndarray:
    """Interpolated absolute discounting as its formula reads."""
    if order == 0:
        return np.full(vocabulary, 1 / vocabulary)
    grams = Counter(tuple(text[k : k + order]) for k in range(len(text) - order + 1))
    once, twice = (sum(count == n for count in grams.values()) for n in (1, 2))
    d = once / (once + 2 * twice) if once else 0.5
    context = before[len(before) - order + 1 :]
    here = {gram[-1]: count for gram, count in grams.items() if gram[:-1] == context}
    lower = naive(text, order - 1, before, vocabulary)
    if not here:
        return lower
    total = sum(here.values())
    return np.array([max(here.get(y, 0) - d, 0) / total + d * len(here) / total * lower[y] for y in range(vocabulary)])


def test_ngrams_are_those_of_the_formula() -> None:
    random = np.random.default_rng(3)
    text = (random.normal(size=300).cumsum().astype(int) % 9).tolist() + [9, 9, 10]
    counted = ngrams.fit(np.array(text), 12)
    contexts = random.integers(0, 12, (40, 2))
    for order in (1, 2, 3):
        q = counted.q(order, contexts)
        np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-12)
        for row, context in zip(q, contexts.tolist(), strict=True):
            np.testing.assert_allclose(row, naive(text, order, tuple(context), 12), atol=1e-12)
    again = ngrams.Ngrams.from_bytes(counted.to_bytes())
    np.testing.assert_array_equal(again.q(3, contexts), counted.q(3, contexts))


def test_a_model_that_is_the_bigram_table_has_no_distance_from_it() -> None:
    tokenizer = speaker(LETTERS)
    ids = np.array(tokenizer(TEXT)["input_ids"])
    counted = ngrams.fit(ids, V)
    log_p = torch.from_numpy(np.log(counted.q(2, np.arange(V)[:, None])))
    found = result_of("ngrams", table(log_p), train_text=TEXT, sequences=6, length=20)
    assert score(found, "kl", "bigram").value == pytest.approx(0, abs=1e-6)
    assert score(found, "kl", "bigram, isolated").value == pytest.approx(0, abs=1e-6)
    assert score(found, "same", "bigram").value == 1
    # From the others it is as far as the sum over all tokens says, position by position.
    for order, name in ((1, "unigram"), (3, "trigram")):
        probed = ProbeModel(table(log_p), tokenizer, "causal")
        rows = items_of("ngrams", probed, ProbeInputs(text=TEXT, train_text=TEXT, sequences=6, length=20)).ids.tolist()
        wanted = []
        for row in rows:
            for t in range(1, 19):
                q = naive(ids.tolist(), order, tuple(row[t - 1 : t + 1]), V)
                wanted.append(float((q * (np.log(q) - log_p[row[t]].numpy())).sum()))
        assert score(found, "kl", name).value == pytest.approx(np.mean(wanted), abs=1e-6)
        assert np.mean(wanted) > 0.05
    assert len(found.items) == 6 * 18


def test_isolated_tokens_are_weighted_by_how_often_they_come() -> None:
    counted = ngrams.fit(np.array([5, 6] * 50 + [7, 5] * 10 + [8, 6]), V)
    log_p = random_table(V)
    probed = ProbeModel(table(log_p), speaker(LETTERS), "causal")
    items = ngrams.Items(torch.tensor([[5, 6, 7, 8, 5, 6]]), (), counted)
    found, share = ngrams._isolated(probed, items)
    counts = {5: 60, 6: 51, 7: 10, 8: 1}
    kl = {x: (q := counted.q(2, np.array([[x]]))[0]) @ (np.log(q) - log_p[x].numpy()) for x in counts}
    assert found.value == pytest.approx(sum(n * kl[x] for x, n in counts.items()) / 122, abs=1e-6) and share == 1
    # Of tokens that come equally often the error is that of a plain mean.
    even = ngrams.fit(np.array([5, 6, 7, 8, 9, 6, 5, 8, 7, 9] * 20), V)
    found, _ = ngrams._isolated(probed, ngrams.Items(items.ids, (), even))
    each = [(q := even.q(2, np.array([[x]]))[0]) @ (np.log(q) - log_p[x].numpy()) for x in range(5, 10)]
    assert found.error == pytest.approx(np.std(each, ddof=1) / 5**0.5, rel=1e-5)


def test_what_cannot_be_run_is_said() -> None:
    model = copier(V, 0.1, max_position_embeddings=6)
    with pytest.raises(InputError, match="needs stretches of at least 8 tokens, and they have 6"):
        result_of("in-context", model)
    with pytest.raises(InputError, match="segments of two tokens or more, four times, and there is room for fewer"):
        result_of("induction", model)
    with pytest.raises(InputError, match="segments of two tokens or more, four times, and there is room for fewer"):
        result_of("induction", copier(V, 0.1), text="w1 w2 w3")
    with pytest.raises(InputError, match="needs four sequences, .*, and there are 3; give more"):
        result_of("induction", copier(V, 0.1), count=3)
    with pytest.raises(InputError, match="this probe reads a text, and there is none; give text"):
        result_of("in-context", copier(V, 0.1), text=" ")
    with pytest.raises(InputError, match="ngrams needs the text that the model was trained on"):
        result_of("ngrams", copier(V, 0.1))
    with pytest.raises(InputError, match="this one has 2 tokens"):
        result_of("ngrams", copier(V, 0.1), train_text="w1 w2")
    with pytest.raises(
        InputError, match="induction takes causal models, and this one is taken as masked; leave it out"
    ):
        result_of("induction", model, kind="masked")
    with pytest.raises(InputError, match="no probe is called 'inducton'; did you mean induction.; there are"):
        result_of("inducton", model)


@pytest.mark.parametrize("start", [None, "[CLS]"])
def test_first_and_later_losses_are_of_the_tokens_that_they_name(start: str | None) -> None:
    """Later ones leave out what begins the second repeat, which nothing has yet been seen to precede."""
    log_p = random_table(V).float()
    tokenizer = speaker(LETTERS, bos_token=start)
    probed = ProbeModel(table(log_p), tokenizer, "causal")
    items = items_of("induction", probed, ProbeInputs(text=TEXT, count=5))
    found = measure("induction", probed, items)
    n, first, later = items.segment, [], []
    for row in items.ids.tolist():
        losses = {t: -float(log_p[row[t - 1], row[t]]) for t in range(1, len(row))}
        begin = len(row) - 4 * n
        first.append(np.mean([losses[t] for t in range(max(begin, 1), begin + n)]))
        later.append(np.mean([losses[t] for t in range(begin + n + 1, len(row))]))
    assert score(found, "first_loss").value == pytest.approx(np.mean(first), abs=1e-5)
    assert score(found, "later_loss").value == pytest.approx(np.mean(later), abs=1e-5)
    assert score(found, "copy_gap").error == pytest.approx(np.std(np.subtract(first, later), ddof=1) / 5**0.5, abs=1e-5)


def test_own_lines_are_repeated_those_too_short_left_out(tmp_path: Path) -> None:
    lines = [" ".join(f"w{(7 * k + n) % 41}" for n in range(30)) for k in range(6)]
    (tmp_path / "own.txt").write_text("\n".join([lines[0], "w1 w2", *lines, ""]))
    found = result_of("induction", copier(V, 0.1), items=tmp_path / "own.txt")
    assert len(found.items) == 6 and found.about.startswith("25 tokens of your lines, 4 times")
    assert score(found, "copy_accuracy").value == 1
    (tmp_path / "own.txt").write_text("\n".join([*lines[:3], "w1 w2"]))
    with pytest.raises(InputError, match="and there are 3 lines of 25 tokens or more; give more"):
        result_of("induction", copier(V, 0.1), items=tmp_path / "own.txt")


def test_a_state_space_model_copies_and_has_no_heads() -> None:
    config = MambaConfig(vocab_size=cases.WORDS, hidden_size=12, num_hidden_layers=1, state_size=4, bos_token_id=None,
                         eos_token_id=None, pad_token_id=3)  # fmt: skip
    model = cases.auto(config)
    found = result_of("induction", model, cases.tokenizer(), text=cases.TEXT, count=4)
    assert {one.metric for one in found.scores} == {"copy_gap", "copy_accuracy", "first_loss", "later_loss"}
    with pytest.raises(InputError, match="a MambaForCausalLM shows no attention of its heads"):
        probed = ProbeModel(model, cases.tokenizer(), "causal")
        with eager_attention(probed):
            attention(probed, input_ids=torch.zeros(1, 3, dtype=torch.long))
