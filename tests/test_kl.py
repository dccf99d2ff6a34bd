"""KL between seeds: closed forms, groups of tokens by hand, and the four phases of a planted world."""

from __future__ import annotations

from pathlib import Path

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from numpy.testing import assert_allclose
from scipy.special import log_softmax
from scipy.stats import entropy

from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.probes.base.kl import DECILES, Groups, deciles, groups_of, kl, read_tags
from landscape.probes.base.predictions import Targets
from landscape.stages.phases import COLUMNS, PHASES, phases
from landscape.study.store import Store

RANDOM = np.random.default_rng(1)


def test_both_ways_and_their_mean_are_those_of_scipy_and_errors_leave_out_an_example() -> None:
    one, two = (log_softmax(RANDOM.normal(size=(12, 7)), axis=1) for _ in range(2))
    clusters = np.repeat(["x", "y", "z", "w"], 3)
    members = np.arange(12) % 5 > 1
    groups = Groups({"some": members, "none": members & False})
    found = {(d.metric, d.subset): d for d in kl(torch.from_numpy(one), torch.from_numpy(two), clusters, groups)}
    assert {subset for _, subset in found} == {"", "some"}  # a group of nothing has no number
    ab, ba = entropy(np.exp(one), np.exp(two), axis=1), entropy(np.exp(two), np.exp(one), axis=1)
    for metric, values in (("kl_ab", ab), ("kl_ba", ba), ("kl", (ab + ba) / 2)):
        for subset, own in (("", members | True), ("some", members)):
            there = found[metric, subset]
            assert there.value == pytest.approx(values[own].mean(), abs=1e-12) and there.items == own.sum()
            left = np.array([values[own & (clusters != c)].mean() for c in np.unique(clusters)])
            error = np.sqrt(3 / 4 * ((left - left.mean()) ** 2).sum())
            assert there.error == pytest.approx(error, abs=1e-12) and error > 0
    one[3, 2] = -np.inf
    with pytest.raises(InputError, match="rules out what the other allows, so their KL is infinite"):
        list(kl(torch.from_numpy(one), torch.from_numpy(two), clusters, groups))


def test_deciles_hold_a_tenth_each_and_equal_tokens_stay_together() -> None:
    tokens = RANDOM.permutation(np.repeat(np.arange(200), 5))
    counts = 3 + 7 * np.arange(200) ** 2  # all differ
    found = deciles(tokens, counts)
    assert np.bincount(found).tolist() == [0, *[100] * DECILES]
    assert all(len(set(found[tokens == token])) == 1 for token in range(200))
    assert all(counts[tokens[found == k]].max() < counts[tokens[found == k + 1]].min() for k in range(1, DECILES))
    many = deciles(np.array([4, 4, 4, 4, 4, 4, 4, 4, 9, 2]), np.array([0, 0, 1, 0, 50, 0, 0, 0, 0, 2]))
    assert many[8] == 2 and many[9] == 1 and set(many[:8]) == {7}  # the middle of the last eight of ten


def test_tags_are_those_of_words_in_any_case(tmp_path: Path) -> None:
    file = tmp_path / "tags.tsv"
    file.write_text("W1\tNOUN\n\nw2\tVERB\nw1\tADJ\n")
    assert read_tags(str(file)) == {"w1": "NOUN", "w2": "VERB"} and read_tags(None) == {}
    ids = torch.tensor([[5, 6, 7, 6, 5, 6]])  # w0 w1 w2 w1 w0 w1
    right = ids.numpy().ravel()[1:, None]
    targets = Targets({"input_ids": ids}, np.zeros(5, int), np.arange(5), right)
    found = groups_of(targets, cases.tokenizer(), read_tags(str(file))).members
    assert {name: m.tolist() for name, m in found.items() if name.startswith("tag")} == {
        "tag NOUN": [True, False, True, False, True], "tag VERB": [False, True, False, False, False],
    }  # fmt: skip
    file.write_text("w1 NOUN\n")
    with pytest.raises(InputError, match="line 1 of .*tags.tsv is 'w1 NOUN'; a line is a word, a tab and its tag"):
        read_tags(str(file))
    with pytest.raises(InputError, match="cannot read the tags of words in .*nothing"):
        read_tags(str(tmp_path / "nothing"))


STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
SPREAD = (0.5, 0.5, 0.4995, 0.2, 0.05, 0.6, 1.5, 1.3, 1.15, 1.0)
"""Of the logits over seeds: flat, falling, least at step 8, largest at step 32, and slowly falling."""


