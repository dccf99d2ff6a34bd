"""Inference between sentences on which word overlap misleads, in the scheme of HANS.

McCoy et al. 2019, arXiv:1902.01007. Three heuristics, each with pairs where it is right (entailed) and pairs where it
is wrong (not entailed): six cells, since the entailed ones are near one for every model and only the others tell them
apart. A class is predicted by the largest probability and then counted as entailment or not, as McCoy et al. do; the
margin adds the probabilities of neutral and contradiction up. The sentences are our own; HANS' files are read too.
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
from landscape.probes.base.finding import Found, average, mean
from landscape.probes.base.scoring import padded, passes, require_length
from landscape.probes.base.subject import Given, Subject

TAKES = ("classifier",)
COUNT = 50
ENTAILED, OTHER = "entailed", "non-entailed"
LABELS = ("entailment", "neutral", "contradiction")
"""Names of the classes; the order is the model's own."""

NOUNS = ("doctor", "pilot", "author", "lawyer", "student", "manager", "teacher", "guard", "farmer", "officer",
         "captain", "writer")  # fmt: skip
PLURALS = (
    "doctors",
    "pilots",
    "authors",
    "lawyers",
    "students",
    "managers",
    "teachers",
    "guards",
    "farmers",
    "officers",
)
TRANSITIVE = ("helped", "thanked", "followed", "praised", "blamed", "called", "stopped", "advised")
INTRANSITIVE = ("slept", "arrived", "laughed", "waited", "danced", "worked", "smiled", "left")
OPTIONAL = ("watched", "paid", "visited", "studied")
"""Verbs that take an object or none."""
PREPOSITIONS = ("near", "behind", "beside", "with")
ADJECTIVES = ("happy", "tall", "old", "famous", "tired")
BELIEVED, HOPED, KNEW = ("believed", "heard"), ("hoped", "claimed"), ("knew", "forgot")
SLOTS: dict[str, tuple[str, ...]] = {
    "a": NOUNS, "b": NOUNS, "c": NOUNS, "d": NOUNS, "v": TRANSITIVE, "w": TRANSITIVE, "i": INTRANSITIVE,
    "j": INTRANSITIVE, "o": OPTIONAL, "p": PREPOSITIONS, "adj": ADJECTIVES, "ns": PLURALS, "believed": BELIEVED,
    "hoped": HOPED, "knew": KNEW,
}  # fmt: skip
SCHEMES: dict[str, dict[str, dict[str, tuple[str, str]]]] = {
    "lexical overlap": {
        OTHER: {
            "swap": ("the {a} {v} the {b}", "the {b} {v} the {a}"),
            "preposition": ("the {a} {p} the {b} {v} the {c}", "the {b} {v} the {c}"),
            "passive": ("the {a} was {v} by the {b}", "the {a} {v} the {b}"),
            "conjunction": ("the {a} and the {b} {v} the {c}", "the {a} {v} the {b}"),
        },
        ENTAILED: {
            "conjunction": ("the {a} and the {b} {v} the {c}", "the {a} {v} the {c}"),
            "passive": ("the {a} was {v} by the {b}", "the {b} {v} the {a}"),
        },
    },
    "subsequence": {
        OTHER: {
            "preposition": ("the {a} {p} the {b} {i}", "the {b} {i}"),
            "clause": ("the {a} {believed} the {b} {i}", "the {a} {believed} the {b}"),
            "object": ("when the {a} {o} the {b} {i}", "the {a} {o} the {b}"),
        },
        ENTAILED: {
            "conjunction": ("the {a} and the {b} {i}", "the {b} {i}"),
            "adjective": ("{adj} {ns} {i}", "{ns} {i}"),
        },
    },
    "constituent": {
        OTHER: {
            "if": ("if the {a} {i} , the {b} {j}", "the {a} {i}"),
            "hope": ("the {a} {hoped} the {b} {i}", "the {b} {i}"),
            "maybe": ("maybe the {a} {i}", "the {a} {i}"),
        },
        ENTAILED: {
            "since": ("since the {a} {i} , the {b} {j}", "the {a} {i}"),
            "know": ("the {a} {knew} the {b} {i}", "the {b} {i}"),
        },
    },
}
APART: dict[str, tuple[str, str, str]] = {
    "someone": ("the {a} {v} the {b}", "someone {v} the {b}", "entailment"),
    "unrelated": ("the {a} {v} the {b}", "the {c} {w} the {d}", "neutral"),
    "no one": ("the {a} {v} the {b}", "no one {v} the {b}", "contradiction"),
}
"""Pairs whose second sentence has words that the first has not."""


