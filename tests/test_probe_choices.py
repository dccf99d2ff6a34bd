"""Minimal pairs and agreement, on models whose scores are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from puppets import SPECIAL, WORDS, Puppet, random_table, speaker, table, unigram
from test_probe_language import score
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from landscape.errors import InputError
from landscape.probes import ProbeInputs, ProbeModel, items_of, measure
from landscape.probes.base import grammar, pairs, result
from landscape.probes.base.result import ProbeResult, mean

V = len(speaker())


def result_of(name: str, model: Any, tokenizer: Any = None, kind: Any = "causal", **given: Any) -> ProbeResult:
    probed = ProbeModel(model, tokenizer or speaker(), kind)
    return measure(name, probed, items_of(name, probed, ProbeInputs(**given)))


@pytest.fixture
def blimp(tmp_path: Path) -> Path:
    """Two paradigms, one of which names itself."""
    rows = [
        ("the girl laughs", "the girl laugh"),
        ("the boys smile", "the boys smiles"),
        ("the king is", "the king are"),
    ]
    for name, more in (("plain", {}), ("other", {"UID": "anaphor"})):
        lines = [
            json.dumps({"sentence_good": f"the {good}", "sentence_bad": f"the {bad}", **more}) for good, bad in rows
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines if name == "plain" else lines[:2]) + "\n")
    return tmp_path


def test_pairs_are_decided_by_sums(blimp: Path) -> None:
    log_p = random_table(V)
    tokenizer = speaker()
    found = result_of("minimal-pairs", table(log_p), items=blimp)
    ids = {word: tokenizer(word)["input_ids"][0] for word in WORDS}
    margins = [
        float(log_p[ids[noun], ids[good]] - log_p[ids[noun], ids[bad]])
        for noun, good, bad in (("girl", "laughs", "laugh"), ("boys", "smile", "smiles"), ("king", "is", "are"))
    ]
    # Files in the order of their names: the one that names itself, and the plain one.
    assert score(found, "margin", "plain").value == pytest.approx(np.mean(margins), abs=1e-6)
    assert score(found, "margin", "anaphor").value == pytest.approx(np.mean(margins[:2]), abs=1e-6)
    whole = [np.mean([m > 0 for m in part]) for part in (margins, margins[:2])]
    assert score(found, "accuracy").value == pytest.approx(np.mean(whole))
    errors = [np.std(part, ddof=1) / len(part) ** 0.5 for part in (margins, margins[:2])]
    assert score(found, "margin").error == pytest.approx(np.hypot(*errors) / 2, rel=1e-5)
    assert found.items["p_1"].iloc[0] == pytest.approx(1 / (1 + np.exp(-margins[0])), abs=1e-6)


def test_ties_count_half(blimp: Path, tmp_path: Path) -> None:
    same = tmp_path / "same"
    same.mkdir()
    (same / "order.jsonl").write_text(
        json.dumps({"sentence_good": "the girl laughs", "sentence_bad": "the laughs girl"}) + "\n"
        + json.dumps({"sentence_good": "the girl is", "sentence_bad": "the girl are"}) + "\n"
    )  # fmt: skip
    log_p = torch.zeros(V)
    log_p[speaker()("is")["input_ids"][0]] = 1.5
    assert score(result_of("minimal-pairs", unigram(log_p), items=same), "accuracy").value == 0.75


def test_pairs_of_another_form_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    for text, said in (
        ('{"sentence_good": "the girl is"}', "line 1 of .*pairs.jsonl is not JSON like .*sentence_bad is missing"),
        ('{"sentence_good": "the girl", "sentence_bad": 3}', "line 1 of .*has no attribute"),
        ('\n{"sentence_good": "the girl", "sentence_bad": " "}', "line 2 of .* has an empty sentence"),
        ("[1]", "line 1 of .*list indices"),
        ("", "has no pairs; give files of JSON lines"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            result_of("minimal-pairs", unigram(torch.zeros(V)), items=file)
    with pytest.raises(InputError, match="is neither a file of JSON lines nor a folder with .jsonl files"):
        result_of("minimal-pairs", unigram(torch.zeros(V)), items=tmp_path / "none")
    with pytest.raises(InputError, match="minimal-pairs needs pairs: give items, a file of JSON lines"):
        result_of("minimal-pairs", unigram(torch.zeros(V)))


def test_count_takes_pairs_evenly_from_each_file(blimp: Path) -> None:
    found = result_of("minimal-pairs", unigram(torch.zeros(V)), items=blimp, count=2)
    assert len(result_of("minimal-pairs", unigram(torch.zeros(V)), items=blimp, count=100).items) == 5
    assert len(found.items) == 4 and set(found.items["paradigm"]) == {"plain", "anaphor"}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_unigram_model_scores_one_half_exactly(seed: int) -> None:
    """Whatever the words weigh: every frame asks for both forms of its verb, equally often."""
    found = result_of("agreement", unigram(random_table(V, seed)[0]), count=18)
    for template in ("", *grammar.TEMPLATES):
        assert score(found, "accuracy", template).value == 0.5
        assert score(found, "margin", template).value == pytest.approx(0, abs=1e-6)
    assert score(found, "attraction").value == pytest.approx(0, abs=1e-6)
    counts = found.items.groupby(["template", "verb", "number"]).size().unstack()
    assert (counts[0] == counts[1]).all()


def reader(which: str) -> Puppet:
    """Takes the number of the verb from the first, or from the nearest, noun; 2 nats above the other number."""
    tokenizer = speaker()
    number = {tokenizer(form)["input_ids"][0]: k for pair in grammar.NOUNS for k, form in enumerate(pair)}
    verbs = [[tokenizer(pair[k])["input_ids"][0] for pair in grammar.VERBS] for k in (0, 1)]

    def say(ids: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, V)
        for row, sequence in enumerate(ids.tolist()):
            for t in range(len(sequence)):
                nouns = [number[token] for token in sequence[: t + 1] if token in number]
                if nouns:
                    logits[row, t, verbs[nouns[0 if which == "first" else -1]]] = 2.0
        return logits

    return Puppet(V, say)


def test_a_model_that_finds_the_subject_and_one_that_takes_the_nearest_noun() -> None:
    grammarian, hasty = (result_of("agreement", reader(which), count=18) for which in ("first", "nearest"))
    for template in ("simple", "prepositional", "subject relative", "object relative", "two attractors"):
        assert score(grammarian, "accuracy", template).value == 1
        assert score(grammarian, "margin", template).value == pytest.approx(2)
        assert score(hasty, "accuracy", template).value == (1 if template == "simple" else 0.5)
        if template != "simple":
            assert score(grammarian, "attraction", template).value == pytest.approx(0)
    # Margin 2 where numbers match and -2 where they do not; of two attractors one in three mismatches ends in a match.
    assert score(hasty, "attraction", "prepositional").value == pytest.approx(4)
    assert score(hasty, "attraction", "two attractors").value == pytest.approx(2 - (2 - 2 * 2) / 3)
    # Each frame has as many margins of 2 as of -2, and frames are what errors are over.
    assert score(hasty, "margin", "prepositional").error == pytest.approx(0, abs=1e-6)
    # In a complement clause the subject is the nearest noun.
    assert (
        score(hasty, "accuracy", "complement").value == 1 and score(grammarian, "accuracy", "complement").value == 0.5
    )
    assert grammarian.about == "24 of 24 nouns and 18 of 18 verbs are in the vocabulary"
    assert score(hasty, "accuracy", "auxiliaries").items + score(hasty, "accuracy", "other verbs").items == len(
        hasty.items
    )


def test_agreement_is_scored_at_the_masked_verb() -> None:
    """A model that looks at the second token, wherever the mask is."""
    tokenizer = speaker()
    plural = {tokenizer(pair[1])["input_ids"][0] for pair in grammar.NOUNS}
    verbs = [[tokenizer(pair[k])["input_ids"][0] for pair in grammar.VERBS] for k in (0, 1)]

    def say(ids: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, V)
        for row, sequence in enumerate(ids.tolist()):
            logits[row, sequence.index(4), verbs[int(sequence[1] in plural)]] = 3.0
        return logits

    found = result_of("agreement", Puppet(V, say), kind="masked", count=4)
    assert score(found, "accuracy", "object relative").value == 1
    assert score(found, "margin", "simple").value == pytest.approx(3)


def test_frames_count_as_one_item_in_errors() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 3.0])
    clusters = np.array(["a", "a", "a", "b", "b", "c"])
    centre = values.mean()
    sums = [sum(values[clusters == c] - centre) for c in "abc"]
    assert mean("m", values, clusters).error == pytest.approx((1.5 * sum(s**2 for s in sums)) ** 0.5 / 6)
    alone = mean("m", values)
    assert alone.error == pytest.approx(values.std(ddof=1) / 6**0.5) and alone.items == 6


def test_a_bootstrap_of_a_mean_has_its_exact_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three clusters, so that one more or less is seen: the spread of the values over the root of three."""
    monkeypatch.setattr(result, "RESAMPLES", 6000)
    values = np.array([0.3, 0.3, 1.7, -0.4])
    found = result.bootstrapped(
        lambda w: float(w[1:] @ values[1:]), np.array(["a", "a", "b", "c"]), np.random.RandomState(1)
    )
    exact = 3**0.5 * values[1:].std()
    assert abs(found - exact) < 4 * exact / (2 * 6000) ** 0.5 < 0.04 * exact


