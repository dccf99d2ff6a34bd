"""Options that allow what is refused by default."""

from __future__ import annotations

import os

import click

from landscape.cli.help import GroupedOption


def _allow(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    """Workers are other processes, so it is said in the environment."""
    from landscape.checkpoints.formats.unpickle import ALLOW

    if names:
        os.environ[ALLOW] = ",".join(names)


def _unverified(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    from landscape.checkpoints.hub.snapshots import ALLOW

    if given:
        os.environ[ALLOW] = "1"


def trust_options(command: click.Command) -> click.Command:
    """Add ``--allow-class --allow-unverified`` to a command."""
    command.params += [
        GroupedOption(
            ["--allow-class"], multiple=True, metavar="NAME", expose_value=False, callback=_allow,
            help="A class beside the tensors of .pt and .ckpt files that is passed over, such as argparse.Namespace; "
            "nothing of it is run.",
        ).of("Trust"),
        GroupedOption(
            ["--allow-unverified"], is_flag=True, expose_value=False, callback=_unverified,
            help="Take files from a hub that promises no hash of them.",
        ).of("Trust"),
    ]  # fmt: skip
    return command
