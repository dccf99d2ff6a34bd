"""``landscape plane``."""

from __future__ import annotations

from pathlib import Path

import click

from landscape.cli.drawing import save_figure
from landscape.cli.frame import WATCH, Output, finish, say
from landscape.cli.settings import command as command_of
from landscape.face.inputs import Inputs, find
from landscape.face.plane import Plane, measure
from landscape.study.kinds.planes import Planes


class Shown(Output):
    """What the command draws and writes.

    Attributes:
        curve: Draw this path too: a file that landscape curve wrote.
        out: Folder of the figure and the results.
        as_json: One JSON object a line on stdout: plane and place rows.
    """

    curve: str | None = None
    out: str = "plane"


@command_of(Inputs, Planes, Shown, changed={"among": "all", "plane": "auto"})
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Planes, shown: Shown) -> None:
    """The loss on a plane, drawn in true scale to OUT/plane.svg and OUT/plane.png.

    One REF gives a random plane around it, three the plane through them, more the plane of their two principal
    components. Run again, it goes on where it was stopped.
    """
    models = find(refs, inputs)
    from landscape.paths import saved  # which imports torch: what is refused is refused before

    drawn = saved.load(Path(shown.curve)) if shown.curve else None
    found = measure(models, spec, Path(shown.out), drawn, WATCH)
    if not found.failed:
        for note in found.notes:
            say(note)
        _draw(found, Path(shown.out))
    finish(ctx, found.tables(), found.failed, shown)


def _draw(found: Plane, out: Path) -> None:
    import matplotlib as mpl
    import pandas as pd

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from landscape.figures.captions import caption
    from landscape.figures.plane import about
    from landscape.figures.style import note, style

    rows, places = found.frame, found.places
    with style():
        tall = (rows["y"].max() - rows["y"].min()) / (rows["x"].max() - rows["x"].min())
        figure, ax = plt.subplots(figsize=(8, min(9.0, 1.6 + 6 * tall)))
        found.plot(ax)
        note(ax, f"{about(rows, places)}; {caption(rows)}")
        said = save_figure(figure, out, "plane")
    both = pd.concat([rows, places])
    lowest = both.loc[both["loss"] == both["loss"].min()].iloc[-1]
    where = lowest["checkpoint"] if pd.notna(lowest.get("checkpoint")) else "between the checkpoints"
    say(
        f"{about(rows, places)}\nlowest loss: {lowest['loss']:.3f} ± {lowest['error']:.3f} at "
        f"({lowest['x']:.2f}, {lowest['y']:.2f}), {where}\n{said}"
    )
