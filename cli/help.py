"""Help of commands: options in groups, examples, and what was probably meant.

Click's own formatter is used: with it errors stay plain texts, in which control characters of names can be written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from landscape.errors import did_you_mean

EXAMPLES: Mapping[str, Sequence[str]] = {
    "demo": ("landscape demo", "landscape demo --full --out full", "landscape demo --world planted --out planted"),
    "init": ("landscape init runs", "landscape init pythia-14m --out pythia.toml"),
    "families": ("landscape families", "landscape families pythia-14m"),
    "audit": ("landscape audit runs", "landscape audit pythia-2.8b --seed 0"),
    "barriers": (
        "landscape barriers runs/seed_0/step_1000 runs/seed_1/step_1000 --text heldout.txt",
        "landscape barriers 'runs/seed_{seed}/step_1000' --text heldout.txt --align none,weights,random",
        "landscape barriers runs/seed_0 runs/seed_1 --at last --text heldout.txt",
        "landscape barriers multiberts:seed={0,1,2},step=20000 --halfwidth 0.02",
    ),
    "align": ("landscape align runs/seed_0/step_1000 runs/seed_1/step_1000 --out aligned",),
    "curve": ("landscape curve runs/seed_0/step_1000 runs/seed_1/step_1000 --path bezier --out curve",),
    "plane": (
        "landscape plane runs/seed_{0,1,2}/step_1000 --text heldout.txt",
        "landscape plane runs/seed_0/step_1000 --resolution 31",
    ),
    "simplex": ("landscape simplex runs/seed_{0,1,2}/step_1000 --text heldout.txt",),
    "components": (
        "landscape components runs/seed_{0,1}/step_1000 --text heldout.txt",
        "landscape components runs/seed_{0,1}/step_1000 --move layers --align weights",
    ),
    "trajectory": (
        "landscape trajectory 'runs/seed_0/step_{step}' --text heldout.txt",
        "landscape trajectory runs/seed_0 --between window --k 3",
    ),
    "llc": (
        "landscape llc runs/seed_0/step_1000 --calibrate",
        "landscape llc runs/seed_0/step_1000 --step-size 0.0007 --localisation 100",
    ),
    "probe": (
        "landscape probe runs/seed_0/step_1000",
        "landscape probe runs/seed_{0,1}/step_1000 --names induction,in-context --distances",
    ),
    "point": ("landscape point runs/seed_0/step_1000 runs/seed_1/step_1000 --t 0.5 --out middle",),
    "plan": ("landscape plan study.toml", "landscape plan study.toml --tflops 100"),
    "run": ("landscape run study.toml", "landscape run study.toml --device cuda --workers 2"),
    "status": ("landscape status .", "landscape status . --check"),
    "stages": ("landscape stages .", "landscape stages mine.csv"),
    "export": ("landscape export .", "landscape export . --format netcdf"),
    "columns": ("landscape columns", "landscape columns barrier"),
    "report": ("landscape report .", "landscape report . --definition midpoint"),
}
"""Of each command."""


class Grouped(click.Command):
    """A command whose options are shown in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups, each in the order of its options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for option in sorted(options, key=lambda one: not getattr(one, "group", "")):
            if (record := option.get_help_record(ctx)) is not None:
                groups.setdefault(getattr(option, "group", "") or "Other options", []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


class GroupedOption(click.Option):
    """An option of a group; commands that have no groups show it as any other."""

    group = ""

    def of(self, group: str) -> GroupedOption:
        """The option, in this group unless it has one."""
        self.group = self.group or group
        return self


class NearChoice(click.Choice[str]):
    """A choice that says what was probably meant."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """What is wrong with a value."""
        said = super().get_invalid_choice_message(value, ctx).removesuffix(".")
        return said + did_you_mean(str(value), map(str, self.choices))


def completed(command: click.Command, name: str) -> click.Command:
    """A command with its examples, whose choices say what was probably meant.

    Args:
        command: The command.
        name: Its name.
    """
    if examples := EXAMPLES.get(name):
        command.epilog = "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in examples)])
    for param in command.params:
        if type(param.type) is click.Choice:
            param.type = NearChoice(param.type.choices, param.type.case_sensitive)
    return command
