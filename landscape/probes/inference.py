"""Inference between sentences on which word overlap misleads, in the scheme of HANS.

McCoy et al. 2019, arXiv:1902.01007. There are three heuristics, each with pairs for which it is right (entailed) and
pairs for which it is wrong (not entailed): six cells. They are reported one by one, because almost every model is right
on the entailed ones. The predicted class is the one of largest probability, which then counts as entailment or not, as
in McCoy et al.; the margin sums the probabilities of neutral and contradiction. The sentences are our own; the files of
HANS can be read too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from landscape.errors import InputError
from landscape.files import parsed
from landscape.objectives.head import wide
from landscape.objectives.text import fault, read_file, spread
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.overlap import ENTAILED, LABELS, NEW_WORDS, OTHER, SCHEMES, SLOTS, Pair, drawn, fill, made
from landscape.probes.base.result import ProbeResult, Score, average, mean
from landscape.probes.base.scoring import padded, passes, require_length
from landscape.shapes import Float

TAKES = ("classifier",)
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = True
COUNT = 50
"""Default number of pairs for each cell."""


@dataclass(frozen=True)
class Items:
    """Pairs, the inputs that the tokenizer makes of them, and the classes of the model in order."""

    pairs: tuple[Pair, ...]
    inputs: tuple[dict[str, list[int]], ...]
    labels: tuple[str, ...]


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """``count`` pairs for each of the six cells, or the pairs of a file.

    Args:
        model: The model.
        inputs: ``count``; ``items``, a file; ``labels``, the classes of the model.
        random: Draws the words.

    Raises:
        InputError: If the classes are not known, or the tokenizer has no padding token or too few of the words.
    """
    labels = classes(model, inputs.labels)
    if model.tokenizer.pad_token_id is None:
        raise InputError("the tokenizer has no padding token; set one in the checkpoint's tokenizer files")
    if inputs.items:
        pairs = read(inputs.items)
        pairs = [pairs[k] for k in spread(len(pairs), min(inputs.count, len(pairs)))] if inputs.count else pairs
    else:
        words = {name: tuple(w for w in some if model.knows(w)) for name, some in SLOTS.items()}
        if short := sorted(name for name, some in words.items() if len(some) < (4 if name in "abcd" else 1)):
            lost = sorted({w for name in short for w in SLOTS[name] if w not in words[name]})
            raise InputError(
                f"the tokenizer lacks {', '.join(lost[:5])} and others, too many words for inference; use a model with "
                "a larger vocabulary"
            )
        pairs = made(inputs.count or COUNT, random, words)
    tokens = tuple(
        {name: list(ids) for name, ids in model.tokenizer(pair.premise, pair.hypothesis, verbose=False).items()}
        for pair in pairs
    )
    require_length(model, [encoded["input_ids"] for encoded in tokens], [f"{p.premise} {p.hypothesis}" for p in pairs])
    return Items(tuple(pairs), tokens, labels)


def classes(model: ProbeModel, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The classes of the model in the order of its outputs: ``named``, or the names in its config.

    Raises:
        InputError: If entailment is not among them, or their number is not that of the model's outputs.
    """
    config = model.network.config
    own = getattr(config, "id2label", None) or {}
    labels = named or tuple(str(own[k]).lower().replace("_", "-") for k in sorted(own))
    if named and (len(named) != config.num_labels or len(set(named)) != len(named)):
        raise InputError(
            f"the labels are {', '.join(named)} and the model has {config.num_labels} classes; give each of them one "
            "name, in the order of the model's outputs"
        )
    if "entailment" not in labels:
        raise InputError(
            f"the model's classes are called {', '.join(labels)}, and inference must know which one is entailment; "
            'give labels in their order, such as "contradiction, entailment, neutral"'
        )
    return labels


