"""References to places on the hub, and the names that families give their revisions."""

from __future__ import annotations

import re
from urllib.parse import unquote

from landscape.errors import InputError
from landscape.study.checkpoint import Place

SCHEME = "hf://"
NAMED = re.compile(
    r"(?:stage(?P<stage>\d+)-)?(?:ingredient(?P<ingredient>\d+)-)?(?:global_step|checkpoint-|ckpt_|step[-_]?)(?P<step>\d+)"
    r"(?:-tokens\d+B|-\d+BT)?(?:-seed-(?P<seed>[\w-]+))?"
)
"""Names of revisions in families: ``step1000``, ``checkpoint-20``, ``stage1-step150-tokens1B``, ``ckpt_007``."""


def parse(ref: str) -> Place:
    """The place that ``hf://organisation/name[@revision][/folder]`` means.

    A slash within a revision is written ``%2F``, except in ``refs/pr/N``.

    >>> parse("hf://EleutherAI/pythia-70m@step1000")
    Place(repo='EleutherAI/pythia-70m', revision='step1000', folder='', title='')
    >>> parse("hf://a/b@refs/pr/1/sub/folder")
    Place(repo='a/b', revision='refs/pr/1', folder='sub/folder', title='')

    Raises:
        InputError: If it is not of this form, or its folder leaves the repository.
    """
    parsed = re.fullmatch(r"hf://([\w.{}-]+/[\w.{}-]+)(?:@(refs/(?:pr|convert)/[\w.-]+|[^/@]+))?((?:/[^/]+)*)/?", ref)
    parts = [*unquote(parsed[2] or "").split("/"), *parsed[3].split("/")] if parsed else []
    if not parsed or ".." in parsed[1] or any(part in (".", "..") for part in parts):
        raise InputError(f"{ref} is not a place on the hub; write hf://organisation/name@revision/folder")
    return Place(parsed[1], unquote(parsed[2] or "main"), parsed[3].strip("/"))


def named(revision: str) -> dict[str, str] | None:
    """Stage, ingredient, step and seed in the name of a revision; None if it has no step.

    >>> named("stage2-ingredient3-step11931-tokens50B")
    {'stage': '2', 'ingredient': '3', 'step': '11931'}
    """
    parsed = NAMED.fullmatch(revision)
    return {k: v for k, v in parsed.groupdict().items() if v is not None} if parsed else None


def same_step(wanted: str, names: list[str]) -> str | None:
    """A revision of the same step with a slightly different name: another token count, or no ``stage1-``."""
    parts = named(wanted)
    if parts is None:
        return None
    alike = [n for n in names if (other := named(n)) and {"stage": "1", **other} == {"stage": "1", **parts}]
    alike = [n for n in alike if int((named(n) or {})["step"]) == int(parts["step"])]
    return alike[0] if len(alike) == 1 else None


def nearest(wanted: str, names: list[str]) -> str:
    """A phrase with the existing names that are closest to a missing one."""
    if not names:
        return "it has none"
    if (parts := named(wanted)) is not None:
        known = [(abs(int(other["step"]) - int(parts["step"])), n) for n in names if (other := named(n))]
        names = [n for _, n in sorted(known)] or names
    return f"the nearest of its {len(names)} are {', '.join(names[:4])}"
