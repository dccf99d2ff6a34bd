"""Options that the one-shot commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from landscape.catalogue import MATCHERS
from landscape.cli.progress import console
from landscape.errors import InputError
from landscape.spec import MOST_SEED
from landscape.study.kinds import ON_TEXT, Matching
from landscape.study.sections import Data
from landscape.study.tasks import Checkpoint
from landscape.texts import TRAINING_TEXT

DEFINITIONS = ("chord", "mean_ends", "max_ends", "midpoint", "area", "convexity_gap")
PACKAGED = "No text is given: evaluating on the packaged novel, Jane Austen's Persuasion."
USUAL = 11
"""Points that papers take."""
FEW = 30
"""Examples below which a bootstrap is not to be trusted."""
OBJECTIVES = ("causal-lm", "masked-lm", "classification")
SYMMETRIES = ("none", "weights", "activations", "learned", "random")
MATCHED = {"none": "raw", **{name: MATCHERS.label(name) for name in MATCHERS}}
"""Ways to align, in words."""


class Points(click.ParamType):  # type: ignore[type-arg]
    """Size of a t grid, or ``auto``."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """A whole number from 3 to 1001, or ``auto``."""
        if value == "auto":
            return "auto"
        if not str(value).isdecimal() or not 3 <= int(value) <= 1001:
            self.fail(f"{value!r} is neither auto nor a whole number from 3 to 1001", param, ctx)
        return int(value)


class Number(click.FloatRange):
    """A finite number in a range; click takes nan for one in any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


