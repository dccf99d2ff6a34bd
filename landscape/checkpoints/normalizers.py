"""A bound on the output of the normalizer of a tokenizer, checked before the library runs it without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape import files
from landscape.errors import InputError

MAX_GROWTH = 64
"""Largest number of characters that all rules of a normalizer together may make of one."""


def require_no_growth(folder: Path) -> None:
    """Refuse a normalizer that multiplies the length of a text: the library does not bound its output.

    Raises:
        InputError: If there is one.
    """
    try:
        made = files.read_json(folder / "tokenizer.json", strict=False)
        rules = list(_replacements(made["normalizer"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    letters = {letter for rule in rules for letter in rule.pattern + rule.content[:MAX_GROWTH]}
    text = "".join(sorted(letters))
    longest = MAX_GROWTH * (len(text) + 1)
    for rule in rules:
        if len(text) + rule.times(text) * len(rule.content) > longest:
            raise InputError(
                f"the normalizer of {folder / 'tokenizer.json'} makes more than {MAX_GROWTH} characters of one, and "
                "the library has no bound on that; give the tokenizer that belongs to the model"
            )
        text = rule.applied(text)


@dataclass(frozen=True)
class _Replacement:
    """One rule of a normalizer: replaces a text, or a regular expression, by another text."""

    pattern: str
    content: str
    regex: bool

    def times(self, text: str) -> int:
        """Largest number of replacements: a regular expression may accept every character, or every gap."""
        if not self.regex and self.pattern:
            return text.count(self.pattern)
        return 0 if len(self.content) <= 1 and self._takes_something() else len(text) + 1

    def applied(self, text: str) -> str:
        """The text after the rule, or a longer one."""
        if not self.regex and self.pattern:
            return text.replace(self.pattern, self.content)
        return text + self.content * max(1, self.times(text))

    def _takes_something(self) -> bool:
        try:
            return not re.fullmatch(self.pattern, "")
        except re.error:
            return False


def _replacements(rule: Any) -> Iterator[_Replacement]:
    """The rules of a normalizer in order."""
    if isinstance(rule, dict) and rule.get("type") == "Sequence":
        for one in rule["normalizers"]:
            yield from _replacements(one)
    elif isinstance(rule, dict) and isinstance(content := rule.get("content"), str):
        ((kind, pattern),) = rule["pattern"].items()
        yield _Replacement(str(pattern), content, kind != "String")
