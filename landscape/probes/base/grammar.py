"""Sentences made from templates, with gold annotation: words, number, part of speech, heads.

A template is a sequence of slots. A frame is one choice of words for a template. Every frame is made in all
combinations of singular and plural, so a model that knows only the frequency of words is right exactly half of the
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

Number = Literal["singular", "plural"]
NUMBERS: tuple[Number, Number] = ("singular", "plural")

NOUNS = (
    ("author", "authors"), ("pilot", "pilots"), ("teacher", "teachers"), ("doctor", "doctors"), ("sister", "sisters"),
    ("brother", "brothers"), ("friend", "friends"), ("lady", "ladies"), ("father", "fathers"), ("mother", "mothers"),
    ("daughter", "daughters"), ("officer", "officers"), ("captain", "captains"), ("servant", "servants"),
    ("lawyer", "lawyers"), ("manager", "managers"), ("guard", "guards"), ("farmer", "farmers"), ("girl", "girls"),
    ("boy", "boys"), ("king", "kings"), ("queen", "queens"), ("student", "students"), ("woman", "women"),
)  # fmt: skip
VERBS = (
    ("is", "are"), ("was", "were"), ("has", "have"), ("does", "do"), ("laughs", "laugh"), ("smiles", "smile"),
    ("walks", "walk"), ("works", "work"), ("lives", "live"), ("waits", "wait"), ("sleeps", "sleep"),
    ("writes", "write"),
    ("comes", "come"), ("goes", "go"), ("stands", "stand"), ("speaks", "speak"), ("knows", "know"), ("thinks", "think"),
)  # fmt: skip
AUXILIARIES = ("is", "was", "has", "does")
TRANSITIVE = (
    ("likes", "like"), ("sees", "see"), ("admires", "admire"), ("hates", "hate"), ("loves", "love"), ("meets", "meet"),
    ("helps", "help"), ("follows", "follow"),
)  # fmt: skip
LEMMAS = {form: pair[0] for pair in (*NOUNS, *VERBS, *TRANSITIVE) for form in pair}
"""Lemma of each form."""
PREPOSITIONS = ("near", "behind", "beside", "with")
SAID = ("said", "thought", "knew")


@dataclass(frozen=True)
class Slot:
    """One word of a template.

    Attributes:
        word: ``noun``, ``verb``, ``transitive``, ``preposition`` or ``said``; anything else is the word itself.
        of: Index of the noun that gives its grammatical number; 0 is the noun that the last verb agrees with. None for
            words without number.
        head: Index of the slot of its head; its own index for the root.
        relation: Dependency relation to the head.
        tag: Part of speech.
    """

    word: str
    of: int | None
    head: int
    relation: str
    tag: str


def _slots(*rows: tuple[str, int | None, int, str, str]) -> tuple[Slot, ...]:
    return tuple(Slot(*row) for row in rows)


_D = ("det", "DET")
TEMPLATES: dict[str, tuple[Slot, ...]] = {
    "simple": _slots(
        ("the", None, 1, *_D), ("noun", 0, 2, "nsubj", "NOUN"), ("verb", 0, 2, "root", "VERB"),
    ),
    "coordination": _slots(
        ("the", None, 1, *_D), ("noun", 0, 2, "nsubj", "NOUN"), ("transitive", 0, 2, "root", "VERB"),
        ("the", None, 4, *_D), ("noun", 1, 2, "obj", "NOUN"), ("and", None, 6, "cc", "CCONJ"),
        ("verb", 0, 2, "conj", "VERB"),
    ),
    "complement": _slots(
        ("the", None, 1, *_D), ("noun", 1, 2, "nsubj", "NOUN"), ("said", None, 2, "root", "VERB"),
        ("the", None, 4, *_D), ("noun", 0, 5, "nsubj", "NOUN"), ("verb", 0, 2, "ccomp", "VERB"),
    ),
    "prepositional": _slots(
        ("the", None, 1, *_D), ("noun", 0, 5, "nsubj", "NOUN"), ("preposition", None, 4, "case", "ADP"),
        ("the", None, 4, *_D), ("noun", 1, 1, "nmod", "NOUN"), ("verb", 0, 5, "root", "VERB"),
    ),
    "subject relative": _slots(
        ("the", None, 1, *_D), ("noun", 0, 6, "nsubj", "NOUN"), ("that", None, 3, "nsubj", "PRON"),
        ("transitive", 0, 1, "acl", "VERB"), ("the", None, 5, *_D), ("noun", 1, 3, "obj", "NOUN"),
        ("verb", 0, 6, "root", "VERB"),
    ),
    "object relative": _slots(
        ("the", None, 1, *_D), ("noun", 0, 6, "nsubj", "NOUN"), ("that", None, 5, "obj", "PRON"),
        ("the", None, 4, *_D), ("noun", 1, 5, "nsubj", "NOUN"), ("transitive", 1, 1, "acl", "VERB"),
        ("verb", 0, 6, "root", "VERB"),
    ),
    "two attractors": _slots(
        ("the", None, 1, *_D), ("noun", 0, 8, "nsubj", "NOUN"), ("preposition", None, 4, "case", "ADP"),
        ("the", None, 4, *_D), ("noun", 1, 1, "nmod", "NOUN"), ("preposition", None, 7, "case", "ADP"),
        ("the", None, 7, *_D), ("noun", 2, 4, "nmod", "NOUN"), ("verb", 0, 8, "root", "VERB"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Lexicon:
    """The words of the templates that a tokenizer knows.

    Attributes:
        nouns: Singular and plural of each noun.
        verbs: Singular and plural of each verb at the end of a sentence, where agreement is tested.
        transitive: Singular and plural of each verb inside relative clauses.
        of: Number of nouns and of verbs before any were dropped.
    """

    nouns: tuple[tuple[str, str], ...] = NOUNS
    verbs: tuple[tuple[str, str], ...] = VERBS
    transitive: tuple[tuple[str, str], ...] = TRANSITIVE
    of: tuple[int, int] = (len(NOUNS), len(VERBS))


@dataclass(frozen=True)
class Sentence:
    """One sentence of a template.

    Attributes:
        template: Name of the template.
        frame: Number of the frame; the sentences of a frame differ in singular and plural only.
        words: The words; the first is not capitalised.
        numbers: Singular (0) or plural (1): of the noun that the last verb agrees with, then of the other nouns.
        verb: Singular and plural of the last verb.
    """

    template: str
    frame: int
    words: tuple[str, ...]
    numbers: tuple[int, ...]
    verb: tuple[str, str]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of its template."""
        return TEMPLATES[self.template]

    @property
    def agree(self) -> bool:
        """Whether all nouns have the number of the noun that the verb agrees with."""
        return len(set(self.numbers)) == 1

    @property
    def text(self) -> str:
        """The sentence, capitalised and with a full stop."""
        return f"{capital(self.words)} ."


