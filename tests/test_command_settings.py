"""Options of commands are the settings of study files: the same names, defaults, help and messages."""

from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import cases
import click
import pytest
from click.testing import CliRunner
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo

from landscape import catalogue
from landscape.cli import settings as options
from landscape.cli.frame import Output
from landscape.cli.main import cli, main
from landscape.errors import InputError
from landscape.face.inputs import Inputs
from landscape.spec import Choice, Settings, one_or_several
from landscape.study.file import KIND_MODELS, Study
from landscape.study.sections import Data

SPECS = {
    "barriers": "barriers", "align": "barriers", "curve": "curves", "plane": "planes", "simplex": "simplices",
    "components": "components", "trajectory": "trajectory", "llc": "llc", "probe": "probes",
}  # fmt: skip
"""The kind of measure that each command is a call of."""
CHANGED = {
    ("align", "align"): "weights", ("curve", "fit_text"): "the other packaged novel",
    ("plane", "plane"): "auto",
}  # fmt: skip
"""Settings that have another default, or one at all, in a command than in a study file."""


HIDDEN = {
    "align": {"path", "target", "dtype"}, "curve": {"target"},
    "components": {"path", "tolerance", "halfwidth", "target"},
}  # fmt: skip
"""Settings without an option in a command."""
KEPT = {"trajectory": {"between"}}
"""Settings with an option in a command that have none in the others."""


def command_of(name: str) -> click.Command:
    return importlib.import_module(f"landscape.cli.{name}").command  # type: ignore[no-any-return]


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Options by their first name without dashes."""
    return {param.opts[0].removeprefix("--"): param for param in command.params if isinstance(param, click.Option)}


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, FieldInfo, type[BaseModel]]]:
    """Settings and those of models within: the option, the setting, what is known of it, and whose it is."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from leaves(info.annotation, f"{name}_")
        else:
            yield f"{prefix}{name}".replace("_", "-"), name, info, model


def said_of(model: type[BaseModel], name: str) -> str:
    """What the docstring nearest to a model says of a setting, read without the code under test."""
    for cls in model.__mro__:
        lines = (cls.__doc__ or "").partition("Attributes:\n")[2].splitlines()
        for number, line in enumerate(lines):
            if line.startswith(f"        {name}: "):
                text = [line.partition(": ")[2]]
                for more in lines[number + 1 :]:
                    if not more.startswith(" " * 12):
                        break
                    text.append(more.strip())
                return " ".join(text)
    raise AssertionError(f"{model.__name__}.{name} is not documented")


@pytest.mark.parametrize("name", SPECS)
def test_every_setting_is_an_option_with_its_default_and_help(name: str) -> None:
    found = options_of(command_of(name))
    hidden = HIDDEN.get(name, set()) | (options.HIDDEN - KEPT.get(name, set()))
    seen = set()
    for model in (Inputs, KIND_MODELS[SPECS[name]]):
        for option, setting, info, owner in leaves(model):
            if option.replace("-", "_") in hidden:
                assert option not in found
                continue
            seen.add(option)
            text = found[option].help or ""
            said = said_of(owner, setting).replace("``", "")
            assert text.casefold().startswith(said.casefold()), option
            default = None if info.is_required() else info.get_default(call_default_factory=True)
            if (name, setting) in CHANGED and owner is model:
                continue
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
            if default not in (None, (), "", False, True):
                assert text.endswith(f"[default: {shown}]"), option
            elif default is None:
                assert "[default" not in text, option
    own = {"json", "out", "curve", "definition", "metric", "calibrate", "distances", "all", "allow-class",
           "allow-unverified"}  # fmt: skip
    assert set(found) - seen <= own, "no option is written by hand that a study file has another word for"


def test_defaults_that_differ_are_shown() -> None:
    for (name, setting), value in CHANGED.items():
        text = options_of(command_of(name))[setting.replace("_", "-")].help or ""
        assert value in text or (setting == "fit_text" and "prideprejudice.txt" in text)


def test_inputs_have_the_words_of_a_data_section() -> None:
    """Those that differ are what a study file has elsewhere, or a call decides."""
    assert set(Inputs.model_fields) - set(Data.model_fields) == {"adapter", "at", "config", "device", "device_map"}
    assert set(Data.model_fields) - set(Inputs.model_fields) == {"mask", "seed"}
    for name in Inputs.model_fields.keys() & Data.model_fields.keys() - {"text", "objective", "sequences", "length"}:
        assert Inputs.model_fields[name].get_default() == Data.model_fields[name].get_default(), name


def study_with(**settings: Any) -> Study:
    given = {"version": 1, "name": "x", "checkpoints": {"folder": "a"}, "data": {"objective": "causal-lm"}}
    return Study.model_validate({**given, "measure": [settings]})