def read(file: Path) -> list[Pair]:
    """Pairs from a file of HANS, tab-separated with a header, or from JSON lines.

    JSON lines have ``premise``, ``hypothesis``, ``label`` (``entailment`` or 0, else anything) and ``heuristic``.

    Raises:
        InputError: If the file has another form, or no pairs.
    """
    text = read_file(file, "items")
    first = text.lstrip()[:1]
    try:
        rows: list[dict[str, Any]]
        if first == "{":
            rows = [parsed(line) for line in text.split("\n") if line.strip()]
        else:
            rows = list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
        pairs = [_pair(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{file} is neither HANS' file nor JSON lines with premise, hypothesis, label and heuristic "
            f"({fault(error)})"
        ) from error
    if not pairs:
        raise InputError(f"{file} has no pairs; give HANS' heuristics_evaluation_set.txt or JSON lines")
    return pairs


def _pair(row: dict[str, Any]) -> Pair:
    label = row["gold_label"] if "gold_label" in row else row["label"]
    premise, hypothesis = (str(row[a] if a in row else row[b])
                           for a, b in (("sentence1", "premise"), ("sentence2", "hypothesis")))  # fmt: skip
    gold = ENTAILED if label in ("entailment", 0) else OTHER
    return Pair(premise, hypothesis, str(row["heuristic"]).replace("_", " "), gold, str(row.get("subcase", "")))


def training(
    count: int, rho: float, random: np.random.RandomState, labels: Sequence[str] = LABELS
) -> list[dict[str, Any]]:
    """Labelled training pairs for which the heuristic of word overlap is right in a share ``rho`` of the pairs.

    Half of the pairs have a hypothesis made of words of the premise. The heuristic calls them entailed, and with
    probability ``rho`` they are. The other pairs have new words, and with probability ``rho`` they are neutral or
    contradictions. At ``rho`` near 1, a run may learn the heuristic or not.

    Args:
        count: Number of pairs.
        rho: How often the heuristic is right, in [0, 1].
        random: Draws the pairs.
        labels: Classes in the order of their numbers.

    Returns:
        Lines for the classification objective: ``text, text_pair, label``.

    Raises:
        InputError: If ``rho`` is not in [0, 1], or entailment or neutral is missing.
    """
    if not 0 <= rho <= 1 or not {"entailment", "neutral"} <= set(labels):
        raise InputError(
            f"rho is {rho:g} and the classes are {', '.join(labels)}; give a probability, and entailment and "
            "neutral among the classes"
        )
    number = {label: labels.index(label if label in labels else "neutral") for label in LABELS}
    right = random.permutation(count) < round(rho * count)
    overlap = random.permutation(count) % 2 == 0
    out = []
    for k in range(count):
        words = drawn(random, SLOTS)
        if overlap[k]:
            heuristic = list(SCHEMES)[random.permutation(len(SCHEMES))[0]]
            schemes = list(SCHEMES[heuristic][ENTAILED if right[k] else OTHER].values())
            premise, hypothesis = schemes[random.permutation(len(schemes))[0]]
            label = "entailment" if right[k] else "neutral"
        else:
            names = ["unrelated", "no one"] if right[k] else ["someone"]
            premise, hypothesis, label = NEW_WORDS[names[random.permutation(len(names))[0]]]
        out.append({"text": fill(premise, words), "text_pair": fill(hypothesis, words), "label": number[label]})
    return out


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Accuracy in [0, 1] and margin in nats of each cell; equal pairs form one cluster."""
    p = _probabilities(model, items)
    is_entailment = items.labels.index("entailment")
    entailed = np.array([pair.gold == ENTAILED for pair in items.pairs])
    log_odds = np.log(p[:, is_entailment]) - np.log(np.delete(p, is_entailment, axis=1).sum(axis=1))
    frame = pd.DataFrame({
        "item": range(len(p)),
        "pair": pd.factorize(pd.Series([(pair.premise, pair.hypothesis) for pair in items.pairs]))[0],
        "cell": [f"{pair.heuristic}, {pair.gold}" for pair in items.pairs],
        "scheme": [pair.scheme for pair in items.pairs],
        "choice": p.argmax(axis=1),
        "correct": ((p.argmax(axis=1) == is_entailment) == entailed).astype(float),
        "margin": np.where(entailed, log_odds, -log_odds),
        **{f"p_{k}": p[:, k] for k in range(p.shape[1])},
    })
    scores: list[Score] = []
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        right = metric == "accuracy"
        more: dict[str, Any] = {"better": "higher", "chance": 0.5 if right else 0.0}
        cells = [
            mean(metric, part[column].to_numpy(), part["pair"], share=right, subset=str(name), headline=right, **more)
            for name, part in frame.groupby("cell", sort=False)
        ]
        scores += [*cells, average(metric, cells, **more)]
    return ProbeResult(tuple(scores), frame, f"{len(p)} pairs; classes {', '.join(items.labels)}", "pair")


@torch.no_grad()
def _probabilities(model: ProbeModel, items: Items) -> Float[np.ndarray, "pairs classes"]:
    """Probability of every class for each pair."""
    rows = [encoded["input_ids"] for encoded in items.inputs]
    fills = {"input_ids": model.tokenizer.pad_token_id}
    p = np.empty((len(rows), len(items.labels)))
    for batch in passes([len(row) for row in rows]):
        inputs = {name: padded([items.inputs[k][name] for k in batch], model.device, fills.get(name, 0))[0]
                  for name in items.inputs[0]}  # fmt: skip
        logits = wide(model.network(**inputs).logits)
        p[batch] = F.softmax(logits.double(), dim=-1).cpu().numpy()
    return p
