"""Write the pages of ``docs/reference`` from the sources: columns, settings of a study file, commands.

``python docs/generate.py`` writes them; a test checks that they are up to date.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from landscape import catalogue, rows
from landscape.catalogue import Members
from landscape.cli.help import EXAMPLES
from landscape.cli.main import COMMANDS, cli
from landscape.cli.settings import explanations
from landscape.spec import MOST_SEED, BesideStudy, Choice, ChoiceOrOwn, Own, WholeOr
from landscape.stages.settings import Primary, Stages
from landscape.study.kinds import kind
from landscape.study.kinds.alignment import Alignment
from landscape.study.sections import Branches, Checkpoints, Data
from landscape.texts import TRAINING_TEXT

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/generate.py; do not edit. -->"
WIDTH = 100
"""Width at which click wraps nothing that a table holds."""
DTYPES = {"text": "text", "whole": "integer", "number": "number", "flag": "true or false", "label": "integer or text"}
TEXT_NAMES = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
MEMBERS: Mapping[str, Members] = {
    "Paths": catalogue.PATHS, "Curves": catalogue.CURVES, "Definitions of a barrier": catalogue.DEFINITIONS,
    "Ways to align": catalogue.MATCHERS, "Symmetry tables": catalogue.SYMMETRY_TABLES, "Samplers": catalogue.SAMPLERS,
    "Probes": catalogue.PROBES, "Objectives": catalogue.OBJECTIVES, "Metrics": catalogue.METRICS,
    "Kinds of measure": catalogue.MEASURES, "Sections of the report": catalogue.FIGURES,
}  # fmt: skip


def cell(value: str) -> str:
    """A text as a cell of a table."""
    return " ".join(value.replace("``", "`").replace("|", "\\|").split())


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown.

    Args:
        head: Names of the columns.
        lines: Cells of each row.
    """
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for line in lines:
        yield f"| {' | '.join(map(cell, line))} |"
    yield ""


def sentence(value: str) -> str:
    """A text that begins with a capital letter, if it begins with a plain word."""
    return value[:1].upper() + value[1:] if value[:1] != "`" else value


def columns() -> Iterator[str]:
    """The page of all tables of results."""
    yield from (
        MADE, "# Columns", "",
        "Every result is a row of one of these tables. `landscape export FOLDER` writes each table to a file.",
        "In Python `found.frame`, `found.tables()` and `ls.run(...).rows(NAME)` return them.",
        "The store refuses a row that does not fit.", "",
        "A column marked with ° may be empty. Tables of checkpoints also have a column for every further label",
        "of the study, such as `optimizer`. Tables of pairs have it twice, as `optimizer_a` and `optimizer_b`.",
        "The tables `loss` and `profile` may hold further numbers: metrics of the objective, each with its error.", "",
    )  # fmt: skip
    for one in rows.TABLES.values():
        yield from (f"## {one.name}", "", f"One row is {one.meaning}.", "")
        yield from table(("column", "type", "unit", "meaning"), [
            (f"`{c.name}`{' °' if c.optional else ''}", DTYPES[c.dtype], c.unit, c.meaning) for c in one.columns
        ])  # fmt: skip


def wanted(annotation: object, metadata: Sequence[object] = ()) -> list[str]:
    """What a setting takes, in words, one for each alternative."""
    if named := by_validator(metadata):
        return named
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return wanted(inner[0], inner[1:])
    if origin in (Union, UnionType):
        return [text for one in inner if one is not NoneType for text in wanted(one, metadata)]
    if origin is Literal:
        return [f"`{value}`" for value in inner]
    if origin is tuple:
        each = wanted(inner[0])
        return [f"list of {', '.join(each) if len(each) > 3 else ' or '.join(each)}"]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ["table, below"]
    name = TEXT_NAMES.get(getattr(annotation, "__name__", ""), "table")
    return [f"{name} {' and '.join(bounds(metadata))}".strip()]


def by_validator(metadata: Sequence[object]) -> list[str]:
    """What a setting takes by a validator that knows; empty if none does."""
    for mark in metadata:
        if isinstance(mark, AfterValidator) and isinstance(mark.func, Choice):
            return [f"`{name}`" for name in mark.func.names]
        if isinstance(mark, AfterValidator) and isinstance(mark.func, ChoiceOrOwn):
            return [*(f"`{name}`" for name in mark.func.members), "`FILE.py:FUNCTION`"]
        if isinstance(mark, AfterValidator) and mark in get_args(Own):
            return ["`FILE.py:FUNCTION`"]
        if isinstance(mark, AfterValidator) and isinstance(mark.func, WholeOr):
            return [f"`{mark.func.word}`", f"integer ≥ {mark.func.least} and ≤ {mark.func.most}"]
        if isinstance(mark, AfterValidator) and mark in get_args(BesideStudy):
            return ["path"]
    return []


def bounds(metadata: Sequence[object]) -> Iterator[str]:
    """The range of a number, in words."""
    for mark in metadata:
        for sign, name in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt")):
            if (limit := getattr(mark, name, None)) is not None and limit != MOST_SEED:
                yield f"{sign} {limit:,}" if isinstance(limit, int) else f"{sign} {limit:g}"
        yield from bounds(getattr(mark, "metadata", ()))


