"""Options of commands, made from settings: the same names, defaults and help as in a study file and in Python."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import click
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from landscape.cli.help import Grouped, GroupedOption
from landscape.cli.progress import listen
from landscape.cli.trust import trust_options
from landscape.face.inputs import Inputs, settings, with_align_text
from landscape.spec import Choice, ChoiceOrOwn, Settings

Callback = Callable[..., object]
_Options = Mapping[str, object]
HIDDEN = frozenset({"kind", "at_steps", "on", "among", "tile", "between", "keep_losses", "parts"})
"""Settings that a one-shot command has no option for: which checkpoints, and how a study is cut into tasks."""
ENTRY = re.compile(r"^        (\w+): (.*(?:\n            .*)*)", re.M)


@cache
def explanations(model: type[BaseModel]) -> Mapping[str, str]:
    """What the docstrings of a model and its bases say of each setting."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        _, _, text = (cls.__doc__ or "").partition("Attributes:\n")
        found |= {name: " ".join(said.split()) for name, said in ENTRY.findall(text)}
    return found


def command(
    *models: type[Settings],
    argument: str = "REF...",
    omit: Sequence[str] = (),
    keep: Sequence[str] = (),
    changed: Mapping[str, object] | None = None,
) -> Callable[[Callback], click.Command]:
    """A command whose options are the settings of some models.

    The function is called with click's context, the references, and an object of each model.

    Args:
        *models: The models; no two have a setting of the same name.
        argument: What the references are called in the help; ``A B`` are two arguments.
        omit: Settings without an option.
        keep: Settings that have an option here, and have none in other commands.
        changed: Other defaults than those of the models.
    """
    defaults = dict(changed or {})

    def make(function: Callback) -> click.Command:
        def run(**given: object) -> object:
            listen()
            refs = given.pop("refs")
            own = [_given(model, given, defaults) for model in models]
            text = next((values["text"] for values in own if "text" in values), None)
            parsed = [settings(m, with_align_text(m, values, text)) for m, values in zip(models, own, strict=True)]
            return function(click.get_current_context(), refs, *parsed)

        hidden = {*omit, *HIDDEN} - {*keep}
        options = [option.of(_group(model)) for model in models for option in _options(model, hidden, defaults)]
        name = (inspect.getmodule(function).__name__ if inspect.getmodule(function) else "").rpartition(".")[2]  # type: ignore[union-attr]
        made = Grouped(
            name, callback=run, help=inspect.getdoc(function),
            params=[click.Argument(["refs"], nargs=-1, required=True, metavar=argument), *options],
        )  # fmt: skip
        return trust_options(made)

    return make


def _group(model: type[Settings]) -> str:
    """Which options those of a model are, in the help."""
    if model is Inputs:
        return "Checkpoints and data"
    return "Output" if model.__module__.startswith(__package__) else "What is measured"


def with_settings(model: type[Settings], name: str) -> Callable[[click.Command], click.Command]:
    """Add the settings of a model to a command as options, and hand them to it as one argument.

    Args:
        model: The model.
        name: Of the argument.
    """

    def add(command: click.Command) -> click.Command:
        function = command.callback
        assert function is not None

        def run(**given: object) -> object:
            own = {field: given.pop(field) for field in model.model_fields}
            return function(**given, **{name: settings(model, _given(model, own, {}))})

        command.params += _options(model, HIDDEN, {})
        command.callback = run
        return command

    return add


def _given(model: type[Settings], options: _Options, defaults: _Options) -> _Options:
    """The values of a model's settings, of those options that were given."""
    own: dict[str, object] = {name: value for name, value in defaults.items() if name in model.model_fields}
    for name, info in model.model_fields.items():
        nested = _nested(info)
        if nested is not None:
            inner = {
                field: _value(about, options[f"{name}_{field}"])
                for field, about in nested.model_fields.items()
                if _is_given(options, f"{name}_{field}")
            }
            own |= {name: inner} if inner else {}
        elif _is_given(options, name):
            own[info.alias or name] = _value(info, options[name])
    return own


def _is_given(options: _Options, name: str) -> bool:
    return options.get(name) is not None and options[name] != ()


def _value(info: FieldInfo, value: object) -> object:
    """The value of an option; of one that takes several a list: they are given again, or with commas between them."""
    if not _is_several(info):
        return value
    assert isinstance(value, tuple)
    return [part.strip() for some in value for part in some.split(",")]


