"""What the normalizer of a tokenizer makes of a text, before the library does it without a bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape import files
from landscape.errors import InputError

MOST_GROWTH = 64
"""Characters that a normalizer may make of one, all its rules together."""


def require_no_growth(folder: Path) -> None:
    """Refuse a normalizer that multiplies a text: the library has no bound on what comes of it.

    Raises:
        InputError: If it has one.
    """
    try:
        made = files.read_json(folder / "tokenizer.json", strict=False)
        rules = list(_replacements(made["normalizer"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    letters = {letter for rule in rules for letter in rule.pattern + rule.content[:MOST_GROWTH]}
    text = "".join(sorted(letters))
    most = MOST_GROWTH * (len(text) + 1)
    for rule in rules:
        if len(text) + rule.times(text) * len(rule.content) > most:
            raise InputError(
                f"the normalizer of {folder / 'tokenizer.json'} makes more than {MOST_GROWTH} characters of one, and "
                "the library has no bound on that; give the tokenizer that belongs to the model"
            )
        text = rule.applied(text)


@dataclass(frozen=True)
class _Replacement:
    """What a normalizer puts in the place of a text, or of what fits a regular expression."""

    pattern: str
    content: str
    regex: bool

    def times(self, text: str) -> int:
        """How often it may be put in: a regular expression may fit every character, or even none and every gap."""
        if not self.regex and self.pattern:
            return text.count(self.pattern)
        return 0 if len(self.content) <= 1 and self._takes_something() else len(text) + 1

    def applied(self, text: str) -> str:
        """The text after it, or more."""
        if not self.regex and self.pattern:
            return text.replace(self.pattern, self.content)
        return text + self.content * max(1, self.times(text))

    def _takes_something(self) -> bool:
        try:
            return not re.fullmatch(self.pattern, "")
        except re.error:
            return False


def _replacements(rule: Any) -> Iterator[_Replacement]:
    """The replacements of a normalizer in turn."""
    if isinstance(rule, dict) and rule.get("type") == "Sequence":
        for one in rule["normalizers"]:
            yield from _replacements(one)
    elif isinstance(rule, dict) and isinstance(content := rule.get("content"), str):
        ((kind, pattern),) = rule["pattern"].items()
        yield _Replacement(str(pattern), content, kind != "String")