SEED = click.IntRange(0, MOST_SEED)


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config --allow-class --allow-unverified``."""
    for option in (
        trust_options,
        click.option("--config", default="", help="Folder of config.json, for weights that have none beside them."),
    ):
        command = option(command)
    return command


def _allow(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    """Workers are other processes, so it is said in the environment."""
    from landscape.checkpoints.formats.pickled import ALLOW

    if names:
        os.environ[ALLOW] = ",".join(names)


def _unverified(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    from landscape.checkpoints.hub_files import ALLOW

    if given:
        os.environ[ALLOW] = "1"


def trust_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--allow-class --allow-unverified``."""
    for option in (
        click.option(
            "--allow-unverified", is_flag=True, expose_value=False, callback=_unverified,
            help="Take files from a hub that promises no hash of them.",
        ),
        click.option(
            "--allow-class", multiple=True, metavar="NAME", expose_value=False, callback=_allow,
            help="A class beside the tensors of .pt and .ckpt files that is passed over, such as argparse.Namespace; "
            "nothing of it is run.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def found(refs: Sequence[str], config: str) -> list[Checkpoint]:
    """The checkpoints of some references; of those on this disk it is known that they have a config.

    Raises:
        InputError: If one is not there, or has none.
    """
    from landscape.checkpoints import fetch, find, sources

    every = [checkpoint for ref in refs for checkpoint in find(ref, config)]
    for checkpoint in every:
        if sources.place(checkpoint.ref) is None:
            fetch.described(checkpoint)
    return every


def require_grid(points: int | str, halfwidth: float | None) -> None:
    """Refuse a wanted halfwidth on a fixed grid.

    Raises:
        InputError: If both are given.
    """
    if halfwidth is not None and points != "auto":
        raise InputError(f"--halfwidth chooses where to look, and --points {points} fixes it; leave one of them out")


def saved(rows: list[dict[str, Any]], examples: int, halfwidth: float, *, each: bool = True) -> str:
    """What a wanted halfwidth saved, whether it was reached, and what it leaves out.

    Args:
        rows: Chord rows of the table ``barrier``.
        examples: How many there are.
        halfwidth: Wanted half-width.
        each: Whether it was wanted of each pair; else of their mean.
    """
    took, whole = sum(row["evaluations"] for row in rows), (USUAL - 2) * examples * len(rows)
    wide = sum(row["high"] - row["low"] > 2 * halfwidth for row in rows)
    need = "barrier needs" if len(rows) == 1 else "barriers need"
    missed = f"; {wide} of {len(rows)} {need} more than these {examples} examples" if wide and each else ""
    return (
        f"to ± {halfwidth:g}, the error between the points not counted: {took:,} evaluations between the ends, "
        f"{took / whole:.0%} of the {whole:,} of {USUAL} even points on all {examples} examples{missed}"
    )


def grid_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--points --halfwidth``."""
    for option in (
        click.option("--halfwidth", type=Number(0, min_open=True),
                     help="With auto: evaluate only as many examples as make every interval no wider than plus and "
                     "minus so many nats. [default: nearly as narrow as all examples make it]"),
        click.option("--points", default="auto", show_default=True, type=Points(), metavar="auto|N",
                     help="Points of the t grid: auto is as many as the profile asks for, N so many even ones."),
    ):  # fmt: skip
        command = option(command)
    return command


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--text --tokenizer --bos --buffers --objective --sequences --length --device``."""
    for option in (
        click.option("--device", default="cpu", show_default=True, help="Device of torch: cpu, cuda, cuda:1."),
        click.option("--length", default=64, show_default=True, type=click.IntRange(2), help="Tokens of an example."),
        click.option("--sequences", default=128, show_default=True, type=click.IntRange(2), help="Examples."),
        click.option("--objective", type=click.Choice(OBJECTIVES), help="The loss. [default: by the model's class]"),
        click.option("--bos", default="auto", show_default=True, type=click.Choice(["auto", "true", "false"]),
                     help="For causal-lm: whether texts begin with the token for that; auto is as the tokenizer does."),
        click.option("--buffers", default="nearest", show_default=True, type=click.Choice(["nearest", "interpolated"]),
                     help="Learned buffers between checkpoints that differ in them: of the nearest, or their mean."),
        click.option("--tokenizer", help="Folder of the tokenizer. [default: that of the first checkpoint]"),
        click.option("--text", type=click.Path(path_type=Path, dir_okay=False),
                     help="Text to evaluate on, or the field text of JSON lines, CSV or Parquet; with labels for "
                     "classification. [default: the packaged novel]"),
    ):  # fmt: skip
        command = option(command)
    return command


def symmetry_options(usual: str, *, several: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--symmetry --symmetry-group --group --match-text --match-sequences``."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        more = " May be given several times." if several else ""
        for option in (
            click.option("--match-sequences", default=256, show_default=True, type=click.IntRange(8),
                         help="For activations and learned: examples to match on."),
            click.option("--match-text", type=click.Path(path_type=Path, dir_okay=False),
                         help="For activations and learned: text to match on; must not be that of --text. "
                         "[default: the other packaged novel]"),
            click.option("--group", "groups", multiple=True,
                         help="Only groups of such names may change: stream, '*.heads', '*.ffn'. [default: all]"),
            click.option("--symmetry-group", default="all", show_default=True,
                         type=click.Choice(["all", "permutations"]),
                         help="Rotations and other continuous symmetries too, or permutations only."),
            click.option("--symmetry", default=[usual] if several else usual, show_default=True, multiple=several,
                         type=click.Choice(SYMMETRIES),
                         help="What is done about symmetries: nothing; all checkpoints brought into the coordinates of "
                         f"the first; a random one for each, as a control.{more}"),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def matching(given: dict[str, Any], wanted: Sequence[str], data: Data) -> Matching:
    """How to match, by the options of a one-shot command.

    Raises:
        InputError: If matching needs a text beside that of ``--text``, or is given the same; or if an option says how
            to do what is not done.
    """
    if not set(wanted) - {"none"} and (given["groups"] or given["match_text"] or given["symmetry_group"] != "all"):
        raise InputError(
            "--symmetry-group, --group and --match-text say how symmetries are taken out; give --symmetry too"
        )
    if given["match_text"] and not set(wanted) & set(ON_TEXT):
        raise InputError("--match-text is for --symmetry activations and learned; leave it out")
    fields = {"symmetry_group": given["symmetry_group"], "groups": given["groups"] or ("*",)}
    if set(wanted) & set(ON_TEXT):
        if given["text"] and not given["match_text"]:
            raise InputError("--text is what barriers are judged on; give --match-text too, another text to match on")
        fields |= {"text": str(given["match_text"] or TRAINING_TEXT), "sequences": given["match_sequences"]}
        if fields["text"] == data.text:
            raise InputError("--text and --match-text are the same; what is matched on a text is judged on another")
    return Matching.model_validate(fields)


def checked(rows: list[dict[str, Any]]) -> list[str]:
    """What matching did to distances, and that no function changed; a line for each way of matching.

    Args:
        rows: Of the table ``match``.
    """
    out = []
    for symmetry in dict.fromkeys(row["symmetry"] for row in rows):
        own = [row for row in rows if row["symmetry"] == symmetry]
        before, after = (sum(row[f"distance_{when}"] for row in own) / len(own) for when in ("before", "after"))
        worst = max(own, key=lambda row: row["output_difference"] / max(row["tolerance"], 1e-300))
        untied = "; the head is a parameter of its own, so that the stream can turn" if own[0]["untied"] else ""
        seconds = sum(row["seconds"] for row in own)
        out.append(
            f"{MATCHED[symmetry]} ({own[0]['symmetry_group']}): mean distance to the first, in balanced form, "
            f"{before:.3g} before and {after:.3g} now; outputs differ by {worst['output_difference']:.1g} at most, and "
            f"rounding explains {worst['tolerance']:.1g}{untied}; {seconds:.1f} s"
        )
    return out


def data(given: Mapping[str, Any], objective: str) -> Data:
    """The fixed batches of a one-shot command.

    Args:
        given: Its options, those of :func:`data_options` among them.
        objective: The loss.

    Raises:
        InputError: If the objective needs data that is not given, or options do not go together.
    """
    if given["text"] is None:
        if objective == "classification":
            raise InputError("classification needs labelled examples: give --text FILE of JSON lines")
        console.print(PACKAGED)
    if given["sequences"] < FEW:
        console.print(f"{given['sequences']} examples are few: intervals are too narrow below about {FEW}.")
    return batches(given, objective)


def batches(given: Mapping[str, Any], objective: str) -> Data:
    """The same without a word.

    Raises:
        InputError: If options do not go together.
    """
    if given["bos"] != "auto" and objective != "causal-lm":
        raise InputError(f"--bos is for causal-lm, and the objective is {objective}; leave it out")
    return Data.model_validate({
        "text": str(given["text"]) if given["text"] else None, "objective": objective,
        "sequences": given["sequences"], "length": given["length"],
        "tokenizer": given["tokenizer"], "bos": {"auto": "auto", "true": True, "false": False}[given["bos"]],
        "buffers": given["buffers"],
    })  # fmt: skip