def parsed(name: str, *words: str) -> list[Settings]:
    """The settings that a command makes of some words."""
    spec, found = KIND_MODELS[SPECS[name]], list[Settings]()

    def keep(ctx: click.Context, refs: tuple[str, ...], *models: Settings) -> None:
        found.extend(models)

    made = options.command(Inputs, spec, Output, changed=_changed(name))(keep)
    assert CliRunner().invoke(made, ["x", *words], catch_exceptions=False).exit_code == 0
    return found


def _changed(name: str) -> dict[str, object]:
    return {"plane": {"plane": "auto", "among": "all"}, "curve": {"fit_text": "f"}}.get(name, {})


def test_options_make_the_spec_of_a_study_file() -> None:
    words = ["--points", "7", "--align", "none,random", "--alignment-groups", "*.ffn", "--alignment-groups", "stream",
             "--alignment-seed", "5", "--text", "t.txt"]  # fmt: skip
    inputs, spec, _ = parsed("barriers", *words)
    (wanted,) = study_with(
        kind="barriers", points=7, align=["none", "random"], alignment={"groups": ["*.ffn", "stream"], "seed": 5}
    ).measure
    assert spec == wanted and isinstance(inputs, Inputs) and inputs.text == "t.txt"
    _, spec, _ = parsed("llc", "--step-size", "0.01", "--batch", "all", "--parameters", "*.bias", "--chains", "3")
    (wanted,) = study_with(kind="llc", step_size=0.01, batch="all", parameters="*.bias", chains=3).measure
    assert spec == wanted
    _, spec, output = parsed("curve", "--no-control", "--path", "polychain", "--json")
    (wanted,) = study_with(kind="curves", control=False, path="polychain", fit_text="f").measure
    assert spec == wanted and isinstance(output, Output) and output.as_json
    inputs, _, output = parsed("barriers", "--bos", "true")
    assert isinstance(inputs, Inputs) and inputs.bos is True
    assert isinstance(output, Output) and not output.as_json
    _, spec, _ = parsed("probe", "--names", "inference", "--labels", "no, yes,maybe")
    (wanted,) = study_with(kind="probes", names="inference", labels=["no", "yes", "maybe"]).measure
    assert spec == wanted


def test_the_packaged_text_to_align_on_is_taken_where_no_text_is_given() -> None:
    _, spec, _ = parsed("barriers", "--align", "activations")
    assert "prideprejudice" in str(spec.alignment.text)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="give alignment.text too, another text to align on"):
        parsed("barriers", "--align", "activations", "--text", "t.txt")