def default(info: FieldInfo) -> str:
    """The default of a setting as a study file has it."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel | Mapping):
        return ""
    return f"`{toml(value)}`"


def toml(value: Any) -> str:
    """A value of TOML."""
    if isinstance(value, tuple):
        return toml(value[0]) if len(value) == 1 else f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def settings(model: type[BaseModel], without: Sequence[str] = ()) -> Iterator[str]:
    """The settings of a section.

    Args:
        model: The section.
        without: Settings that are not shown.
    """
    said = explanations(model)
    yield from table(("setting", "value", "default", "meaning"), [
        (f"`{name}`", ", ".join(wanted(info.annotation, info.metadata)), default(info), sentence(said.get(name, "")))
        for name, info in model.model_fields.items() if name not in without
    ])  # fmt: skip


def summary(model: type[BaseModel]) -> str:
    """What the docstring of a section says of it."""
    return " ".join((inspect.getdoc(model) or "").partition("Attributes:")[0].split()).replace("``", "`")


def study_file() -> Iterator[str]:
    """The page of the study file."""
    yield from (
        MADE, "# Study file", "",
        "A study is a TOML file: checkpoints, data, measures, and how stages are found. Paths are relative to",
        "the file. A misspelt setting is refused, with its position and a suggestion. The commands have the same",
        "names as options (`step_size` is `--step-size`), and the Python calls as keyword arguments.", "",
        "A list of one may be written without brackets. A setting without a default may be left out, unless it",
        "is required.", "",
        "```toml", "version = 1", 'name = "three seeds over training"', "", "[checkpoints]",
        'folder = "runs/seed_{seed}/step_{step}"', "", "[data]", 'objective = "causal-lm"', 'text = "heldout.txt"', "",
        "[[measure]]", 'kind = "barriers"', 'between = "seed"', "```", "",
        "`version` is 1. `name` is any text. The sections follow.", "",
    )  # fmt: skip
    for head, model, without in (
        ("[checkpoints]", Checkpoints, ("branches",)), ("[checkpoints.branches]", Branches, ()), ("[data]", Data, ()),
    ):  # fmt: skip
        yield from (f"## {head}", "", summary(model), "")
        yield from settings(model, without)
    yield from (
        "## [data.NAME]", "",
        "A further data set, with the settings of `[data]`. What it leaves out is as in `[data]`. A measure",
        'names the data sets that it reads: `on = ["main", "NAME"]`, where `main` is `[data]`.', "",
    )  # fmt: skip
    for name, model in ((name, kind(name)) for name in catalogue.MEASURES):
        yield from (f"## {name}", "", f'`[[measure]]` with `kind = "{name}"`. {summary(model)}', "")
        yield from settings(model, ("kind",))
    yield from ("## alignment", "", "Of barriers and curves, as `alignment = { steps = 400 }`.", "")
    yield from settings(Alignment)
    yield from ("## [stages]", "", summary(Stages), "")
    yield from settings(Stages)
    yield from (
        "## primary", "", f"The table `primary` of `[stages]`. {summary(Primary)}", "",
        *table(("setting", "value", "default", "meaning"), [
            (f"`{name}`", ", ".join(wanted(info.annotation, info.metadata)), default(info), meaning)
            for (name, info), meaning in zip(Primary.model_fields.items(), (
                "name of a series of connectivity, such as `barrier:last`",
                "name of another series, such as `induction:copy_gap`", "the test",
            ), strict=True)
        ]),
        "# Members", "", "Names that settings take.", "",
    )  # fmt: skip
    for title, members in MEMBERS.items():
        yield from (f"## {title}", "")
        yield from table(("name", "what it is"), [(f"`{name}`", sentence(members[name].help)) for name in members])


def commands() -> Iterator[str]:
    """The page of the commands."""
    yield from (
        MADE, "# Commands", "",
        "`landscape COMMAND --help` shows the same. `--json` prints one JSON object a line on stdout; everything",
        "that people read is on stderr.", "",
        "Exit codes: 0 done, 1 internal error, 2 bad usage or input, 3 some tasks failed, 75 stopped by SIGTERM",
        "(run again to resume), 130 interrupted.", "",
    )  # fmt: skip
    yield from table(("command", "what it does"), [(f"[`{name}`](#{name})", said) for name, said in COMMANDS.items()])
    for name in COMMANDS:
        yield from command(name)


def command(name: str) -> Iterator[str]:
    """A command: its usage, its help and its options."""
    with click.Context(cli, info_name="landscape") as parent:
        found = cli.get_command(parent, name)
        assert found is not None
        context = click.Context(found, info_name=name, parent=parent, terminal_width=WIDTH)
        usage = " ".join(found.collect_usage_pieces(context))
        text = inspect.cleandoc(found.help or "")
        yield from (f"## {name}", "", "```text", f"landscape {name} {usage}", "```", "", *text.splitlines(), "")
        options = [option for option in found.get_params(context) if isinstance(option, click.Option)]
        records = filter(None, (option.get_help_record(context) for option in options))
        yield from table(("option", "meaning"), [
            (f"`{flags}`", portable(said)) for flags, said in records if "--help" not in flags
        ])  # fmt: skip
        yield from ("```sh", *EXAMPLES[name], "```", "")


def portable(said: str) -> str:
    """A help text without the folder in which this package lies, and with brackets that are no links."""
    return said.replace(f"{TRAINING_TEXT.parent}/", "the packaged ").replace("[", "\\[")


PAGES = {"columns.md": columns, "study_file.md": study_file, "commands.md": commands}


def page(name: str) -> str:
    """A page as it should be."""
    text = "\n".join(PAGES[name]())
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name in PAGES:
        (FOLDER / name).write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