def series(values: np.ndarray, error: float = 1e-3) -> pd.DataFrame:
    return pd.DataFrame({"step": STEPS[: len(values)], "value": values, "error": error})


def test_planted_phases_are_found_and_what_is_not_there_is_not() -> None:
    found = phases(series(np.square(SPREAD)))
    assert found["phase"].tolist() == list(PHASES) and found["clear"].all()
    assert found["begin"].tolist() == [0, 2, 8, 32] and found["end"].tolist() == [2, 8, 32, 256]
    assert_allclose(found[["kl_begin", "kl_end"]], np.square([[0.5, 0.4995], [0.4995, 0.05], [0.05, 1.5], [1.5, 1.0]]))
    noisy = phases(series(np.square(SPREAD), error=0.4))
    assert dict(zip(noisy["phase"], noisy["clear"], strict=True)) == {
        PHASES[0]: True, PHASES[1]: False, PHASES[2]: True, PHASES[3]: True,
    }  # fmt: skip
    assert phases(series(np.array([1.0, 2.0, 3.0, 4.0])))["phase"].tolist() == [PHASES[2]]
    assert phases(series(np.array([4.0, 3.0, 2.0]))).columns.tolist() == list(COLUMNS)
    assert phases(series(np.array([4.0, 3.0, 2.0]))).empty and phases(series(np.array([1.0, 2.0]))).empty


def planted(folder: Path, seeds: int = 3) -> dict[tuple[int, int], np.ndarray]:
    """BERTs whose logits are the decoder's bias alone: what they predict is the same everywhere, and known."""
    biases = {}
    common = np.random.default_rng(99).normal(size=cases.WORDS)
    for seed in range(seeds):
        own = np.random.default_rng(seed).normal(size=cases.WORDS)
        for step, spread in zip(STEPS, SPREAD, strict=True):
            model = cases.bert(seed)
            learnt = 0.0 if step < 4 else 1.0
            biases[seed, step] = learnt * common + spread * own
            with torch.no_grad():
                model.cls.predictions.transform.LayerNorm.weight.zero_()
                model.cls.predictions.transform.LayerNorm.bias.zero_()
                model.cls.predictions.bias.copy_(torch.from_numpy(biases[seed, step]))
            cases.save(model, folder / f"seed_{seed}" / f"step_{step}")
    return biases


@pytest.mark.slow
def test_a_planted_world_has_its_kl_its_phases_and_its_section(tmp_path: Path) -> None:
    biases = planted(tmp_path)
    file = cases.study(tmp_path, objective='"masked-lm"', mask="0.3")
    (tmp_path / "tags.tsv").write_text("\n".join(f"w{n}\t{'NOUN' if n % 2 else 'VERB'}" for n in range(53)))
    body = file.read_text().replace('kind = "barriers"\npoints = 5\nresamples = 200\n',
                                    'kind = "behaviour"\nnames = ["kl"]\ntags = "tags.tsv"\n')  # fmt: skip
    file.write_text(body)
    done = CliRunner().invoke(cli, ["run", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output
    store = Store(tmp_path / "results")
    rows = store.rows("behaviour", [task["key"] for task in store.record()["tasks"]])
    for row in rows.to_dict("records"):
        a, b = (np.exp(log_softmax(biases[row[f"seed_{side}"], row["step_a"]])) for side in "ab")
        want = {"kl_ab": entropy(a, b), "kl_ba": entropy(b, a), "kl": (entropy(a, b) + entropy(b, a)) / 2}
        assert row["value"] == pytest.approx(want[row["metric"]], abs=1e-5)
    subsets = set(rows["subset"])
    assert {"", "tag NOUN", "tag VERB", "frequency 1", "frequency 10"} <= subsets
    report = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert report.exit_code == 0, report.output
    page = (tmp_path / "report.html").read_text()
    assert "KL between seeds over training" in page
    from landscape.cli.report import frames

    found = frames(store)
    assert found.phases["phase"].tolist() == list(PHASES)
    assert found.phases["begin"].tolist() == [0, 2, 8, 32]


def test_tags_without_kl_and_kl_as_a_probe_get_a_sentence(tmp_path: Path) -> None:
    for measure, said in (
        ('kind = "behaviour"\ntags = "tags.tsv"', 'tags are read by "kl" alone'),
        ('kind = "probes"\nnames = ["kl"]', "kl is of predictions that are compared, pair by pair"),
    ):
        file = cases.study(tmp_path)
        file.write_text(file.read_text().replace('kind = "barriers"\npoints = 5\nresamples = 200', measure))
        done = CliRunner().invoke(cli, ["plan", str(file)])
        assert said in str(done.exception), done.output
