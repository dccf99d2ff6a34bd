"""What all settings share: they are frozen, and an unknown name is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

MOST_SEED = 2**31 - 1
MOST_PERMUTATIONS = 1_000_000
REMOTE = re.compile(r"hf://.*|[\w.-]+:[^/]*=[^/]*")
"""References that are no paths: a place on the hub, a checkpoint of a family."""


def _beside_the_study(value: str, info: Any) -> str:
    """The path, from the first folder of the study's in which it begins; a study file may be a link to another."""
    bases = (info.context or {}).get("bases", ())
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


def one_or_several(value: Any) -> Any:
    """A name alone is a list of one."""
    return (value,) if isinstance(value, str) else value


BesideStudy = Annotated[str, AfterValidator(_beside_the_study)]


class Settings(BaseModel):
    """A table of a study file: a misspelt name is refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
