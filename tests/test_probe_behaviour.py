"""Calibration, and distances of behaviour."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from puppets import speaker, unigram
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import brier_score_loss, cohen_kappa_score, log_loss
from test_probe_choices import result_of
from test_probe_language import score

from landscape.probes import ProbeInputs, ProbeModel, calibration
from landscape.probes.base import predictions
from landscape.probes.base.behaviour import disagreement, divergence


def test_calibration_error_of_planted_confidence() -> None:
    """15 bins of 40: sure with 0.9 where 0.7 are right, and with 0.6 where 0.6 are."""
    confidence = np.repeat([0.9, 0.6], 300)
    correct = np.concatenate([np.tile([1, 1, 1, 1, 1, 1, 1, 0, 0, 0], 30), np.tile([1, 1, 1, 0, 0], 60)]).astype(float)
    assert calibration.calibration_error(confidence, correct, np.ones(600)) == pytest.approx(0.1)
    # Weights are repeated items.
    weights = np.where(np.arange(600) < 300, 2.0, 1.0)
    assert calibration.calibration_error(confidence, correct, weights) == pytest.approx(2 / 15)


def test_bins_have_equal_mass() -> None:
    random = np.random.default_rng(0)
    confidence = random.beta(8, 1, 450)
    correct = (random.random(450) < confidence**2).astype(float)
    order = np.argsort(confidence)
    wanted = sum(30 / 450 * abs(correct[part].mean() - confidence[part].mean()) for part in np.split(order, 15))
    assert calibration.calibration_error(confidence, correct, np.ones(450)) == pytest.approx(wanted, abs=1e-12)


def test_bins_are_the_same_from_either_end() -> None:
    """Items lie in the bin of their middle, so that to be sure of the contrary is as far off."""
    random = np.random.default_rng(4)
    confidence, weights = random.beta(3, 2, 20), np.ones(20)
    correct = (random.random(20) < 0.4).astype(float)
    found = calibration.calibration_error(confidence, correct, weights)
    assert calibration.calibration_error(1 - confidence, 1 - correct, weights) == pytest.approx(found, abs=1e-12)
    middles = np.floor((np.arange(20) + 0.5) * 15 / 20).astype(int)
    order = np.argsort(confidence)
    wanted = sum(abs((correct - confidence)[order][middles == b].sum()) for b in range(15)) / 20
    assert found == pytest.approx(wanted, abs=1e-12)


def test_brier_and_likelihood_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    p = random.dirichlet(np.ones(4), 50)
    y = random.integers(0, 4, 50)
    frame = calibration.scored(np.log(p), y[:, None])
    assert frame["nll"].mean() == pytest.approx(log_loss(y, p, labels=range(4)))
    assert frame["brier"].mean() == pytest.approx(brier_score_loss(y, p, labels=range(4), scale_by_half=False))
    assert frame["correct"].mean() == pytest.approx((p.argmax(axis=1) == y).mean())
    own = p[np.arange(50), y]
    assert frame["margin"].to_numpy() == pytest.approx(np.log(own / (1 - own)), abs=1e-9)
    sure = calibration.scored(np.array([[0.0, -80.0, -81.0]]), np.array([[0]]))  # no 1 - p that is rounded to nothing
    assert sure["margin"].iloc[0] == pytest.approx(80 - math.log(1 + math.exp(-1)))
    # Where two classes are right, their probabilities are added up.
    both = calibration.scored(np.log(p), np.stack([np.zeros(50, int), np.ones(50, int)], axis=1))
    assert both["nll"].to_numpy() == pytest.approx(-np.log(p[:, 0] + p[:, 1]))


def test_calibration_of_next_tokens_is_the_loss_of_the_objective() -> None:
    model, tokenizer = cases.gpt2(), cases.tokenizer()
    found = result_of("calibration", model, tokenizer, text=cases.TEXT, sequences=9, length=12)
    assert len(found.items) == 9 * 11 and found.clusters == "example"
    from landscape.objectives import causal_lm

    batch = causal_lm.encode(cases.TEXT, tokenizer, sequences=9, length=12)["input_ids"]
    with torch.no_grad():
        losses = [float(model(input_ids=row[None], labels=row[None]).loss) for row in batch]
    assert score(found, "nll").value == pytest.approx(np.mean(losses), abs=1e-5)
    assert score(found, "nll").error == pytest.approx(np.std(losses, ddof=1) / 3, rel=1e-4)


@pytest.mark.parametrize("kind", ["masked", "classifier"])
def test_calibration_of_masks_and_of_classes(kind: Any) -> None:
    model = cases.bert() if kind == "masked" else cases.classifier()
    lines = "\n".join(json.dumps({"text": f"w{k} w{k + 1}", "label": k % 3}) for k in range(40))
    given = {"text": cases.TEXT if kind == "masked" else lines, "sequences": 12, "length": 10}
    found = result_of("calibration", model, cases.tokenizer(), kind=kind, **given)
    probed = ProbeModel(model, cases.tokenizer(), kind)
    targets = predictions.targets_of(probed, ProbeInputs(**given))
    log_p = predictions.predict(probed, targets)
    with torch.no_grad():
        for k in (0, 5, len(targets.example) - 1):
            batch = {n: t[targets.example[k]][None] for n, t in targets.batch.items()}
            inputs = {n: t for n, t in batch.items() if n not in ("labels", "positions", "targets")}
            logits = model(**inputs).logits[0]
            wanted = (logits if kind == "classifier" else logits[targets.position[k]]).log_softmax(dim=-1)
            assert torch.allclose(log_p[k], wanted, atol=1e-5)
    assert score(found, "nll").value == pytest.approx(
        -np.mean([float(log_p[k, t]) for k, t in enumerate(targets.target[:, 0])]), abs=1e-5
    )


def test_predictions_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_PROBABILITIES", 20 * cases.WORDS)
    probed = ProbeModel(cases.gpt2(), cases.tokenizer(), "causal")
    targets = predictions.targets_of(probed, ProbeInputs(text=cases.TEXT, sequences=9, length=12))
    assert len(targets.example) == 20 and set(targets.example) == set(range(9))
    whole = predictions.predict(probed, targets)
    for examples in (1, 4):
        monkeypatch.setattr(predictions, "LOGITS", examples * 12 * cases.WORDS)
        assert torch.allclose(whole, predictions.predict(probed, targets), atol=1e-6)


def test_calibration_of_choices(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(
        json.dumps({"sentence_good": "the girl is", "sentence_bad": "the girl are"}) for _ in range(30)
    ))  # fmt: skip
    logits = torch.zeros(len(speaker()))
    logits[speaker()("is")["input_ids"][0]] = 0.8
    found = result_of("calibration", unigram(logits), items=file)
    p = 1 / (1 + math.exp(-0.8))
    assert score(found, "ece").value == pytest.approx(1 - p, abs=1e-6) and score(found, "accuracy").value == 1
    assert score(found, "brier").value == pytest.approx(2 * (1 - p) ** 2, abs=1e-6)


def answers(seed: int, n: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    one = random.integers(0, 4, n)
    other = np.where(random.random(n) < 0.6, one, random.integers(0, 5, n))
    return one, other, np.repeat(np.arange(n // 6), 6)


def test_disagreement_is_one_minus_kappa_with_a_jackknife_over_clusters() -> None:
    one, other, clusters = answers(0)
    found = disagreement(one, other, clusters)
    assert found.value == pytest.approx(1 - cohen_kappa_score(one, other), abs=1e-12)
    left = [1 - cohen_kappa_score(one[clusters != c], other[clusters != c]) for c in range(15)]
    assert found.error == pytest.approx(math.sqrt(14 / 15 * sum((v - np.mean(left)) ** 2 for v in left)), abs=1e-12)
    same = disagreement(one, one, clusters)
    assert same.value == 0 and same.error == 0
    assert disagreement(np.ones(12, int), np.ones(12, int), np.arange(12)).value == 0
    assert disagreement(other, one, clusters).value == pytest.approx(found.value, abs=1e-12)


def test_divergence_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    p, q = (random.dirichlet(np.full(7, 0.3), 24) for _ in range(2))
    p[0] = [1, 0, 0, 0, 0, 0, 0]
    q[0] = [0, 1, 0, 0, 0, 0, 0]
    clusters = np.repeat(np.arange(8), 3)
    with np.errstate(divide="ignore"):
        found = divergence(*(torch.from_numpy(np.log(side)) for side in (p, q)), clusters)
    each = np.array([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    assert found.value == pytest.approx(each.mean(), abs=1e-12) and each[0] == pytest.approx(math.log(2))
    means = [np.delete(each.reshape(8, 3), c, axis=0).mean() for c in range(8)]
    assert found.error == pytest.approx(math.sqrt(7 / 8 * sum((m - np.mean(means)) ** 2 for m in means)), abs=1e-12)


def test_what_a_calibrated_model_would_show_is_told() -> None:
    random = np.random.default_rng(2)
    confidence = random.beta(5, 2, 60)
    frame = pd.DataFrame({"confidence": confidence, "correct": (random.random(60) < confidence).astype(float),
                          "example": range(60), "brier": 0.1, "nll": 0.1, "margin": 0.1})  # fmt: skip
    found = {one.metric: one for one in calibration.scores(frame)}
    assert found["ece_if_calibrated"].value > 0.1  # four in a bin
    assert abs(found["ece"].value - found["ece_if_calibrated"].value) < 4 * found["ece_if_calibrated"].error < 0.2


def scores_of(confidence: np.ndarray, correct: np.ndarray, example: np.ndarray) -> dict[str, Any]:
    frame = pd.DataFrame({"confidence": confidence, "correct": correct, "example": example, "brier": 0.1, "nll": 0.1,
                          "margin": 0.1})  # fmt: skip
    return {one.metric: one for one in calibration.scores(frame)}


def test_a_calibrated_model_that_is_always_sure_would_always_be_right() -> None:
    found = scores_of(np.ones(40), np.arange(40) % 2.0, np.arange(40))
    assert (found["ece_if_calibrated"].value, found["ece_if_calibrated"].error) == (0, 0)
    assert found["ece"].value == pytest.approx(0.5)


def test_predictions_of_an_example_are_one_in_the_error_of_calibration() -> None:
    """Sixteen copies of each prediction tell no more than one."""
    random = np.random.default_rng(6)
    confidence = random.beta(5, 2, 60)
    correct = (random.random(60) < confidence**3).astype(float)
    once = scores_of(confidence, correct, np.arange(60))
    often = scores_of(*(np.repeat(part, 16) for part in (confidence, correct, np.arange(60))))
    assert often["ece"].error == pytest.approx(once["ece"].error, rel=0.3)
    assert often["brier"].error == pytest.approx(once["brier"].error)
