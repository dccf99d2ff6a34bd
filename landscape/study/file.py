"""A study file: a declared grid of checkpoints and measurements."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from landscape.errors import InputError
from landscape.files import read
from landscape.spec import Settings
from landscape.stages.settings import Primary, Stages
from landscape.study.kinds import (
    Alignment,
    AnyMeasure,
    Barriers,
    Behaviour,
    Between,
    Curves,
    Llc,
    Measure,
    Planes,
    Probes,
    Simplices,
)
from landscape.study.sections import Branches, Checkpoints, Data


class Study(Settings):
    """A study file, validated."""

    version: Literal[1]
    name: str
    checkpoints: Checkpoints
    data: Data
    measure: tuple[Measure, ...] = Field(min_length=1)
    stages: Stages = Field(default_factory=lambda: Stages.model_validate({}))

    @model_validator(mode="after")
    def _branches_are_named(self) -> Study:
        if any(getattr(m, "between", None) == "branches" for m in self.measure) and self.checkpoints.branches is None:
            raise ValueError('a measure between = "branches" needs the table [checkpoints.branches]')
        return self

    @model_validator(mode="after")
    def _the_primary_can_be_tested(self) -> Study:
        if self.stages.primary is not None:
            _require_series(self.stages.primary, self.stages, self.measure)
        return self


def _require_series(primary: Primary, stages: Stages, measures: Sequence[AnyMeasure]) -> None:
    """Refuse a primary association of series that these measures do not make.

    Raises:
        ValueError: With the series that they make.
    """
    for name in (primary.connectivity, primary.behaviour):
        if "*" in name:
            raise ValueError(f"stages.primary is of one pair of series, and {name!r} is a pattern")
    lines = {m.between for m in measures if isinstance(m, Curves) or (isinstance(m, Barriers) and m.path == "linear")}
    barriers = [f"barrier:{between}" for between in get_args(Between) if between in lines - {"all"}]
    if primary.connectivity not in barriers:
        raise ValueError(
            f"stages.primary: no measure makes the series {primary.connectivity!r}; known: {', '.join(barriers)}"
        )
    matrix = primary.test.startswith("matrix")
    if matrix and primary.connectivity != "barrier:seeds":
        raise ValueError(f"stages.primary: the test {primary.test!r} is on pairs of seeds: give barrier:seeds")
    beside = ["loss", *barriers, *_behaviours(measures, distances=matrix)]
    if not any(primary.behaviour == name or primary.behaviour.startswith(f"{name}:") for name in beside):
        raise ValueError(
            f"stages.primary: no measure makes the series {primary.behaviour!r} for the test {primary.test!r}; known: "
            + ", ".join(name if name in {"loss", "llc", *barriers} else f"{name}:..." for name in beside)
        )
    for name, patterns in ((primary.connectivity, stages.connectivity), (primary.behaviour, stages.behaviour)):
        if patterns is not None and not (name.startswith("distance:") or any(fnmatchcase(name, p) for p in patterns)):
            raise ValueError(f"stages.primary is of {name!r}, which none of {', '.join(patterns)} takes")


def _behaviours(measures: Sequence[AnyMeasure], distances: bool) -> Iterator[str]:
    """How the names of series of behaviour begin."""
    for measure in measures:
        if isinstance(measure, Llc | Probes) and measure.among != "branches":
            yield from ["llc"] if isinstance(measure, Llc) else measure.names
        if distances and isinstance(measure, Behaviour) and measure.between == "seeds":
            yield from (f"distance:{name}" for name in measure.names)


MOST_BYTES = 1_000_000


def read_study(path: Path) -> Study:
    """Read and check a study file; paths in it are relative to the file, or to the file that it is a link to.

    Raises:
        InputError: With the place of every mistake.
    """
    try:
        bases = dict.fromkeys([path.parent, path.resolve().parent])
        text = read(path, MOST_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
        return Study.model_validate(tomllib.loads(text), context={"bases": tuple(bases)})
    except OSError as error:
        raise InputError(f"cannot read the study {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {mistakes(error)}") from error
    except (RecursionError, ValueError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"cannot read the study {path}: {why}; check the file") from error


KINDS: dict[str, type[BaseModel]] = {
    "barriers": Barriers,
    "curves": Curves,
    "simplices": Simplices,
    "planes": Planes,
    "llc": Llc,
    "probes": Probes,
    "behaviour": Behaviour,
}
TABLES: tuple[type[BaseModel], ...] = (Study, Checkpoints, Branches, Data, Stages, Primary)
EVERY: tuple[type[BaseModel], ...] = (*TABLES, Alignment, *KINDS.values())
FIELDS = {name for table in EVERY for name in table.model_fields}


def mistakes(error: ValidationError) -> str:
    """All mistakes in settings, a line each: its place, what was given and what is wanted."""
    said: dict[str, list[str]] = {}
    meant: set[str] = set()
    for one in sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden"):  # typos come first
        typo = one["type"] == "extra_forbidden"
        last = len(one["loc"]) - 1 if typo else None
        parts = (p for n, p in enumerate(one["loc"]) if n == last or isinstance(p, int) or p in FIELDS)
        place = ".".join(map(str, parts))
        if (one["type"] == "missing" and place in meant) or (one["type"] == "too_short" and said):
            continue  # what follows from the mistakes before
        text = _typo(one, meant, place) if typo else _wrong(one)
        if text not in said.setdefault(place or "study", []):
            said[place or "study"].append(text)
    return "\n  ".join(f"{place}: {' or '.join(texts)}" for place, texts in said.items())


def _typo(mistake: Mapping[str, Any], meant: set[str], place: str) -> str:
    """An unknown setting; what it was probably meant for is put into ``meant``."""
    within = [KINDS[str(part)] for part in mistake["loc"] if part in KINDS]
    tables: Sequence[type[BaseModel]] = [Alignment] if "match" in mistake["loc"] else within or TABLES
    near = _near(str(mistake["loc"][-1]), {name for table in tables for name in table.model_fields})
    if near:
        meant.add(".".join([*place.split(".")[:-1], near]))
    return f"unknown setting{f'; did you mean {near}?' if near else ''}"


def _wrong(mistake: Mapping[str, Any]) -> str:
    """A value that is not as wanted."""
    if mistake["type"] == "union_tag_invalid":
        given = str(mistake["ctx"]["tag"])
        near = _near(given, set(KINDS))
        hint = f"; did you mean {near}?" if near else ""
        return f"no kind of measure is called {given!r}{hint}; there are {', '.join(KINDS)}"
    said = str(mistake["ctx"]["error"]) if mistake["type"] == "value_error" else mistake["msg"]
    plain = mistake["type"] == "missing" or mistake["input"] is None or isinstance(mistake["input"], dict)
    return said if plain else f"{said} (got {mistake['input']!r:.80})"


def _near(given: str, known: set[str]) -> str:
    return next(iter(get_close_matches(given, known - {given}, n=1)), "")
