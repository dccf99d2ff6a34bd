"""Seeds and steps in the names of folders and files."""

from __future__ import annotations

import re
from decimal import Decimal

SCALES = {"k": 3, "m": 6, "b": 9}
LARGEST = 2**63 - 1
_SHORT = r"\d+(?:\.\d+)?(?:[kKmMbB]|[eE]\+?\d{1,2})"
WRITTEN = rf"(?:\d{{1,3}}(?:_\d{{3}})+|{_SHORT}|\d+)"
"""A whole number: ``20000``, ``20k``, ``2e4``, ``20_000``."""
_ALONE = rf"(?:\d{{1,3}}(?:_\d{{3}})+(?!_?\d)|{_SHORT}|\d+(?!_\d{{3}}(?!\d)))(?![A-Za-z0-9]|\.\d)"
"""The same where the end of the number is not marked."""
_TOKENS = rf"(?<![A-Za-z0-9_.])({_SHORT}|\d+)[_-]?tokens?(?![A-Za-z])|(?<![A-Za-z])tokens?[_=-]?({_ALONE})"
_STEP = rf"(?<![A-Za-z])(?:global_?step|step|checkpoint)[_=-]?({_ALONE})"
_SEED = r"(?<![A-Za-z])seed[_=-]?(\d+)(?![A-Za-z0-9]|\.\d)"


def number(text: str) -> int | None:
    """The whole number that a text denotes; None if it has a fraction or is too large.

    >>> [number(text) for text in ("20k", "1e3", "1_000", "1.5M", "2B", "1.5")]
    [20000, 1000, 1000, 1500000, 2000000000, None]
    """
    plain = text.replace("_", "")
    scale = SCALES.get(plain[-1].lower(), 0)
    value = Decimal(plain[:-1] if scale else plain).scaleb(scale)
    return int(value) if value == value.to_integral_value() and value <= LARGEST else None


def seed_in(name: str) -> int | None:
    """The last seed in a name."""
    seeds = re.findall(_SEED, name)
    return int(seeds[-1]) if seeds else None


def step_in(name: str) -> int | None:
    """The last step in a name; if it has tokens but no step, the number of tokens.

    >>> [step_in(name) for name in ("run/step=1e3", "footstep2", "step_3rd", "step1000-tokens2B", "2B_tokens")]
    [1000, None, None, 1000, 2000000000]
    """
    steps = re.findall(_STEP, name) or [one or other for one, other in re.findall(_TOKENS, name)]
    return number(steps[-1]) if steps else None