def test_pairs_that_are_the_same_tokens_are_said(tmp_path: Path) -> None:
    """Two of five pairs differ in words that the vocabulary lacks; with all of them nothing can be scored."""
    lines = [("king laughs", "king laugh"), ("queen laughs", "queen laugh"), ("girl laughs", "girl laugh"),
             ("king snores", "king snore"), ("queen snores", "queen snore")]  # fmt: skip
    text = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in lines]
    file, lost = tmp_path / "pairs.jsonl", tmp_path / "lost.jsonl"
    file.write_text("\n".join(text))
    lost.write_text("\n".join(text[3:]))
    found = result_of("minimal-pairs", unigram(torch.zeros(V)), items=file)
    assert found.warnings == "2 of 5 pairs are the same tokens and tie" and found.warnings in found.about
    file.write_text("\n".join(text[:3]))
    assert result_of("minimal-pairs", unigram(torch.zeros(V)), items=file).warnings == ""
    with pytest.raises(InputError, match=r"both sentences of every pair of .*lost.jsonl; its vocabulary"):
        result_of("minimal-pairs", unigram(torch.zeros(V)), items=lost)


def test_a_vocabulary_too_small_for_sentences_is_said() -> None:
    with pytest.raises(InputError, match="has 0 of 24 nouns, 0 of 18 verbs as one token in both forms and 0 of 8"):
        result_of("agreement", Puppet(60, None), cases.tokenizer())
    few = [word for word in WORDS if word not in {"laugh", "has"}]
    found = result_of("agreement", unigram(torch.zeros(V)), speaker(few), count=3)
    assert found.warnings == "" and found.about == "24 of 24 nouns and 16 of 18 verbs are in the vocabulary"
    cut = [word for word in WORDS if word not in {"laugh", "goes"}] + ["la", "##ugh", "##es"]
    cut_up = Tokenizer(models.WordPiece({word: n for n, word in enumerate([*SPECIAL, *cut])}, unk_token="[UNK]"))
    cut_up.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pieces = PreTrainedTokenizerFast(tokenizer_object=cut_up, unk_token="[UNK]")
    found = result_of("agreement", unigram(torch.zeros(len(pieces))), pieces, count=3)
    assert found.about == "24 of 24 nouns and 16 of 18 verbs are in the vocabulary"
    lone = [word for word in WORDS if word not in {form for pair in grammar.VERBS[:-1] for form in pair}]
    found = result_of("agreement", unigram(torch.zeros(V)), speaker(lone), count=3)
    assert found.about.endswith("1 of 18 verbs are in the vocabulary")
    assert found.warnings == "all rests on 1 of 18 verbs: thinks/think"
    alike = speaker()
    alike.backend_tokenizer.normalizer = normalizers.Replace("laughs", "laugh")  # both forms are one token
    found = result_of("agreement", unigram(torch.zeros(V)), alike, count=3)
    assert found.about == "24 of 24 nouns and 17 of 18 verbs are in the vocabulary"
    with pytest.raises(InputError, match="the tokenizer has no mask token"):
        result_of("agreement", Puppet(V, None), speaker(mask_token=None), kind="masked")
    with pytest.raises(InputError, match="agreement makes its own sentences; score yours as minimal-pairs"):
        result_of("agreement", Puppet(V, None), items=Path("mine.jsonl"))