@dataclass(frozen=True)
class Pair:
    """A premise, a hypothesis, and what the two are."""

    premise: str
    hypothesis: str
    heuristic: str
    gold: str
    scheme: str


@dataclass(frozen=True)
class Items:
    """Pairs, as the tokenizer joins them, and the classes of the model in their order."""

    pairs: tuple[Pair, ...]
    inputs: tuple[dict[str, list[int]], ...]
    labels: tuple[str, ...]


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """``count`` pairs for each of the six cells, or those of a file.

    Raises:
        InputError: If the classes are not known, or the tokenizer lacks too many words or a padding token.
    """
    labels = classes(subject, given.labels)
    if subject.tokenizer.pad_token_id is None:
        raise InputError("the tokenizer has no padding token; set one in the checkpoint's tokenizer files")
    if given.items:
        pairs = read(given.items)
        pairs = [pairs[k] for k in spread(len(pairs), min(given.count, len(pairs)))] if given.count else pairs
    else:
        words = {name: tuple(w for w in some if subject.knows(w)) for name, some in SLOTS.items()}
        if short := sorted(name for name, some in words.items() if len(some) < (4 if name in "abcd" else 1)):
            lost = sorted({w for name in short for w in SLOTS[name] if w not in words[name]})
            raise InputError(
                f"the tokenizer lacks {', '.join(lost[:5])} and others, too many words for inference; use a model with "
                "a larger vocabulary"
            )
        pairs = made(given.count or COUNT, random, words)
    inputs = tuple(
        {name: list(ids) for name, ids in subject.tokenizer(pair.premise, pair.hypothesis, verbose=False).items()}
        for pair in pairs
    )
    require_length(subject, [part["input_ids"] for part in inputs], [f"{p.premise} {p.hypothesis}" for p in pairs])
    return Items(tuple(pairs), inputs, labels)


