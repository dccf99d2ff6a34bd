"""Known families of public checkpoints. A family is an entry of a file's ``FAMILIES``.

The tables are static, so that a plan can be made with no network.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from landscape import catalogue
from landscape.checkpoints.families.family import Defect, Family, Label
from landscape.errors import InputError
from landscape.study.checkpoint import Place

__all__ = ["FAMILIES", "Defect", "Family", "Label", "family", "labelled", "main_defects"]

FAMILIES: dict[str, Family] = {
    family.name: family for file in catalogue.FAMILIES for family in catalogue.FAMILIES.load(file).FAMILIES
}


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        InputError: If there is none.
    """
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1) or [n for n in FAMILIES if n.startswith(name)]
        raise InputError(
            f"no family {name!r}{f'; did you mean {near[0]}?' if near else ''}; landscape families lists them"
        )
    return FAMILIES[name]


@cache
def _places() -> dict[Place, tuple[str, Label]]:
    return {f.place(*label): (f.name, label) for f in FAMILIES.values() for label in f.labels()}


@cache
def main_defects() -> dict[str, str]:
    """What is wrong with the branch ``main`` of a repository, where something is known to be."""
    return {
        family.place(*label).repo: str(defect)
        for family in FAMILIES.values()
        for defect in family.defects
        if defect.main
        for label in defect.labels
    }


def labelled(place: Place) -> tuple[Family, Label] | None:
    """The family, seed and step of a place, if it is one of a known family."""
    found = _places().get(place)
    return (FAMILIES[found[0]], found[1]) if found else None
