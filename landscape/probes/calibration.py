"""Calibration: are predictions right as often as they are sure?

Of next tokens, masked tokens or classes on the held-out text; or, with pairs of sentences as items, of the choice
between the two. The expected calibration error has 15 bins of equal mass (Nguyen & O'Connor 2015, arXiv:1508.05154),
not of equal width, whose crowded bins hide what happens in them. It is never below zero, so with few predictions it is
too large: ``ece_if_calibrated`` is what a model that is right as often as it is sure would show, by drawing which
predictions are right. The Brier score is ``sum_k (p_k - y_k)^2``, in [0, 2].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.probes import minimal_pairs
from landscape.probes.base.finding import Found, Score, bootstrapped, mean
from landscape.probes.base.predictions import Asked, ask, predict
from landscape.probes.base.subject import Given, Subject
from landscape.shapes import Float

TAKES = ("causal", "masked", "classifier")
BINS, DRAWS = 15, 100


@dataclass(frozen=True)
class Items:
    """Predictions to make, or pairs to choose from."""

    asked: Asked | None
    pairs: minimal_pairs.Items | None


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """Predictions on the held-out text, or the user's pairs of sentences.

    Raises:
        InputError: If items are given for a classifier.
    """
    if given.items and subject.kind == "classifier":
        raise InputError("a classifier is judged on its text: give labelled lines as text, and no items")
    if given.items:
        return Items(None, minimal_pairs.items(subject, given, random))
    return Items(ask(subject, given), None)


def measure(subject: Subject, items: Items) -> Found:
    """Calibration error, Brier score, negative log-likelihood, accuracy; predictions of an example count as one."""
    if items.pairs is not None:
        found = minimal_pairs.measure(subject, items.pairs).items
        clusters = found["pair"].to_numpy()
        p = found[["p_0", "p_1"]].to_numpy()
        frame = judged(np.log(np.maximum(p, np.finfo(float).tiny)), np.ones((len(p), 1), dtype=np.int64))
        about = f"choices between {len(frame)} pairs"
    else:
        assert items.asked is not None
        frame = judged(predict(subject, items.asked).numpy(), items.asked.target)
        clusters = items.asked.example
        about = f"{len(frame)} predictions on {clusters.max() + 1} examples of held-out text"
    frame.insert(0, "item", range(len(frame)))
    frame.insert(1, "example", clusters)
    return Found(tuple(scores(frame)), frame, f"{about}; {BINS} bins of equal mass", "example")


def judged(log_p: Float[np.ndarray, "n classes"], target: np.ndarray) -> pd.DataFrame:
    """What each prediction is worth.

    Args:
        log_p: Log-probabilities.
        target: ``[n, right ones]``: classes that are right, some perhaps twice; their probabilities are added up.
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
    """The numbers of some judged predictions."""
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
    """``sum_b w_b |accuracy_b - confidence_b|`` over 15 bins of equal weight, in the order of confidence."""
    order = np.argsort(confidence, kind="stable")
    w = weights[order]
    bins = np.minimum((BINS * (np.cumsum(w) - w / 2) / w.sum()).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=w * (correct - confidence)[order], minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())
