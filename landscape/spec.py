"""What all settings share: they are frozen, and an unknown name is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from landscape import own
from landscape.catalogue import Members

MOST_SEED = 2**31 - 1
MOST_PERMUTATIONS = 1_000_000
REMOTE = re.compile(r"hf://.*|[\w.-]+:[^/]*=[^/]*")
"""References that are no paths: a place on the hub, a checkpoint of a family."""


def _beside_the_study(value: str, info: object) -> str:
    """The path, from the first folder of the study's in which it begins; a study file may be a link to another."""
    bases = (getattr(info, "context", None) or {}).get("bases", ())
    if not bases or REMOTE.fullmatch(value):
        return value
    paths = [str(Path(base) / value) for base in bases]
    return paths[0] if len(paths) == 1 else next(filter(_is_there, paths), paths[0])


def _is_there(path: str) -> bool:
    """Whether a path exists; of a pattern, a folder that begins as it does before its first field."""
    fixed, field, _ = path.partition("{")
    if not field:
        return Path(path).exists()
    folder, _, begin = fixed.rpartition("/")
    return any(other.is_dir() and other.name.startswith(begin) for other in Path(folder or ".").glob("*"))


def one_or_several(value: object) -> object:
    """A name alone is a list of one."""
    return (value,) if isinstance(value, str) else value


BesideStudy = Annotated[str, AfterValidator(_beside_the_study)]
"""A path, relative to the study file."""


@dataclass(frozen=True)
class Choice:
    """A name that is a member of a table, or one of a few others.

    Attributes:
        members: The table.
        others: Further names.
    """

    members: Members
    others: tuple[str, ...]

    def __init__(self, members: Members, *others: str) -> None:
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "others", others)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the others first."""
        return (*self.others, *self.members)

    def __call__(self, name: str) -> str:
        """The name, if it is known.

        Raises:
            ValueError: If it is not known, with all names.
        """
        if name in self.others:
            return name
        try:
            return self.members.require(name)
        except ValueError as error:
            raise ValueError(", ".join([str(error), *self.others])) from error


def _own(name: str, info: object) -> str:
    """A function of a file, whose path is relative to the study file.

    Raises:
        ValueError: If it is none.
    """
    if not own.is_own(name):
        raise ValueError("a function of a file of your own is wanted, such as mine.py:build")
    file, function = own.parts(name)
    return f"{_beside_the_study(str(file), info)}:{function}"


Own = Annotated[str, AfterValidator(_own)]
"""A function of the user's own file, such as ``mine.py:build``."""


@dataclass(frozen=True)
class ChoiceOrOwn:
    """A name that is a member of a table, or a function of a file.

    Attributes:
        members: The table.
    """

    members: Members

    def __call__(self, name: str, info: object) -> str:
        """The name, if it is known; of a function, with the path of its file.

        Raises:
            ValueError: If it is not known.
        """
        if own.is_own(name):
            return _own(name, info)
        try:
            return self.members.require(name)
        except ValueError as error:
            raise ValueError(f"{error}, or a function of a file of your own, such as mine.py:build") from error


@dataclass(frozen=True)
class WholeOr:
    """A word, or a whole number in a range.

    Attributes:
        word: The word.
        least: Smallest number.
        most: Largest number.
    """

    word: str
    least: int
    most: int

    def __call__(self, value: int | str) -> int | str:
        """The value, if it is one of them.

        Raises:
            ValueError: If it is not.
        """
        whole = isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most
        if value != self.word and not whole:
            raise ValueError(f'"{self.word}" or a whole number from {self.least} to {self.most} is wanted')
        return value


class Settings(BaseModel):
    """A table of a study file: a misspelt name is refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