def capital(words: Sequence[str]) -> str:
    """The words with the first capitalised, separated by spaces."""
    return " ".join([words[0].capitalize(), *words[1:]])


def sentences(frames: int, random: np.random.RandomState, lexicon: Lexicon) -> list[Sentence]:
    """Frames of each template, each in all combinations of singular and plural.

    Args:
        frames: Number of frames for each template.
        random: Draws the words.
        lexicon: The words to draw from.
    """
    out = []
    for template, slots in TEMPLATES.items():
        count = 1 + max(slot.of for slot in slots if slot.of is not None)
        for frame in range(frames):
            nouns = [lexicon.nouns[k] for k in random.permutation(len(lexicon.nouns))[:count]]
            # Verbs are used in turn, so that each is tested equally often.
            verb = lexicon.verbs[frame % len(lexicon.verbs)]
            fixed = {name: words[random.permutation(len(words))[0]] for name, words in
                     {"preposition": PREPOSITIONS, "said": SAID}.items()}  # fmt: skip
            second = PREPOSITIONS[random.permutation(len(PREPOSITIONS))[0]]
            transitive = lexicon.transitive[random.permutation(len(lexicon.transitive))[0]]
            for numbers in product((0, 1), repeat=count):
                words, used = [], 0
                for slot in slots:
                    if slot.word in ("noun", "verb", "transitive"):
                        assert slot.of is not None
                        forms = {"noun": nouns[slot.of], "verb": verb, "transitive": transitive}[slot.word]
                        words.append(forms[numbers[slot.of]])
                    elif slot.word == "preposition":
                        words.append(second if used else fixed["preposition"])
                        used += 1
                    else:
                        words.append(fixed.get(slot.word, slot.word))
                out.append(Sentence(template, frame, tuple(words), numbers, verb))
    return out
