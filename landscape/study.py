"""A study file: a declared grid of checkpoints and measurements."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from landscape.errors import InputError
from landscape.files import read
from landscape.measures import (
    AnyMeasure,
    Barriers,
    Behaviour,
    Between,
    Curves,
    Llc,
    Matching,
    Measure,
    Planes,
    Probes,
    Simplices,
)
from landscape.settings import Checkpoints, Children, Data, Primary, Settings, Stages


class Study(Settings):
    """A study file, validated."""

    version: Literal[1]
    name: str
    checkpoints: Checkpoints
    data: Data
    measure: tuple[Measure, ...] = Field(min_length=1)
    stages: Stages = Field(default_factory=lambda: Stages.model_validate({}))

    @model_validator(mode="after")
    def _children_are_named(self) -> Study:
        if any(getattr(m, "between", None) == "children" for m in self.measure) and self.checkpoints.children is None:
            raise ValueError('a measure between = "children" needs the table [checkpoints.children]')
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
        if isinstance(measure, Llc | Probes) and measure.among != "children":
            yield from ["llc"] if isinstance(measure, Llc) else measure.names
        if distances and isinstance(measure, Behaviour) and measure.between == "seeds":
            yield from (f"distance:{name}" for name in measure.names)


MOST_BYTES = 1_000_000


def read_study(path: Path) -> Study:
    """Read and check a study file; paths in it are relative to the file.

    Raises:
        InputError: With the place of the first mistake.
    """
    try:
        return Study.model_validate(
            tomllib.loads(read(path, MOST_BYTES).decode("utf-8").replace("\r\n", "\n")), context={"base": path.parent}
        )
    except OSError as error:
        raise InputError(f"cannot read the study {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {first_mistake(error)}") from error
    except (RecursionError, ValueError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"cannot read the study {path}: {why}; check the file") from error


def first_mistake(error: ValidationError) -> str:
    """The first mistake in settings: its place, what was given and what is wanted."""
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")  # or a typo is called missing
    kinds: dict[str, type[BaseModel]] = {
        "barriers": Barriers,
        "curves": Curves,
        "simplices": Simplices,
        "planes": Planes,
        "llc": Llc,
        "probes": Probes,
        "behaviour": Behaviour,
    }
    place = ".".join(str(part) for part in first["loc"] if part not in kinds) or "study"
    if first["type"] == "extra_forbidden":
        within = [kinds[str(part)] for part in first["loc"] if part in kinds]
        within = (
            [Matching] if "match" in first["loc"] else within or [Study, Checkpoints, Children, Data, Stages, Primary]
        )
        settings = {name for kind in within for name in kind.model_fields}
        return f"{place}: unknown setting{_near(str(first['loc'][-1]), settings)}"
    if first["type"] == "union_tag_invalid":
        given = str(first["ctx"]["tag"])
        return (
            f"{place}: no kind of measure is called {given!r}{_near(given, set(kinds))}; there are {', '.join(kinds)}"
        )
    said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    given = f" (got {first['input']!r:.80})"
    plain = first["type"] == "missing" or first["input"] is None or isinstance(first["input"], dict)
    return f"{place}: {said}{'' if plain else given}"


def _near(given: str, known: set[str]) -> str:
    near = get_close_matches(given, known - {given}, n=1)
    return f"; did you mean {near[0]}?" if near else ""