def classes(subject: Subject, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The classes of the model in the order of its outputs: the given ones, or those that its config names.

    Raises:
        InputError: If there is no entailment among them, or there are more or fewer than the model has.
    """
    config = subject.model.config
    own = getattr(config, "id2label", None) or {}
    labels = given or tuple(str(own[k]).lower().replace("_", "-") for k in sorted(own))
    if given and (len(given) != config.num_labels or len(set(given)) != len(given)):
        raise InputError(
            f"the labels are {', '.join(given)} and the model has {config.num_labels} classes; give each of them one "
            "name, in the order of the model's outputs"
        )
    if "entailment" not in labels:
        raise InputError(
            f"the model's classes are called {', '.join(labels)}, and inference must know which one is entailment; "
            'give labels in their order, such as "contradiction, entailment, neutral"'
        )
    return labels


def fill(template: str, words: dict[str, str]) -> str:
    """A sentence with a capital and a full stop."""
    text = template.format(**words)
    return f"{text[0].upper()}{text[1:]} ."


def drawn(random: np.random.RandomState, words: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """A word for every slot; the nouns, and the verbs of one kind, are different ones."""
    out = {}
    for together in (("a", "b", "c", "d"), ("v", "w"), ("i", "j"), *((n,) for n in words if len(n) > 1 or n in "op")):
        chosen = random.permutation(len(words[together[0]]))
        out.update({name: words[name][chosen[k % len(chosen)]] for k, name in enumerate(together)})
    return out


def made(count: int, random: np.random.RandomState, words: dict[str, tuple[str, ...]]) -> list[Pair]:
    """So many pairs for each cell, its schemes in turn."""
    out = []
    for heuristic, cells in SCHEMES.items():
        for gold, schemes in cells.items():
            for k in range(count):
                name = list(schemes)[k % len(schemes)]
                filled = drawn(random, words)
                premise, hypothesis = (fill(part, filled) for part in schemes[name])
                out.append(Pair(premise, hypothesis, heuristic, gold, name))
    return out


def read(file: Path) -> list[Pair]:
    """HANS' own file, tab-separated with a header, or JSON lines with its columns.

    JSON lines have ``premise``, ``hypothesis``, ``label`` (``entailment`` or 0, else anything) and ``heuristic``.

    Raises:
        InputError: If it has another form.
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
    """Labelled pairs to train on, in which overlap of words tells the label right in a share ``rho`` of all pairs.

    Half of the pairs have a hypothesis made of words of the premise; the heuristic calls these entailed, and with
    probability ``rho`` they are, as in HANS; the others have new words, and with probability ``rho`` are neutral or
    contradictions. Runs trained at ``rho`` near one are free to learn the heuristic or not.

    Args:
        count: Pairs.
        rho: How often the heuristic is right, in [0, 1].
        random: Draws them.
        labels: Classes in the order of their numbers.

    Returns:
        Lines for the classification objective: ``text, text_pair, label``.

    Raises:
        InputError: If ``rho`` is no probability, or a class is missing.
    """
    if not 0 <= rho <= 1 or not {"entailment", "neutral"} <= set(labels):
        raise InputError(
            f"rho is {rho:g} and the classes are {', '.join(labels)}; give a probability, and entailment and "
            "neutral among the classes"
        )
    place = {label: labels.index(label if label in labels else "neutral") for label in LABELS}
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
            premise, hypothesis, label = APART[names[random.permutation(len(names))[0]]]
        out.append({"text": fill(premise, words), "text_pair": fill(hypothesis, words), "label": place[label]})
    return out


@torch.no_grad()
def measure(subject: Subject, items: Items) -> Found:
    """Accuracy and margin in each of the cells; pairs count one by one."""
    rows = [part["input_ids"] for part in items.inputs]
    fills = {"input_ids": subject.tokenizer.pad_token_id}
    p = np.empty((len(rows), len(items.labels)))
    for batch in passes([len(row) for row in rows]):
        inputs = {name: padded([items.inputs[k][name] for k in batch], subject.device, fills.get(name, 0))[0]
                  for name in items.inputs[0]}  # fmt: skip
        logits = wide(subject.model(**inputs).logits)
        p[batch] = F.softmax(logits.double(), dim=-1).cpu().numpy()
    is_entailment = items.labels.index("entailment")
    entailed = np.array([pair.gold == ENTAILED for pair in items.pairs])
    log_odds = np.log(p[:, is_entailment]) - np.log(np.delete(p, is_entailment, axis=1).sum(axis=1))
    frame = pd.DataFrame({
        "item": range(len(rows)),
        "pair": pd.factorize(pd.Series([(pair.premise, pair.hypothesis) for pair in items.pairs]))[0],
        "cell": [f"{pair.heuristic}, {pair.gold}" for pair in items.pairs],
        "scheme": [pair.scheme for pair in items.pairs],
        "choice": p.argmax(axis=1),
        "correct": ((p.argmax(axis=1) == is_entailment) == entailed).astype(float),
        "margin": np.where(entailed, log_odds, -log_odds),
        **{f"p_{k}": p[:, k] for k in range(p.shape[1])},
    })
    scores = []
    for metric, column in (("accuracy", "correct"), ("margin", "margin")):
        more: dict[str, Any] = {"better": "higher", "chance": 0.5 if metric == "accuracy" else 0.0}
        cells = [
            mean(
                metric,
                part[column].to_numpy(),
                part["pair"],
                share=column == "correct",
                subset=str(name),
                headline=metric == "accuracy",
                **more,
            )
            for name, part in frame.groupby("cell", sort=False)
        ]
        scores += [*cells, average(metric, cells, **more)]
    return Found(tuple(scores), frame, f"{len(rows)} pairs; classes {', '.join(items.labels)}", "pair")