def ended(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit, match=r"^\d+$") as end:
        main([str(word) for word in words])
    code = end.value.code
    assert isinstance(code, int)
    return code, " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["barriers", "--points", "many"], "Error: points: Input should be a valid integer"),
        (["barriers", "--points", "2"], 'Error: points: "auto" or a whole number from 3 to 1001 is wanted'),
        (["barriers", "--sequences", "1"], "Error: sequences: Input should be greater than or equal to 2 (got '1')"),
        (["barriers", "--align", "wieghts"], "Error: align.0: no way to align is called 'wieghts'; did you mean weigh"),
        (["barriers", "--alignment-steps", "0", "--align", "weights"], "Error: alignment.steps: Input should be"),
        (["barriers", "--path", "linaer"], "Error: Invalid value for '--path': 'linaer' is not one of 'linear', "),
        (["barriers", "--dtype", "float46"], "Error: Invalid value for '--dtype': 'float46' is not one of "),
        (["barriers", "--target", "mean"], 'Error: target = "mean" needs a halfwidth, such as halfwidth = 0.02'),
        (["barriers", "--lenght", "3"], "Error: No such option '--lenght'"),
        (["curve", "--bends", "9"], "Error: bends: Input should be less than or equal to 8 (got '9')"),
        (["plane", "--margin", "-1"], "Error: margin: Input should be greater than or equal to 0 (got '-1')"),
        (["simplex", "--mixtures", "x"], "Error: mixtures: Input should be a valid integer"),
        (["llc", "--sampler", "sdlg"], "Error: Invalid value for '--sampler': 'sdlg' is not one of 'sgld', "),
        (["llc", "--chains", "0"], "Error: chains: Input should be greater than or equal to"),
        (["probe", "--count", "1"], "Error: count: Input should be greater than or equal to 2 (got '1')"),
        (["align", "--out", "o", "--points", "2"], "Error: points: "),
        (["align"], "Error: out: missing, and it has no default"),
    ],
)
def test_a_wrong_value_exits_with_2_and_the_name_of_the_setting(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, err = ended(capfd, words[0], "a", "b", *words[1:])
    assert code == 2 and said in err and "Traceback" not in err


def test_the_message_is_that_of_the_study_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = cases.study(tmp_path, measure="tolerance = -1")
    study.write_text(study.read_text().replace("points = 5\n", ""))
    assert tomllib.loads(study.read_text())["measure"][0]["tolerance"] == -1
    code, of_study = ended(capfd, "plan", study)
    assert code == 2
    code, of_command = ended(capfd, "barriers", "a", "b", "--tolerance", "-1")
    assert code == 2 and "tolerance: Input should be greater than 0" in of_command
    assert of_command.removeprefix("Error: ").partition(" (got")[0] in of_study


def test_choices_are_those_of_the_catalogue() -> None:
    found = {name: options_of(command_of(name)) for name in SPECS}
    for name, option, members in (
        ("barriers", "path", catalogue.PATHS), ("curve", "path", catalogue.CURVES),
        ("llc", "sampler", catalogue.SAMPLERS),
        ("barriers", "definition", catalogue.DEFINITIONS),
    ):  # fmt: skip
        kind = found[name][option].type
        assert isinstance(kind, click.Choice) and list(kind.choices) == list(members)
    assert found["barriers"]["objective"].metavar == "|".join([*catalogue.OBJECTIVES, "FILE.py:FUNCTION"])
    assert f"none|{'|'.join(catalogue.MATCHERS)}[,...]" == found["barriers"]["align"].metavar


class Inner(Settings):
    """Settings within settings.

    Attributes:
        depth: How deep.
        deep: Whether deep.
    """

    depth: int = Field(3, ge=1)
    deep: bool = True


class Base(Settings):
    """What the settings below inherit.

    Attributes:
        width: How wide; this is said over
            two lines.
    """

    width: float = Field(0.5, gt=0)


class Fresh(Base):
    """A spec that no command was written for.

    Attributes:
        kind: Always ``fresh``.
        colours: Names of ``colours``.
        way: Which path.
        shape: Which shape.
        twice: Whether twice.
        once: Whether once.
        size: How large, or ``auto``.
        inner: Settings within.
        word: Any word.
    """

    kind: Literal["fresh"] = "fresh"
    colours: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ("red",)
    way: Annotated[str, AfterValidator(Choice(catalogue.PATHS, "none"))] = "none"
    shape: Literal["round", "square"] = "round"
    twice: bool = False
    once: bool = True
    size: int | Literal["auto"] = "auto"
    inner: Inner = Field(default_factory=lambda: Inner.model_validate({}))
    word: str


def test_a_new_field_of_a_spec_becomes_an_option_by_itself() -> None:
    found = list[Fresh]()

    def fresh(ctx: click.Context, refs: tuple[str, ...], spec: Fresh) -> None:
        """Do it anew."""
        found.append(spec)

    command = options.command(Fresh, argument="A", changed={"width": 0.7}, omit=("shape",))(fresh)
    help_text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert help_text.startswith("Usage: ") and "A Do it anew." in help_text
    for line in (
        "--width NUMBER How wide; this is said over two lines. [default: 0.7]",
        "--colours TEXT[,...] Names of colours. [default: red]",
        "--way [none|linear|spherical|geodesic] Which path. [default: none]",
        "--twice Whether twice. ", "--once / --no-once Whether once. [default: yes]",
        "--size N|auto How large, or auto. [default: auto]", "--inner-depth N How deep. [default: 3]",
        "--word TEXT Any word.",
    ):  # fmt: skip
        assert line in help_text, help_text
    assert "--shape" not in help_text and "--kind" not in help_text

    def spec(*words: str) -> Fresh:
        found.clear()
        assert CliRunner().invoke(command, ["x", *words], catch_exceptions=False).exit_code == 0
        return found[0]

    assert spec("--word", "a") == Fresh(word="a", width=0.7)
    words = "--word a --inner-depth 5 --no-inner-deep --size 4 --no-once --twice --way linear --colours blue,green"
    inner = Inner(depth=5, deep=False)
    wanted = {"size": 4, "once": False, "twice": True, "way": "linear", "colours": ("blue", "green"), "width": 2}
    assert spec(*words.split(), "--width", "2") == Fresh(word="a", inner=inner, **wanted)
    for words, said in (((), "word: missing"), (("--word", "a", "--inner-depth", "0"), "inner.depth: Input sho"),
                        (("--word", "a", "--width", "nan"), "width: Input should be a finite number")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            spec(*words)


def test_every_command_says_what_it_is_and_no_help_is_empty() -> None:
    for name in SPECS:
        command = command_of(name)
        assert command.name == name and command.help
        for option, param in options_of(command).items():
            assert param.help and not param.help.startswith("  ["), f"{name} --{option}"
    plain = CliRunner().invoke(cli, ["probe", "--help"]).output
    assert "``" not in plain and json.dumps(plain)