def test_choices_have_probabilities() -> None:
    frame = pairs.outcomes(np.array([-3.0, -2.0, -900.0]), np.array([-2.0, -2.0, -3.0]))
    np.testing.assert_allclose(frame["p_1"], [1 / (1 + np.e), 0.5, 0], atol=1e-12)
    assert frame["correct"].tolist() == [0, 0.5, 0] and frame["choice"].tolist() == [0, 0, 0]


def test_a_pair_that_comes_twice_is_no_second_pair(tmp_path: Path) -> None:
    rows = [
        ("the girl laughs", "the girl laugh"),
        ("the boys smile", "the boys smiles"),
        ("the king is", "the king are"),
    ]
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in rows]
    (tmp_path / "once.jsonl").write_text("\n".join(lines))
    (tmp_path / "often.jsonl").write_text("\n".join(lines * 4))
    once, often = (
        result_of("minimal-pairs", table(random_table(V)), items=tmp_path / f"{name}.jsonl")
        for name in ("once", "often")
    )
    for metric in ("accuracy", "margin"):
        assert score(often, metric).value == pytest.approx(score(once, metric).value)
        assert score(often, metric).error == pytest.approx(score(once, metric).error, rel=1e-6)


def test_shares_of_all_or_none_have_an_error() -> None:
    """Half of Wilson's interval at 8 of 8, in units of 1.96; nothing of that for values that are no shares."""
    from scipy.stats import binomtest

    interval = binomtest(8, 8).proportion_ci(method="wilson")
    assert mean("m", np.ones(16), np.arange(16) // 2, share=True).error == pytest.approx(
        (interval.high - interval.low) / 2 / 1.96, rel=1e-3
    )
    assert mean("m", np.ones(16)).error == 0 and mean("m", np.full(16, 0.5), share=True).error == 0


def test_lines_end_where_json_lines_end(tmp_path: Path) -> None:
    line = json.dumps(
        {"sentence_good": "the girl\u2028laughs", "sentence_bad": "the girl\x85laugh"}, ensure_ascii=False
    )
    (tmp_path / "a.jsonl").write_text(f"{line}\r\n{line}\r\n", "utf-8", newline="")
    found = result_of("minimal-pairs", unigram(torch.zeros(V)), items=tmp_path / "a.jsonl")
    assert len(found.items) == 2


def test_an_item_too_long_is_named_before_anything_runs(tmp_path: Path) -> None:
    long = json.dumps({"sentence_good": "the girl " * 9, "sentence_bad": "girl the"})
    (tmp_path / "long.jsonl").write_text(long)
    probed = ProbeModel(Puppet(V, None, max_position_embeddings=12), speaker(), "causal")
    with pytest.raises(
        InputError, match="an item has 18 tokens and the model takes 12; give shorter items: the girl the"
    ):
        items_of("minimal-pairs", probed, ProbeInputs(items=tmp_path / "long.jsonl"))
