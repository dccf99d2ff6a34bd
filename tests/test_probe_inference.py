"""Inference between sentences, on classifiers whose scores are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from puppets import Puppet, speaker
from test_probe_choices import V, result_of
from test_probe_language import score

from landscape.errors import InputError
from landscape.probes import inference
from landscape.probes.base import overlap


def says(say: Any, **config: Any) -> Puppet:
    """A classifier of sentence pairs."""
    return Puppet(V, say, num_labels=3, **config)


LABELS = ("contradiction", "entailment", "neutral")


def test_a_model_that_trusts_overlap_is_seen_in_the_cells() -> None:
    found = result_of("inference", says(lambda x: torch.tensor([0.0, 2.0, 1.0]).expand(len(x), 3)), kind="classifier",
                labels=LABELS, count=12)  # fmt: skip
    cells = [s for s in found.scores if s.metric == "accuracy" and s.subset]
    assert len(cells) == 6 and all(cell.items == 12 for cell in cells)
    assert [cell.value for cell in cells] == [1.0 if cell.subset.endswith(", entailed") else 0.0 for cell in cells]
    assert score(found, "accuracy").value == 0.5
    margin = 2 - np.log(np.exp(0) + np.exp(1))
    assert score(found, "margin", "subsequence, entailed").value == pytest.approx(margin, abs=1e-6)
    assert score(found, "margin", "subsequence, non-entailed").value == pytest.approx(-margin, abs=1e-6)


def test_the_order_of_classes_is_followed() -> None:
    def say(ids: torch.Tensor) -> torch.Tensor:
        return torch.stack([ids[:, 1] % 5, ids[:, 2] % 3, ids[:, 3] % 4], dim=1) + torch.tensor([0.1, 0.2, 0.3])

    one = result_of("inference", says(say), kind="classifier", labels=LABELS, count=8)
    other = result_of("inference", says(lambda ids: say(ids)[:, [1, 2, 0]]), kind="classifier", count=8,
                labels=("entailment", "neutral", "contradiction"))  # fmt: skip
    named = result_of("inference", says(say, id2label={0: "CONTRADICTION", 1: "Entailment", 2: "neutral"}),
                kind="classifier", count=8)  # fmt: skip
    names = {0: "entailment", 1: "neutral", 2: "Contradiction"}
    turned = result_of(
        "inference", says(lambda ids: say(ids)[:, [1, 2, 0]], id2label=names), kind="classifier", count=8
    )
    for found in (other, named, turned):
        assert [s.value for s in found.scores] == pytest.approx([s.value for s in one.scores])
    assert len({s.value for s in one.scores}) > 6


def test_neutral_and_contradiction_are_both_no_entailment() -> None:
    """Entailment is the largest class and less likely than the others together: predicted, with a margin below 0."""
    found = result_of("inference", says(lambda x: torch.tensor([0.3, 0.5, 0.3]).expand(len(x), 3)), kind="classifier",
                labels=LABELS, count=4)  # fmt: skip
    assert score(found, "accuracy", "constituent, entailed").value == 1
    assert score(found, "margin", "constituent, entailed").value < 0


HANS = (
    "gold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID\theuristic\tsubcase\ttemplate\n"
    'non-entailment\t( )\tThe girl saw the "boy .\tThe boy saw the girl .\tex0\tlexical_overlap\tln_swap\tt1\n'
    "entailment\t( )\tThe king and the boy slept .\tThe boy slept .\tex1\tsubsequence\tse_conjunction\tt2\n"
)


def test_hans_own_file_and_json_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "hans.txt").write_text(HANS)
    one, other = inference.read(tmp_path / "hans.txt")
    assert (one.gold, one.heuristic, one.scheme) == ("non-entailed", "lexical overlap", "ln_swap")
    assert one.premise == 'The girl saw the "boy .' and other.gold == "entailed"
    lines = [{"premise": "a b", "hypothesis": "b a", "label": label, "heuristic": "subsequence"} for label in (0, 1)]
    (tmp_path / "hans.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [pair.gold for pair in inference.read(tmp_path / "hans.jsonl")] == ["entailed", "non-entailed"]
    found = result_of("inference", says(lambda ids: torch.zeros(len(ids), 3)), kind="classifier", labels=LABELS,
                items=tmp_path / "hans.txt")  # fmt: skip
    assert {s.subset for s in found.scores} == {"", "lexical overlap, non-entailed", "subsequence, entailed"}
    for text, said in (
        ("a\tb\nc\td\n", "neither HANS' file nor JSON lines"),
        ('{"premise": 1}', "is missing"),
    ):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(InputError, match=said):
            inference.read(tmp_path / "bad.txt")


def test_schemes_are_what_they_say() -> None:
    """Every hypothesis is made of words of its premise; a subsequence is one, a constituent too."""
    made = overlap.made(16, np.random.RandomState(5), overlap.SLOTS)
    assert {(p.heuristic, p.gold) for p in made} == {
        (h, g) for h in overlap.SCHEMES for g in ("entailed", "non-entailed")
    }
    for pair in made:
        premise, hypothesis = (part.lower().split()[:-1] for part in (pair.premise, pair.hypothesis))
        assert set(hypothesis) <= set(premise) and hypothesis != premise, pair
        if pair.heuristic != "lexical overlap":
            n = len(hypothesis)
            assert any(premise[k : k + n] == hypothesis for k in range(len(premise) - n + 1)), pair
        for words in (premise, hypothesis):
            nouns = [word for word in words if word in overlap.NOUNS]
            assert len(nouns) == len(set(nouns))


@pytest.mark.parametrize("rho", [0.0, 0.73, 1.0])
def test_the_heuristic_is_right_as_often_as_rho_says(rho: float) -> None:
    rows = inference.training(200, rho, np.random.RandomState(2), LABELS)
    right = 0
    for row in rows:
        premise, hypothesis = (set(row[name].lower().split()) for name in ("text", "text_pair"))
        right += (hypothesis <= premise) == (row["label"] == LABELS.index("entailment"))
    assert right == round(200 * rho)
    overlap = [set(r["text_pair"].lower().split()) <= set(r["text"].lower().split()) for r in rows]
    assert sum(overlap) == 100
    with pytest.raises(InputError, match="rho is 1.5 and the classes are entailment"):
        inference.training(3, 1.5, np.random.RandomState(0))


def test_unknown_classes_are_refused() -> None:
    numbered = says(None, id2label={0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    with pytest.raises(InputError, match="classes are called label-0, label-1, label-2, and inference must know which"):
        result_of("inference", numbered, kind="classifier")
    for labels in (("entailment", "neutral"), ("entailment", "entailment", "neutral")):
        with pytest.raises(InputError, match="and the model has 3 classes; give each of them one name, in the order"):
            result_of("inference", says(None), kind="classifier", labels=labels)
    with pytest.raises(InputError, match="classes are called a, b, c, and inference must know which one is entailment"):
        result_of("inference", says(None), kind="classifier", labels=("a", "b", "c"))
    with pytest.raises(InputError, match="the tokenizer lacks .*too many words for inference"):
        result_of("inference", says(None), cases.tokenizer(), kind="classifier", labels=LABELS)
    with pytest.raises(InputError, match="the tokenizer has no padding token"):
        result_of("inference", says(None), speaker(pad_token=None), kind="classifier", labels=LABELS)
