"""Calibration: whether predictions are right as often as their confidence says.

The predictions are next tokens, masked tokens or classes on the held-out text. If the items are pairs of sentences, a
prediction is the choice between the two. The expected calibration error (ECE) uses 15 bins of equal mass (Nguyen &
O'Connor 2015, arXiv:1508.05154); bins of equal width would be crowded where most predictions are. The ECE is never
negative, so it is too large for few predictions. ``ece_if_calibrated`` is the ECE of a calibrated model with the same
confidences, from simulated outcomes. The Brier score is ``sum_k (p_k - y_k)^2``, in [0, 2].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.probes import minimal_pairs
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.predictions import Targets, predict, targets_of
from landscape.probes.base.result import ProbeResult, Score, bootstrapped, mean
from landscape.shapes import Float

TAKES = ("causal", "masked", "classifier")
USUAL_FOR = ("masked-lm", "classification")
RANDOM_ITEMS = False
BINS, DRAWS = 15, 100
"""Bins of the calibration error, and simulations of a calibrated model."""


@dataclass(frozen=True)
class Items:
    """Predictions on the held-out text, or pairs of sentences."""

    targets: Targets | None
    pairs: minimal_pairs.Items | None


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Predictions on the held-out text, or pairs of sentences if ``items`` are given.

    Args:
        model: The model.
        inputs: ``text``, or ``items`` in the form of minimal pairs.
        random: Not used.

    Raises:
        InputError: If ``items`` are given for a classifier.
    """
    if inputs.items and model.kind == "classifier":
        raise InputError("a classifier is scored on its text: give labelled lines as text, and no items")
    if inputs.items:
        return Items(None, minimal_pairs.items(model, inputs, random))
    return Items(targets_of(model, inputs), None)


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Calibration error and accuracy in [0, 1], Brier score in [0, 2], negative log-likelihood and margin in nats.

    The predictions of an example form one cluster.
    """
    if items.pairs is not None:
        choices = minimal_pairs.measure(model, items.pairs).items
        clusters = choices["pair"].to_numpy()
        p = choices[["p_0", "p_1"]].to_numpy()
        frame = scored(np.log(np.maximum(p, np.finfo(float).tiny)), np.ones((len(p), 1), dtype=np.int64))
        about = f"choices between {len(frame)} pairs"
    else:
        assert items.targets is not None
        frame = scored(predict(model, items.targets).numpy(), items.targets.target)
        clusters = items.targets.example
        about = f"{len(frame)} predictions on {clusters.max() + 1} examples of held-out text"
    frame.insert(0, "item", range(len(frame)))
    frame.insert(1, "example", clusters)
    return ProbeResult(tuple(scores(frame)), frame, f"{about}; {BINS} bins of equal mass", "example")


def scored(log_p: Float[np.ndarray, "n classes"], target: np.ndarray) -> pd.DataFrame:
    """Choice, confidence and scores of each prediction.

    Args:
        log_p: Log-probabilities in nats.
        target: ``[n, right classes]``: the right classes, of which some may be repeated; their probabilities are
            summed.
    """
    log_p = log_p.astype(np.float64)
    p = np.exp(log_p)
    right = np.zeros(p.shape, dtype=bool)
    np.put_along_axis(right, target, values=True, axis=1)
    sure, others = (np.logaddexp.reduce(np.where(some, log_p, -np.inf), axis=1) for some in (right, ~right))
    choice = p.argmax(axis=1)
    return pd.DataFrame({
        "choice": choice,
        "confidence": p.max(axis=1),
        "correct": right[np.arange(len(p)), choice].astype(float),
        "margin": sure - others,
        # With one right class this is sum_k (p_k - y_k)^2.
        "brier": (p**2 * ~right).sum(axis=1) + (1 - np.exp(sure)) ** 2,
        "nll": -sure,
    })


def scores(frame: pd.DataFrame) -> list[Score]:
    """Scores of all predictions, from the frame of :func:`scored` and a column ``example``."""
    confidence, correct, clusters = (frame[name].to_numpy() for name in ("confidence", "correct", "example"))

    def ece(weights: Float[np.ndarray, " n"]) -> float:
        return calibration_error(confidence, correct, weights)

    error = bootstrapped(ece, clusters, np.random.RandomState(0))
    value = ece(np.ones(len(frame)))
    random, even = np.random.RandomState(0), np.ones(len(frame))
    calibrated = [calibration_error(confidence, (random.random_sample(len(frame)) < confidence).astype(float), even)
                  for _ in range(DRAWS)]  # fmt: skip
    return [
        Score("ece", value, error, len(frame), better="lower", chance=0.0, headline=True),
        Score("ece_if_calibrated", float(np.mean(calibrated)), float(np.std(calibrated)), len(frame)),
        mean("brier", frame["brier"].to_numpy(), clusters, better="lower"),
        mean("nll", frame["nll"].to_numpy(), clusters, better="lower"),
        mean("accuracy", correct, clusters, share=True, better="higher"),
        mean("confidence", confidence, clusters),
        mean("margin", frame["margin"].to_numpy(), clusters, better="higher"),
    ]


def calibration_error(
    confidence: Float[np.ndarray, " n"], correct: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> float:
    """``sum_b w_b |accuracy_b - confidence_b|`` over 15 bins of equal weight, sorted by confidence; in [0, 1].

    Args:
        confidence: Probability of each choice.
        correct: 1 for each right choice, else 0.
        weights: Weight of each prediction.
    """
    order = np.argsort(confidence, kind="stable")
    w = weights[order]
    bins = np.minimum((BINS * (np.cumsum(w) - w / 2) / w.sum()).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=w * (correct - confidence)[order], minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())
