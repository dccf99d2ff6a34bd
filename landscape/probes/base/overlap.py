"""Sentence pairs on which word overlap misleads, made from templates in the scheme of HANS.

McCoy et al. 2019, arXiv:1902.01007. The sentences are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ENTAILED, OTHER = "entailed", "non-entailed"
LABELS = ("entailment", "neutral", "contradiction")
"""Names of the classes; each model has its own order."""

NOUNS = ("doctor", "pilot", "author", "lawyer", "student", "manager", "teacher", "guard", "farmer", "officer",
         "captain", "writer")  # fmt: skip
PLURALS = ("doctors", "pilots", "authors", "lawyers", "students", "managers", "teachers", "guards", "farmers",
           "officers")  # fmt: skip
TRANSITIVE = ("helped", "thanked", "followed", "praised", "blamed", "called", "stopped", "advised")
INTRANSITIVE = ("slept", "arrived", "laughed", "waited", "danced", "worked", "smiled", "left")
OPTIONAL = ("watched", "paid", "visited", "studied")
"""Verbs with an optional object."""
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
NEW_WORDS: dict[str, tuple[str, str, str]] = {
    "someone": ("the {a} {v} the {b}", "someone {v} the {b}", "entailment"),
    "unrelated": ("the {a} {v} the {b}", "the {c} {w} the {d}", "neutral"),
    "no one": ("the {a} {v} the {b}", "no one {v} the {b}", "contradiction"),
}
"""Pairs whose hypothesis has words that the premise does not have, with their label."""


@dataclass(frozen=True)
class Pair:
    """A premise and a hypothesis, with heuristic, gold label and the name of their templates."""

    premise: str
    hypothesis: str
    heuristic: str
    gold: str
    scheme: str


def fill(template: str, words: dict[str, str]) -> str:
    """A template filled with words, capitalised and with a full stop."""
    text = template.format(**words)
    return f"{text[0].upper()}{text[1:]} ."


def drawn(random: np.random.RandomState, words: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """A word for every slot; no noun is used twice, and no verb of one sort."""
    out = {}
    for together in (("a", "b", "c", "d"), ("v", "w"), ("i", "j"), *((n,) for n in words if len(n) > 1 or n in "op")):
        chosen = random.permutation(len(words[together[0]]))
        out.update({name: words[name][chosen[k % len(chosen)]] for k, name in enumerate(together)})
    return out


def made(count: int, random: np.random.RandomState, words: dict[str, tuple[str, ...]]) -> list[Pair]:
    """Pairs for each cell, from its templates in turn.

    Args:
        count: Number of pairs for each cell.
        random: Draws the words.
        words: Words for each slot.
    """
    out = []
    for heuristic, cells in SCHEMES.items():
        for gold, schemes in cells.items():
            for k in range(count):
                name = list(schemes)[k % len(schemes)]
                filled = drawn(random, words)
                premise, hypothesis = (fill(template, filled) for template in schemes[name])
                out.append(Pair(premise, hypothesis, heuristic, gold, name))
    return out