def _options(
    model: type[BaseModel], omit: Set[str], defaults: Mapping[str, object], prefix: str = ""
) -> list[GroupedOption]:
    """The options of a model; those of a model within it have its name before theirs."""
    said, out = explanations(model), []
    for name, info in model.model_fields.items():
        if name in omit:
            continue
        nested = _nested(info)
        if nested is not None:
            out += [option.of(name.capitalize()) for option in _options(nested, omit - HIDDEN, {}, f"{name}_")]
            continue
        default = defaults.get(name, None if info.is_required() else info.get_default(call_default_factory=True))
        out.append(_option(f"{prefix}{name}", info, said.get(name, ""), default))
    return out


def _option(name: str, info: FieldInfo, said: str, default: object) -> GroupedOption:
    """The option of one setting; its value is checked by the model, so that all messages are the same."""
    flag = f"--{(info.alias or name).replace('_', '-')}"
    choices, several, truth = _choices(info), _is_several(info), _plain(info) is bool
    own = next((mark.func for mark in _marks(info) if isinstance(mark.func, ChoiceOrOwn)), None)
    text = (said[:1].upper() + said[1:]).replace("``", "")
    shown = _shown(default)
    if shown and not truth:
        text += f"  [default: {shown}]"
    if truth:
        flags = f"{flag}/--no-{flag[2:]}" if default is True else flag
        text += "  [default: yes]" if default is True else ""
        return GroupedOption([flags, name], default=None, is_flag=True, help=text)
    if several:
        metavar = f"{'|'.join(choices) or _metavar(info)}[,...]"
        return GroupedOption([flag, name], default=None, help=text, multiple=True, metavar=metavar)
    return GroupedOption(
        [flag, name], default=None, help=text, type=click.Choice(choices) if choices else None,
        metavar="|".join([*own.members, "FILE.py:FUNCTION"]) if own else None if choices else _metavar(info),
    )  # fmt: skip


def _shown(default: object) -> str:
    """A default in words; empty for none."""
    if default is None or default in ((), ""):
        return ""
    if isinstance(default, str) and Path(default).is_absolute():
        return f"the packaged {Path(default).name}"
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _parts(annotation: object) -> list[object]:
    """An annotation, and what it is made of."""
    inner = (
        [part for arg in get_args(annotation) for part in _parts(arg)] if get_origin(annotation) is not Literal else []
    )
    return [annotation, *inner]


def _nested(info: FieldInfo) -> type[BaseModel] | None:
    """The model that a setting is, if it is one."""
    found = info.annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _marks(info: FieldInfo) -> list[AfterValidator]:
    """The functions that check a setting."""
    every = [*info.metadata, *(m for part in _parts(info.annotation) for m in getattr(part, "__metadata__", ()))]
    return [mark for mark in every if isinstance(mark, AfterValidator)]


def _choices(info: FieldInfo) -> list[str]:
    """The values of a setting that has a few names as values."""
    for mark in _marks(info):
        if isinstance(mark.func, Choice):
            return list(mark.func.names)
    names = [arg for arg in _members(info.annotation) if arg is not NoneType]
    literal = [name for part in names if get_origin(part) is Literal for name in get_args(part)]
    if names == [bool, *[p for p in names if get_origin(p) is Literal]] and len(names) > 1:
        return [*map(str, literal), "true", "false"]
    return [str(name) for name in literal] if literal and all(get_origin(part) is Literal for part in names) else []


def _members(annotation: object) -> list[object]:
    """The members of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for arg in get_args(annotation) for part in _members(arg)]
    return [annotation]


def _plain(info: FieldInfo) -> object:
    """The type of a setting that has one."""
    found = [part for part in _members(info.annotation) if part is not NoneType]
    return found[0] if len(found) == 1 else None


def _is_several(info: FieldInfo) -> bool:
    return any(get_origin(part) is tuple for part in _members(info.annotation))


def _metavar(info: FieldInfo) -> str:
    """What stands for a value in the help."""
    words: list[str] = []
    for part in _members(info.annotation):
        if get_origin(part) is Literal:
            words += map(str, get_args(part))
        elif part in (int, float):
            words.append("N" if part is int else "NUMBER")
        elif get_origin(part) is tuple and int in get_args(part):
            words.append("N")
    return "|".join(dict.fromkeys(words)) or "TEXT"
