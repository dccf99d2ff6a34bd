"""How a folder of runs is laid out: the patterns that its checkpoints fit, with their labels.

A path is cut at its slashes, and each part into texts and numbers. A number after a known word is that label
(``seed_3``, ``step_100``, ``branched_at_8``); what else differs between paths becomes a label of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from landscape import rows
from landscape.checkpoints.formats import has_weights, is_foreign, shards
from landscape.checkpoints.local import BESIDE, LABEL, escaped
from landscape.checkpoints.numbers import WRITTEN

NUMBER = re.compile(rf"(?<![\d.])({WRITTEN})(?![A-Za-z\d]|\.\d)")
_WORDS = (
    ("branch_step", r"branch_?step|(?:branch|fork|spawn|split)(?:ed)?_?(?:at|from)(?:_?step)?|from(?:_?step)?"),
    ("branch", r"branch|fork|sibling|twin|data_?order|order"),
    ("seed", r"seed|run|replica|member|rng|init|trial|rep|s"),
    ("step", r"(?:global_?)?step|checkpoint|ckpt|iter(?:ation)?|update|it"),
    ("epoch", r"epoch|ep"),
    ("tokens", r"tokens?"),
)  # fmt: skip
KNOWN = tuple((label, re.compile(rf"(?:.*[^A-Za-z])?(?:{words})s?[_=-]*", re.IGNORECASE)) for label, words in _WORDS)
TIME = ("epoch", "tokens")
"""Labels that stand for the step where there is none."""
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".tar")
PARTS = (*BESIDE, "adapter_")
"""Beginnings of names of files that are no whole model."""
WORD = "variant"
"""The label of folders that differ in a word."""
Cut = tuple[str, ...]
"""A part of a path: texts, and between them numbers."""


@dataclass(frozen=True)
class Layout:
    """Checkpoints that fit one pattern.

    Attributes:
        pattern: The pattern, below the folder.
        labels: The labels of the pattern.
        paths: The checkpoints.
    """

    pattern: str
    labels: tuple[str, ...]
    paths: tuple[Path, ...]


def layouts(folder: Path) -> list[Layout]:
    """The patterns of the checkpoints below a folder, that with most checkpoints first."""
    groups: dict[object, list[Path]] = {}
    for path in below(folder):
        cuts = [_cut(part) for part in path.relative_to(folder).parts]
        marks = [tuple(_known(text) for text in cut[:-1:2]) for cut in cuts]
        key = tuple((*mark, len(cut)) if any(mark) else () for mark, cut in zip(marks, cuts, strict=True))
        groups.setdefault(key, []).append(path)
    found = [_layout(folder, paths) for paths in groups.values()]
    return sorted(found, key=lambda one: (-len(one.paths), one.pattern))


def below(folder: Path) -> list[Path]:
    """Every checkpoint below a folder: folders with weights, and files of weights beside no other."""
    found = []
    for root, folders, files in os.walk(folder):
        folders.sort()
        here = Path(root)
        if here != folder and has_weights(here):
            found.append(here)
        elif not has_weights(here) and not is_foreign(here):
            own = (name for name in sorted(files) if name.endswith(SUFFIXES) and not name.startswith(PARTS))
            found += [here / name for name in own if not shards.NAME.fullmatch(name) and has_weights(here / name)]
    return found


def _cut(part: str) -> Cut:
    return tuple(NUMBER.split(part))


def _known(text: str) -> str:
    """The label that a text before a number or word names; empty if it names none that is known."""
    return next((label for label, words in KNOWN if words.fullmatch(text)), "")


@dataclass(frozen=True)
class _Varying:
    """What differs between paths, or is a known label.

    Attributes:
        before: The text before it, within its part of the path.
        number: Whether it is a number in all paths.
        last: Whether it is in the last part of the paths.
    """

    before: str
    number: bool
    last: bool


Piece = str | _Varying


def _layout(folder: Path, paths: Sequence[Path]) -> Layout:
    """The pattern of paths whose parts hold the same known labels."""
    parts = list(zip(*(path.relative_to(folder).parts for path in paths), strict=True))
    pieces = [list(_pieces(part, last=n == len(parts) - 1)) for n, part in enumerate(parts)]
    named = _names([piece for part in pieces for piece in part if isinstance(piece, _Varying)])
    texts = ["".join(f"{{{next(named)}}}" if isinstance(piece, _Varying) else escaped(piece) for piece in part)
             for part in pieces]  # fmt: skip
    pattern = "/".join(texts)
    return Layout(pattern, tuple(re.findall(r"\{(\w+)\}", pattern.replace("{{", "").replace("}}", ""))), tuple(paths))


def _pieces(part: Sequence[str], *, last: bool) -> Iterator[Piece]:
    """One part of all paths, as texts that they share and what differs.

    Args:
        part: The part of each path.
        last: Whether it is the last.
    """
    cuts = [_cut(name) for name in part]
    if len({len(cut) for cut in cuts}) > 1:
        yield from _text(list(part), "", last=last)
        return
    for k, column in enumerate(zip(*cuts, strict=True)):
        if k % 2 == 0:
            yield from _text(list(column), "", last=last)
        elif len(set(column)) > 1 or _known(cuts[0][k - 1]):
            yield _Varying(cuts[0][k - 1], number=True, last=last)
        else:
            yield column[0]


def _text(texts: Sequence[str], before: str, *, last: bool) -> Iterator[Piece]:
    """Texts, of which the words in the middle may differ."""
    if len(set(texts)) == 1:
        yield texts[0]
        return
    head = re.sub(r"[^_=-]*$", "", os.path.commonprefix(texts))
    rest = [text[len(head) :] for text in texts]
    shared = os.path.commonprefix([text[::-1] for text in rest])[::-1]
    tail = (re.search(r"(?:[_=-]|\.(?=[A-Za-z])).*$", shared) or [""])[0]
    if any(len(text) <= len(tail) for text in rest):
        tail = ""
    yield head
    yield _Varying(before + head, number=False, last=last)
    yield tail


def _names(varying: Sequence[_Varying]) -> Iterator[str]:
    """The label of each, in their order; no two are the same."""
    names = [_known(one.before) for one in varying]
    for n, name in enumerate(names):
        names[n] = "" if name in names[:n] else name
    if "step" not in names and (found := next((t for t in TIME if t in names), None)):
        names[names.index(found)] = "step"
    for n, one in enumerate(varying):
        if not names[n]:
            names[n] = _new(one, names)
    return iter(names)


def _new(one: _Varying, taken: Sequence[str]) -> str:
    """A name for what differs after no known word."""
    own = re.sub(r"\W+", "_", one.before).strip("_")
    if "step" not in taken and one.number and one.last and not own:
        return "step"
    if re.fullmatch(LABEL, own) and own not in rows.RESERVED and own not in taken:
        return own
    options = ("seed", WORD, *(f"{WORD}_{n}" for n in range(2, len(taken) + 2)))
    return next(name for name in options if name not in taken)
