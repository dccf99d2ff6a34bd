"""``landscape point``."""

from __future__ import annotations

from pathlib import Path

import click

from landscape.cli.frame import say
from landscape.cli.settings import command as command_of
from landscape.face.point import PointSettings, write
from landscape.spec import Settings


class Written(Settings):
    """What the command writes.

    Attributes:
        out: Folder of the point.
    """

    out: str


@command_of(PointSettings, Written, argument="A B")
def command(ctx: click.Context, refs: tuple[str, ...], spec: PointSettings, written: Written) -> None:
    """Write a point on a path from checkpoint A to B as the folder OUT, which from_pretrained loads.

    Config and tokenizer are those of A. Learned buffers are those of the nearer end.
    """
    folder = write(list(refs), spec, Path(written.out))
    say(f"t = {spec.t:g} on the path from {refs[0]} to {refs[-1]} is {folder}")
