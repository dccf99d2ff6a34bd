"""A study file: a declared grid of checkpoints and measurements."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, Field, ValidationError, model_validator

from landscape import catalogue
from landscape.errors import InputError, did_you_mean
from landscape.files import read
from landscape.spec import Settings
from landscape.stages.settings import Primary, Stages
from landscape.study import kinds
from landscape.study.kinds.alignment import Alignment
from landscape.study.measure import Measure
from landscape.study.sections import Branches, Checkpoints, Data
from landscape.study.tasks import MAIN

KIND_MODELS: dict[str, type[Measure]] = {name: kinds.kind(name) for name in catalogue.MEASURES}
OTHER_DATA = "other_data"
"""Where the sections ``[data.NAME]`` are kept."""

if TYPE_CHECKING:
    AnyMeasure = Measure
else:
    AnyMeasure = Annotated[Union[tuple(KIND_MODELS.values())], Field(discriminator="kind")]  # noqa: UP007


class Study(Settings):
    """A study file, validated.

    Attributes:
        version: Of the format.
        name: Of the study.
        checkpoints: Which checkpoints.
        data: The main data set.
        other_data: The data sets of the sections ``[data.NAME]``; what one leaves out is as in ``[data]``.
        measure: What is measured.
        stages: How stages are found.
    """

    version: Literal[1]
    name: str
    checkpoints: Checkpoints
    data: Data
    other_data: Mapping[str, Data] = Field(default_factory=dict)
    measure: tuple[AnyMeasure, ...] = Field(min_length=1)
    stages: Stages = Field(default_factory=lambda: Stages.model_validate({}))

    @property
    def data_sets(self) -> dict[str, Data]:
        """All data sets by name."""
        return {MAIN: self.data, **self.other_data}

    @model_validator(mode="before")
    @classmethod
    def _split_data(cls, value: object) -> object:
        """Take the tables within ``[data]`` out of it."""
        if not isinstance(value, dict) or not isinstance(data := value.get("data"), dict):
            return value
        others = {k: v for k, v in data.items() if isinstance(v, dict) and k not in Data.model_fields}
        main = {k: v for k, v in data.items() if k not in others}
        return {**value, "data": main, OTHER_DATA: {k: {**main, **v} for k, v in others.items()}} if others else value

    @model_validator(mode="after")
    def _data_sets_are_named(self) -> Study:
        if MAIN in self.other_data:
            raise ValueError(f"[data.{MAIN}] is [data] itself: give it another name")
        for measure in self.measure:
            for name in measure.on:
                if name not in self.data_sets:
                    hint, known = did_you_mean(name, self.data_sets), ", ".join(self.data_sets)
                    raise ValueError(f'on = "{name}" is no data set of the study{hint}; there are {known}')
        return self

    @model_validator(mode="after")
    def _the_primary_can_be_tested(self) -> Study:
        if self.stages.primary is not None:
            _require_series(self.stages.primary, self.stages, self.measure)
        return self


def _require_series(primary: Primary, stages: Stages, measures: Sequence[Measure]) -> None:
    """Refuse a primary association of series that these measures do not make.

    Raises:
        ValueError: With the series that they make.
    """
    for name in (primary.connectivity, primary.behaviour):
        if "*" in name:
            raise ValueError(f"stages.primary is of one pair of series, and {name!r} is a pattern")
    barriers = list(dict.fromkeys(name for m in measures for name in _on_each(m, m.connectivity())))
    if primary.connectivity not in barriers:
        raise ValueError(
            f"stages.primary: no measure makes the series {primary.connectivity!r}; known: {', '.join(barriers)}"
        )
    matrix = primary.test.startswith("matrix")
    if matrix and primary.connectivity.partition("@")[0] != "barrier:seed":
        raise ValueError(f"stages.primary: the test {primary.test!r} is on pairs of seeds: give barrier:seed")
    others = (name for measure in measures for name in measure.behaviour(distances=matrix))
    beside = list(dict.fromkeys(["loss", *(n for m in measures for n in _on_each(m, ["loss"])), *barriers, *others]))
    behaviour = primary.behaviour
    if not any(behaviour == name or behaviour.startswith((f"{name}:", f"{name}@")) for name in beside):
        raise ValueError(
            f"stages.primary: no measure makes the series {primary.behaviour!r} for the test {primary.test!r}; known: "
            + ", ".join(
                name if name in {"llc", *barriers} or name.partition("@")[0] == "loss" else f"{name}:..."
                for name in beside
            )
        )
    for name, patterns in ((primary.connectivity, stages.connectivity), (primary.behaviour, stages.behaviour)):
        if patterns is not None and not (name.startswith("distance:") or any(fnmatchcase(name, p) for p in patterns)):
            raise ValueError(f"stages.primary is of {name!r}, which none of {', '.join(patterns)} takes")


def _on_each(measure: Measure, names: Iterable[str]) -> Iterator[str]:
    """Names of the series of a measure, and of those on other data sets than the main one."""
    for name in names:
        yield name
        yield from (f"{name}@{on}" for on in measure.on if on != MAIN)


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


TABLES: tuple[type[BaseModel], ...] = (Study, Checkpoints, Branches, Data, Stages, Primary)
EVERY: tuple[type[BaseModel], ...] = (*TABLES, Alignment, *KIND_MODELS.values())
FIELDS = {name for table in EVERY for name in table.model_fields}


def mistakes(error: ValidationError, tables: Sequence[type[BaseModel]] = TABLES, whole: str = "study") -> str:
    """All mistakes in settings, a line each: its place, what was given and what is wanted.

    Args:
        error: The mistakes.
        tables: Whose settings may be meant by an unknown name that is in no measure.
        whole: The place of a mistake that is of no setting; empty for none.
    """
    fields = FIELDS.union(*map(_names, tables))
    said: dict[str, list[str]] = {}
    meant: set[str] = set()
    for one in sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden"):  # typos come first
        typo = one["type"] == "extra_forbidden"
        last = len(one["loc"]) - 1 if typo else None
        name = 1 if one["loc"][:1] == (OTHER_DATA,) else None
        parts = [p for n, p in enumerate(one["loc"]) if n in (last, name) or isinstance(p, int) or p in fields]
        place = ".".join(map(str, parts if name is None else ["data", *parts[1:]]))
        if (one["type"] == "missing" and place in meant) or (one["type"] == "too_short" and said):
            continue  # what follows from the mistakes before
        text = _typo(one, meant, place, tables) if typo else _wrong(one)
        if text not in said.setdefault(place or whole, []):
            said[place or whole].append(text)
    return "\n  ".join(f"{place}: {' or '.join(texts)}".removeprefix(": ") for place, texts in said.items())


def _names(table: type[BaseModel]) -> set[str]:
    """Names of the settings of a table, and of the tables within."""
    within = [info.annotation for info in table.model_fields.values()]
    inner = [found for found in within if isinstance(found, type) and issubclass(found, BaseModel)]
    return set(table.model_fields).union(*map(_names, inner))


def _typo(mistake: Mapping[str, Any], meant: set[str], place: str, tables: Sequence[type[BaseModel]]) -> str:
    """An unknown setting; what it was probably meant for is put into ``meant``."""
    within = [KIND_MODELS[str(part)] for part in mistake["loc"] if part in KIND_MODELS]
    known = [Alignment] if "alignment" in mistake["loc"] else within or tables
    near = _near(str(mistake["loc"][-1]), {name for table in known for name in table.model_fields})
    if near:
        meant.add(".".join([*place.split(".")[:-1], near]))
    return f"unknown setting{f'; did you mean {near}?' if near else ''}"


def _wrong(mistake: Mapping[str, Any]) -> str:
    """A value that is not as wanted."""
    if mistake["type"] == "union_tag_invalid":
        given = str(mistake["ctx"]["tag"])
        near = _near(given, set(KIND_MODELS))
        hint = f"; did you mean {near}?" if near else ""
        return f"no kind of measure is called {given!r}{hint}; there are {', '.join(KIND_MODELS)}"
    if mistake["type"] == "missing":
        return "missing, and it has no default"
    if mistake["type"] == "too_short":
        return "empty; give at least one"
    said = str(mistake["ctx"]["error"]) if mistake["type"] == "value_error" else mistake["msg"]
    plain = mistake["input"] is None or isinstance(mistake["input"], dict)
    return said if plain else f"{said} (got {mistake['input']!r:.80})"


def _near(given: str, known: set[str]) -> str:
    return next(iter(get_close_matches(given, known - {given}, n=1)), "")
